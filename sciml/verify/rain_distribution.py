"""When, where and how hard it rains, on both sides: intensity, local hour, and Hovmoeller diagrams."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

__all__ = ["by_intensity", "by_local_hour", "hovmoeller"]

Array = NDArray[Any]

BINS: Final = np.geomspace(0.01, 316.2277660168379, 19)
"""Edges of the classes of intensity, mm a window: four to a factor of ten."""


def hovmoeller(reference: Array, candidate: Array, times: Array) -> xr.Dataset:
    """Means over y, (source, Time, x), and over x, (source, Time, y), of (window, y, x); mm."""
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
    """Share of cells by amount: ``intensity`` (source, bin), ``bin`` the middles (mm a window); the rest is dry."""
    both = [values[np.isfinite(values)] for values in (reference, candidate)]
    found = np.stack([np.histogram(values, BINS)[0] / max(values.size, 1) for values in both])
    return xr.Dataset({"intensity": (("source", "bin"), found)}, {"bin": np.sqrt(BINS[1:] * BINS[:-1])})


def by_local_hour(
    reference: Array, candidate: Array, times: pd.DatetimeIndex, hours: float, longitude: Array | None
) -> xr.Dataset:
    """The diurnal cycle: ``diurnal`` (source, hour), mean rain rate (mm/h) by mean solar time of the windows' middle.

    Windows longer than six hours, or of unknown length, tell no diurnal cycle: then there are no hours.
    """
    if not 0 < hours <= 6:
        return xr.Dataset({"diurnal": (("source", "hour"), np.zeros((2, 0)))}, {"hour": np.zeros(0)})
    width = max(hours, 1.0)
    count = int(24 // width)
    middle = times - pd.Timedelta(hours=hours / 2)
    utc = (middle.hour + middle.minute / 60 + middle.second / 3600).to_numpy(dtype=np.float64)
    east = (
        np.zeros(reference.shape[1:])
        if longitude is None
        else np.broadcast_to(longitude, reference.shape[1:])
    )
    at = ((utc[:, None, None] + east / 15) % 24 // width).astype(int) % count
    out = np.full((2, count), np.nan)
    for source, values in enumerate((reference, candidate)):
        known = np.isfinite(values)
        total = np.bincount(at[known], values[known], minlength=count)
        number = np.bincount(at[known], minlength=count)
        with np.errstate(all="ignore"):
            out[source] = total / number / hours
    return xr.Dataset({"diurnal": (("source", "hour"), out)}, {"hour": (np.arange(count) + 0.5) * width})
