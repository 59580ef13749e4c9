"""Mapping of columns, and of predictions for them, to the horizontal grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from sciml.columns.formats import COORDINATE_ATTRS, GRID
from sciml.errors import InputError

__all__ = ["columns_to_map"]


def columns_to_map(columns: xr.Dataset, like: xr.Dataset | None = None) -> xr.Dataset:
    """Map columns, or predictions for them, to the horizontal grid.

    Parameters
    ----------
    columns
        Columns with the coordinates Time, south_north, west_east on ``column``.
    like
        Dataset from which the columns were made; the result has its size, XLAT and XLONG. Default: the smallest
        map that contains all columns.

    Returns
    -------
    xr.Dataset
        Fields (Time[, bottom_top], south_north, west_east); NaN where there is no column (-1 for integers).

    Raises
    ------
    InputError
        There are no columns, or they do not have positions (drawn pairs).
    """
    if not columns.sizes.get("column"):
        raise InputError(
            f"there are no columns to map (dimensions: {dict(columns.sizes)}): select at least one"
        )
    if any(c not in columns.coords for c in GRID) or bool(columns["Time"].isnull().any()):
        raise InputError(
            f"columns of {columns.attrs.get('SOURCE', '?')} have no position on the grid (drawn pairs have none)"
        )
    times, t = np.unique(columns["Time"].values, return_inverse=True)
    j, i = columns["south_north"].values, columns["west_east"].values
    size = [len(times), int(j.max()) + 1, int(i.max()) + 1]
    if like is not None:
        size[1:] = [like.sizes["south_north"], like.sizes["west_east"]]
        if j.max() >= size[1] or i.max() >= size[2]:
            raise InputError(
                f"columns reach to ({j.max()}, {i.max()}) but the map of `like` is {size[1]} x {size[2]}"
            )
    if len(np.unique((t.astype(np.int64) * size[1] + j) * size[2] + i)) < len(t):
        raise InputError(
            "several columns have the same time and position: select one run first, "
            "columns.isel(column=columns.RUN == 1)"
        )
    out: dict[str, Any] = {}
    named = dict(columns.data_vars) | {k: columns[k] for k in ("KIND", "NOVELTY") if k in columns.coords}
    for name, array in named.items():
        if "column" not in array.dims:
            continue
        values = array.transpose("column", ...).values
        empty = np.nan if values.dtype.kind == "f" else -1
        grid = np.full((*size, *values.shape[1:]), empty, dtype=values.dtype)
        grid[t, j, i] = values
        levels = tuple("bottom_top" if d == "level" else d for d in array.dims if d != "column")
        placed = xr.DataArray(grid, dims=(*GRID, *levels), attrs=array.attrs)
        out[str(name)] = placed.transpose("Time", *levels, "south_north", "west_east")
    result = xr.Dataset(out, coords={"Time": ("Time", times, COORDINATE_ATTRS["Time"])}, attrs=columns.attrs)
    if like is not None:
        where = {
            c: like[c].drop_vars([k for k in like[c].coords if k != c])
            for c in ("XLAT", "XLONG")
            if c in like.variables
        }
        if all("Time" not in place.dims for place in where.values()):
            result = result.assign_coords(where)
    return result
