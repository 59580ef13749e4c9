"""Rain as amounts per interval, from WRF's running totals and their buckets."""

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

__all__ = ["rain_since_last", "rain_total"]

Times = npt.NDArray[np.datetime64]

_PARTS: Final = ("RAINC", "RAINNC", "RAINSH")


def rain_total(ds: xr.Dataset, name: str | None = None) -> xr.DataArray:
    """Precipitation accumulated since the start of the run [mm], with the buckets counted in.

    Of several runs joined, each frame counts since the start of its own run (a warning names two of them).

    Parameters
    ----------
    name
        "RAINC", "RAINNC" or "RAINSH" alone; default: their sum (those the file has; RAINC and RAINNC it must
        have).

    Notes
    -----
    With the attribute BUCKET_MM positive, WRF empties RAINC and RAINNC whenever they pass it and counts that
    in
    I_RAINC and I_RAINNC: total = I_RAINC * BUCKET_MM + RAINC.

    Raises
    ------
    MissingVariable
        RAINC or RAINNC (or, with a bucket, its count) is absent.
    InputError
        Buckets were emptied, and the attribute BUCKET_MM was lost.
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
    out.attrs = {"long_name": "precipitation since the start of the run", "units": "mm", "source": where(ds)}
    return out


def _bucket(ds: xr.Dataset) -> float:
    """BUCKET_MM [mm], negative without buckets.

    Where the attribute was lost and no bucket is counted, there is none: that is WRF's default, and with buckets
    WRF always writes their counts.

    Raises
    ------
    InputError
        The attribute was lost and the counts say that buckets were emptied.
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
    """Precipitation that fell since the frame before [mm].

    The first frame is NaN, unless it is the start of the run; then it is the total. So is the first frame of each run
    that follows another (with a warning), unless its run started at the time of the frame before.

    Where the totals were reset (a restart set them to zero), the new total itself is what is known to have fallen.
    That is decided for the whole field: see `sciml.wrf.increments.amount_between`. In all other frames a total that
    falls was rounded after WRF wrote it (packed, quantised), and the amount is 0. Falls that no rounding explains are
    warned of, once, when they are computed.

    Of a nest that moves, the difference is that of the same ground: NaN in cells that have just come in, and (with a
    warning) in frames whose XLAT and XLONG do not lie on those of the frame before.

    Raises
    ------
    MissingVariable
        As `rain_total`.
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
        "standard_name": "precipitation_amount" if name is None else "convective_precipitation_amount",
        "long_name": f"precipitation since the last output{'' if name is None else ' (' + name + ')'}",
        "units": "mm",
    }
    if name == "RAINNC":
        out.attrs["standard_name"] = "stratiform_precipitation_amount"
    return out


def _rules(ds: xr.Dataset) -> npt.NDArray[np.int8]:
    """How the amount of each frame is found (see `increments`); warns where two runs meet."""
    rules = np.full(ds.sizes["Time"], DIFFERENCE, np.int8)
    new = new_runs(ds)
    starts, times = run_starts(ds), known_times(ds)
    rules[new] = NOT_KNOWN
    if times is not None:
        # A run that started at the time of the frame before: its total is what fell since then.
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
            f"{where(ds)} is of a nest that moves, in {len(lost)} of {len(by)} frames (the first is number "
            f"{lost[0]}) by no whole number of cells of the frame before: their rain since the last output "
            "is NaN; take it from the parent domain",
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
