"""Checks of the matrix of a system: real, finite, and of the given kind."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.sparse as sp

from sciml.errors import InputError
from sciml.pde.grid import Field

__all__ = ["check_filled", "checked_kind", "parts_of", "real_matrix", "real_vector", "symmetric_part"]

ALIKE = 1e-10
"""Largest difference of a_ij and a_ji of a symmetric matrix, relative to the largest entry in the rows i and j."""
CONSTANT = 1e-8
"""Largest row sum of a semidefinite matrix, relative to the sum of the absolute values."""
SMALLEST, LARGEST = 1e-140, 1e140
"""Range of the largest entry, beyond which the squares in norms and energies underflow or overflow."""
ROUNDING = 4 * float(np.finfo(np.float64).eps)
"""Largest row sum, relative to the sum of absolute values, if every row sums to zero up to rounding."""


def real_matrix(given: Any, size: int | None) -> Any:
    """Convert a matrix to `csr_matrix` of float64 without duplicates; such a matrix is returned unchanged.

    Parameters
    ----------
    given
        Sparse matrix or array of any format, or anything that `numpy.asarray` converts to an array (n, n).
    size
        Number of unknowns; None for a matrix without a grid.

    Raises
    ------
    InputError
        The shape is wrong, or entries are complex, not numbers, not finite, or have squares outside the range of
        float64.
    """
    sparse: Any = given if sp.issparse(given) else _array(given, "a matrix")
    if size is None:
        if len(sparse.shape) != 2 or sparse.shape[0] != sparse.shape[1] or sparse.shape[0] == 0:
            raise InputError(
                f"a matrix of shape {sparse.shape}: give a square matrix (n, n) of one unknown or more"
            )
    elif sparse.shape != (size, size):
        raise InputError(
            f"a matrix of shape {sparse.shape}: the grid has {size} unknowns, give a matrix ({size}, {size})"
        )
    if sparse.dtype.kind == "c":
        raise InputError(
            f"a complex matrix ({sparse.dtype}): the solvers need real matrices; give matrix.real where the imaginary "
            "part is zero, else the real system of twice the size, [[Re, -Im], [Im, Re]]"
        )
    if sparse.dtype.kind not in "biuf":
        raise InputError(f"a matrix of {sparse.dtype}: give real numbers, as float64")
    matrix = sparse
    if not isinstance(given, sp.csr_matrix) or given.dtype != np.float64:
        matrix = sp.csr_matrix(sparse, dtype=np.float64)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    if not np.isfinite(matrix.data).all():
        at = int(np.argmin(np.isfinite(matrix.data)))
        row = int(np.searchsorted(matrix.indptr, at, side="right")) - 1
        raise InputError(
            f"the matrix has entries that are not finite, first {matrix.data[at]} at row {row}, column "
            f"{matrix.indices[at]}: check the coefficient"
        )
    _check_range(matrix.data, "the matrix")
    return matrix


def real_vector(given: Any, shape: tuple[int, ...]) -> Field:
    """Convert a right-hand side (n,), or a field of the given shape, to (n,) of float64.

    Raises
    ------
    InputError
        The shape is wrong, or values are complex, not numbers, not finite, or have squares outside the range of
        float64.
    """
    values = _array(given, "a right-hand side")
    size = math.prod(shape)
    if values.shape not in ((size,), shape, (size, 1)):
        what = (
            f"the matrix has {size} unknowns, give ({size},)"
            if len(shape) == 1
            else f"the grid has {size} unknowns"
        )
        other = "" if len(shape) == 1 else f", give ({size},) or {shape}"
        raise InputError(f"a right-hand side of shape {values.shape}: {what}{other}")
    if values.dtype.kind not in "biuf":
        raise InputError(f"a right-hand side of {values.dtype}: give real numbers, as float64")
    vector = np.asarray(values, dtype=np.float64).ravel()
    if not np.isfinite(vector).all():
        at = int(np.argmin(np.isfinite(vector)))
        raise InputError(
            f"the right-hand side is {vector[at]} at unknown {at}: give finite values, check the source"
        )
    _check_range(vector, "the right-hand side")
    return vector


def _array(given: Any, what: str) -> Any:
    try:
        return np.asarray(given)
    except ValueError as error:
        raise InputError(f"{what} that is no array ({error}): give real numbers, as float64") from None


def _check_range(values: Field, what: str) -> None:
    largest = float(np.abs(values).max(initial=0.0))
    if largest != 0 and not SMALLEST <= largest <= LARGEST:
        raise InputError(
            f"the largest entry of {what} is {largest:.3g}, the square of which float64 cannot hold: give it between "
            f"{SMALLEST:g} and {LARGEST:g}, multiply the equations or the unknowns by a constant"
        )


def checked_kind(matrix: Any, kind: str) -> Any:
    """Check the kind of a matrix, as far as one pass over its entries shows it.

    Parameters
    ----------
    matrix
        As `real_matrix` returns it.
    kind
        Kind of the system, see `sciml.pde.System`.

    Returns
    -------
    csr_matrix
        The matrix. If it is symmetric up to rounding, the mean of the matrix and its transpose, since energies and
        error bounds need an exactly symmetric matrix.

    Raises
    ------
    InputError
        A row or column is zero; a symmetric kind is given for a matrix that is not symmetric; a definite or
        semidefinite matrix has a diagonal entry that is not positive; constants are in the kernel of a definite matrix;
        or the kernel of a semidefinite matrix is not the constants. Only the symmetry of indefinite matrices is
        checked; `Direct` detects singular ones.
    """
    if kind == "nonsymmetric":
        check_filled(matrix, "row")
        check_filled(matrix.T.tocsr(), "column")
        return matrix
    matrix = _symmetric(matrix, kind)
    if kind == "indefinite":
        return matrix
    diagonal = matrix.diagonal()
    if not diagonal.min() > 0:
        check_filled(matrix, "row")
        _raise_for_diagonal(diagonal, kind)
    sums = np.abs(np.asarray(matrix.sum(axis=1)).ravel())
    sizes = np.asarray(abs(matrix).sum(axis=1)).ravel()
    if kind == "definite":
        _check_definite(matrix, sums <= ROUNDING * sizes)
    else:
        _check_semidefinite(matrix, sums / sizes)
    return matrix


def symmetric_part(matrix: Any) -> Any:
    """Return a matrix that is symmetric up to rounding as the mean of it and its transpose, or None if it is not."""
    difference = (matrix - matrix.T).tocoo()
    if not difference.data.any():
        return matrix
    return None if _most_unlike(matrix, difference)[0] > 0 else sp.csr_matrix((matrix + matrix.T) / 2)


def _symmetric(matrix: Any, kind: str) -> Any:
    symmetric = symmetric_part(matrix)
    if symmetric is None:
        _, i, j = _most_unlike(matrix, (matrix - matrix.T).tocoo())
        raise InputError(
            f"kind={kind!r}, but the matrix is not symmetric: {matrix[i, j]:.6g} at ({i}, {j}), {matrix[j, i]:.6g} at "
            f"({j}, {i}); give kind='nonsymmetric'"
        )
    return symmetric


def _most_unlike(matrix: Any, difference: Any) -> tuple[float, int, int]:
    """Return the largest excess of a difference over the rounding of its rows, and its place."""
    largest = _largest_in_rows(matrix)
    excess = np.abs(difference.data) - ALIKE * np.maximum(largest[difference.row], largest[difference.col])
    at = int(excess.argmax())
    return float(excess[at]), int(difference.row[at]), int(difference.col[at])


def _largest_in_rows(matrix: Any) -> Field:
    """Return the largest absolute value in each row; 0 for an empty row."""
    largest_entries = np.zeros(matrix.shape[0])
    filled = np.flatnonzero(np.diff(matrix.indptr))
    if filled.size:
        largest_entries[filled] = np.maximum.reduceat(np.abs(matrix.data), matrix.indptr[filled])
    return largest_entries


def check_filled(matrix: Any, what: str) -> None:
    """Check that no row is zero; ``what`` is the name of the rows in the message."""
    empty = _largest_in_rows(matrix) == 0
    if empty.any():
        raise InputError(
            f"{what} {int(empty.argmax())} of the matrix is zero ({int(empty.sum())} such), which makes it singular: "
            "leave that unknown out, or set its diagonal entry to 1 and its right-hand side to its value"
        )


def _raise_for_diagonal(diagonal: Field, kind: str) -> None:
    if diagonal.max() < 0:
        raise InputError(
            f"kind={kind!r}, but every diagonal entry is negative: solve its negative, System(-matrix, -rhs, ...)"
        )
    at = int(diagonal.argmin())
    raise InputError(
        f"kind={kind!r}, but the diagonal entry {at} is {diagonal[at]:.6g}: a definite matrix has positive ones; give "
        "kind='indefinite' and solve with sm.pde.Direct()"
    )


def parts_of(matrix: Any) -> tuple[int, Any]:
    """Return the number of parts without connection, and the part (n,) of each unknown."""
    from scipy.sparse.csgraph import connected_components

    stored = matrix
    if not matrix.data.all():
        stored = matrix.copy()
        stored.eliminate_zeros()
    count, part = connected_components(stored, directed=False)
    return int(count), part


def _check_definite(matrix: Any, balanced: Any) -> None:
    """Check that constants are not in the kernel, of the whole matrix or of an unconnected part."""
    if not balanced.any():
        return
    if balanced.all():
        raise InputError(
            "kind='definite', but every row of the matrix sums to zero: constants are in its kernel; give "
            "kind='semidefinite'"
        )
    count, part = parts_of(matrix)
    if count == 1:
        return
    free = np.bincount(part, ~balanced, minlength=count) == 0
    if free.any():
        at = int(np.argmax(free[part]))
        raise InputError(
            f"kind='definite', but the {int((part == part[at]).sum())} unknowns connected with unknown {at} have no "
            "connection to the others and rows that sum to zero: they are determined up to a constant; fix one of them"
        )


def _check_semidefinite(matrix: Any, sums: Field) -> None:
    if sums.max() > CONSTANT:
        at = int(sums.argmax())
        raise InputError(
            f"kind='semidefinite', but row {at} of the matrix sums to {sums[at]:.3g} of its absolute values: constants "
            "are not in its kernel; give kind='definite'"
        )
    count, part = parts_of(matrix)
    if count > 1:
        raise InputError(
            f"kind='semidefinite', but the unknowns fall into {count} parts without connection (one has "
            f"{int((part == part[0]).sum())}), each determined up to a constant: solve each part by itself"
        )
