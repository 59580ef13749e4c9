"""Measure the time of matrices in the native kernels, by size and kind, and write the table as JSON.

    python bench/matrix_costs.py [MODEL ...] [--size 128x64 ...] [--isa avx2] [--out costs.json]

MODEL are trained emulators, whose matrices are measured; without MODEL and --size, those of the packaged
`mskf-convrad`. `sciml.compress.allocate_bits` takes `CostTable.from_json(...).cost(network)` as its cost.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sciml.compress.costs import CostTable, kernel_matrices
from sciml.convection.emulator import Emulator
from sciml.coupling.matrix_costs import ISAS, measure_costs
from sciml.tables import aligned

KINDS = ("bf16", "int8", "int4", "sign")


def size(text: str) -> tuple[int, int]:
    """Read rows and columns, such as 128x64."""
    rows, columns = text.split("x")
    return int(rows), int(columns)


def table(costs: CostTable) -> list[str]:
    """Return the lines of the table."""
    sizes = dict.fromkeys((rows, columns) for _, rows, columns in costs.microseconds)
    body = [
        [f"{rows} x {columns}", *(f"{costs.time(kind, rows, columns):.3f}" for kind in KINDS)]
        for rows, columns in sizes
    ]
    return [f"{costs.isa}: us of a column of {costs.levels} levels", *aligned([["", *KINDS], *body])]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help="trained emulators")
    parser.add_argument("--size", type=size, nargs="+", default=[], help="rows and columns, such as 128x64")
    parser.add_argument("--isa", choices=ISAS, help="instruction set (default: the best one here)")
    parser.add_argument("--levels", type=int, default=44, help="levels of a column (default: 44)")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of the times (default: 15)")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    given = parser.parse_args()
    models = given.models or ([] if given.size else ["mskf-convrad"])
    sizes = [
        s for model in models for s in kernel_matrices(Emulator.load(model).network).values()
    ] + given.size
    costs = measure_costs(KINDS, sizes, isa=given.isa, levels=given.levels, rounds=given.rounds)
    print("\n".join(table(costs)))
    if given.out:
        given.out.write_text(json.dumps(costs.to_json(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
