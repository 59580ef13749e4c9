"""The kind of a matrix, computed from its entries."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from sciml.errors import InputError
from sciml.pde.grid import Field
from sciml.pde.matrices import check_filled, parts_of, symmetric_part

__all__ = ["FACTORISED", "kind_of", "positive_pivots"]

BALANCED = 1e-14
"""Largest row sum, relative to the sum of absolute values, that counts as zero."""
FACTORISED = 20_000
"""Largest number of unknowns of a matrix whose signs of eigenvalues are counted by factorising it."""
STEPS = 80
NEGATIVE = -1e-10
SEED = 30_127


def kind_of(matrix: Any) -> Literal["definite", "semidefinite", "indefinite", "nonsymmetric"]:
    """Return the kind of a matrix: definite, semidefinite, indefinite or nonsymmetric.

    A symmetric matrix with dominant diagonal is definite if its rows do not all sum to zero, else semidefinite
    (Gershgorin). Of others the pivots of a factorisation have the signs of the eigenvalues (Sylvester). A matrix of
    more than 20,000 unknowns without a dominant diagonal is not factorised: it counts as definite unless 80 steps of
    Lanczos give a negative eigenvalue, so that definiteness is then an assumption.

    Parameters
    ----------
    matrix
        csr_matrix (n, n) of float64, as `sciml.pde.matrices.real_matrix` returns it.

    Returns
    -------
    str
        Kind, see `sciml.pde.System`.

    Raises
    ------
    InputError
        Every diagonal entry is negative, or a row is zero.

    Examples
    --------
    >>> kind_of(sp.csr_matrix([[2.0, -1.0], [-1.0, 2.0]])), kind_of(sp.csr_matrix([[1.0, 2.0], [2.0, 1.0]]))
    ('definite', 'indefinite')
    """
    symmetric = symmetric_part(matrix)
    if symmetric is None:
        return "nonsymmetric"
    diagonal = symmetric.diagonal()
    if diagonal.max() < 0:
        raise InputError(
            "every diagonal entry of the matrix is negative: solve its negative, System(-matrix, -rhs)"
        )
    if not diagonal.min() > 0:
        check_filled(symmetric, "row")
        return "indefinite"
    sums = np.asarray(symmetric.sum(axis=1)).ravel()
    sizes = np.asarray(abs(symmetric).sum(axis=1)).ravel()
    if (np.abs(sums) <= BALANCED * sizes).all():
        return "semidefinite" if _nonnegative(symmetric, diagonal, sizes, fixed=True) else "indefinite"
    return "definite" if _nonnegative(symmetric, diagonal, sizes, fixed=False) else "indefinite"


def _nonnegative(matrix: Any, diagonal: Field, sizes: Field, *, fixed: bool) -> bool:
    """Return whether the matrix, ``fixed``: without its first unknown, is positive definite."""
    excess = 2 * diagonal - sizes
    if (excess >= -BALANCED * sizes).all():  # dominant: no eigenvalue is negative
        count, part = parts_of(matrix)
        strict = excess > BALANCED * sizes
        if fixed or np.bincount(part, strict, minlength=count).min() > 0:
            return True
    if matrix.shape[0] > FACTORISED:
        return _least_ritz_value(matrix, diagonal) > NEGATIVE
    kept = matrix[1:, 1:] if fixed else matrix
    return kept.shape[0] == 0 or positive_pivots(kept)


def positive_pivots(matrix: Any) -> bool:
    """Return whether all pivots of a symmetric matrix are positive, that is, whether it is positive definite."""
    from scipy.sparse.linalg import splu

    settings: dict[str, Any] = {"diag_pivot_thresh": 0.0, "options": {"SymmetricMode": True}}
    try:
        factors = splu(sp.csc_matrix(matrix), permc_spec="MMD_AT_PLUS_A", **settings)
    except RuntimeError:  # a pivot of zero
        return False
    return np.array_equal(factors.perm_r, factors.perm_c) and float(factors.U.diagonal().min()) > 0


def _least_ritz_value(matrix: Any, diagonal: Field) -> float:
    """Return an upper bound of the smallest eigenvalue of the matrix scaled to a diagonal of 1, by Lanczos."""
    from scipy.linalg import eigvalsh_tridiagonal

    scale = 1 / np.sqrt(diagonal)
    before = np.zeros_like(scale)
    now = np.random.default_rng(SEED).standard_normal(scale.size)
    now /= np.linalg.norm(now)
    alphas: list[float] = []
    betas: list[float] = []
    for _ in range(STEPS):
        w = scale * (matrix @ (scale * now)) - (betas[-1] if betas else 0.0) * before
        alphas.append(float(w @ now))
        w -= alphas[-1] * now
        betas.append(float(np.linalg.norm(w)))
        if not betas[-1] > 1e-12:
            break
        before, now = now, w / betas[-1]
    return float(eigvalsh_tridiagonal(alphas, betas[: len(alphas) - 1])[0])
