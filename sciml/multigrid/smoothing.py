"""Smoothers of pyamg, with parameters that depend on the matrix only and without random draws."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from sciml.pde.system import Matrix

__all__ = ["SmootherName", "damping", "spectral_radius", "smoothers"]

SmootherName = Literal["gauss_seidel", "jacobi", "chebyshev"]
DAMPING = 0.8
"""Damping of Jacobi if the spectral radius of D^-1 A is at most 2, nearly optimal for the five-point Laplacian."""
DEGREE = 3


def damping(matrix: Matrix) -> float:
    """Return the damping of Jacobi: 0.8, or less for rows that are not diagonally dominant, so that it converges.

    The spectral radius of D^-1 A is bounded by Gershgorin: max_i sum_j |a_ij| / a_ii.
    """
    diagonal = np.abs(matrix.diagonal())
    rows = np.asarray(abs(matrix).sum(axis=1)).ravel()
    held = diagonal > 0
    radius = float((rows[held] / diagonal[held]).max(initial=2.0))
    return DAMPING * 2.0 / radius


def spectral_radius(matrix: Matrix) -> float:
    """Return an upper bound of the spectral radius: the largest absolute row sum (Gershgorin)."""
    return float(np.asarray(abs(matrix).sum(axis=1)).max(initial=np.finfo(float).tiny))


def smoothers(matrix: Matrix, smoother: SmootherName, sweeps: tuple[int, int]) -> tuple[Any, Any]:
    """Return the smoothers before and after the coarse correction, as ``(name, options)`` of pyamg.

    Each Gauss-Seidel sweep runs forward and backward, so that it is its own adjoint. Jacobi and Chebyshev use bounds of
    the spectral radius, because the estimates of pyamg use random numbers.
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
        matrix.rho = spectral_radius(matrix)  # pyamg uses this attribute instead of an estimate
    return options(sweeps[0]), options(sweeps[1])
