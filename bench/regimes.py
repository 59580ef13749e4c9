"""Train the emulator of many regimes with three seeds, and score it on whole runs that were not used in training.

    python bench/regimes.py DIR [--out regimes.json] [--work FOLDER] [--seeds 7 11 23] [--held-out 3 14 16 18 92]
    python bench/regimes.py --smoke
    python bench/regimes.py --table regimes.json

DIR contains the folders `train`, `train2` and `sample` that data/README.md describes. The settings are those of
workflows/12_mskf_regimes.training.toml. Runs of --held-out are neither trained on nor validated with. The benchmark
also scores the sample of data/, a run over terrain at 3 km, and a run of 44 levels interpolated to 30, 45 and 80
levels (bench/column_levels.py), and scores mskf-convrad on the same columns. It takes an hour on two cores; an
interrupted training resumes where it stopped. --smoke trains for one epoch on a tenth of the columns, without DIR on
the sample.
"""

from __future__ import annotations

import json
import platform
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from column_levels import on_levels
from regimes_table import NAMES, texts
from training_options import training_options

from sciml.columns.open import open_columns, write_columns
from sciml.convection.emulator import Emulator
from sciml.convection.training import train
from sciml.storage.packaged import packaged
from sciml.train.progress import automatic
from sciml.verify.emulator.evaluate import assess

HELD_OUT = (3, 14, 16, 18, 92)
LEVELS_RUN = 15
LEVELS = (30, 45, 80)
"""45 shows how much one level more changes the outputs of the scheme itself."""
SMOKE = 10  # --smoke takes each tenth column
SETTINGS = Path(__file__).parents[1] / "workflows" / "12_mskf_regimes.training.toml"
SAMPLE, TRUTH = "wrfout_d01_convrad_24x24_5min.nc", "mskf_offline_convrad_24x24_5min.nc"
TERRAIN = ("sample/wrfout_d01_terrain3km_full.nc", "sample/mskf_offline_terrain3km.nc")
PAIRS = ("train/mskf_pairs_*.nc", "train/mskf_io_*.nc", "train2/mskf_capture_*.nc")


def scores(emulator: Emulator[Any], columns: xr.Dataset, data: str) -> dict[str, Any]:
    """Return F1, the R2 of each output over the columns that the scheme triggers, rain, and the scores of novelty."""
    evaluation = assess(columns, emulator, data=data, by=[("class",), ("run",)], block=4096).to_json()
    by_class, by_run = evaluation["groups"]
    deep: dict[str, Any] = next((row for row in by_class["rows"] if row["class"] == "deep"), {"r2": {}})
    run = by_run["rows"][0]
    outputs = evaluation["outputs"]
    return {
        **{name: evaluation["trigger"][name] for name in ("f1", "f1_deep", "f1_shallow")},
        **{name: (outputs.get(name) or {}).get("r2") for name in NAMES},
        **{f"deep {name}": deep["r2"].get(name) for name in ("RTHCUTEN", "RQVCUTEN")},
        **{name: run.get(name) for name in ("rain_ratio", "novel", "novelty_rank", "novelty_usual")},
        "columns": int(columns.sizes["column"]),
    }


def pairs(data: Path | None, work: Path, every: int) -> xr.Dataset:
    """Open the columns to train on and to hold out, from a store in the folder of the work."""
    if data is None:
        columns = open_columns(packaged(SAMPLE), truth=packaged(TRUTH))
    else:
        store = work / "columns.zarr"
        if not store.exists():
            files = [path for pattern in PAIRS for path in sorted(data.glob(pattern))]
            if not files:
                raise SystemExit(
                    f"error: {data} has no {' or '.join(PAIRS)}: give the folder of the WRF data"
                )
            write_columns(files, store)
        columns = open_columns(store)
    return columns.isel(column=slice(None, None, every))


def of_run(columns: xr.Dataset, run: int) -> xr.Dataset:
    """Load the columns of a run."""
    return columns.isel(column=np.flatnonzero(columns["RUN"].values == run)).load()


def tests(
    columns: xr.Dataset, data: Path | None, held_out: Sequence[int], levels_run: int | None, every: int
) -> Iterator[tuple[str, xr.Dataset]]:
    """Yield the name and the columns of each test."""
    for run in held_out:
        yield f"run {run}", of_run(columns, run)
    thin = {"column": slice(None, None, every)}
    sample = open_columns(packaged(SAMPLE), truth=packaged(TRUTH)).isel(thin).load()
    yield "sample", sample
    if data is not None:
        terrain = open_columns(data / TERRAIN[0], truth=data / TERRAIN[1])
        yield "terrain", terrain.isel(thin).load()
    given = sample if levels_run is None else of_run(columns, levels_run)
    given = given.isel(level=slice(0, int(given["LEVELS"].max()) if "LEVELS" in given.coords else None))
    name = "sample" if levels_run is None else f"run {levels_run}"
    yield f"{name} at {given.sizes['level']} levels", given
    for levels in LEVELS:
        yield f"{name} at {levels} levels", on_levels(given, levels)


def trained(
    columns: xr.Dataset, path: Path, held_out: Sequence[int], settings: dict[str, Any]
) -> Emulator[Any]:
    """Train an emulator, or load it if an earlier call completed the training."""
    if not path.exists():
        train(columns, path, exclude=held_out, fit=settings, progress=automatic())
    return Emulator.load(path)


def main() -> None:
    parser = training_options(__doc__, "regimes")
    parser.add_argument(
        "--held-out", type=int, nargs="+", default=list(HELD_OUT), help="runs that are not trained on"
    )
    parser.add_argument(
        "--levels-run", type=int, default=LEVELS_RUN, help="run to interpolate to other levels"
    )
    parser.add_argument("--epochs", type=int, help="number of epochs, if not that of the workflow")
    parser.add_argument("--smoke", action="store_true", help="one seed, one epoch, a tenth of the columns")
    given = parser.parse_args()
    if given.table:
        print(texts(json.loads(given.table.read_text(encoding="utf-8"))))
        return
    if given.data is None and not given.smoke:
        parser.error("give the folder of the WRF data, --smoke or --table")
    every = SMOKE if given.smoke else 1
    held_out = given.held_out if given.data else []
    settings = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))["fit"]
    epochs = 1 if given.smoke else given.epochs or settings["epochs"]
    given.work.mkdir(parents=True, exist_ok=True)
    columns = pairs(given.data, given.work, every)
    emulators = {"mskf-convrad": Emulator.load("mskf-convrad")}
    for seed in given.seeds[:1] if given.smoke else given.seeds:
        path = given.work / f"seed{seed}{'_smoke' if given.smoke else ''}.sciml"
        fit = {**settings, "seed": seed, "epochs": epochs}
        emulators[f"mskf-regimes, seed {seed}"] = trained(columns, path, held_out, fit)
    rows: dict[str, dict[str, Any]] = {}
    levels_run = given.levels_run if given.data else None
    for where, test in tests(columns, given.data, held_out, levels_run, every):
        for name, emulator in emulators.items():
            rows[f"{name}: {where}"] = scores(emulator, test, where)
    numbers = {
        "rows": rows,
        "held_out": list(held_out),
        "epochs": epochs,
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
    }
    print(texts(numbers))
    given.out.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
