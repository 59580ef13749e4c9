"""Sides of a comparison: a run with its rain, or observations on the grid of the run."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciml.errors import InputError, SciMLError
from sciml.storage.containment import check_hdf5, check_store
from sciml.storage.damage import DAMAGE, reason_of
from sciml.storage.lazy_values import named_errors
from sciml.verify.forecast.run_times import normalised, parsed
from sciml.wrf.opening import open_wrfout
from sciml.wrf.rain import rain_since_last, rain_total
from sciml.wrf.runs import RUN_START

__all__ = ["RunSource", "of_same_parts", "open_source"]


@dataclass(frozen=True, eq=False)
class RunSource:
    """One side of a comparison: rain amounts (Time, y, x) in mm, each since the time before, and their run.

    Parameters
    ----------
    name
        Name of the side.
    amounts
        Amounts; the first of a run is the amount since its start.
    run
        WRF dataset; None for observations.
    start
        Start of the run (datetime64, or an object of cftime); None where it is not known.
    """

    name: str
    amounts: xr.DataArray = field(repr=False)
    run: xr.Dataset | None = field(default=None, repr=False)
    start: Any = None

    @property
    def step(self) -> float | None:
        """Time step of the run (s); None where it is not known."""
        return None if self.run is None or "DT" not in self.run.attrs else float(self.run.attrs["DT"])

    @property
    def moves(self) -> bool:
        """Whether the side is a moving nest."""
        return self.run is not None and "XLAT" in self.run.variables and "Time" in self.run["XLAT"].dims


def open_source(path: str | Path, name: str | None = None, variable: str | None = None) -> RunSource:
    """Open wrfout files, or rain on a grid in a netCDF file or zarr store.

    Parameters
    ----------
    path
        wrfout files (a name, a glob, a folder), or a file or store that xarray reads.
    name
        Name of the side; default: from the path.
    variable
        Name of the rain in data other than wrfout, (time, y, x) in mm since the time before.

    Raises
    ------
    InputError
        The path has neither wrfout files nor gridded rain, or does not have the variable.
    """
    called = name or _short(path)
    if variable is None:
        run = open_wrfout(path)
        if "RAINC" not in run.variables or "RAINNC" not in run.variables:
            raise InputError(
                f"{path} has no RAINC and RAINNC: name its rain with --variable (mm since the time before)"
            )
        return RunSource(called, _amounts(run), run, _start(run))
    opened = _gridded(path)
    if variable not in opened.variables:
        there = ", ".join(map(str, opened.data_vars))
        raise InputError(f"{path} has no {variable}: it has {there}")
    rain = opened[variable]
    times = [dim for dim in rain.dims if str(dim).lower() in ("time", "valid_time", "t")]
    others = [dim for dim in rain.dims if dim not in times and dim != "member"]
    if len(times) != 1 or len(others) != 2:
        raise InputError(f"{variable} of {path} has dims {tuple(map(str, rain.dims))}: give (time, y, x)")
    rain = rain.rename({times[0]: "Time", others[0]: "y", others[1]: "x"})
    if "Time" not in rain.coords:
        raise InputError(f"{variable} of {path} has no times: give its dimension {times[0]} a coordinate")
    normalised(rain["Time"].values)
    return RunSource(called, rain.load())


def _amounts(run: xr.Dataset) -> xr.DataArray:
    """Compute the rain (mm) of each frame since the frame before, of the first since the start, (Time, y, x)."""
    amounts = rain_total(run.isel(Time=[0])).load()
    if run.sizes["Time"] > 1:
        fallen = rain_since_last(run).load()
        later = xr.DataArray(np.arange(fallen.sizes["Time"]) > 0, dims="Time")
        amounts = fallen.where(later, amounts.isel(Time=0).drop_vars("Time"))
    amounts = amounts.transpose("Time", "south_north", "west_east").assign_attrs(units="mm")
    return amounts.rename({"south_north": "y", "west_east": "x"})


def _gridded(path: str | Path) -> xr.Dataset:
    try:
        with warnings.catch_warnings():
            # Dates outside the range of pandas are objects of cftime, which are valid here.
            warnings.simplefilter("ignore", xr.SerializationWarning)
            zarr = str(path).rstrip("/").endswith(".zarr")
            (check_store if zarr else check_hdf5)(Path(path))
            if zarr:
                return named_errors(xr.open_zarr(path, chunks=None), path).chunk()
            return named_errors(xr.open_dataset(path), path)
    except SciMLError:
        raise
    except DAMAGE as error:
        raise InputError(f"cannot open {path}: {reason_of(error)}") from error


def _short(path: str | Path) -> str:
    file = Path(path)
    return file.parent.name if any(mark in file.name for mark in "*?[") and file.parent.name else file.name


def _start(run: xr.Dataset) -> Any:
    """Return the start of the run of the first frame from its attributes, else from XTIME, else None."""
    times = normalised(run["Time"].values)
    for name in ("SIMULATION_START_DATE", "START_DATE"):
        start = parsed(str(run.attrs.get(name, "")), times)
        if start is not None:
            return start
    if RUN_START in run.variables and run[RUN_START].dtype.kind == times.dtype.kind == "M":
        start = normalised(run[RUN_START].values)[0]
        return None if np.isnat(start) else start
    return None


def of_same_parts(sides: Sequence[RunSource]) -> tuple[list[RunSource], list[str]]:
    """Return the sides with the same parts of rain: without RAINSH if only some runs have it.

    Returns
    -------
    list of RunSource
        The sides in their order.
    list of str
        Notes on the parts that were left out.
    """
    runs = [side.run for side in sides if side.run is not None]
    has = ["RAINSH" in run.variables for run in runs]
    if not runs or all(has) or not any(has):
        return list(sides), []
    out, notes = [], []
    without = ", ".join(
        side.name for side in sides if side.run is not None and "RAINSH" not in side.run.variables
    )
    for side in sides:
        if side.run is None or "RAINSH" not in side.run.variables:
            out.append(side)
            continue
        mean = float(side.run["RAINSH"].isel(Time=-1).astype("float64").mean())
        note = (
            f"RAINSH (rain of shallow convection, mean {mean:.4g} mm at the last frame) is in {side.name} only, not in "
            f"{without}: left out, so that RAINC + RAINNC are compared on both sides"
        )
        if mean > 0:
            warnings.warn(note, stacklevel=3)
        notes.append(note)
        bare = side.run.drop_vars("RAINSH")
        out.append(replace(side, amounts=_amounts(bare), run=bare))
    return out, notes
