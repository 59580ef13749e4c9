"""Train Bi-LSTMs with hypercomplex and binary weights on equal budgets, and score them on columns they did not see.

    python bench/parametrized.py [COLUMNS ...] [--hold-out RUN ...] [--exclude RUN ...] [--json OUT] [--work FOLDER]
    python bench/parametrized.py --smoke
    python bench/parametrized.py --table parametrized.json

COLUMNS are stores or files of pairs, as for `sciml convection train`; --take N takes each N-th column. Without them it
uses the sample of data/: five of its seven times train, the sixth validates, and the seventh scores. All networks have
the same numbers of epochs and steps. Each takes the best learning rate of --rates by the validation of the first seed,
and is then trained with all --seeds. A network of N terms is compared with the full one and with a plain one that has
at least as many parameters. BiPer and the plain sign are trained in one stage (binary from the beginning) and in two
(real weights in the first half). The integers are those of the full networks, after the training, without another one,
calibrated on the validation columns. The scores are R2 over the columns that the scheme triggers, of the hardened and
reloaded networks. A finished training in the --work folder is not repeated.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from ranked import SAMPLE, Trainings, columns_of, spread

from sciml.compress import quantize
from sciml.convection.bilstm import ColumnBiLSTM
from sciml.convection.column_shape import ColumnShape
from sciml.convection.emulator import Emulator, sounding_of
from sciml.nn import hypercomplexify
from sciml.tables import aligned

SIZES = {"hidden": 24, "layers": 2, "width": 64, "pooled": 64}
SHOWN = ("RTHCUTEN", "RQVCUTEN", "PRATEC", "validation")
SEEDS, RATES = (7, 11, 23), (4e-3, 1e-2, 2.5e-2)
INTEGERS = {"int8 of full": "int8", "int4 of full": "int4"}


def parameters(settings: dict[str, int], terms: int | None = None) -> int:
    """Return the number of parameters of a network, hypercomplex if a number of terms is given."""
    network: torch.nn.Module = ColumnBiLSTM(ColumnShape(**settings, edges=(0.0, 0.5, 1.0)))
    if terms is not None:
        network = hypercomplexify(network, terms)
    return sum(parameter.numel() for parameter in network.parameters())


def equal_size(terms: int) -> dict[str, int]:
    """Return the sizes of the smallest plain network with at least the parameters of a hypercomplex one."""
    wanted = parameters(SIZES, terms)
    for hidden in range(2, SIZES["hidden"] + 1):
        units = round(SIZES["width"] * hidden / SIZES["hidden"])
        sizes = {**SIZES, "hidden": hidden, "width": units, "pooled": units}
        if parameters(sizes) >= wanted:
            return sizes
    raise AssertionError(wanted)


def networks(several: Sequence[int] = (4, 2)) -> dict[str, dict[str, Any]]:
    """Return the settings of all networks by name."""
    binary = {
        f"{name}, {stages} stage{'s' if stages > 1 else ''}": {
            **SIZES,
            "binary": kind,
            "real_fraction": 0.5 * (stages - 1),
        }
        for name, kind in (("plain sign", "sign"), ("BiPer", "periodic"))
        for stages in (1, 2)
    }
    made: dict[str, dict[str, Any]] = {"full": SIZES}
    for terms in several:
        made[f"hypercomplex {terms}"] = {**SIZES, "hypercomplex": terms}
        made[f"plain, size of hypercomplex {terms}"] = equal_size(terms)
        made |= binary  # after those of the first number of terms
    return made


def called(inputs: list[torch.Tensor], network: Any) -> Any:
    """Call a network with inputs."""
    return network(*inputs)


def integer_rows(trainings: Trainings, rows: list[dict[str, Any]], bits: str) -> list[dict[str, Any]]:
    """Quantise the trained networks of the rows, and score them."""
    calibration = trainings.of_runs(trainings.hold_out)
    made = []
    for row in rows:
        emulator = Emulator.load(trainings.path("full", row["learning_rate"], row["seed"]))
        seen = emulator.network.observe(sounding_of(calibration))
        inputs = [x.float() for x in emulator.normalisation.standardise(seen.channels, seen.scalars)]
        small = quantize(emulator, bits, run=partial(called, inputs))
        made.append({**row, **trainings.scores(small), "validation": None, "cpu_seconds": None})
    return made


def measure(arguments: Any, folder: Path) -> dict[str, Any]:
    """Train all networks; returns the record."""
    columns, record = columns_of(arguments.columns, arguments.take), {}
    fit = {"threads": 1, "device": "cpu", "epochs": arguments.epochs, "batch_size": arguments.batch_size}
    trainings = Trainings(columns, folder, arguments.hold_out, arguments.exclude, fit)
    counts = {
        "training": columns.sizes["column"]
        - sum(trainings.of_runs(runs).sizes["column"] for runs in (arguments.hold_out, arguments.exclude)),
        "validation": trainings.of_runs(arguments.hold_out).sizes["column"],
        "scored": trainings.of_runs(arguments.exclude).sizes["column"],
    }
    for name, settings in networks(arguments.terms).items():
        record[name] = trainings.ranked(
            name, {"kind": "bilstm", **settings}, arguments.rates, arguments.seeds
        )
        if name == "full":
            for label, bits in INTEGERS.items():
                rows = integer_rows(trainings, record[name]["seeds"], bits)
                record[label] = {"settings": {**SIZES, "bits": bits}, "rates": [], "seeds": rows}
        write(arguments, record, counts)
    return record


def write(arguments: Any, record: dict[str, Any], counts: dict[str, int]) -> None:
    """Write the record so far."""
    about = {"machine": platform.processor(), "torch": torch.__version__, "epochs": arguments.epochs}
    about |= {"batch_size": arguments.batch_size, "seeds": list(arguments.seeds), "columns": counts}
    about |= {"rates": list(arguments.rates), "take": arguments.take}
    about["data"] = [path.name for path in arguments.columns] or [SAMPLE]
    if arguments.json:
        arguments.json.write_text(json.dumps({"about": about, "networks": record}, indent=1) + "\n")


def table(record: dict[str, Any]) -> str:
    """Return the table of a record: mean, least and most of the seeds."""
    rows = [("network", "parameters", "rate", *SHOWN)]
    for name, content in record.items():
        seeds = content["seeds"]
        first = (name, f"{seeds[0]['parameters']:,}", f"{seeds[0]['learning_rate']:g}")
        rows.append((*first, *(spread(seeds, output) for output in SHOWN)))
    return "\n".join(aligned(rows, align="<", indent=""))


def main() -> None:
    """Run the benchmark of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("columns", nargs="*", type=Path)
    parser.add_argument("--hold-out", nargs="+", type=int, default=[2])
    parser.add_argument("--exclude", nargs="+", type=int, default=[3])
    parser.add_argument("--take", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--terms", nargs="+", type=int, default=(4, 2), help="of the hypercomplex networks")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--rates", nargs="+", type=float, default=RATES)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    if arguments.table:
        print(table(json.loads(arguments.table.read_text())["networks"]))
        return
    if arguments.smoke:
        arguments.take, arguments.epochs, arguments.seeds, arguments.rates = 2, 2, SEEDS[:1], RATES[:1]
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        work = arguments.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        print(table(measure(arguments, work)))


if __name__ == "__main__":
    main()
