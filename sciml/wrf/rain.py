"""Precipitation per interval, from WRF's running totals and their buckets."""

from __future__ import annotations

import warnings
from typing import Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml.errors import InputError
from sciml.wrf.increments import DIFFERENCE, ELSEWHERE, NOT_KNOWN, TOTAL, increments
from sciml.wrf.moving_nest import before_on_ground, shifts
from sciml.wrf.projection import number
from sciml.wrf.requirements import require, require_all, require_frames, where
from sciml.wrf.runs import describe_seam, known_times, new_runs, run_starts
from sciml.wrf.variables import STANDARD_NAMES

__all__ = ["rain_since_last", "rain_total"]

Times = npt.NDArray[np.datetime64]

_PARTS: Final = ("RAINC", "RAINNC", "RAINSH")


def rain_total(ds: xr.Dataset, name: str | None = None) -> xr.DataArray:
    """Return the precipitation accumulated since the start of the run [mm], including buckets.

    If several runs are joined, each frame counts from the start of its own run (a warning names two of the runs).

    Parameters
    ----------
    name
        "RAINC", "RAINNC" or "RAINSH" for a single total; default: the sum of those that the file has (RAINC and RAINNC
        are required).

    Notes
    -----
    If the attribute BUCKET_MM is positive, WRF reduces RAINC and RAINNC by it whenever they exceed it, and counts the
    reductions in I_RAINC and I_RAINNC: total = I_RAINC * BUCKET_MM + RAINC.

    Raises
    ------
    MissingVariable
        RAINC or RAINNC (or, with a bucket, its count) is missing.
    InputError
        Buckets were emptied, and the attribute BUCKET_MM is missing.
    """
    if "Time" in ds.dims:
        new = new_runs(ds)
        if new.any():
            warnings.warn(
                f"{describe_seam(ds, new)}: total precipitation counts since the start of the run of each frame",
                stacklevel=2,
            )
    return _total(ds, name)


def _total(ds: xr.Dataset, name: str | None) -> xr.DataArray:
    if name is None:
        require_all(ds, _PARTS[:2])
        parts = [_total(ds, part) for part in _PARTS if part != "RAINSH" or part in ds.variables]
        out = parts[0]
        for part in parts[1:]:
            out = out + part
        out = out.rename("RAIN_TOTAL")
    else:
        out = require(ds, name).astype("float64")
        bucket = _bucket(ds)
        count = f"I_{name}"
        if bucket > 0 and name != "RAINSH":
            out = out + bucket * require(
                ds, count, f"BUCKET_MM is {bucket:g}, so {name} alone is not the total"
            )
        out = out.rename(name)
    out.attrs = {
        "standard_name": "lwe_thickness_of_precipitation_amount",
        "long_name": "precipitation since the start of the run",
        "units": "mm",
        "source": where(ds),
    }
    return out


def _bucket(ds: xr.Dataset) -> float:
    """BUCKET_MM [mm], negative without buckets.

    If the attribute is missing and the counts of buckets are zero, there are no buckets. That is WRF's default, and
    with buckets WRF always writes their counts.

    Raises
    ------
    InputError
        The attribute is missing, and the counts show that buckets were emptied.
    """
    if "BUCKET_MM" in ds.attrs:
        return number(ds, "BUCKET_MM")
    for count in (f"I_{part}" for part in _PARTS):
        if count in ds.variables and ds[count].size and float(ds[count].max()) > 0:
            raise InputError(
                f"{where(ds)} has {count} up to {float(ds[count].max()):g}, so full buckets were emptied, but has lost "
                "the attribute BUCKET_MM, their size: set it to bucket_mm of the namelist, ds.attrs['BUCKET_MM'] = "
                "..., or with ncatted -a BUCKET_MM,global,o,f,..."
            )
    return -1.0


def rain_since_last(ds: xr.Dataset, name: str | None = None) -> xr.DataArray:
    """Return the precipitation since the frame before [mm].

    The first frame is NaN, unless it is the start of the run; then it is the total. The first frame of each run that
    follows another is NaN too (with a warning), unless its run started at the time of the frame before.

    If the totals were reset (a restart set them to zero), the amount is the new total. A reset is detected in the
    whole field: see `sciml.wrf.increments.amount_between`. In all other frames a total that falls was rounded after
    WRF wrote it (packed, quantised), and the amount is 0. A warning, issued once when the values are computed, reports
    totals that fall by more than rounding.

    In a nest that moves, the difference is taken at the same ground: it is NaN in cells that are new, and (with a
    warning) in frames whose XLAT and XLONG do not coincide with those of the frame before.

    Raises
    ------
    MissingVariable
        As in `rain_total`.
    InputError
        The dataset has no dimension Time.
    """
    require_frames(ds)
    total = _total(ds, name)
    by = shifts(ds)
    rules = _rules(ds)
    before = None
    if by is not None:
        moved = np.array([step != (0, 0) for step in by])
        rules[moved & (rules == DIFFERENCE)] = ELSEWHERE
        before = _before(ds, total, by)
    out = increments(total, rules, where(ds), before).rename(name or "RAIN")
    out.attrs = {
        "standard_name": STANDARD_NAMES.get(name or "", "lwe_thickness_of_precipitation_amount"),
        "long_name": f"precipitation since the last output{'' if name is None else ' (' + name + ')'}",
        "units": "mm",
    }
    return out


def _rules(ds: xr.Dataset) -> npt.NDArray[np.int8]:
    """Rule for the amount of each frame (see `increments`); warns where two runs meet."""
    rules = np.full(ds.sizes["Time"], DIFFERENCE, np.int8)
    new = new_runs(ds)
    starts, times = run_starts(ds), known_times(ds)
    rules[new] = NOT_KNOWN
    if times is not None:
        # The run started at the time of the frame before, so its total is the amount since then.
        rules[1:][new[1:] & (starts[1:] == times[:-1])] = TOTAL
    if new.any() and (rules[new] == NOT_KNOWN).any():
        warnings.warn(
            f"{describe_seam(ds, new)}: rain since the last output is not known in the first frame of a run, so it "
            "is NaN there",
            stacklevel=4,
        )
    rules[:1] = TOTAL if _starts_run(ds, starts, times) else NOT_KNOWN
    return rules


def _before(ds: xr.Dataset, total: xr.DataArray, by: list[tuple[int, int] | None]) -> xr.DataArray:
    lost = [k for k, step in enumerate(by) if step is None]
    if lost:
        warnings.warn(
            f"{where(ds)} is of a moving nest, and in {len(lost)} of {len(by)} frames (the first is number "
            f"{lost[0]}) the cells do not coincide with those of the frame before: their rain since the last "
            "output is NaN; use the rain of the parent domain",
            stacklevel=4,
        )
    return before_on_ground(total, by)


def _starts_run(ds: xr.Dataset, starts: Times, times: Times | None) -> bool:
    """Whether the first frame is the start of its run."""
    if times is not None and len(times) and not np.isnat(starts[0]):
        return bool(starts[0] == times[0])
    if "XTIME" in ds.variables and ds["XTIME"].dtype.kind == "f":
        return float(ds["XTIME"].values.ravel()[0]) == 0.0
    return False
