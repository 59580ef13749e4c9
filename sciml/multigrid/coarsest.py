"""The coarsest level of a hierarchy, where equations are solved exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sciml.errors import InputError
from sciml.pde.grid import Field
from sciml.pde.system import Matrix

__all__ = ["LARGEST_INVERSE", "Coarsest", "inverse_of"]

LARGEST_INVERSE = 3000
NEGLIGIBLE = 1e-12
"""Eigenvalues below this fraction of the size of the terms in the entries are rounding errors."""
INACCURATE = 1e-6
"""Largest difference of the product of a matrix and its inverse from the identity."""


class Coarsest:
    """Exact solver of the coarsest level, with the interface of pyamg."""

    def __init__(self, inverse: Field) -> None:
        self.inverse = inverse

    def __call__(self, _matrix: Matrix, b: Field) -> Field:
        return np.asarray(self.inverse @ b)

    def __repr__(self) -> str:
        return "dense inverse"


def inverse_of(
    chain: Sequence[Matrix], transfers: Sequence[tuple[Matrix, Matrix]], *, symmetric: bool, singular: bool
) -> Field:
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
        The level has more than 3,000 unknowns.
    """
    last = chain[-1]
    if last.shape[0] > LARGEST_INVERSE:
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
