"""Sums of Kronecker products: factors of a matrix, and the matrix of factors.

A matrix whose number of columns n does not divide is one with more columns whose last ones are left out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["kronecker_distance", "kronecker_factors", "kronecker_sum"]

Array = npt.NDArray[Any]


def kronecker_distance(matrix: Array, n: int) -> float:
    """Return the distance of a matrix from the nearest ``sum_i kron(A_i, F_i)`` with n terms, relative to its norm.

    Examples
    --------
    >>> kronecker_distance(np.kron([[1.0, 2.0], [3.0, 5.0]], [[1.0, 0.0], [4.0, 1.0]]), 2) < 1e-7
    True
    """
    if not np.isfinite(matrix).all():
        return math.inf
    values = np.linalg.svd(_by_positions(matrix, n), compute_uv=False)
    norm = float(np.linalg.norm(values))
    return float(np.linalg.norm(values[n:])) / norm if norm else 0.0


def kronecker_factors(matrix: Array, n: int) -> tuple[Array, Array]:
    """Return the factors of the best approximation of a matrix by ``sum_i kron(A_i, F_i)`` with n terms.

    The matrix is rearranged to one row for each of the n x n positions of a block; its singular value decomposition
    gives the factors (Van Loan and Pitsianis 1993), each pair scaled to equal norms. They are exact for a weight of
    n terms.

    Returns
    -------
    tuple
        A (n, n, n) and F (n, R / n, K / n), float64; K / n is rounded up.
    """
    rows, columns = matrix.shape[0] // n, -(-matrix.shape[1] // n)
    left, values, right = np.linalg.svd(_by_positions(matrix, n), full_matrices=False)
    count = min(n, len(values))
    a, f = np.zeros((n, n * n)), np.zeros((n, rows * columns))
    a[:count] = (left[:, :count] * np.sqrt(values[:count])).T
    f[:count] = np.sqrt(values[:count])[:, None] * right[:count]
    return a.reshape(n, n, n), f.reshape(n, rows, columns)


def _by_positions(matrix: Array, n: int) -> Array:
    """Return a row for each of the n x n positions in a block of n x n submatrices.

    Values of columns that the matrix does not have are those of the sum of n products which the others have: the
    columns with a value at all positions give the algebra, and the values of a column its factors.
    """
    rows, columns = matrix.shape[0] // n, -(-matrix.shape[1] // n)
    whole = np.zeros((matrix.shape[0], n * columns))
    whole[:, : matrix.shape[1]] = matrix
    split = whole.reshape(n, rows, n, columns).transpose(0, 2, 1, 3).reshape(n * n, rows, columns).copy()
    known = (np.arange(n * columns) < matrix.shape[1]).reshape(n, columns)
    if not known.all():
        given = split[:, :, known.all(0)].reshape(n * n, -1)
        basis = np.linalg.svd(given, full_matrices=False)[0][:, :n]
        for column in np.flatnonzero(~known.all(0)):
            has = np.tile(known[:, column], n)
            split[~has, :, column] = basis[~has] @ (np.linalg.pinv(basis[has]) @ split[has, :, column])
    return split.reshape(n * n, -1)


def kronecker_sum(a: Array, f: Array) -> npt.NDArray[np.float32]:
    """Return ``sum_i kron(A_i, F_i)`` in float32, each product and sum rounded, in the order of the terms."""
    terms = [
        (left[:, None, :, None].astype(np.float32) * right[None, :, None, :].astype(np.float32))
        for left, right in zip(a, f, strict=True)
    ]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    dense: npt.NDArray[np.float32] = total.reshape(a.shape[1] * f.shape[1], a.shape[2] * f.shape[2])
    return dense
