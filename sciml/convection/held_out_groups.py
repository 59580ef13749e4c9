"""Groups of stored columns that a calibration holds out as a whole: runs, times, or strips of the map."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["held_out_groups"]

Array = NDArray[Any]

PARTS = 5  # of the times, or of the map


def held_out_groups(columns: xr.Dataset, least: int) -> tuple[str, Array]:
    """Return groups of columns, the coarsest for which enough columns remain when a group is held out.

    Parameters
    ----------
    columns
        Columns; several runs have RUN, several times Time or XTIME, and columns of a map west_east.
    least
        Number of columns that must remain.

    Returns
    -------
    str
        What a group is: ``run``, ``time``, ``strip``, or ``column`` if each column is its own group.
    numpy.ndarray
        Number of each column's group, (column,).
    """
    for what, values in _candidates(columns):
        distinct, number = np.unique(values, return_inverse=True)
        if what != "run":
            if len(distinct) < PARTS:
                continue
            number = number * PARTS // len(distinct)
        sizes = np.bincount(number)
        if len(sizes) > 1 and len(number) - sizes.max() >= least:
            return what, number
    return "column", np.arange(columns.sizes["column"])


def _candidates(columns: xr.Dataset) -> Iterator[tuple[str, Array]]:
    """Yield the values that divide the columns, and what a division is; a fifth of the times is at least an hour."""
    for what, name in (("run", "RUN"), ("time", "Time"), ("time", "XTIME"), ("strip", "west_east")):
        if name not in columns.variables or columns[name].dims != ("column",):
            continue
        values = columns[name].values
        if np.isnan(values).any():
            continue
        if what == "time":
            span = values.max() - values.min()
            hours = span / np.timedelta64(1, "h") if name == "Time" else span / 60.0
            if hours < PARTS:
                continue
        yield what, values
