"""The scheme's table of saturated ascent: temperature by pressure and equivalent potential temperature.

The scheme's decisions depend on the errors of its table: mixtures of plume and environment differ from the
environment by 1e-5 K, and the table is a secant iteration that stops at 1e-3 K, in single precision. An exact table is
warmer or colder by 1e-4 K, and makes 4 % of the deep plumes of a tropical climate shallow. This module repeats the
iteration and its roundings: every operation in float32, with exponentials computed in float64 and rounded.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from sciml.constants import (
    E_SHIFT,
    E_SLOPE,
    E_ZERO,
    EPSILON,
    KAPPA_BOLTON,
    KAPPA_MOIST,
    P_ZERO,
    THETA_E_SCHEME,
    ZERO_CELSIUS,
)

__all__ = ["TABLE_BOTTOM", "TABLE_P", "TABLE_TH", "TABLE_TOP", "wet_table"]

TABLE_TOP, TABLE_BOTTOM, TABLE_P, TABLE_TH = 5000.0, 110000.0, 220, 250
FIRST_T = 150.0  # K
TOLERANCE, ROUNDS = 1e-3, 11  # of the secant iteration, K of equivalent potential temperature

_Array = np.ndarray[Any, np.dtype[np.float32]]
_F = np.float32


def _exp(x: _Array) -> _Array:
    return np.exp(x.astype(np.float64)).astype(np.float32)


def _power(x: _Array, y: _Array) -> _Array:
    return np.power(x.astype(np.float64), y.astype(np.float64)).astype(np.float32)


def _saturated(p: _Array, t: _Array) -> tuple[_Array, _Array]:
    """Equivalent potential temperature (K) and mixing ratio (kg/kg) of saturated air; Bolton (1980), eqs. 10, 43."""
    offset = _F(E_SLOPE) * _F(ZERO_CELSIUS)
    e = _F(E_ZERO / 1000.0) * _F(1000.0) * _exp((_F(E_SLOPE) * t - offset) / (t - _F(E_SHIFT)))
    q = (_F(EPSILON) * e / (p - e)).astype(np.float32)  # of this type already
    exner = _power(_F(P_ZERO) / p, _F(KAPPA_BOLTON) * (_F(1.0) - _F(KAPPA_MOIST) * q))
    warming = (_F(THETA_E_SCHEME[0]) / t - _F(THETA_E_SCHEME[1])) * q * (_F(1.0) + _F(0.81) * q)
    return t * exner * _exp(warming), q


@functools.cache
def wet_table() -> tuple[_Array, _Array, _Array]:
    """Compute the table; all float32.

    Returns
    -------
    tuple of numpy.ndarray
        Temperature (K) and saturation mixing ratio (kg/kg), (TABLE_TH, TABLE_P), and the equivalent potential
        temperature (K) of the first row, (TABLE_P,); the rows are 1 K apart.
    """
    spacing = _F((TABLE_BOTTOM - TABLE_TOP) / (TABLE_P - 1))
    p = np.empty(TABLE_P, np.float32)
    level = _F(TABLE_TOP) - spacing
    for k in range(TABLE_P):  # summed, as in the scheme: its rounding shifts the pressures
        level = level + spacing
        p[k] = level
    t = np.full(TABLE_P, FIRST_T, np.float32)
    first, _ = _saturated(p, t)
    target = first - _F(1.0)
    temperatures, vapours = [], []
    for _ in range(TABLE_TH):
        target = target + _F(1.0)
        t, q = _invert(p, target, t)
        temperatures.append(t)
        vapours.append(q)
    return np.stack(temperatures), np.stack(vapours), first


def _invert(p: _Array, target: _Array, t: _Array) -> tuple[_Array, _Array]:
    """Temperature and mixing ratio of saturated air of equivalent potential temperature `target`, from guess `t`."""
    last, off_last = t, _saturated(p, t)[0] - target
    t = last - _F(0.5) * off_last
    q = np.zeros_like(t)
    done = np.zeros(t.shape, bool)
    for _ in range(ROUNDS):
        theta, vapour = _saturated(p, t)
        off = theta - target
        q = np.where(done, q, vapour)
        done = done | (np.abs(off) < _F(TOLERANCE))
        if done.all():
            break
        with np.errstate(divide="ignore", invalid="ignore"):
            change = off * (t - last) / (off - off_last)
        last, off_last = np.where(done, last, t), np.where(done, off_last, off)
        t = np.where(done, t, t - change)
    return t, q
