"""Windows of rain in which nothing is known: found, left out and counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from sciml.errors import InputError

__all__ = ["known_windows"]


def known_windows(
    reference: xr.DataArray, candidate: xr.DataArray, common: NDArray[Any]
) -> tuple[NDArray[Any], list[str]]:
    """Leave out the windows in which one of two rains is NaN everywhere.

    Parameters
    ----------
    reference, candidate
        With the dimension Time.
    common
        Times that both have.

    Returns
    -------
    tuple
        The other times; and a line for each of the two that lacks an amount, for the report.

    Raises
    ------
    InputError
        No time is left.
    """
    lines, known = [], np.ones(common.size, bool)
    for name, one in (("reference", reference), ("candidate", candidate)):
        there = one.sel(Time=common).notnull().any([dim for dim in one.dims if dim != "Time"]).values
        known &= there
        if not there.all():
            ends = pd.DatetimeIndex(common[~there])
            lines.append(
                f"{len(ends)} windows left out, the first until {ends[0]}: the {name} has no known amount there "
                "(as at a seam between two runs)"
            )
    if not known.any():
        raise InputError("the two have no finite amount at the same place and time")
    return common[known], lines
