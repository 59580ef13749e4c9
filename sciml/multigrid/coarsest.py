"""The coarsest level of a hierarchy, where equations are solved exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

from sciml.errors import InputError
from sciml.pde.grid import Field
from sciml.pde.system import Matrix

__all__ = ["LARGEST_INVERSE", "Coarsest", "SparseInverse", "inverse_of"]

LARGEST_INVERSE = 3000
LARGEST_FACTORED = 30_000
"""Number of unknowns up to which a matrix that pyamg does not coarsen further is factored."""
NEGLIGIBLE = 1e-12
"""Eigenvalues below this fraction of the size of the terms in the entries are rounding errors."""
INACCURATE = 1e-6
"""Largest difference of the product of a matrix and its inverse from the identity."""


class Coarsest:
    """Exact solver of the coarsest level, with the interface of pyamg."""

    def __init__(self, inverse: Any) -> None:
        self.inverse = inverse

    def __call__(self, _matrix: Matrix, b: Field) -> Field:
        return np.asarray(self.inverse @ b)

    def __repr__(self) -> str:
        return (
            "sparse inverse"
            if isinstance(self.inverse, SparseInverse) or sp.issparse(self.inverse)
            else "dense inverse"
        )


@dataclass(frozen=True, eq=False)
class SparseInverse:
    """Inverse of a sparse matrix by its LU factors, for ``inverse @ b``.

    Parameters
    ----------
    factors
        `scipy.sparse.linalg.SuperLU`.
    """

    factors: Any = field(repr=False)

    def __matmul__(self, b: Field) -> Field:
        return np.asarray(self.factors.solve(np.asfortranarray(b)))


def inverse_of(
    chain: Sequence[Matrix], transfers: Sequence[tuple[Matrix, Matrix]], *, symmetric: bool, singular: bool
) -> Any:
    """Return the inverse of the coarsest matrix, or the pseudo-inverse B of a singular matrix.

    Rows and columns are scaled first, so that coefficients that vary by many orders of magnitude do not make a matrix
    appear singular. B A B = B also holds for the pseudo-inverse of a part of the spectrum, so that the coarse
    correction is an orthogonal projection in the energy inner product, as the bounds of `sciml.multigrid.bounds`
    require.

    Parameters
    ----------
    chain
        The matrices of all levels, finest first.
    transfers
        Pairs (P, R) of all levels except the last.
    symmetric
        Whether the matrices are symmetric and positive semidefinite.
    singular
        Whether constants are in the kernel of the finest matrix.

    Raises
    ------
    InputError
        The level has more than 30,000 unknowns and is not diagonal, or more than 3,000 if the matrix is singular.

    Notes
    -----
    The inverse is an array (m, m), or sparse above 3,000 unknowns: of a diagonal matrix itself, else `SparseInverse`.
    """
    last = chain[-1]
    if last.shape[0] > LARGEST_INVERSE:
        diagonal = last.diagonal()
        if not singular and diagonal.all() and (last - sp.diags(diagonal)).count_nonzero() == 0:
            return sp.csr_matrix(sp.diags(1 / diagonal))
        if not singular and last.shape[0] <= LARGEST_FACTORED:
            return _factored(last, symmetric)
        raise InputError(
            f"coarsening stopped at {last.shape[0]} unknowns: use another method ('ruge_stuben' coarsens most matrices)"
        )
    size = _size(chain, transfers)
    scale = 1 / np.sqrt(np.where(size > 0, size, 1.0))
    scaled = np.asarray(last.toarray()) * np.outer(scale, scale)
    regular = None if singular else _regular(scaled)
    inverse = _pseudo(scaled, symmetric) if regular is None else regular
    if symmetric:
        inverse = (inverse + inverse.T) / 2
    return np.asarray(inverse * np.outer(scale, scale))


def _factored(matrix: Matrix, symmetric: bool) -> SparseInverse:
    from scipy.sparse.linalg import splu

    settings: dict[str, Any] = {"permc_spec": "MMD_AT_PLUS_A"}
    if symmetric:
        settings |= {"diag_pivot_thresh": 0.0, "options": {"SymmetricMode": True}}
    try:
        return SparseInverse(splu(sp.csc_matrix(matrix), **settings))
    except RuntimeError:  # a pivot of zero
        raise InputError(
            f"the matrix is singular, and coarsening stopped at {matrix.shape[0]} unknowns: check the matrix, or use "
            "sm.pde.Direct()"
        ) from None


def _size(chain: Sequence[Matrix], transfers: Sequence[tuple[Matrix, Matrix]]) -> Field:
    """Sums of the absolute values of the terms of each diagonal entry of the coarsest matrix."""
    if not transfers:
        return np.asarray(np.abs(chain[-1].diagonal()))
    prolong = abs(transfers[-1][0])
    return np.asarray(prolong.multiply(abs(chain[-2]) @ prolong).sum(axis=0)).ravel()


def _regular(matrix: Field) -> Field | None:
    """Return the inverse, or None where the matrix is singular to rounding."""
    try:
        inverse = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    except np.linalg.LinAlgError:
        return None
    with np.errstate(all="ignore"):
        defect = np.abs(inverse @ matrix - np.eye(len(matrix))).max()
    return inverse if defect <= INACCURATE else None


def _pseudo(matrix: Field, symmetric: bool) -> Field:
    """Return the pseudo-inverse without the eigenvalues, or singular values, that rounding makes."""
    if not symmetric:
        return np.asarray(np.linalg.pinv(matrix, rcond=NEGLIGIBLE), dtype=np.float64)
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    regular = values > NEGLIGIBLE
    return np.asarray((vectors[:, regular] / values[regular]) @ vectors[:, regular].T)
