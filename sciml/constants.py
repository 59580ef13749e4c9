"""Physical constants, each with the value that WRF, or the formula of a paper, uses.

Where two sources give different values, each has its own name, and they must not be merged: the results of the scheme
depend on their last digits.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "CP_DRY",
    "CP_MOIST",
    "DAY",
    "EARTH_RADIUS",
    "EPSILON",
    "E_SHIFT",
    "E_SLOPE",
    "E_ZERO",
    "GRAVITY",
    "GRAVITY_CMT",
    "KAPPA_BOLTON",
    "KAPPA_MOIST",
    "LATENT_HEAT_AT_ZERO",
    "LATENT_HEAT_FUSION",
    "LATENT_HEAT_FUSION_SCHEME",
    "LATENT_HEAT_SLOPE",
    "LATENT_HEAT_SLOPE_FREEZING",
    "LATENT_HEAT_SUBLIMATION",
    "LATENT_HEAT_SUBLIMATION_SLOPE",
    "LATENT_HEAT_VAPORISATION",
    "P_ZERO",
    "R_DRY",
    "R_VAPOUR",
    "THETA_BASE",
    "THETA_E_BOLTON",
    "THETA_E_SCHEME",
    "TRIPLE_POINT",
    "VIRTUAL",
    "ZERO_CELSIUS",
]

GRAVITY: Final = 9.81
"""Acceleration of gravity, m s-2."""

GRAVITY_CMT: Final = 9.8
"""Acceleration of gravity that the scheme passes to its transport of momentum (CMT), m s-2."""

R_DRY: Final = 287.0
"""Gas constant of dry air, J kg-1 K-1."""

R_VAPOUR: Final = 461.6
"""Gas constant of water vapour, J kg-1 K-1."""

CP_DRY: Final = 7.0 * R_DRY / 2.0
"""Specific heat of dry air at constant pressure, 1004.5 J kg-1 K-1."""

CP_MOIST: Final = 0.89
"""Weight of the vapour in the specific heat of moist air in the Kain-Fritsch scheme, cp (1 + 0.89 q)."""

P_ZERO: Final = 1.0e5
"""Reference pressure of the potential temperature, Pa."""

THETA_BASE: Final = 300.0
"""Potential temperature that WRF subtracts from its variable T, K."""

EPSILON: Final = 0.622
"""Ratio of the gas constants of dry air and vapour as the Kain-Fritsch scheme rounds it; R_DRY / R_VAPOUR is 0.6218."""

VIRTUAL: Final = 0.608
"""Weight of the vapour in the virtual temperature, T (1 + 0.608 q)."""

ZERO_CELSIUS: Final = 273.15
"""Temperature of 0 degrees Celsius, K."""

TRIPLE_POINT: Final = 273.16
"""Temperature of the triple point of water, K; the Kain-Fritsch scheme uses it as its melting point."""

E_ZERO: Final = 611.2
"""Saturation vapour pressure at 273.15 K, Pa; Bolton (1980), eq. 10."""

E_SLOPE: Final = 17.67
E_SHIFT: Final = 29.65
"""Constants (1, K) of the saturation vapour pressure; Bolton (1980), eq. 10."""

KAPPA_BOLTON: Final = 0.2854
KAPPA_MOIST: Final = 0.28
"""Exponent of the potential temperature of moist air, 0.2854 (1 - 0.28 q); Bolton (1980), eq. 43."""

LATENT_HEAT_AT_ZERO: Final = 3.15e6
LATENT_HEAT_SLOPE: Final = 2370.0
"""Latent heat of vaporisation of the Kain-Fritsch scheme, 3.15e6 - 2370 T, J kg-1."""

LATENT_HEAT_VAPORISATION: Final = 2.5e6
"""Latent heat of vaporisation at 273 K, of budgets that take it as constant, J kg-1."""

LATENT_HEAT_SLOPE_FREEZING: Final = 2369.276
"""Decrease with temperature of the latent heat of vaporisation where the scheme freezes condensate, J kg-1 K-1."""

LATENT_HEAT_SUBLIMATION: Final = 2833922.0
LATENT_HEAT_SUBLIMATION_SLOPE: Final = 259.532
"""Latent heat of sublimation of the Kain-Fritsch scheme, 2833922 - 259.532 (T - 273.16), J kg-1."""

LATENT_HEAT_FUSION: Final = 3.34e5
"""Latent heat of fusion at 273 K, of budgets that take it as constant, J kg-1."""

LATENT_HEAT_FUSION_SCHEME: Final = 3.339e5
"""Latent heat of fusion that the downdraft of the Kain-Fritsch scheme uses, J kg-1."""

THETA_E_BOLTON: Final = (3376.0, 2.54)
"""Constants (K, 1) of the equivalent potential temperature; Bolton (1980), eq. 43, as published."""

THETA_E_SCHEME: Final = (3374.6525, 2.5403)
"""The same constants as the Kain-Fritsch scheme has them."""

EARTH_RADIUS: Final = 6.37e6
"""Radius of the sphere of WRF's map projections, m."""

DAY: Final = 86400.0
"""Seconds of a day."""
