"""Train the network without a plume and the published network on the same runs, and score both on another run.

    python bench/pure_networks.py DIR [--out pure_networks.json] [--work FOLDER] [--seeds 7 11 23] [--held-out 3]
    python bench/pure_networks.py DIR --bilstm FILE --published FILE
    python bench/pure_networks.py --smoke
    python bench/pure_networks.py --table pure_networks.json

DIR contains the folder `train` that data/README.md describes. Both networks see its runs except that of --held-out;
`bilstm` also sees mixtures of their columns (`sciml convection augment`). The settings are those of
workflows/14_pure_bilstm.training.toml and of the published network. With --bilstm and --published the benchmark only
scores these checkpoints. The test is the drawn columns of the run. --smoke trains for one epoch on a tenth of the
sample of data/, and scores on it. Three seeds take about four hours on two cores; an interrupted training resumes where
it stopped.
"""

from __future__ import annotations

import json
import platform
import tomllib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from training_options import training_options

from sciml.columns.open import is_store, open_columns, write_columns
from sciml.convection.augmentation import augment
from sciml.convection.emulator import Emulator
from sciml.convection.training import train
from sciml.storage.packaged import packaged
from sciml.train.progress import automatic
from sciml.verify.emulator.evaluate import assess

HELD_OUT = 3
SMOKE = 10  # --smoke takes each tenth column
FACTOR = 6.0  # number of mixtures for each column of a run
SETTINGS = Path(__file__).parents[1] / "workflows" / "14_pure_bilstm.training.toml"
SAMPLE, TRUTH = "wrfout_d01_convrad_24x24_5min.nc", "mskf_offline_convrad_24x24_5min.nc"
DRAWN = "train/mskf_pairs_*.nc"
PAIRS = (DRAWN, "train/wrfout_*.nc")
COMPANIONS = "train/mskf_offline_*.nc"
GOALS = {"RTHCUTEN": 0.95, "RQVCUTEN": 0.95, "RQCCUTEN": 0.93, "RUCUTEN": 0.80, "f1_deep": 0.97}
"""Least scores of `bilstm`; `published` has to be below it in each row."""
ROWS = {
    "f1": "F1 trigger",
    "f1_deep": "F1 deep",
    "f1_shallow": "F1 shallow",
    **{name: f"R2 {name}" for name in ("RTHCUTEN", "RQVCUTEN", "RQCCUTEN", "RQRCUTEN", "RQICUTEN")},
    **{name: f"R2 {name}" for name in ("RUCUTEN", "RVCUTEN", "CLDFRA_DP", "PRATEC")},
    "water": "water, 99th percentile",
    "momentum": "momentum, 99th percentile",
    "negative": "columns with negative vapour",
}


def scores(emulator: Emulator[Any], columns: xr.Dataset, data: str) -> dict[str, Any]:
    """Return F1, the R2 of each output over the columns that the scheme triggers, and the budgets of deep columns."""
    evaluation = assess(columns, emulator, data=data, block=4096).to_json()
    outputs, budgets = evaluation["outputs"], evaluation["budgets"]
    closure = {
        name: (budgets.get(name, {}).get("prediction") or {}).get("deep") for name in ("water", "momentum")
    }
    return {
        **{name: evaluation["trigger"][name] for name in ("f1", "f1_deep", "f1_shallow")},
        **{name: (outputs.get(name) or {}).get("r2") for name in ROWS if name.endswith(("TEN", "DP", "EC"))},
        **{name: None if deep is None else deep["abs_p99"] for name, deep in closure.items()},
        "negative": budgets.get("negative_vapour_columns", {}).get("prediction"),
        "columns": evaluation["columns"]["evaluated"],
        "parameters": sum(weight.numel() for weight in emulator.network.parameters()),
    }


def runs(data: Path | None, work: Path, held_out: int) -> tuple[xr.Dataset, xr.Dataset]:
    """Open the columns to train on, from a store in the folder of the work, and those of the test."""
    if data is None:
        sample = open_columns(packaged(SAMPLE), truth=packaged(TRUTH)).isel(column=slice(None, None, SMOKE))
        return sample.load(), sample.load()
    store = work / "columns.zarr"
    if not is_store(store):
        files = [path for pattern in PAIRS for path in sorted(data.glob(pattern))]
        if not files:
            raise SystemExit(f"error: {data} has no {' or '.join(PAIRS)}: give the folder of the WRF data")
        write_columns(files, store, truth=sorted(data.glob(COMPANIONS)))
    return open_columns(store), drawn(data, held_out)


def drawn(data: Path, held_out: int) -> xr.Dataset:
    """Load the drawn columns of a run."""
    files = sorted(data.glob(DRAWN))
    if not files:
        raise SystemExit(f"error: {data} has no {DRAWN}: give the folder of the WRF data")
    columns = open_columns(files)
    return columns.isel(column=np.flatnonzero(columns["RUN"].values == held_out)).load()


def trained(columns: xr.Dataset, work: Path, held_out: list[int], seed: int, smoke: bool) -> dict[str, Path]:
    """Train both networks with a seed; what an earlier call completed is not repeated."""
    end = f"{seed}{'_smoke' if smoke else ''}"
    epochs = {"epochs": 1} if smoke else {}
    more = work / f"augmented{end}.zarr"
    teacher = "mskf-convrad" if smoke else "mskf-regimes"
    augment(columns, more, teacher=teacher, factor=0.5 if smoke else FACTOR, seed=seed, exclude=held_out)
    settings = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))["fit"]
    plans = {
        "bilstm": (open_columns(more), {**settings, **epochs}, []),
        "published": (columns, epochs, held_out),
    }
    paths = {}
    for network, (given, fit, exclude) in plans.items():
        paths[network] = path = work / f"{network}{end}.sciml"
        if not path.exists():
            options: dict[str, Any] = {"fit": {**fit, "seed": seed}, "network": {"kind": network}}
            train(given, path, exclude=exclude, progress=automatic(), **options)
    return paths


def table(numbers: Mapping[str, Any]) -> str:
    """Write a row for each score and a column for each network, with the mean (and worst) of the seeds."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for name, row in numbers["rows"].items():
        groups.setdefault(name.split(", seed")[0], []).append(row)
    lines = [f"| {numbers['test']} | goal | " + " | ".join(groups) + " |", "|---" * (len(groups) + 2) + "|"]
    for key, text in ROWS.items():
        goal = f"{GOALS[key]:g}" if key in GOALS else ""
        lines.append(
            f"| {text} | {goal} | " + " | ".join(_cell(rows, key) for rows in groups.values()) + " |"
        )
    return "\n".join(lines)


def _cell(rows: list[Mapping[str, Any]], key: str) -> str:
    values = [row[key] for row in rows if row.get(key) is not None]
    if not values:
        return "-"
    small = key in ("water", "momentum", "negative")
    form = "{:.0f}" if key == "negative" else "{:.2g}" if small else "{:.3f}"
    worst = max(values) if small else min(values)
    text = form.format(np.mean(values))
    return f"{text} ({form.format(worst)})" if len(values) > 1 else text


def main() -> None:
    parser = training_options(__doc__, "pure_networks")
    parser.add_argument("--held-out", type=int, default=HELD_OUT, help="run that is not trained on")
    parser.add_argument("--bilstm", type=Path, help="checkpoint to score instead of training")
    parser.add_argument("--published", type=Path, help="checkpoint to score instead of training")
    parser.add_argument("--smoke", action="store_true", help="one seed and one epoch, on the sample")
    given = parser.parse_args()
    if given.table:
        print(table(json.loads(given.table.read_text(encoding="utf-8"))))
        return
    if given.data is None and not given.smoke:
        parser.error("give the folder of the WRF data, --smoke or --table")
    data = None if given.smoke else given.data
    checkpoints = {"bilstm": given.bilstm, "published": given.published}
    emulators = {name: path for name, path in checkpoints.items() if path is not None}
    if emulators:
        test = runs(None, given.work, 0)[1] if data is None else drawn(data, given.held_out)
    else:
        given.work.mkdir(parents=True, exist_ok=True)
        columns, test = runs(data, given.work, given.held_out)
        held_out = [] if given.smoke else [given.held_out]
        for seed in given.seeds[:1] if given.smoke else given.seeds:
            made = trained(columns, given.work, held_out, seed, given.smoke)
            emulators |= {f"{name}, seed {seed}": path for name, path in made.items()}
    where = "sample" if data is None else f"run {given.held_out}"
    rows = {}
    for name, path in sorted(emulators.items()):
        with warnings.catch_warnings():  # the outputs that the published network does not predict
            warnings.filterwarnings("ignore", message=".* does not predict")
            rows[name] = scores(Emulator.load(path), test, where)
    machine = platform.processor() or platform.machine()
    numbers = {"rows": rows, "test": where, "machine": machine, "python": platform.python_version()}
    print(table(numbers))
    given.out.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
