"""Moist thermodynamics as the Kain-Fritsch family of schemes computes it, on torch tensors, differentiable.

Constants and formulas are those of Bolton (1980) for saturation and equivalent potential temperature, of Kain and
Fritsch (1990), and of Kain (2004). The scheme interpolates two functions in tables, and its decisions depend on that
interpolation (for a plume close to neutral buoyancy), so the same tables are used here, computed to convergence.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from sciml.constants import CP_DRY as CP
from sciml.constants import (
    CP_MOIST,
    E_SHIFT,
    E_SLOPE,
    E_ZERO,
    EPSILON,
    GRAVITY,
    KAPPA_BOLTON,
    KAPPA_MOIST,
    P_ZERO,
    R_DRY,
    THETA_E_SCHEME,
    TRIPLE_POINT,
    VIRTUAL,
    ZERO_CELSIUS,
)
from sciml.constants import LATENT_HEAT_AT_ZERO as L_ZERO
from sciml.constants import LATENT_HEAT_SLOPE as L_SLOPE
from sciml.convection.wet_table import TABLE_BOTTOM, TABLE_P, TABLE_TH, TABLE_TOP, wet_table

__all__ = [
    "CP",
    "EPSILON",
    "E_ZERO",
    "GRAVITY",
    "R_DRY",
    "equivalent_temperature",
    "exner",
    "heat_capacity",
    "latent_heat",
    "log_vapour",
    "root",
    "saturation",
    "virtual",
    "wet_adiabat",
]

E_OFFSET = E_SLOPE * ZERO_CELSIUS

# The tables: linear in the ratio of vapour pressure to E_ZERO, bilinear in pressure and equivalent temperature.
LOG_START, LOG_STEP, LOG_COUNT = 1.0e-3, 0.075, 200
TABLE_DP = (TABLE_BOTTOM - TABLE_TOP) / (TABLE_P - 1)


def saturation(p: Tensor, t: Tensor) -> Tensor:
    """Saturation mixing ratio over water (kg/kg) at pressure `p` (Pa) and temperature `t` (K); Bolton (1980)."""
    e = E_ZERO * torch.exp((E_SLOPE * t - E_OFFSET) / (t - E_SHIFT))
    return EPSILON * e / (p - e)


def root(x: Tensor) -> Tensor:
    """Square root of positive values, 0 of others, with a gradient that is finite everywhere."""
    positive = x > 0.0
    return torch.where(
        positive, torch.sqrt(torch.where(positive, x, torch.ones_like(x))), torch.zeros_like(x)
    )


def virtual(t: Tensor, q: Tensor) -> Tensor:
    """Virtual temperature (K), without condensate."""
    return t * (1.0 + VIRTUAL * q)


def latent_heat(t: Tensor) -> Tensor:
    """Latent heat of vaporisation (J/kg), linear in temperature (K)."""
    return L_ZERO - L_SLOPE * t


def heat_capacity(q: Tensor) -> Tensor:
    """Specific heat of moist air at constant pressure (J/kg/K)."""
    return CP * (1.0 + CP_MOIST * q)


def _growth(q: Tensor) -> Tensor:
    return q * (1.0 + 0.81 * q)


def exner(p: Tensor, q: Tensor) -> Tensor:
    """The ratio of potential temperature to temperature in moist air; Bolton (1980), eq. 43."""
    return torch.exp(KAPPA_BOLTON * (1.0 - KAPPA_MOIST * q) * torch.log(P_ZERO / p))


@functools.cache
def _log_table(device: torch.device, dtype: torch.dtype) -> Tensor:
    steps = torch.arange(LOG_COUNT, dtype=torch.float64) * LOG_STEP + LOG_START
    return torch.log(steps).to(device=device, dtype=dtype)


def log_vapour(p: Tensor, q: Tensor) -> Tensor:
    """Logarithm of vapour pressure over 611.2 Pa, interpolated in the scheme's table (step 0.075)."""
    ratio = q * p / (EPSILON + q) / E_ZERO
    table = _log_table(ratio.device, ratio.dtype)
    place = (ratio - LOG_START) / LOG_STEP
    index = place.detach().trunc().clamp(0, LOG_COUNT - 2)
    at = index.long()
    weight = place - index
    return weight * table[at + 1] + (1.0 - weight) * table[at]


def lifted(p: Tensor, t: Tensor, q: Tensor) -> Tensor:
    """Temperature (K) at the lifting condensation level, not yet bounded by `t`; Bolton (1980), eq. 15."""
    logarithm = log_vapour(p, q)
    dew = (E_OFFSET - E_SHIFT * logarithm) / (E_SLOPE - logarithm)
    return dew - (0.212 + 1.571e-3 * (dew - TRIPLE_POINT) - 4.36e-4 * (t - TRIPLE_POINT)) * (t - dew)


def equivalent_temperature(p: Tensor, t: Tensor, q: Tensor, t_lcl: Tensor | None = None) -> Tensor:
    """Equivalent potential temperature (K); Bolton (1980), eq. 43. `t_lcl` is computed if it is None."""
    if t_lcl is None:
        t_lcl = lifted(p, t, q)
    return t * exner(p, q) * torch.exp((THETA_E_SCHEME[0] / t_lcl - THETA_E_SCHEME[1]) * _growth(q))


@functools.cache
def _wet_tables(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Temperature, saturation mixing ratio (TABLE_TH, TABLE_P), and each pressure's first equivalent temperature."""
    tables = (torch.from_numpy(x).to(device=device, dtype=dtype) for x in wet_table())
    t, q, first = tables
    return t, q, first


def wet_adiabat(p: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Temperature (K) and saturation mixing ratio (kg/kg) where saturated air has equivalent temperature `theta`.

    Bilinear in the scheme's table: 220 pressures from 50 to 1100 hPa, 250 steps of 1 K from the value at 150 K.
    """
    t_table, q_table, start = _wet_tables(theta.device, theta.dtype)
    place = (p - TABLE_TOP) / TABLE_DP
    ip = place.detach().trunc().clamp(0, TABLE_P - 2).long()
    wp = place - ip
    base = start[ip] + (start[ip + 1] - start[ip]) * wp
    height = theta - base
    it = height.detach().trunc().clamp(0, TABLE_TH - 2).long()
    wt = height - it

    def bilinear(table: Tensor) -> Tensor:
        a, b, c, d = table[it, ip], table[it + 1, ip], table[it, ip + 1], table[it + 1, ip + 1]
        return a + (b - a) * wt + (c - a) * wp + (a - b - c + d) * wt * wp

    return bilinear(t_table), bilinear(q_table)
