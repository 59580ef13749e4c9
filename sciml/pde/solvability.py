"""Solvability of problems that are determined only up to a constant."""

from __future__ import annotations

import math

import numpy as np

from sciml.errors import InputError
from sciml.pde.system import System

__all__ = ["check_compatible", "imbalance"]

UNBALANCED = 1e-10
"""Largest imbalance without a grid, relative to the sum of absolute values."""
QUADRATURE = 4.0
"""Largest imbalance that sampling a balanced source causes, in units of h^2 for a unit rectangle."""


def imbalance(system: System) -> float:
    """Integrate the source and the flux; a pure Neumann or periodic problem has solutions only if the sum is zero."""
    return math.fsum(system.rhs)


def check_compatible(system: System) -> System:
    """Raise an error for a semidefinite system without a solution, and balance one to round-off.

    If all sides are Neumann or periodic, constants are in the kernel, and the source and the flux must integrate to
    zero (the Fredholm alternative). On a grid this holds only up to the error of the quadrature, O(h^2). An imbalance
    of that size is removed evenly over the domain.

    Parameters
    ----------
    system
        System of any kind. Only a semidefinite one is checked.

    Returns
    -------
    System
        The system with a right-hand side that sums to zero; a system of another kind is returned unchanged.

    Raises
    ------
    InputError
        The imbalance is larger; the message shows its value and the remedy.

    Examples
    --------
    >>> from sciml.pde.elliptic import Poisson, discretize
    >>> system = discretize(Poisson(15, source=lambda x, y: x + y - 1, boundary="neumann"))
    >>> abs(imbalance(check_compatible(system))) < 1e-14
    True
    """
    if system.kind != "semidefinite":
        return system
    volumes, total = system.weights, imbalance(system)
    area = float(volumes.sum())
    if system.grid is None:
        _check_sum(system, total)
        return _balanced(system, total)
    relative = max(h / length for h, length in zip(system.grid.spacing, system.grid.lengths, strict=True))
    size = float(np.abs(system.rhs).sum())
    if abs(total) > max(1e-12, min(QUADRATURE * relative**2, 0.05)) * size:
        raise InputError(
            f"the source and the flux integrate to {total:.6g} over Neumann or periodic sides only, where u has a "
            f"solution only if they balance: subtract {total / area:.6g} from the source, "
            "or make a side 'dirichlet'"
        )
    return _balanced(system, total)


def _check_sum(system: System, total: float) -> None:
    """Check that a right-hand side without a grid sums to zero up to rounding."""
    if abs(total) > UNBALANCED * float(np.abs(system.rhs).sum()):
        raise InputError(
            f"the right-hand side sums to {total:.6g}, but constants are in the kernel of the matrix, so that there "
            f"is a solution only for a sum of zero: subtract the mean, {total / system.size:.6g}"
        )


def _balanced(system: System, total: float) -> System:
    volumes = system.weights
    area = float(volumes.sum())
    rhs = system.rhs - total * volumes / area
    return system.with_rhs(rhs - math.fsum(rhs) * volumes / area)
