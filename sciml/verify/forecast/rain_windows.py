"""Windows of rain in which nothing is known are left out and counted."""

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
        With the dimension Time, at the same times.

    Returns
    -------
    tuple
        The two at the other times; and a line for each of the two that has no amount, for the report.

    Raises
    ------
    InputError
        No time is left.
    """
    times = reference["Time"].values
    lines, known = [], np.ones(times.size, bool)
    for name, one in (("reference", reference), ("candidate", candidate)):
        there = one.notnull().any([dim for dim in one.dims if dim != "Time"]).values
        known &= there
        if not there.all():
            ends = times[~there]
            lines.append(
                f"{ends.size} windows left out, the first until {stamp(ends[0])}: the {name} has no known amount there "
                "(as at a seam between two runs)"
            )
    if not known.any():
        raise InputError("the two have no finite amount at the same place and time")
    if known.all():
        return reference, candidate, lines
    return reference.isel(Time=known), candidate.isel(Time=known), lines
