"""Convective available potential energy (CAPE) of profiles by pressure, without mixing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sciml.constants import (
    E_SHIFT,
    E_SLOPE,
    E_ZERO,
    EPSILON,
    KAPPA_BOLTON,
    KAPPA_MOIST,
    P_ZERO,
    R_DRY,
    THETA_E_BOLTON,
    VIRTUAL,
    ZERO_CELSIUS,
)

__all__ = ["cape", "saturation"]

Array = NDArray[np.float64]

_COLD, _WARM, _STEPS = 150.0, 330.0, 40  # K; limits of the bisection, and its number of steps


def saturation(pressure: Array, t: Array) -> Array:
    """Compute the saturation mixing ratio (kg kg-1) over water at pressure (Pa) and temperature (K).

    References
    ----------
    Bolton, D. (1980), The computation of equivalent potential temperature, Mon. Weather Rev. 108, 1046, eq. 10.
    """
    e = np.minimum(E_ZERO * np.exp(E_SLOPE * (t - ZERO_CELSIUS) / (t - E_SHIFT)), 0.5 * pressure)
    return np.asarray(EPSILON * e / (pressure - e))


def cape(pressure: Array, t: Array, q: Array) -> Array:
    """Compute the CAPE (J kg-1) of a parcel from the lowest level, without mixing and without condensate.

    Parameters
    ----------
    pressure
        Pressure by level from the ground up, Pa.
    t, q
        Temperature and mixing ratio, (..., level), K and kg kg-1.

    Returns
    -------
    numpy.ndarray
        Sum over the layers above the condensation level in which the parcel is lighter than its surroundings, (...,).

    Examples
    --------
    Isothermal air has no CAPE.

    >>> import numpy as np
    >>> float(cape(np.array([1e5, 8e4, 6e4]), np.array([290.0, 290.0, 290.0]), np.array([0.01, 0.0, 0.0])))
    0.0
    """
    low_t, low_q = t[..., :1], q[..., :1]
    e = low_q * pressure[0] / (EPSILON + low_q)
    t_lcl = 2840.0 / (3.5 * np.log(low_t) - np.log(e / 100.0) - 4.805) + 55.0  # Bolton's eq. 21
    p_lcl = pressure[0] * (t_lcl / low_t) ** 3.5
    carried = _theta_e(np.asarray(pressure[0]), low_t, low_q, t_lcl)
    low, high = np.full(t.shape, _COLD), np.full(t.shape, _WARM)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        above = _theta_e(pressure, middle, saturation(pressure, middle), middle) > carried
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    lifted = (low + high) / 2
    lighter = lifted * (1 + VIRTUAL * saturation(pressure, lifted)) - t * (1 + VIRTUAL * q)
    gained = np.where((pressure < p_lcl) & (lighter > 0), lighter, 0.0)
    # thickness of a layer, between the logarithmic middles to its neighbours
    thick = -np.gradient(np.log(pressure))
    return np.asarray(R_DRY * (gained * thick).sum(-1))


def _theta_e(pressure: Array, t: Array, q: Array, t_lcl: Array) -> Array:
    """Compute the equivalent potential temperature (K); Bolton's eq. 43."""
    dry = t * (P_ZERO / pressure) ** (KAPPA_BOLTON * (1 - KAPPA_MOIST * q))
    return np.asarray(dry * np.exp((THETA_E_BOLTON[0] / t_lcl - THETA_E_BOLTON[1]) * q * (1 + 0.81 * q)))
