"""Distribution of rain on both sides: intensity, local hour, and Hovmoeller diagrams."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml.verify.forecast.run_times import hours_of_day, normalised

__all__ = ["by_intensity", "by_local_hour", "hovmoeller"]

Array = NDArray[Any]

BINS: Final = np.geomspace(0.01, 316.2277660168379, 19)
"""Edges of the classes of intensity, mm in a window: four in a factor of ten."""


def hovmoeller(reference: Array, candidate: Array, times: Array) -> xr.Dataset:
    """Compute means of (window, y, x) over y, (source, Time, x), and over x, (source, Time, y); mm."""
    both = np.stack([reference, candidate])
    known = np.isfinite(both)
    filled = np.where(known, both, 0.0)
    with np.errstate(all="ignore"):
        over_y, over_x = (filled.sum(axis) / known.sum(axis) for axis in (2, 3))
    return xr.Dataset(
        {
            "hovmoeller_x": (("source", "Time", "x"), over_y),
            "hovmoeller_y": (("source", "Time", "y"), over_x),
        },
        {"Time": times},
    )


def by_intensity(reference: Array, candidate: Array) -> xr.Dataset:
    """Compute the share of cells by amount: ``intensity`` (source, bin), ``bin`` the middles (mm in a window)."""
    both = [values[np.isfinite(values)] for values in (reference, candidate)]
    shares = np.stack([np.histogram(values, BINS)[0] / max(values.size, 1) for values in both])
    return xr.Dataset({"intensity": (("source", "bin"), shares)}, {"bin": np.sqrt(BINS[1:] * BINS[:-1])})


def by_local_hour(
    reference: Array,
    candidate: Array,
    times: Any,
    hours: float,
    longitude: Array | None,
    clocks: tuple[float, float] | None = None,
) -> xr.Dataset:
    """Compute the diurnal cycle: ``diurnal`` (source, hour), mean rain rate (mm/h) by mean solar time of the windows.

    Lead times need ``clocks``, the hours (UTC) at which the two sources start. There are no hours for windows longer
    than six hours or of unknown length, nor for lead times without clocks.
    """
    ends = normalised(times)
    if not 0 < hours <= 6 or (ends.dtype.kind == "m" and clocks is None):
        return xr.Dataset({"diurnal": (("source", "hour"), np.zeros((2, 0)))}, {"hour": np.zeros(0)})
    width = max(hours, 1.0)
    count = int(24 // width)
    since = hours_of_day(ends) - hours / 2
    starts = clocks if clocks is not None and ends.dtype.kind == "m" else (0.0, 0.0)
    east = (
        np.zeros(reference.shape[1:])
        if longitude is None
        else np.broadcast_to(longitude, reference.shape[1:])
    )
    out = np.full((2, count), np.nan)
    for source, values in enumerate((reference, candidate)):
        at = (((since + starts[source])[:, None, None] + east / 15) % 24 // width).astype(int) % count
        known = np.isfinite(values)
        total = np.bincount(at[known], values[known], minlength=count)
        number = np.bincount(at[known], minlength=count)
        with np.errstate(all="ignore"):
            out[source] = total / number / hours
    return xr.Dataset({"diurnal": (("source", "hour"), out)}, {"hour": (np.arange(count) + 0.5) * width})
