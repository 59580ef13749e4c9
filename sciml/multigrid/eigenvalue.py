"""A lower bound of the smallest eigenvalue of a matrix with its diagonal divided out."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from sciml.errors import InputError
from sciml.multigrid.krylov import Cycles, iterate
from sciml.pde.grid import Field
from sciml.pde.system import Matrix

__all__ = ["smallest_eigenvalue"]


def smallest_eigenvalue(hierarchy: Cycles) -> tuple[float, int]:
    """Bound the smallest eigenvalue of D^-1 A (semidefinite: the second) from below; returns it with the cycles.

    For a matrix without positive entries off the diagonal and any w > 0 the smallest (A w)_i / (d_i w_i) is one
    (Collatz and Wielandt); A w = d serves. Leaving out an unknown of a semidefinite matrix brings its smallest
    eigenvalue below the second (Cauchy). For other matrices the bound comes from factorising A - t D, which has only
    positive pivots where t is below all eigenvalues (Sylvester). It need not be sharp: its logarithm is what counts.
    """
    matrix = hierarchy.system.matrix
    diagonal = matrix.diagonal()
    singular = hierarchy.system.kind == "semidefinite"
    keep = np.ones(diagonal.size, dtype=bool)
    b = diagonal.copy()
    if singular:
        keep[0] = False
        b[0] -= b.sum()
    off = matrix - sp.diags(diagonal)
    spent = 0
    if off.max() <= 1e-12 * diagonal.max():
        w = np.zeros_like(b)
        for rtol in (1e-2, 1e-4, 1e-8):
            iteration = iterate(hierarchy, b, w, rtol, 60)
            spent += iteration.cycles
            w = iteration.x - (iteration.x[0] if singular else 0.0)
            if np.isfinite(w).all() and w[keep].min() > 0:
                quotient = float(((matrix @ w)[keep] / (diagonal * w)[keep]).min())
                if quotient > 0:
                    return 0.9 * quotient, spent
    return _by_inertia(sp.csr_matrix(matrix)[keep][:, keep], diagonal[keep]), spent


def _by_inertia(matrix: Matrix, diagonal: Field) -> float:
    """Return the largest t = 10^-k for which A - t D is positive definite, by its pivots."""
    from scipy.sparse.linalg import splu

    settings: dict[str, Any] = {"diag_pivot_thresh": 0.0, "options": {"SymmetricMode": True}}
    for t in (1e-6, 1e-9, 1e-12):
        shifted = sp.csc_matrix(matrix - sp.diags(t * diagonal))
        try:
            factors = splu(shifted, permc_spec="MMD_AT_PLUS_A", **settings)
        except RuntimeError:  # a pivot of zero
            continue
        if np.array_equal(factors.perm_r, factors.perm_c) and factors.U.diagonal().min() > 0:
            return t
    raise InputError(
        "no bounds: the matrix is not positive definite to round-off; check the coefficient and the reaction"
    )
