"""Solvability of problems that are determined only up to a constant."""

from __future__ import annotations

import math

import numpy as np

from sciml.errors import InputError
from sciml.pde.system import System

__all__ = ["check_compatible", "imbalance"]

QUADRATURE = 4.0
"""An imbalance up to this many h^2 of a unit rectangle is what sampling a balanced source leaves."""


def imbalance(system: System) -> float:
    """Integral of the source plus that of the flux: zero where a pure Neumann or periodic problem has solutions."""
    return math.fsum(system.rhs)


def check_compatible(system: System) -> System:
    """Raise an error for a semidefinite system without a solution, and balance one to round-off.

    With Neumann or periodic sides only, constants are in the kernel, so the source and the flux must integrate to
    zero (the Fredholm alternative). A source that does so exactly does it on a grid only up to the error of the
    quadrature, O(h^2): so much is spread evenly over the domain and removed. Other kinds are returned as they are.

    Returns
    -------
    System
        The system with a right-hand side that sums to zero.

    Raises
    ------
    InputError
        For a larger imbalance, with its value and what to do.

    Examples
    --------
    >>> from sciml.pde.elliptic import Poisson, discretize
    >>> system = discretize(Poisson(15, source=lambda x, y: x + y - 1, boundary="neumann"))
    >>> abs(imbalance(check_compatible(system))) < 1e-14
    True
    """
    if system.kind != "semidefinite":
        return system
    volumes = system.grid.volumes().ravel()
    total, area = imbalance(system), float(volumes.sum())
    relative = max(h / length for h, length in zip(system.grid.spacing, system.grid.lengths, strict=True))
    size = float(np.abs(system.rhs).sum())
    if abs(total) > max(1e-12, min(QUADRATURE * relative**2, 0.05)) * size:
        raise InputError(
            f"the source and the flux integrate to {total:.6g} over Neumann or periodic sides only, where u has a "
            f"solution only if they balance: subtract {total / area:.6g} from the source, "
            "or make a side 'dirichlet'"
        )
    rhs = system.rhs - total * volumes / area
    return system.with_rhs(rhs - math.fsum(rhs) * volumes / area)
