"""Training for the worst run: its R2 and the megabytes sent, beside plain averaging and reweighting.

    python bench/robust.py DIR [--json FILE] [--work FOLDER] [--seeds 7 11 23]
    python bench/robust.py --smoke      # the sample of data/ and one epoch, to test that the benchmark runs

DIR contains the folders `train` and `train2` that data/README.md describes. Six runs train: one large (run 1) and five
with a tenth to a fifth of its columns. The first 60 % of the times of each train, the next 15 % validate, and the last
25 % score; runs 14, 16 and 18 only score. The network is a small Bi-LSTM, trained for a short time, so that all
trainings together take a quarter of an hour on one core: the scores are below those of the packaged emulators.

All weightings are trained with the same rate, batches and epochs. Each takes the best of its settings by the worst
run's R2 of the heating of the validating columns, with the first seed, and is repeated with all seeds. MASHA1 and the
extragradient method solve the same min-max problem as a variational inequality without AdamW, with about as many
gradients and the first seed. Bytes are those that a process of a run sends, and receives, in float32. A finished
training in --work is not repeated.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from ranked import columns_of
from repeated import run_command, spread
from robust_game import solve_game

from sciml.columns.open import open_columns
from sciml.convection.emulator import Emulator
from sciml.convection.training import train
from sciml.tables import aligned
from sciml.train import checkpoint
from sciml.train.progress import Quiet
from sciml.verify.emulator.evaluate import assess

TAKES = {1: 14, 11: 12, 12: 12, 13: 12, 15: 12, 17: 12}
"""One in so many columns of a run trains."""
UNSEEN = (14, 16, 18)
SCORED = {1: 16, **dict.fromkeys(UNSEEN, 8)}
SCORED_TAKE = 4
"""One in so many columns validates and scores."""
VALIDATION, TEST = 100, 200
"""Added to the number of a run for its columns of later times."""
PARTS = (0.6, 0.75)
OUTPUTS = ("RTHCUTEN", "RQVCUTEN", "RUCUTEN")
CHOSEN_BY = "RTHCUTEN"
NETWORK = {"kind": "bilstm", "hidden": 16, "layers": 1}
FIT = {"epochs": 24, "batch_size": 120, "learning_rate": 6e-3, "threads": 1, "device": "cpu"}
STILL = {"step": 0.0}
METHODS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "plain averaging": ({},),
    "equal weights": (STILL,),
    "weights by size": ({**STILL, "size": 0.5}, {**STILL, "size": -0.5}),
    "weights by the loss of plain averaging": tuple({**STILL, "loss": power} for power in (1.0, 4.0)),
    "worst run": (
        {"step": 0.1, "strength": 0.1},
        {"step": 0.1, "strength": 0.02},
        {"step": 0.03, "strength": 0.3, "relative": False},
    ),
}
COMPRESSED = {
    "worst run, 5 % of the components": {"messages": "topk", "share": 0.05},
    "worst run, 5 % both ways": {"messages": "topk", "share": 0.05, "both_ways": True},
    "worst run, powers of two": {"messages": "natural", "both_ways": True},
}
"""With the settings that are best for "worst run"."""


def data_of(folder: Path | None) -> tuple[xr.Dataset, tuple[int, ...]]:
    """Return the columns, with numbers of runs for the training, the validation and the scores, and unseen runs."""
    if folder is None:
        columns = columns_of([])
        runs = columns["RUN"].values
        runs = np.where(runs == 1, 1 + (columns["west_east"].values > 12), 100 * runs - 99)
        runs = np.where(runs == 101, 101 + (columns["west_east"].values > 12), runs)
        runs = np.where(runs == 201, 201 + (columns["west_east"].values > 12), runs)
        return columns.assign_coords(RUN=("column", runs.astype(np.int32))), ()
    paths = [folder / "train" / "mskf_pairs_convrad_train123.nc"]
    paths += sorted((folder / "train2").glob("mskf_capture_regimes_r1*.nc"))
    columns = open_columns(paths)
    runs, minutes = columns["RUN"].values, columns["XTIME"].values
    rows, numbers = [], []
    for run in (*TAKES, *UNSEEN):
        own = np.flatnonzero(runs == run)
        later = np.zeros(len(own), np.int32)
        if run in TAKES:
            times = np.unique(minutes[own])
            first, second = (times[int(part * len(times))] for part in PARTS)
            later += VALIDATION * (minutes[own] >= first) + (TEST - VALIDATION) * (minutes[own] >= second)
        for part in np.unique(later):
            take = TAKES[run] if run in TAKES and part == 0 else SCORED.get(run, SCORED_TAKE)
            some = own[later == part][::take]
            rows.append(some)
            numbers.append(np.full(len(some), run + part))
    columns = columns.isel(column=np.concatenate(rows)).load()
    return columns.assign_coords(RUN=("column", np.concatenate(numbers).astype(np.int32))), UNSEEN


class Comparison:
    """Trainings on the same columns; each writes a checkpoint and a row into the folder and is not repeated."""

    def __init__(
        self, columns: xr.Dataset, unseen: Sequence[int], folder: Path, fit: Mapping[str, Any]
    ) -> None:
        self.columns, self.unseen, self.folder, self.fit = columns, unseen, folder, fit
        self.runs = columns["RUN"].values
        numbers = np.unique(self.runs).tolist()
        self.training = [run for run in numbers if run < VALIDATION and run not in unseen]
        self.held = [run for run in numbers if VALIDATION <= run < TEST]
        self.tested = [run for run in numbers if run >= TEST]

    def checkpoint(self, name: str, settings: Mapping[str, Any], seed: int) -> Path:
        """Return the path of a training's checkpoint."""
        text = "_".join(f"{key}{value}" for key, value in {"": name, **settings, "seed": seed}.items())
        return self.folder / ("".join(letter if letter.isalnum() else "_" for letter in text) + ".sciml")

    def row(self, name: str, settings: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """Train with settings and a seed, and score."""
        path = self.checkpoint(name, settings, seed)
        known = path.with_suffix(".json")
        if known.exists():
            row: dict[str, Any] = json.loads(known.read_text())
            return row
        begun = time.process_time()
        robust = None if name == "plain averaging" else self._robust(settings, seed)
        train(
            self.columns,
            path,
            hold_out=self.held,
            exclude=[*self.tested, *self.unseen],
            fit={**self.fit, "seed": seed},
            network=NETWORK,
            robust=robust,
            progress=Quiet(),
        )
        emulator = Emulator.load(path)
        row = {
            "seed": seed,
            "settings": dict(settings),
            "validation": self.scores(emulator, self.held),
            "test": self.scores(emulator, self.tested),
            **({"unseen": self.scores(emulator, self.unseen)} if self.unseen else {}),
            **self.messages(path),
            "cpu_seconds": time.process_time() - begun,
        }
        known.write_text(json.dumps(row, indent=1) + "\n")
        print(
            name, dict(settings), seed, brief(row), f"{row['cpu_seconds']:.0f} s", file=sys.stderr, flush=True
        )
        return row

    def _robust(self, settings: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """Return the settings of the training, with fixed weights by size or by the loss of plain averaging."""
        made = {key: value for key, value in settings.items() if key not in ("size", "loss")}
        if "size" in settings:
            sizes = [int((self.runs == run).sum()) for run in self.training]
            made["prior"] = self._prior(sizes, settings["size"])
        if "loss" in settings:
            made["prior"] = self._prior(
                self.row("plain averaging", {}, seed)["group_losses"], settings["loss"]
            )
        return {"by": "run", **made}

    def _prior(self, values: Sequence[float], power: float) -> dict[str, float]:
        return {f"run {run}": float(value**power) for run, value in zip(self.training, values, strict=True)}

    def scores(self, emulator: Emulator[Any], runs: Sequence[int]) -> dict[str, Any]:
        """Return the R2 of outputs for each run, their mean and the worst."""
        own = self.columns.isel(column=np.flatnonzero(np.isin(self.runs, list(runs))))
        rows = assess(own, emulator, data="later times", by=[("run",)], block=4096).to_json()["groups"][0][
            "rows"
        ]
        made: dict[str, Any] = {"runs": [row["run"] for row in rows]}
        for output in OUTPUTS:
            values = [row["r2"][output] for row in rows if row["r2"].get(output) is not None]
            made[output] = {"each": values, "mean": float(np.mean(values)), "worst": min(values)}
        return made

    def messages(self, path: Path) -> dict[str, Any]:
        """Return the losses and shares of the runs, and the megabytes that a process sends and receives."""
        stored = checkpoint.load(path)
        about = stored.config["about"].get("robust")
        assert stored.history is not None
        if about is not None:
            sent, received = about["bytes_up"] / 1e6, about["bytes_down"] / 1e6
            relative = [loss / scale for loss, scale in zip(about["losses"], about["scales"], strict=True)]
            shares = about["shares"]
        else:
            emulator = Emulator.load(path)
            count = sum(weight.numel() for weight in emulator.network.parameters())
            sent = received = 4 * count * stored.history.epochs[-1].step / 1e6
            relative, shares = self.plain_losses(path), None
        return {"megabytes_up": sent, "megabytes_down": received, "group_losses": relative, "shares": shares}

    def plain_losses(self, path: Path) -> list[float]:
        """Return 1 - R2 of the heating of the training runs of plain averaging."""
        scored = self.scores(Emulator.load(path), self.training)
        return [1 - value for value in scored[CHOSEN_BY]["each"]]

    def repeated(
        self, name: str, choices: Sequence[Mapping[str, Any]], seeds: Sequence[int]
    ) -> dict[str, Any]:
        """Choose settings with the first seed, and train with all."""
        first = [self.row(name, settings, seeds[0]) for settings in choices]
        best = max(first, key=lambda row: row["validation"][CHOSEN_BY]["worst"])
        rows = [best, *(self.row(name, best["settings"], seed) for seed in seeds[1:])]
        return {"choices": first if len(choices) > 1 else [], "seeds": rows}


def brief(row: Mapping[str, Any]) -> str:
    """Return the worst and the mean R2 of the heating."""
    return ", ".join(
        f"{part} {row[part][CHOSEN_BY]['worst']:.3f} {row[part][CHOSEN_BY]['mean']:.3f}"
        for part in ("validation", "test", "unseen")
        if part in row
    )


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train everything; returns the record."""
    columns, unseen = data_of(options.dir)
    made = Comparison(columns, unseen, folder, options.fit)
    sizes = {str(run): int((made.runs == run).sum()) for run in np.unique(made.runs)}
    record: dict[str, Any] = {
        "columns": sizes,
        "fit": dict(options.fit),
        "seeds": options.seeds,
        "methods": {},
    }

    def add(name: str, choices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        content = made.repeated(name, choices[:1] if options.smoke else choices, options.seeds)
        record["methods"][name] = content
        if options.json:
            options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        return content

    for name, choices in METHODS.items():
        content = add(name, choices)
    best = content["seeds"][0]["settings"]
    for name, more in COMPRESSED.items():
        add(name, [{**best, **more}])
    record["games"] = solve_game(made, options)
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def table(record: Mapping[str, Any]) -> str:
    """Return the table of a record: worst and mean R2 of the heating, means of the seeds."""
    rows: list[tuple[str, ...]] = [("training", "worst run", "mean", "worst unseen", "MB up", "MB down")]
    for name, content in {**record["methods"], **record["games"]}.items():
        seeds = content["seeds"]
        cells = [_mean(seeds, "test", "worst"), _mean(seeds, "test", "mean"), _mean(seeds, "unseen", "worst")]
        sent = [f"{np.mean([row[f'megabytes_{way}'] for row in seeds]):.1f}" for way in ("up", "down")]
        rows.append((name, *cells, *sent))
    return "\n".join(aligned(rows, align="<", indent=""))


def _mean(rows: Sequence[Mapping[str, Any]], part: str, kind: str) -> str:
    values = [row[part][CHOSEN_BY][kind] for row in rows if part in row]
    return spread(values) if values else "-"


if __name__ == "__main__":
    run_command(__doc__, FIT, measure, table)
