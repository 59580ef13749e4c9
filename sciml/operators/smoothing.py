"""Smoothing of a prediction with the matrix of its problem."""

from __future__ import annotations

import numpy as np

from sciml.errors import InputError
from sciml.pde.grid import Field
from sciml.pde.system import System

__all__ = ["smoothed"]


def smoothed(system: System, x: Field, steps: int) -> Field:
    """Reduce the rough part of the error of a prediction by a few steps of conjugate gradients.

    The preconditioner is the diagonal. Each step reduces the energy norm of the error, which is close to its H1 norm;
    the largest reduction is that of the scales of the grid, which a network predicts worst.

    Parameters
    ----------
    system
        Symmetric definite or semidefinite system A u = b.
    x
        Prediction of u, such as (y, x) or (n,).
    steps
        Number of steps, each with one product of A.

    Returns
    -------
    Field
        Of the shape of x.

    Raises
    ------
    InputError
        The system is not symmetric and definite or semidefinite.

    Examples
    --------
    >>> from sciml.pde import Poisson, discretize
    >>> system = discretize(Poisson(15))
    >>> start = np.zeros((15, 15))
    >>> system.energy(smoothed(system, start, 3).ravel()) > 0
    True
    """
    if system.kind not in ("definite", "semidefinite"):
        raise InputError(
            f"smooth={steps}: the system is {system.kind}, and smoothing is for symmetric definite ones: give smooth=0"
        )
    u, r = np.asarray(x, np.float64).ravel(), system.residual(np.asarray(x, np.float64).ravel())
    inverse = 1 / system.matrix.diagonal()
    p, before = np.zeros_like(u), 1.0
    for _ in range(steps):
        z = inverse * r
        square = float(r @ z)
        if square == 0:
            break
        p = z + (square / before) * p
        product = system.matrix @ p
        rate = square / float(p @ product)
        u, r, before = u + rate * p, r - rate * product, square
    return u.reshape(np.shape(x))
