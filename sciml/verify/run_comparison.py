"""Two runs side by side, or a run and observations on its grid: rain, profiles, and the budgets of water and energy."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from sciml.errors import InputError
from sciml.verify.rainfall import RainComparison, accumulations, compare
from sciml.verify.run_state import budgets, profiles
from sciml.verify.scores import plain
from sciml.wrf.rain import rain_since_last, rain_total
from sciml.wrf.reading import open_wrfout

__all__ = ["RunComparison", "Source", "compare_runs", "open_source"]

Array = NDArray[Any]

EPOCH: Final = np.datetime64("2000-01-01T00:00:00", "ns")
"""Where runs are put that are compared by the time since their start."""


@dataclass(frozen=True, eq=False)
class Source:
    """One side: rain amounts (Time, y, x) in mm, each since the time before, and the run they are of.

    Parameters
    ----------
    name
        What it is called.
    amounts
        Of a run the first is all that fell since its start.
    run
        A WRF dataset; None of observations.
    start
        When the run began; None where it is not known.
    """

    name: str
    amounts: xr.DataArray = field(repr=False)
    run: xr.Dataset | None = field(default=None, repr=False)
    start: np.datetime64 | None = None


@dataclass(frozen=True, eq=False)
class RunComparison:
    """What `compare_runs` finds.

    Parameters
    ----------
    rain
        Its scores.
    profiles
        (source, level) means and (level,) differences; None where one side is no run.
    budgets
        Of each side; empty where they cannot be told.
    grid
        ``spacing`` (km; None if unknown), ``longitude`` and ``latitude`` (y, x) where the grid lies on the Earth.
    absent
        What is missing, and why.
    """

    rain: RainComparison
    profiles: xr.Dataset | None = field(repr=False)
    budgets: dict[str, dict[str, float]]
    grid: dict[str, Any] = field(repr=False)
    absent: dict[str, str]

    def __str__(self) -> str:
        lines = [str(self.rain)]
        for name, terms in self.budgets.items():
            lines += [
                "",
                f"budgets of {name}",
                *(f"  {term:<56}{value:>12.4g}" for term, value in terms.items()),
            ]
        lines += [f"not there: {what}: {why}" for what, why in self.absent.items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return self.rain._repr_html_()

    def to_json(self) -> dict[str, Any]:
        """Every number, for `json.dumps`."""
        drawn = self.profiles
        told = None if drawn is None else {str(k): plain(v.values) for k, v in drawn.variables.items()}
        return {
            **self.rain.to_json(),
            "profiles": told,
            "budgets": plain(self.budgets),
            "absent": self.absent,
        }


def open_source(path: str | Path, name: str | None = None, variable: str | None = None) -> Source:
    """Open wrfout files (a name, a glob, a folder), or rain on a grid in any netCDF or zarr that xarray reads.

    Parameters
    ----------
    variable
        Of data that are no wrfout: its rain, (time, y, x) in mm since the time before.

    Raises
    ------
    InputError
        Neither; or a variable that is not there.
    """
    called = name or _short(path)
    if variable is None:
        run = open_wrfout(path)
        if "RAINC" not in run.variables or "RAINNC" not in run.variables:
            raise InputError(
                f"{path} has no RAINC and RAINNC: name its rain with --variable (mm since the time before)"
            )
        fallen, first = rain_since_last(run).load(), rain_total(run.isel(Time=[0])).load()
        amounts = fallen.where(
            xr.DataArray(np.arange(fallen.sizes["Time"]) > 0, dims="Time"),
            first.isel(Time=0).drop_vars("Time"),
        )
        amounts = amounts.transpose("Time", "south_north", "west_east").assign_attrs(units="mm")
        return Source(called, amounts.rename({"south_north": "y", "west_east": "x"}), run, _start(run))
    opened = xr.open_zarr(path) if str(path).rstrip("/").endswith(".zarr") else _gridded(path)
    if variable not in opened.variables:
        there = ", ".join(map(str, opened.data_vars))
        raise InputError(f"{path} has no {variable}: it has {there}")
    rain = opened[variable]
    times = [dim for dim in rain.dims if str(dim).lower() in ("time", "valid_time", "t")]
    others = [dim for dim in rain.dims if dim not in times and dim != "member"]
    if len(times) != 1 or len(others) != 2:
        raise InputError(f"{variable} of {path} has dims {tuple(map(str, rain.dims))}: give (time, y, x)")
    rain = rain.rename({times[0]: "Time", others[0]: "y", others[1]: "x"})
    return Source(called, rain.load())


def _gridded(path: str | Path) -> xr.Dataset:
    try:
        return xr.open_dataset(path)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot open {path}: {' '.join(str(error).split())[:200]}") from error


def _short(path: str | Path) -> str:
    one = Path(path)
    return one.parent.name if any(mark in one.name for mark in "*?[") and one.parent.name else one.name


def _start(run: xr.Dataset) -> np.datetime64 | None:
    for name in ("SIMULATION_START_DATE", "START_DATE"):
        try:
            return np.datetime64(str(run.attrs[name]).replace("_", "T"), "ns")
        except (KeyError, ValueError):
            continue
    return None


def compare_runs(
    reference: Source,
    candidate: Source,
    *,
    window: str | None = None,
    align: Literal["time", "start"] = "time",
    thresholds: Sequence[float] | None = None,
    scales: Sequence[int] | None = None,
    block: int | None = None,
    resamples: int = 1000,
    seed: int = 7,
) -> RunComparison:
    """Compare a candidate with a reference: a run with an emulator with its control, two models, observations.

    Parameters
    ----------
    window
        Over which rain is added up, such as "3h"; None: from one common time to the next.
    align
        By the time of day and year, or by the time since the start of each run.
    thresholds, scales, block, resamples, seed
        As in `sciml.verify.rainfall.compare`.

    Raises
    ------
    InputError
        As `compare`; common times that are not equally far apart, without a window.
    """
    sides = [reference, candidate]
    if align == "start":
        sides = [_since_start(one) for one in sides]
    first, second = (one.amounts for one in sides)
    if (
        first.shape[-2:] == second.shape[-2:]
        and not np.intersect1d(first["Time"].values, second["Time"].values).size
    ):
        spans = [
            f"{one.name} {one.amounts['Time'].values[0]} to {one.amounts['Time'].values[-1]}" for one in sides
        ]
        hint = "" if align == "start" else "; compare them by the time since their starts (--align start)"
        raise InputError(f"no common time: {', '.join(spans)}{hint}")
    rains = (
        _between_common(*sides) if window is None else [accumulations(_known(one), window) for one in sides]
    )
    grid = _grid(reference, candidate)
    names = (reference.name, candidate.name)
    if names[0] == names[1]:
        names = (f"reference: {names[0]}", f"candidate: {names[1]}")
    found = compare(
        rains[0],
        rains[1],
        thresholds=thresholds,
        scales=scales,
        names=names,
        longitude=grid.get("longitude"),
        block=block,
        resamples=resamples,
        seed=seed,
    )
    runs = [one.run for one in sides]
    absent: dict[str, str] = {}
    if runs[0] is None or runs[1] is None:
        absent["profiles and budgets"] = "one side is no run"
        return RunComparison(found, None, {}, grid, absent)
    common = np.intersect1d(runs[0]["Time"].values, runs[1]["Time"].values)
    pair = [run.sel(Time=common) for run in runs if run is not None]
    compared, missing = profiles(pair[0], pair[1])
    absent |= missing
    told: dict[str, dict[str, float]] = {}
    for name, one, run in zip(names, sides, pair, strict=True):
        told[name], missing = budgets(run, _fallen(one.amounts, common))
        absent |= {f"{what} of {name}": why for what, why in missing.items()}
    return RunComparison(found, compared, {k: v for k, v in told.items() if v}, grid, absent)


def _since_start(one: Source) -> Source:
    """The same with times counted from its start, or from its first frame where that is not known."""
    times = one.amounts["Time"].values
    begun = one.start if one.start is not None else times[0]
    moved = EPOCH + (times - begun)
    run = None if one.run is None else one.run.assign_coords(Time=moved)
    return Source(
        one.name, one.amounts.assign_coords(Time=moved), run, EPOCH if one.start is not None else None
    )


def _known(one: Source) -> xr.DataArray:
    """Amounts of which it is known when they fell: without what fell before the first frame of a run."""
    if one.run is None or one.amounts.sizes["Time"] < 2:
        return one.amounts
    times = one.amounts["Time"].values
    if one.start is not None and times[0] - one.start == times[1] - times[0]:
        return one.amounts
    return one.amounts.where(xr.DataArray(np.arange(times.size) > 0, dims="Time"))


def _fallen(amounts: xr.DataArray, common: Array) -> float:
    """Mean amount (mm) between the first and the last of these times."""
    between = amounts.where((amounts["Time"] > common[0]) & (amounts["Time"] <= common[-1]), 0.0)
    return float(between.sum("Time").mean())


def _between_common(reference: Source, candidate: Source) -> list[xr.DataArray]:
    """The amounts from one common time to the next, the first since the start where both began then."""
    sides = (reference, candidate)
    common = np.intersect1d(reference.amounts["Time"].values, candidate.amounts["Time"].values)
    start = reference.start if reference.start == candidate.start else None
    together = start is not None and start < common[0]
    edges = np.concatenate([[start], common]) if together else common
    length = np.diff(edges)
    if together and length.size > 1 and length[0] != length[1]:
        edges, length = edges[1:], length[1:]  # the first frame, after the run has been going for longer
    if not length.size:
        raise InputError(
            f"{common.size} common time ({common[0] if common.size else '-'}), and no common start: what fell until "
            "then began at different times; give files with more common times"
        )
    if (length != length[0]).any():
        hours = length / np.timedelta64(1, "h")
        raise InputError(
            f"the common times are {hours.min():g} to {hours.max():g} h apart: give a window, such as 6h"
        )
    out = []
    for one in sides:
        parts = [
            one.amounts.sel(Time=(one.amounts["Time"] > low) & (one.amounts["Time"] <= high)).sum(
                "Time", skipna=False
            )
            for low, high in itertools.pairwise(edges)
        ]
        joined = xr.concat(parts, pd.DatetimeIndex(edges[1:], name="Time"))
        out.append(joined.assign_attrs(units="mm", window=length[0] / np.timedelta64(1, "h")))
    return out


def _grid(reference: Source, candidate: Source) -> dict[str, Any]:
    run = reference.run if reference.run is not None else candidate.run
    if run is None:
        return {"spacing": None}
    found: dict[str, Any] = {"spacing": float(run.attrs["DX"]) / 1000 if "DX" in run.attrs else None}
    if "XLONG" in run.variables and "XLAT" in run.variables:
        place = {}
        for key, name in (("longitude", "XLONG"), ("latitude", "XLAT")):
            there = run[name].isel(Time=0) if "Time" in run[name].dims else run[name]
            place[key] = np.asarray(there.values)
        found["longitude"] = place["longitude"]
        if int(run.attrs.get("MAP_PROJ", 0)) and float(np.ptp(place["longitude"])) > 0:
            found |= {"latitude": place["latitude"], "georeferenced": True}
    return found
