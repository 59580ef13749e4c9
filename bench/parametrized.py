"""Train Bi-LSTMs with hypercomplex and binary weights on equal budgets, and score them on columns they did not see.

    python bench/parametrized.py [COLUMNS ...] [--hold-out RUN ...] [--exclude RUN ...] [--out parametrized.json]
    python bench/parametrized.py --smoke
    python bench/parametrized.py --table parametrized.json

COLUMNS are stores or files of pairs, as for `sciml convection train`. Without them it uses the sample of data/: five of
its seven times train, the sixth validates, and the seventh scores. All networks have the same numbers of epochs and
steps. Each takes the best learning rate of --rates by the validation of the first seed, and is then trained with all
--seeds. A network of N terms is compared with the full one and with a plain one that has at least as many parameters.
BiPer and the plain sign are trained in one stage (binary from the beginning) and in two (real weights in the first
half). The scores are R2 over the columns that the scheme triggers, of the hardened and reloaded networks.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from sciml.columns.open import open_columns
from sciml.convection.bilstm import ColumnBiLSTM
from sciml.convection.column_shape import ColumnShape
from sciml.convection.emulator import Emulator
from sciml.convection.training import train
from sciml.nn import hypercomplexify
from sciml.storage.packaged import packaged
from sciml.tables import aligned
from sciml.train.progress import Quiet
from sciml.verify.emulator.evaluate import assess
from sciml.verify.emulator.evaluation import Evaluation

SAMPLE, TRUTH = "wrfout_d01_convrad_24x24_5min.nc", "mskf_offline_convrad_24x24_5min.nc"
SIZES = {"hidden": 24, "layers": 2, "width": 64, "pooled": 64}
OUTPUTS = ("RTHCUTEN", "RQVCUTEN")
SEEDS, RATES = (7, 11, 23), (3e-3, 1e-2, 2e-2, 4e-2)
TIMES = {5: 2, 6: 3}  # run of a time of the sample; those of the others are 1


def columns_of(paths: list[Path]) -> xr.Dataset:
    """Open the columns; those of the sample have a run for the training, the validation and the scores."""
    if paths:
        return open_columns(paths)
    columns = open_columns(packaged(SAMPLE), truth=packaged(TRUTH)).load()
    times = np.unique(columns["XTIME"].values, return_inverse=True)[1]
    runs = np.array([TIMES.get(int(number), 1) for number in times], np.int32)
    return columns.assign_coords(RUN=("column", runs))


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


def networks() -> dict[str, dict[str, Any]]:
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
    return {
        "full": SIZES,
        "hypercomplex 2": {**SIZES, "hypercomplex": 2},
        "plain, size of hypercomplex 2": equal_size(2),
        "hypercomplex 4": {**SIZES, "hypercomplex": 4},
        "plain, size of hypercomplex 4": equal_size(4),
        **binary,
    }


def trained(
    columns: xr.Dataset, settings: dict[str, Any], fit: dict[str, Any], arguments: Any
) -> dict[str, Any]:
    """Train a network, load its checkpoint, and score it on the columns that it did not see."""
    with tempfile.TemporaryDirectory() as folder:
        output, begun = Path(folder) / "m.sciml", time.process_time()
        made = train(
            columns,
            output,
            hold_out=arguments.hold_out,
            exclude=arguments.exclude,
            fit={
                "threads": 1,
                "device": "cpu",
                "epochs": arguments.epochs,
                "batch_size": arguments.batch_size,
                **fit,
            },
            network={"kind": "bilstm", **settings},
            progress=Quiet(),
        )
        spent = time.process_time() - begun
        emulator = Emulator.load(output)
        validation = load_history(output)
    unseen = columns.isel(column=np.flatnonzero(np.isin(columns["RUN"].values, arguments.exclude)))
    evaluation: Evaluation = assess(unseen, emulator, data="unseen columns", block=4096)
    outputs = evaluation.to_json()["outputs"]
    count = sum(p.numel() for p in made.network.parameters())
    return {
        **{name: (outputs.get(name) or {}).get("r2") for name in OUTPUTS},
        "validation": validation,
        "parameters": made.about.get("free_parameters", count),
        "cpu_seconds": spent,
        **fit,
    }


def load_history(path: Path) -> float:
    """Return the least validation loss of a training."""
    from sciml.train import checkpoint

    history = checkpoint.load(path).history
    assert history is not None
    return min(epoch.validation["loss"] for epoch in history.epochs)


def measure(arguments: Any) -> dict[str, Any]:
    """Train all networks; returns the record."""
    columns, record = columns_of(arguments.columns), {}
    for name, settings in networks().items():
        first = [
            trained(columns, settings, {"learning_rate": rate, "seed": arguments.seeds[0]}, arguments)
            for rate in arguments.rates
        ]
        best = min(first, key=lambda row: row["validation"])
        more = [
            trained(columns, settings, {"learning_rate": best["learning_rate"], "seed": seed}, arguments)
            for seed in arguments.seeds[1:]
        ]
        record[name] = {"settings": settings, "rates": first, "seeds": [best, *more]}
        print(f"{name}: {[row[OUTPUTS[0]] for row in record[name]['seeds']]}", flush=True)
        write(arguments, record)
    return record


def write(arguments: Any, record: dict[str, Any]) -> None:
    """Write the record so far."""
    about = {"machine": platform.processor(), "torch": torch.__version__, "epochs": arguments.epochs}
    about |= {"batch_size": arguments.batch_size, "seeds": list(arguments.seeds)}
    about["columns"] = [path.name for path in arguments.columns] or [SAMPLE]
    if arguments.out:
        arguments.out.write_text(json.dumps({"about": about, "networks": record}, indent=1) + "\n")


def table(record: dict[str, Any]) -> str:
    """Return the table of a record: mean, least and most of the seeds."""

    def spread(rows: list[dict[str, Any]], name: str) -> str:
        values = [row[name] for row in rows if row[name] is not None]
        return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})" if values else "-"

    rows = [("network", "parameters", "rate", *(f"R2 {name}" for name in OUTPUTS), "validation")]
    for name, content in record.items():
        seeds = content["seeds"]
        first = (name, f"{seeds[0]['parameters']:,}", f"{seeds[0]['learning_rate']:g}")
        rows.append((*first, *(spread(seeds, output) for output in (*OUTPUTS, "validation"))))
    return "\n".join(aligned(rows, align="<", indent=""))


def main() -> None:
    """Run the benchmark of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("columns", nargs="*", type=Path)
    parser.add_argument("--hold-out", nargs="+", type=int, default=[2])
    parser.add_argument("--exclude", nargs="+", type=int, default=[3])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--rates", nargs="+", type=float, default=RATES)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    if arguments.table:
        print(table(json.loads(arguments.table.read_text())["networks"]))
        return
    if arguments.smoke:
        arguments.epochs, arguments.seeds, arguments.rates = 1, arguments.seeds[:1], arguments.rates[:1]
    print(table(measure(arguments)))


if __name__ == "__main__":
    main()
