"""Count the outputs of quantized networks whose bits differ between torch and the native library.

    python bench/equality.py [MODEL ...] [--columns 100000] [--seed 19] [--networks published ...] [--json OUT]

MODEL are trained emulators. Of the classes plume-closure, bilstm and published, those without a MODEL are the packaged
`mskf-convrad` and networks of the usual sizes with random weights. Precisions: bf16, int8 with two planes of input
codes and with one, int4, and signs. Each network runs on all kernels that this processor and this build have, on
random inputs (normal numbers, one column in 8 of another magnitude, one in 500 not finite) and on the features of all
columns of the sample that it sees. With --json, finished rows are saved one by one, and an interrupted command
continues. The exit code is 1 if any bit differs. The published network has 44 levels; random columns of the others
have 8, those of the sample 24 and 36. The whole command takes about half an hour on one core.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from compress import FORMS, emulators
from native import SAMPLE

import sciml
from sciml.compress import quantize
from sciml.convection.emulator import Emulator
from sciml.coupling.build import build
from sciml.coupling.export import emulator_weights
from sciml.coupling.library import Library
from sciml.coupling.weights_file import read_weights, write_weights
from sciml.storage.packaged import packaged
from sciml.verify.library.equality import BitCount, compare_bits, network_inputs, random_inputs

PRECISIONS = ("int8", "int8, 1 plane", "int4", "sign", "bf16")
BATCH = 4096  # random columns that are drawn at a time


def with_random_weights(emulator: Emulator[Any], seed: int) -> Emulator[Any]:
    """Draw all weights of a network that was not trained, whose last layers are zeros."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in emulator.network.parameters():
            weight.normal_(0.0, 0.25)
    return emulator


def compare(library: Library, path: Path, columns: int, levels: int, seed: int) -> dict[str, BitCount]:
    """Compare the bits on random columns, drawn in parts."""
    shape: Any = read_weights(path).attributes
    levels, channels = shape["pool_levels"] or levels, shape["channels"]
    total: dict[str, BitCount] = {}
    for start in range(0, columns, BATCH):
        x = random_inputs(min(BATCH, columns - start), levels, channels, seed + start)
        for kernel, count in compare_bits(library, path, x).items():
            total[kernel] = total[kernel] + count if kernel in total else count
    return total


def table(rows: dict[str, list[dict[str, Any]]]) -> str:
    """Return one line for each network, precision, source of columns and kernel."""
    lines = [f"{'network, precision, columns':44}{'kernel':>10}{'columns':>10}{'outputs':>14}{'unequal':>9}"]
    for name, counts in rows.items():
        lines += [
            f"{name:44}{c['kernel']:>10}{c['columns']:>10,}{c['values']:>14,}{c['unequal']:>9,}"
            for c in counts
        ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help="trained emulators")
    parser.add_argument("--columns", type=int, default=100_000, help="number of random columns")
    parser.add_argument(
        "--levels", type=int, default=8, help="levels of random columns of networks that take any number"
    )
    parser.add_argument("--seed", type=int, default=19)
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=PRECISIONS)
    parser.add_argument("--networks", nargs="+", help="beginnings of the names of the networks to take")
    parser.add_argument("--json", type=Path, help="file to write the counts to")
    given = parser.parse_args()
    torch.set_num_threads(1)
    sample = sciml.convection_columns(sciml.open_wrfout(str(packaged(SAMPLE)))).load()
    library = Library(build(fortran=False))
    key = f"{given.columns:,} random with seed {given.seed}"
    rows: dict[str, list[dict[str, Any]]] = {}
    if given.json and given.json.exists():
        rows = json.loads(given.json.read_text())
    made = emulators(given.models, sample)
    for precision in given.precisions:
        for name, (emulator, trained) in made.items():
            if given.networks and not name.startswith(tuple(given.networks)):
                continue
            label = f"{name.removesuffix(', untrained')}, {precision}"
            bits, planes = FORMS[precision]
            plain = emulator if trained else with_random_weights(emulator, given.seed)
            quantized = quantize(plain, bits, planes=planes)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "weights.nc"
                write_weights(path, emulator_weights(quantized))
                if f"{label}, sample" not in rows:
                    counts = compare_bits(library, path, network_inputs(quantized, sample))
                    rows[f"{label}, sample"] = [asdict(count) for count in counts.values()]
                if f"{label}, {key}" not in rows:
                    counts = compare(library, path, given.columns, given.levels, given.seed)
                    rows[f"{label}, {key}"] = [asdict(count) for count in counts.values()]
            for part in ("sample", key):
                print(table({f"{label}, {part}": rows[f"{label}, {part}"]}).split("\n", 1)[1], flush=True)
            if given.json:
                given.json.write_text(json.dumps(rows, indent=1) + "\n")
    unequal = sum(count["unequal"] for counts in rows.values() for count in counts)
    print(f"{unequal:,} unequal outputs")
    return 1 if unequal else 0


if __name__ == "__main__":
    sys.exit(main())
