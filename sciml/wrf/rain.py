"""Rain as amounts per interval, from WRF's running totals and their buckets."""

from __future__ import annotations

import warnings
from typing import Final

import numpy as np
import xarray as xr

from sciml.wrf.moving import before_on_ground, shifts
from sciml.wrf.state import require, require_frames, where

__all__ = ["rain_since_last", "rain_total"]

_PARTS: Final = ("RAINC", "RAINNC", "RAINSH")


def rain_total(ds: xr.Dataset, name: str | None = None) -> xr.DataArray:
    """Precipitation accumulated since the start of the run [mm], with the buckets counted in.

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
    """
    if name is None:
        parts = [rain_total(ds, part) for part in _PARTS if part != "RAINSH" or part in ds.variables]
        out = parts[0]
        for part in parts[1:]:
            out = out + part
        out = out.rename("RAIN_TOTAL")
    else:
        out = require(ds, name).astype("float64")
        bucket = float(ds.attrs.get("BUCKET_MM", -1.0))
        count = f"I_{name}"
        if bucket > 0 and name != "RAINSH":
            out = out + bucket * require(
                ds, count, f"BUCKET_MM is {bucket:g}, so {name} alone is not the total"
            )
        out = out.rename(name)
    out.attrs = {"long_name": "precipitation since the start of the run", "units": "mm", "source": where(ds)}
    return out


def rain_since_last(ds: xr.Dataset, name: str | None = None) -> xr.DataArray:
    """Precipitation that fell since the frame before [mm].

    The first frame is NaN, unless it is the start of the run. Where the total falls (a restart set it to
    zero), the new total itself is what is known to have fallen. Of a nest that moves, the difference is that
    of the same ground: NaN in cells that have just come in, and (with a warning) in frames whose XLAT and
    XLONG do not lie on those of the frame before.

    Raises
    ------
    MissingVariable
        As `rain_total`.
    InputError
        The dataset has no dimension Time.
    """
    require_frames(ds)
    total = rain_total(ds, name)
    by = shifts(ds)
    fallen = total - (total.shift(Time=1) if by is None else _before(ds, total, by))
    if by is not None:
        # Where a nest has moved, a smaller total is another place's, no restart's.
        stayed = xr.DataArray([step == (0, 0) for step in by], dims="Time")
        fallen = fallen.where(stayed | (fallen >= 0)).transpose(*total.dims)
    fallen = xr.DataArray(
        np.maximum(total.data, 0) * (fallen.data < 0) + fallen.data * (fallen.data >= 0), dims=total.dims
    )
    first = xr.DataArray(np.arange(total.sizes["Time"]) == 0, dims="Time")
    start = _starts_run(ds)
    fallen = fallen.where(~first, total.drop_vars(list(total.coords)) if start else np.nan)
    out = fallen.transpose(*total.dims).assign_coords(total.coords).astype("float32").rename(name or "RAIN")
    out.attrs = {
        "standard_name": "precipitation_amount" if name is None else "convective_precipitation_amount",
        "long_name": f"precipitation since the last output{'' if name is None else ' (' + name + ')'}",
        "units": "mm",
    }
    if name == "RAINNC":
        out.attrs["standard_name"] = "stratiform_precipitation_amount"
    return out


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


def _starts_run(ds: xr.Dataset) -> bool:
    if "XTIME" in ds.variables and ds["XTIME"].dtype.kind == "f":
        return float(ds["XTIME"].values.ravel()[0]) == 0.0
    stamp = str(ds.attrs.get("SIMULATION_START_DATE", "")).replace("_", "T")
    try:
        return bool(stamp) and np.datetime64(stamp) == ds["Time"].values[0]
    except (ValueError, KeyError):
        return False
