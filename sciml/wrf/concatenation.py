"""Concatenation of files of a single domain: frames in order of time, without repetition."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import xarray as xr

from sciml.errors import InputError
from sciml.wrf.requirements import where

__all__ = ["in_order", "new_frames", "one_domain"]

_SIZES: Final = ("bottom_top", "south_north", "west_east")
# Attributes, and the relative difference that is allowed between files of a domain.
_NUMBERS: Final = {"GRID_ID": 0.0, "MAP_PROJ": 0.0, "DX": 1e-6, "DY": 1e-6, "DT": 1e-3}


def one_domain(parts: Sequence[xr.Dataset]) -> None:
    """Check that files are of the same domain and have the same time step.

    Raises
    ------
    InputError
        Sizes, GRID_ID, MAP_PROJ, DX, DY or DT differ, as far as both files have them.
    """
    first = parts[0]
    for ds in parts[1:]:
        for dim in _SIZES:
            if ds.sizes.get(dim) != first.sizes.get(dim):
                raise InputError(
                    f"{where(ds)} has {dim} = {ds.sizes.get(dim)} but {where(first)} has "
                    f"{first.sizes.get(dim)}: "
                    "open one domain at a time"
                )
        for name, most in _NUMBERS.items():
            if name not in ds.attrs or name not in first.attrs:
                continue
            first_value, value = float(first.attrs[name]), float(ds.attrs[name])
            if abs(first_value - value) > most * abs(first_value):
                remedy = "one time step" if name == "DT" else "one domain"
                raise InputError(
                    f"{where(ds)} has {name} = {value:g} but {where(first)} has {first_value:g}: "
                    f"open {remedy} at a time"
                )


def new_frames(parts: Sequence[xr.Dataset]) -> list[list[int]]:
    """Return the numbers of the frames that each part adds. If a time is repeated, the first copy is used.

    Parameters
    ----------
    parts
        Datasets with the coordinate Time, sorted by their first times.
    """
    out: list[list[int]] = []
    seen: set[Any] = set()
    for ds in parts:
        times = ds["Time"].values
        new, before = [], len(seen)
        inside = len(times) - len(set(times))
        for k, stamp in enumerate(times):
            if stamp not in seen:
                seen.add(stamp)
                new.append(k)
        if len(new) < len(times):
            lost = len(times) - len(new)
            of = "its own" if lost == inside else "the previous file"
            of += f" and {inside} of its own" if 0 < inside < lost and before else ""
            warnings.warn(f"{where(ds)} repeats {lost} frames of {of}: left out", stacklevel=4)
        out.append(new)
    return out


def in_order(ds: xr.Dataset) -> xr.Dataset:
    """Sort the frames by time; returns the dataset itself if they are sorted already."""
    times = ds["Time"].values
    if (times[1:] >= times[:-1]).all():
        return ds
    out = ds.isel(Time=np.argsort(times, kind="stable"))
    out.encoding = dict(ds.encoding)
    return out
