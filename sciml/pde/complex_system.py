"""A discretised problem of waves: a complex sparse system."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from sciml.errors import InputError
from sciml.pde.grid import Grid
from sciml.tables import html_table

__all__ = ["ComplexField", "ComplexSystem"]

ComplexField: TypeAlias = npt.NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class ComplexSystem:
    """A u = b with a complex symmetric matrix, integrated over the control volumes.

    Parameters
    ----------
    matrix
        Sparse or dense matrix (n, n), n = grid.size, unknowns in C order of (y, x); stored as `csr_matrix` of
        complex128. It equals its transpose, not its adjoint.
    rhs
        Right-hand side (n,) or (y, x), stored as (n,) of complex128.
    grid
        Grid of the unknowns.

    Raises
    ------
    InputError
        A shape does not fit the grid, values are not finite numbers, or the matrix is not symmetric.

    Examples
    --------
    >>> import numpy as np
    >>> ComplexSystem(np.diag([2.0 - 1j] * 9), np.ones(9), Grid((3, 3))).kind
    'complex'
    """

    matrix: Any
    rhs: ComplexField
    grid: Grid

    def __post_init__(self) -> None:
        if not isinstance(self.grid, Grid):
            raise InputError(f"grid={self.grid!r}: give a Grid, such as Grid((31, 31))")
        object.__setattr__(self, "matrix", _matrix(self.matrix, self.grid.size))
        object.__setattr__(self, "rhs", self._vector(self.rhs))

    @property
    def kind(self) -> Literal["complex"]:
        """Kind of the system, beside those of `sciml.pde.System`."""
        return "complex"

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return self.grid.size

    def with_rhs(self, rhs: npt.ArrayLike) -> ComplexSystem:
        """Return the same matrix with another right-hand side (n,) or (y, x); the matrix is not checked again."""
        made = copy.copy(self)
        object.__setattr__(made, "rhs", self._vector(rhs))
        return made

    def residual(self, u: npt.NDArray[Any]) -> ComplexField:
        """Compute the residual b - A u (n,) of a field or vector u."""
        return np.asarray(self.rhs - self.matrix @ np.asarray(u, dtype=np.complex128).ravel())

    def _vector(self, given: npt.ArrayLike) -> ComplexField:
        values = np.asarray(given)
        if values.dtype.kind not in "biufc" or values.shape not in ((self.grid.size,), self.grid.shape):
            raise InputError(
                f"a right-hand side of shape {values.shape} and type {values.dtype}: give ({self.grid.size},) or "
                f"{self.grid.shape} numbers"
            )
        vector = np.asarray(values, dtype=np.complex128).ravel()
        if not np.isfinite(vector).all():
            at = int(np.argmin(np.isfinite(vector)))
            raise InputError(
                f"the right-hand side is {vector[at]} at unknown {at}: give finite values, check the source"
            )
        return vector

    def __str__(self) -> str:
        return f"{self.grid.size:,} unknowns ({self.grid}), {self.matrix.nnz:,} nonzeros, {self.kind}"

    def _repr_html_(self) -> str:
        rows = [("unknowns", f"{self.grid.size:,}"), ("grid", str(self.grid))]
        return html_table("ComplexSystem", [*rows, ("nonzeros", f"{self.matrix.nnz:,}"), ("kind", self.kind)])


def _matrix(given: Any, size: int) -> Any:
    sparse = given if sp.issparse(given) else np.asarray(given)
    if sparse.shape != (size, size) or sparse.dtype.kind not in "biufc":
        raise InputError(
            f"a matrix of shape {sparse.shape} and type {sparse.dtype}: the grid has {size} unknowns, give a matrix "
            f"({size}, {size}) of numbers"
        )
    matrix = sp.csr_matrix(sparse, dtype=np.complex128)
    matrix.sum_duplicates()
    if not np.isfinite(matrix.data).all():
        raise InputError("the matrix has entries that are not finite: check the wave speed")
    largest = float(np.abs(matrix.data).max(initial=0.0))
    difference = float(np.abs((matrix - matrix.T).data).max(initial=0.0))
    if difference > 1e-10 * largest:
        raise InputError(
            f"the matrix differs from its transpose by {difference:.3g}, its largest entry is {largest:.3g}: give a "
            "symmetric matrix"
        )
    return matrix
