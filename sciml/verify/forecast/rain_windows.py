"""Removal of windows of rain without known amounts."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sciml.errors import InputError
from sciml.verify.forecast.run_times import stamp

__all__ = ["known_windows"]


def known_windows(
    reference: xr.DataArray, candidate: xr.DataArray
) -> tuple[xr.DataArray, xr.DataArray, list[str]]:
    """Leave out the windows in which one of two rains is NaN everywhere.

    Parameters
    ----------
    reference, candidate
        Rain with the dimension Time, at the same times.

    Returns
    -------
    tuple
        Both at the remaining times; and for each of the two with unknown windows a line for the report.

    Raises
    ------
    InputError
        No time remains.
    """
    times = reference["Time"].values
    lines, known = [], np.ones(times.size, bool)
    for name, rain in (("reference", reference), ("candidate", candidate)):
        is_known = rain.notnull().any([dim for dim in rain.dims if dim != "Time"]).values
        known &= is_known
        if not is_known.all():
            ends = times[~is_known]
            lines.append(
                f"{ends.size} windows left out, the first until {stamp(ends[0])}: the {name} has no known amount there "
                "(as at a seam between two runs)"
            )
    if not known.any():
        raise InputError("the two have no finite amount at the same place and time")
    if known.all():
        return reference, candidate, lines
    return reference.isel(Time=known), candidate.isel(Time=known), lines
