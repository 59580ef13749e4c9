"""Interpolation of members to the levels of the column that they are predictions for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["to_levels"]

Array = NDArray[Any]


def to_levels(values: Array, pressure: Array, levels: Array) -> Array:
    """Interpolate members linearly in the logarithm of pressure.

    Parameters
    ----------
    values, pressure
        Profiles of the members and their pressure, which decreases with the level, (column, member, level).
    levels
        Pressure of the columns, (column, other level).

    Returns
    -------
    numpy.ndarray
        Values (column, member, other level); beyond the ends of a member's levels its last value.
    """
    made = np.empty((*values.shape[:2], levels.shape[1]), values.dtype)
    own, asked = -np.log(pressure.astype(np.float64)), -np.log(levels.astype(np.float64))
    for column, place in enumerate(asked):
        for member, (x, y) in enumerate(zip(own[column], values[column], strict=True)):
            made[column, member] = np.interp(place, x, y)
    return made
