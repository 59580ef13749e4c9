"""Compare columns in radiative-convective equilibrium with those that the true scheme makes in the same host.

    python bench/radiative_convective.py DIR [--history columns.nc] [--model mskf-convrad] [--json FILE]

DIR is the folder `train2` that data/README.md describes. `mskf_rce_daily.nc` there has a run of the column host
(20 members, seed 7) with WRF's own compiled scheme; --history is the same run with an emulator, from
`sciml coupling rce -o columns.nc` or workflows/11_radiative_convective.toml. The means of days 21 to 30 are compared;
the number in brackets is the standard error of the difference, from the spread of the members. With --model, the
emulator is also scored on states of the scheme's own run (`mskf_capture_rce_true.nc`), by member.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml.columns.open import open_columns
from sciml.convection.emulator import Emulator
from sciml.verify.emulator.evaluate import assess
from sciml.verify.library.cape import cape

FIRST, LAST = 21, 30  # days, counted from 1
DRIFT_PRESSURE = 189e2
"""Pa; where the scheme's temperature drifts most."""
DAILY, STATES = "mskf_rce_daily.nc", "mskf_capture_rce_true.nc"
PAIR_SCORES = ("f1_deep", "RTHCUTEN", "RQVCUTEN", "rain_ratio", "novel", "novelty_rank")


class Quantity(NamedTuple):
    """A mean over members: unit, and the largest difference that the goals allow, relative or in its unit."""

    unit: str
    goal: float | None = None
    relative: bool = False


QUANTITIES = {
    "convective rain": Quantity("mm/day", 0.02, relative=True),
    "shallow calls": Quantity("%", 1.5),
    "deep calls": Quantity("%"),
    "CAPE": Quantity("J/kg"),
    "column vapour": Quantity("kg/m2", 0.005, relative=True),
    "drift of T at 189 hPa": Quantity("K"),
}


def of_scheme(daily: xr.Dataset) -> dict[str, NDArray[Any]]:
    """Return the quantities of the true scheme's run by member."""
    scheme = daily.sel(convection="scheme")
    days = scheme.sel(day=slice(FIRST, LAST))
    level = int(np.abs(daily["PRESSURE"].values - DRIFT_PRESSURE).argmin())
    drift = days["T"].isel(level=level).mean("day") - scheme["T_START"].isel(level=level)
    return {
        "convective rain": days["RAIN_CU"].mean("day").values,
        **_calls(days, "day"),
        "CAPE": days["CAPE"].mean("day").values,
        "column vapour": (days["QVAPOR"].mean("day") * daily["MASS"]).sum("level").values,
        "drift of T at 189 hPa": drift.values,
    }


def of_history(history: xr.Dataset) -> dict[str, NDArray[Any]]:
    """Return the quantities of a run of `sciml coupling rce` by member."""
    end = float(history["time"][-1])
    if end < LAST:
        raise SystemExit(f"error: the run ends on day {end:g}: run sciml coupling rce with --days {LAST}")
    here = history.isel(time=(history["time"] > FIRST - 1) & (history["time"] <= LAST))
    interval = float(history["time"][1] - history["time"][0])  # days
    level = int(np.abs(history["PRESSURE"].values - DRIFT_PRESSURE).argmin())
    t = here["T"].transpose("time", "member", "level").values.astype(np.float64)
    q = here["QVAPOR"].transpose("time", "member", "level").values.astype(np.float64)
    return {
        "convective rain": (here["RAIN_CU"].mean("time") / interval).values,
        **_calls(here, "time"),
        "CAPE": cape(history["PRESSURE"].values, t, q).mean(0),
        "column vapour": (q.mean(0) * history["MASS"].values).sum(-1),
        "drift of T at 189 hPa": t[:, :, level].mean(0) - history["T"].isel(time=0, level=level).values,
    }


def _calls(run: xr.Dataset, time: str) -> dict[str, NDArray[Any]]:
    calls = run["EVALUATED"].sum(time)
    return {
        f"{name.lower()} calls": (100 * run[name].sum(time) / calls).values for name in ("SHALLOW", "DEEP")
    }


def compare(scheme: dict[str, NDArray[Any]], emulator: dict[str, NDArray[Any]]) -> dict[str, dict[str, Any]]:
    """Compare the means over members; ``error`` is the standard error of the difference between two sets of members."""
    rows = {}
    for name, quantity in QUANTITIES.items():
        mine, theirs = emulator[name].astype(np.float64), scheme[name].astype(np.float64)
        difference = float(mine.mean() - theirs.mean())
        off = abs(difference / theirs.mean()) if quantity.relative else abs(difference)
        rows[name] = {
            "unit": quantity.unit,
            "scheme": float(theirs.mean()),
            "emulator": float(mine.mean()),
            "difference": difference,
            "error": float(np.hypot(*(np.std(x, ddof=1) / np.sqrt(len(x)) for x in (mine, theirs)))),
            "reached": None if quantity.goal is None else bool(off <= quantity.goal),
        }
    return rows


def pair_scores(path: Path, model: str) -> dict[str, dict[str, float | None]]:
    """Score an emulator on the scheme's own states, by member: F1 deep, R2 of deep columns, rain, novelty."""
    columns = open_columns(path, keep="all").load()
    with xr.open_dataset(path) as file:
        members = file["MEMBER"].values
    columns = columns.assign_coords(RUN=("column", members))  # assess then groups by member
    evaluation = assess(columns, Emulator.load(model), by=[("run",), ("run", "class")], weighted=False)
    by_member, by_class = evaluation.to_json()["groups"]
    deep = {row["run"]: row for row in by_class["rows"] if row["class"] == "deep"}
    rows: dict[str, dict[str, float | None]] = {}
    for row in by_member["rows"]:
        values = {
            **row,
            **{name: deep.get(row["run"], {"r2": {}})["r2"].get(name) for name in ("RTHCUTEN", "RQVCUTEN")},
        }
        rows[f"{row['run']:g}"] = {name: values.get(name) for name in PAIR_SCORES}
    return rows


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Write the comparison in Markdown."""
    lines = ["| days 21 to 30 | scheme | emulator | difference | goal |", "|---|---|---|---|---|"]
    for name, row in rows.items():
        quantity = QUANTITIES[name]
        digits = 0 if abs(row["scheme"]) >= 1000 else 2 if abs(row["scheme"]) >= 10 else 3
        goal = (
            ""
            if quantity.goal is None
            else f"{100 * quantity.goal if quantity.relative else quantity.goal:g}"
        )
        verdict = {None: "", True: ": reached", False: ": **missed**"}[row["reached"]]
        unit = " %" if quantity.relative else f" {quantity.unit}" if goal else ""
        lines.append(
            f"| {name}, {row['unit']} | {row['scheme']:.{digits}f} | {row['emulator']:.{digits}f} | "
            f"{row['difference']:+.{digits}f} ({row['error']:.{digits}f}) | {goal}{unit}{verdict} |"
        )
    return "\n".join(lines)


def pair_table(rows: dict[str, dict[str, float | None]]) -> str:
    """Write the scores on the scheme's states in Markdown: the mean of the members and the worst of them."""
    heads = (
        "F1 deep",
        "R2 of deep heating",
        "R2 of deep moistening",
        "rain over the scheme's",
        "novel",
        "rank",
    )
    lines = ["| the scheme's own states | mean of members | least | greatest |", "|---|---|---|---|"]
    for head, name in zip(heads, PAIR_SCORES, strict=True):
        values = [value for row in rows.values() if (value := row[name]) is not None]
        if values:
            lines.append(f"| {head} | {np.mean(values):.4f} | {min(values):.4f} | {max(values):.4f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder train2 of the WRF data")
    parser.add_argument("--history", type=Path, help="run of the emulator, from sciml coupling rce -o")
    parser.add_argument("--model", help="emulator to score on the scheme's own states: checkpoint or name")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    given = parser.parse_args()
    if given.history is None and given.model is None:
        parser.error("give --history, --model or both")
    if given.history is not None and not given.history.exists():
        parser.error(f"{given.history} does not exist: run workflows/11_radiative_convective.toml first")
    numbers: dict[str, Any] = {}
    if given.history is not None:
        with xr.open_dataset(given.data / DAILY) as daily, xr.open_dataset(given.history) as history:
            numbers["climate"] = compare(of_scheme(daily), of_history(history))
        print(table(numbers["climate"]))
    if given.model is not None:
        numbers["model"] = given.model
        numbers["pairs"] = pair_scores(given.data / STATES, given.model)
        print("\n" + pair_table(numbers["pairs"]))
    if given.json:
        given.json.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
