"""Smoothers of pyamg, with parameters that depend on the matrix only and without random draws."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from sciml.pde.system import Matrix

__all__ = ["Smoother", "damping", "spectral_radius", "smoothers"]

Smoother = Literal["gauss_seidel", "jacobi", "chebyshev"]
DAMPING = 0.8
"""Damping of Jacobi where the spectral radius of D^-1 A is at most 2, near the best for the five-point Laplacian."""
DEGREE = 3


def damping(matrix: Matrix) -> float:
    """The damping of Jacobi: 0.8, less where some row is not diagonally dominant, so that it always converges.

    The radius of D^-1 A is bounded by Gershgorin: max_i sum_j |a_ij| / a_ii.
    """
    diagonal = np.abs(matrix.diagonal())
    rows = np.asarray(abs(matrix).sum(axis=1)).ravel()
    held = diagonal > 0
    radius = float((rows[held] / diagonal[held]).max(initial=2.0))
    return DAMPING * 2.0 / radius


def spectral_radius(matrix: Matrix) -> float:
    """An upper bound of it: the largest absolute row sum (Gershgorin)."""
    return float(np.asarray(abs(matrix).sum(axis=1)).max(initial=np.finfo(float).tiny))


def smoothers(matrix: Matrix, smoother: Smoother, sweeps: tuple[int, int]) -> tuple[Any, Any]:
    """The smoother before and after the coarse correction, as ``(name, options)`` of pyamg.

    Gauss-Seidel sweeps forth and back each time, which makes it its own adjoint. Jacobi is damped without pyamg's
    estimate of the spectral radius, and Chebyshev gets a bound instead of it: both estimates draw random numbers.
    """

    def options(count: int) -> Any:
        if count == 0:
            return None
        if smoother == "gauss_seidel":
            return "gauss_seidel", {"sweep": "symmetric", "iterations": count}
        if smoother == "jacobi":
            return "jacobi", {"omega": damping(matrix), "withrho": False, "iterations": count}
        return "chebyshev", {"degree": DEGREE, "iterations": count}

    if smoother == "chebyshev":
        matrix.rho = spectral_radius(matrix)  # where pyamg looks before it estimates
    return options(sweeps[0]), options(sweeps[1])
