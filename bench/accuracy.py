"""Train the emulator with three seeds, and the published network, and score them on a run not used in training.

    python bench/accuracy.py DIR [--out accuracy.json] [--work FOLDER] [--epochs N] [--baseline-epochs N]
    python bench/accuracy.py --table accuracy.json

DIR contains `mskf_pairs_convrad_train123.nc` and `mskf_io_convrad_train3.nc`. Training uses runs 1 and 2, for a fixed
number of epochs, and never run 3. However, the features and the network were designed with the scores on run 3. The
sample in data/ is of a fourth run, and was first scored after the design was fixed. The benchmark takes half an hour on
two cores; an interrupted training resumes where it stopped.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np

from sciml.columns.open import open_columns
from sciml.convection.emulator import Emulator
from sciml.convection.training import train
from sciml.schemes.mskf import MSKF
from sciml.storage.packaged import packaged
from sciml.train.progress import automatic
from sciml.verify.emulator.evaluate import assess

SEEDS = (7, 11, 23)
TEST_RUN = 3
SAMPLE, TRUTH = "wrfout_d01_convrad_24x24_5min.nc", "mskf_offline_convrad_24x24_5min.nc"
NAMES = tuple(name for name in MSKF.output_names if name not in MSKF.zero_if_absent)


def scores(algorithm: Any, columns: Any, data: str) -> dict[str, Any]:
    """Return the R2 of each output over the columns that the scheme triggers, and the F1 scores of the trigger."""
    evaluation = assess(columns, algorithm, model="", data=data, block=4096).to_json()
    trigger = evaluation["trigger"]
    return {
        "f1": trigger["f1"],
        "f1_deep": trigger["f1_deep"],
        "f1_shallow": trigger["f1_shallow"],
        **{name: (evaluation["outputs"].get(name) or {}).get("r2") for name in NAMES},
    }


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Write a Markdown table: a row per score, a column per model and test, with the mean (and worst) of the seeds."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for name, row in rows.items():
        model, test = name.split(": ")
        groups.setdefault((model.split(", seed")[0], test), []).append(row)
    lines = ["| | " + " | ".join(f"{model}, {test}" for model, test in groups) + " |"]
    lines.append("|---" * (len(groups) + 1) + "|")
    for score in ("f1", "f1_deep", "f1_shallow", *NAMES):
        cells = []
        for mine in groups.values():
            values = [row[score] for row in mine if row[score] is not None]
            worst = f" ({min(values):.3f})" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.3f}{worst}" if values else "-")
        lines.append(f"| {score} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", help="folder of the training data")
    parser.add_argument(
        "--table", type=Path, help="file with the numbers of an earlier run, to print as a table"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("accuracy.json"), help="file to write the numbers to"
    )
    parser.add_argument("--work", type=Path, default=Path("accuracy"), help="folder for the checkpoints")
    parser.add_argument("--epochs", type=int, help="number of epochs of the emulator")
    parser.add_argument("--baseline-epochs", type=int, help="number of epochs of the published network")
    given = parser.parse_args()
    if given.table:
        print(table(json.loads(given.table.read_text(encoding="utf-8"))["rows"]))
        return
    if given.data is None:
        parser.error("give the folder of the training data, or --table")
    given.work.mkdir(parents=True, exist_ok=True)
    pairs = given.data / "mskf_pairs_convrad_train123.nc"
    columns = open_columns(pairs)
    drawn = columns.isel(column=np.flatnonzero(columns["RUN"].values == TEST_RUN)).load()
    captured = open_columns(given.data / "mskf_io_convrad_train3.nc").load()
    sample = open_columns(packaged(SAMPLE), truth=packaged(TRUTH)).load()
    tests = {"run 3, drawn columns": drawn, "run 3, all columns of 4 calls": captured, "sample": sample}
    rows: dict[str, dict[str, Any]] = {}
    for seed in SEEDS:
        path = given.work / f"seed{seed}.sciml"
        settings = {"seed": seed} | ({"epochs": given.epochs} if given.epochs else {})
        if not path.exists():
            train(str(pairs), path, exclude=[TEST_RUN], fit=settings, progress=automatic())
        ours = Emulator.load(path)
        for where, test in tests.items():
            rows[f"sciml, seed {seed}: {where}"] = scores(ours, test, where)
    path = given.work / "published.sciml"
    if not path.exists():
        epochs = {"epochs": given.baseline_epochs} if given.baseline_epochs else {}
        network = {"kind": "published"}
        train(str(pairs), path, exclude=[TEST_RUN], fit=epochs, network=network, progress=automatic())
    published = Emulator.load(path)
    for where, test in tests.items():
        rows[f"published form: {where}"] = scores(published, test, where)
    print(table(rows))
    machine = {"machine": platform.processor() or platform.machine(), "python": platform.python_version()}
    given.out.write_text(json.dumps({"rows": rows, **machine}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
