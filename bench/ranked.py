"""Trainings that are compared: each takes its best learning rate by the first seed, and is repeated with all seeds."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciml.columns.open import open_columns
from sciml.convection.emulator import Emulator
from sciml.convection.training import train
from sciml.storage.packaged import packaged
from sciml.train import checkpoint
from sciml.train.progress import Quiet
from sciml.verify.emulator.evaluate import assess

SAMPLE, TRUTH = "wrfout_d01_convrad_24x24_5min.nc", "mskf_offline_convrad_24x24_5min.nc"
TIMES = {5: 2, 6: 3}  # run of a time of the sample; those of the others are 1
OUTPUTS = ("RTHCUTEN", "RQVCUTEN", "RUCUTEN", "PRATEC")


def columns_of(paths: Sequence[Path], take: int = 1) -> xr.Dataset:
    """Open every take-th column; those of the sample have a run for the training, the validation and the scores."""
    if paths:
        return open_columns(list(paths)).isel(column=slice(None, None, take)).load()
    columns = open_columns(packaged(SAMPLE), truth=packaged(TRUTH)).load()
    times = np.unique(columns["XTIME"].values, return_inverse=True)[1]
    runs = np.array([TIMES.get(int(number), 1) for number in times], np.int32)
    return columns.assign_coords(RUN=("column", runs)).isel(column=slice(None, None, take))


@dataclass(frozen=True)
class Trainings:
    """Trainings on the same columns. Each writes a checkpoint and a row into the folder and is not repeated."""

    columns: xr.Dataset
    folder: Path
    hold_out: Sequence[int]
    exclude: Sequence[int]
    fit: Mapping[str, Any]

    def of_runs(self, runs: Sequence[int]) -> xr.Dataset:
        """Return the columns of some runs."""
        return self.columns.isel(column=np.flatnonzero(np.isin(self.columns["RUN"].values, list(runs))))

    def path(self, name: str, rate: float, seed: int) -> Path:
        """Return the path of a checkpoint."""
        stem = "".join(letter if letter.isalnum() else "_" for letter in name)
        return self.folder / f"{stem}_{rate:g}_{seed}.sciml"

    def row(
        self,
        name: str,
        network: Mapping[str, Any],
        rate: float,
        seed: int,
        *,
        fit: Mapping[str, Any] | None = None,
        fraction: float = 1.0,
        pretrained: Path | None = None,
    ) -> dict[str, Any]:
        """Train a network, load its checkpoint, and score it on the columns that it did not see."""
        path = self.path(name, rate, seed)
        known = path.with_suffix(".json")
        if known.exists():
            row: dict[str, Any] = json.loads(known.read_text())
            return row
        begun = time.process_time()
        made = train(
            self.columns,
            path,
            hold_out=self.hold_out,
            exclude=self.exclude,
            fit={**self.fit, **(fit or {}), "learning_rate": rate, "seed": seed},
            network=network,
            fraction=fraction,
            pretrained=pretrained,
            progress=Quiet(),
        )
        spent = time.process_time() - begun
        count = sum(weight.numel() for weight in made.network.parameters())
        row = {
            **self.scores(Emulator.load(path)),
            **validation(path),
            "parameters": made.about.get("free_parameters", count),
            "cpu_seconds": spent,
            "learning_rate": rate,
            "seed": seed,
        }
        known.write_text(json.dumps(row, indent=1) + "\n")
        return row

    def scores(self, emulator: Emulator[Any]) -> dict[str, Any]:
        """Return F1 of the trigger and R2 of some outputs on the columns that no training saw."""
        result = assess(self.of_runs(self.exclude), emulator, data="unseen columns", block=4096).to_json()
        r2 = {name: (result["outputs"].get(name) or {}).get("r2") for name in OUTPUTS}
        return {"f1": result["trigger"]["f1"], **r2}

    def ranked(
        self,
        name: str,
        network: Mapping[str, Any],
        rates: Sequence[float],
        seeds: Sequence[int],
        *,
        starts: Mapping[int, Path] | None = None,
        fit: Mapping[str, Any] | None = None,
        fraction: float = 1.0,
    ) -> dict[str, Any]:
        """Train with each rate and the first seed, then with the best rate by validation and the other seeds."""

        def trained(rate: float, seed: int) -> dict[str, Any]:
            start = starts[seed] if starts else None
            return self.row(name, network, rate, seed, fit=fit, fraction=fraction, pretrained=start)

        first = [trained(rate, seeds[0]) for rate in rates]
        best = min(first, key=lambda row: row["validation"])
        more = [trained(best["learning_rate"], seed) for seed in seeds[1:]]
        every = [best, *more]
        print(f"{name}: rate {best['learning_rate']:g}", [own[OUTPUTS[0]] for own in every], file=sys.stderr)
        return {"settings": dict(network), "fraction": fraction, "rates": first, "seeds": every}


def validation(path: Path) -> dict[str, float]:
    """Return the least validation loss of a training, and the epoch that has it."""
    history = checkpoint.load(path).history
    assert history is not None
    losses = [epoch.validation["loss"] for epoch in history.epochs if epoch.validation]
    return {"validation": min(losses), "best": (1 + int(np.argmin(losses))) / len(losses)}


def spread(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    """Return mean, least and most of a value of the rows."""
    values = [row[name] for row in rows if row.get(name) is not None]
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})" if values else "-"
