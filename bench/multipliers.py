"""Budgets of water and energy by Lagrange multipliers: residuals and R2, beside none and fixed penalties.

    python bench/multipliers.py [DIR] [--json FILE] [--work FOLDER] [--seeds 7 11 23]
    python bench/multipliers.py --smoke     # the sample of data/ and one epoch, to test that the benchmark runs

DIR contains the folder `train` that data/README.md describes: one in 20 columns of run 1 train, one in 40 of run 3
score. The network is the published one, which closes no budget by construction, for 30 epochs. A residual is the mean
absolute imbalance of a column over the mean exchange (`sciml.convection.budgets`); the limits are the scheme's own
residuals and 0.01. Fixed penalties are multipliers that do not ascend. A finished training in --work is not repeated.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from ranked import columns_of
from repeated import run_command, spread

from sciml.columns.open import open_columns
from sciml.convection.budgets import Balances, multiplier_settings
from sciml.convection.emulator import Emulator
from sciml.convection.prepared_columns import PreparedColumns
from sciml.convection.published_bilstm import PublishedBiLSTM
from sciml.convection.training import train
from sciml.tables import aligned
from sciml.train.progress import Quiet
from sciml.verify.emulator.evaluate import assess

BUDGETS = ("water", "energy")
TAKES = {1: 20, 3: 40}
OUTPUTS = ("RTHCUTEN", "RQVCUTEN")
NONE = {"step": 0.0, "damping": 0.0}
METHODS: Mapping[str, Mapping[str, Any]] = {
    "none": NONE,
    "penalty 1": {**NONE, "start": 1.0},
    "penalty 10": {**NONE, "start": 10.0},
    "multipliers": {},
}
FIT = {"epochs": 30, "batch_size": 64, "threads": 1, "device": "cpu"}


def data_of(folder: Path | None) -> xr.Dataset:
    """Return columns of the runs 1, which train, and 3, which score."""
    if folder is None:
        return columns_of([], 6)
    columns = open_columns([folder / "train" / "mskf_pairs_convrad_train123.nc"])
    runs = columns["RUN"].values
    rows = [np.flatnonzero(runs == run)[::take] for run, take in TAKES.items()]
    return columns.isel(column=np.concatenate(rows)).load()


def row(columns: xr.Dataset, name: str, seed: int, folder: Path, fit: Mapping[str, Any]) -> dict[str, Any]:
    """Train, and score on the other run."""
    known = folder / f"{name.replace(' ', '_')}_{seed}.json"
    if known.exists():
        made: dict[str, Any] = json.loads(known.read_text())
        return made
    begun, path = time.process_time(), known.with_suffix(".sciml")
    train(
        columns,
        path,
        exclude=sorted(set(columns["RUN"].values.tolist()) - {1}),
        fit={**fit, "seed": seed},
        network={"kind": "published"},
        multipliers={"budgets": list(BUDGETS), **METHODS[name]},
        progress=Quiet(),
    )
    emulator = Emulator.load(path)
    test = columns.isel(column=np.flatnonzero(columns["RUN"].values == 3))
    scored = assess(test, emulator, data="run 3", block=4096).to_json()
    made = {
        "seed": seed,
        "residuals": residuals(emulator, test, folder),
        "training": emulator.about["multipliers"],
        "r2": {output: scored["outputs"][output]["r2"] for output in OUTPUTS},
        "cpu_seconds": time.process_time() - begun,
    }
    known.write_text(json.dumps(made, indent=1) + "\n")
    print(
        name, seed, made["residuals"], made["r2"], f"{made['cpu_seconds']:.0f} s", file=sys.stderr, flush=True
    )
    return made


def residuals(emulator: Emulator[Any], columns: xr.Dataset, folder: Path) -> dict[str, float]:
    """Return the residuals of the predictions for columns, and those of the scheme."""
    data = PreparedColumns(columns, PublishedBiLSTM, emulator.network.shape, folder, Quiet())
    source = data.source(np.ones(len(data.row), bool), emulator.normalisation)
    given = multiplier_settings(BUDGETS, PublishedBiLSTM)
    assert given is not None
    balances = Balances(given, emulator.network, source)
    scheme = {f"scheme {name}": value for name, value in balances.scheme.items()}
    return {**balances.measured(emulator.network, source), **scheme}


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train everything; returns the record."""
    columns = data_of(options.dir)
    runs = columns["RUN"].values
    sizes = {str(run): int((runs == run).sum()) for run in (1, 3)}
    record: dict[str, Any] = {"columns": sizes, "fit": options.fit, "seeds": options.seeds, "methods": {}}
    for name in METHODS:
        record["methods"][name] = [row(columns, name, seed, folder, options.fit) for seed in options.seeds]
        if options.json:
            options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def table(record: Mapping[str, Any]) -> str:
    """Return the table of a record: mean, least and most of the seeds."""
    rows: list[tuple[str, ...]] = [("budgets by", "water", "energy", *(f"R2 {name}" for name in OUTPUTS))]
    for name, seeds in record["methods"].items():
        cells = [spread([own["residuals"][budget] for own in seeds]) for budget in BUDGETS]
        cells += [spread([own["r2"][output] for own in seeds]) for output in OUTPUTS]
        rows.append((name, *cells))
    scheme = record["methods"]["none"][0]["residuals"]
    rows.append(("the scheme", *(f"{scheme[f'scheme {budget}']:.4f}" for budget in BUDGETS), "", ""))
    return "\n".join(aligned(rows, align="<", indent=""))


if __name__ == "__main__":
    run_command(__doc__, FIT, measure, table)
