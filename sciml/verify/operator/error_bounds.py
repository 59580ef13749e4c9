"""Effectivity of guaranteed error bounds, and the spatial density of the error.

One symmetric cycle B gives eta^2 = r^T B r, and with the contraction g of I - B A the energy norm of the error lies
between eta and eta / sqrt(1 - g). Effectivity is a bound over the true error: 1 is perfect, below 1 an upper bound
would be false.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from sciml.pde.system import System

__all__ = ["Bounding", "bound_field", "cycles_until", "effectivity", "energy_density"]

Array = NDArray[np.float64]
LIMIT: Final = 100


class Enclosure(Protocol):
    """Lower and upper bound of an energy norm."""

    @property
    def lower(self) -> float: ...

    @property
    def upper(self) -> float: ...


class Bounding(Protocol):
    """Interface of a hierarchy that this module needs; see `sciml.multigrid`."""

    def cycle(self, r: Array) -> Array: ...

    def bounds(self, r: Array) -> Any: ...


def effectivity(bounds: Sequence[Enclosure], errors: Sequence[float]) -> dict[str, Any]:
    """Compare bounds with true energy errors by sample.

    Parameters
    ----------
    bounds
        Bounds of each sample.
    errors
        True energy norms of the errors.

    Returns
    -------
    dict
        ``upper`` and ``lower`` with their mean, least and greatest effectivity; ``samples``; and how many bounds were
        ``violated`` (beyond rounding, 1e-9).
    """
    result: dict[str, Any] = {"samples": len(errors)}
    true = np.asarray(errors, np.float64)
    for name in ("upper", "lower"):
        ratio = np.array([getattr(enclosure, name) for enclosure in bounds]) / true
        result[name] = {
            "mean": float(ratio.mean()),
            "least": float(ratio.min()),
            "greatest": float(ratio.max()),
        }
    result["violated"] = int(
        sum(
            bound.upper < error * (1 - 1e-9) or bound.lower > error * (1 + 1e-9)
            for bound, error in zip(bounds, true, strict=True)
        )
    )
    return result


def energy_density(system: System, e: Array) -> Array:
    """Compute the square root of the energy per area, about sqrt(coefficient) |grad e|.

    Half of the energy of a bond between two unknowns belongs to each of them, that of the boundary to its unknown, so
    that the integral of the square of the density is e^T A e.

    Parameters
    ----------
    system
        Symmetric system.
    e
        (n,) or (y, x).

    Returns
    -------
    array
        (y, x).
    """
    flat = np.asarray(e, np.float64).ravel()
    matrix = sp.coo_matrix(system.matrix)
    bond = matrix.row != matrix.col
    row, column, value = matrix.row[bond], matrix.col[bond], matrix.data[bond]
    halves = -0.5 * value * (flat[row] - flat[column]) ** 2
    local: Array = np.bincount(row, halves, minlength=flat.size).astype(np.float64)
    local += np.asarray(system.matrix.sum(1)).ravel() * flat**2
    return np.sqrt(np.maximum(system.field(local), 0.0) / system.on_grid.volumes())


def bound_field(system: System, hierarchy: Bounding, u: Array) -> tuple[Array, Any]:
    """Compute the guaranteed bound of the error of a prediction, and its estimated spatial density.

    Parameters
    ----------
    system, hierarchy
        Problem and its hierarchy.
    u
        Prediction, (n,) or (y, x).

    Returns
    -------
    density, bounds
        Density (y, x), scaled so that the integral of its square is the square of the upper bound: the distribution is
        an estimate, the integral is guaranteed; and the `sciml.multigrid.Bounds`.
    """
    residual = system.residual(u)
    bounds = hierarchy.bounds(residual)
    density = energy_density(system, hierarchy.cycle(residual))
    whole = float(np.sqrt((density**2 * system.on_grid.volumes()).sum()))
    return density * (bounds.upper / whole if whole > 0 else 0.0), bounds


def cycles_until(
    system: System, hierarchy: Bounding, start: Array | None = None, *, rtol: float = 1e-6, limit: int = LIMIT
) -> int | None:
    """Count plain cycles until the guaranteed bound is under rtol times the solution's energy norm.

    Returns
    -------
    int or None
        None if the limit was reached.
    """
    u = np.zeros(system.size) if start is None else np.array(start, np.float64).ravel()
    for count in range(limit + 1):
        residual = system.residual(u)
        if hierarchy.bounds(residual).upper <= rtol * system.energy(u):
            return count
        u += hierarchy.cycle(residual)
    return None
