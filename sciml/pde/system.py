"""A discretised problem: the sparse system and its properties."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import scipy.sparse as sp

from sciml.errors import InputError
from sciml.pde.grid import Field, Grid
from sciml.pde.matrices import checked_kind, real_matrix, real_vector
from sciml.pde.residuals import SplitMatrix
from sciml.tables import html_table

__all__ = ["Kind", "Matrix", "System"]

Matrix: TypeAlias = Any  # scipy's sparse classes are generic only in their stubs
Kind = Literal["definite", "semidefinite", "indefinite", "nonsymmetric"]


@dataclass(frozen=True, eq=False)
class System:
    """A u = b, integrated over the control volumes (or against the basis functions).

    At any resolution u^T A u is the energy, the integral of diffusion |grad u|^2.

    Parameters
    ----------
    matrix
        Sparse or dense matrix (n, n) of real numbers, n = grid.size, unknowns in C order. It is stored as
        `scipy.sparse.csr_matrix` of float64 without duplicates.
    rhs
        Right-hand side (n,) or of the shape of the grid, stored as (n,) of float64.
    grid
        Grid of the unknowns.
    kind
        ``definite``: symmetric positive definite. ``semidefinite``: symmetric, constants in its kernel.
        ``indefinite``: symmetric, eigenvalues of both signs possible. ``nonsymmetric``.
    held
        Part of known values on Dirichlet sides in the energy of a solution, see `solution_energy`: a load (n,) and a
        constant. None where they are zero, or where the scheme does not give it (finite elements).

    Raises
    ------
    InputError
        The matrix or the right-hand side does not fit the grid, is not real or not finite, or the matrix is not of its
        kind (see `sciml.pde.matrices.checked_kind`).

    Examples
    --------
    >>> import numpy as np
    >>> System(np.diag([2.0] * 9), np.ones(9), Grid((3, 3)), "definite").energy(np.ones(9))
    4.242640687119285
    """

    matrix: Matrix
    rhs: Field
    grid: Grid
    kind: Kind
    held: tuple[Field, float] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.grid, Grid):
            raise InputError(f"grid={self.grid!r}: give a Grid, such as Grid((31, 31))")
        if self.kind not in get_args(Kind):
            raise InputError(f"kind={self.kind!r}: give one of {', '.join(get_args(Kind))}")
        matrix = checked_kind(real_matrix(self.matrix, self.grid.size), self.kind)
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "rhs", real_vector(self.rhs, self.grid.shape))

    def with_rhs(self, rhs: Field) -> System:
        """The same matrix with another right-hand side (n,) or of the grid; the matrix is not checked again.

        Values on Dirichlet sides, which are part of a right-hand side, count as zero in `solution_energy`.
        """
        made = copy.copy(self)
        object.__setattr__(made, "held", None)
        object.__setattr__(made, "rhs", real_vector(rhs, self.grid.shape))
        return made

    def field(self, vector: Field) -> Field:
        """Reshape a vector (n,) to a field of the shape of the grid."""
        return vector.reshape(self.grid.shape)

    @cached_property
    def split(self) -> SplitMatrix:
        """Matrix for residuals of twice the precision."""
        return SplitMatrix.of(self.matrix)

    def residual(self, u: Field) -> Field:
        """Compute the residual b - A u (n,) of a field or vector u.

        The terms cancel near the solution, so that it is computed with twice the precision. The error of each entry is
        its last bit plus `SplitMatrix.rounding` of u, which is about 1e-23 of the terms.
        """
        return self.split.residual(self.rhs, np.asarray(u, dtype=np.float64).ravel())

    def energy(self, e: Field) -> float:
        """The energy norm sqrt(e^T A e) of a field or vector that is zero on Dirichlet sides, such as an error."""
        flat = e.ravel()
        return float(max(flat @ (self.matrix @ flat), 0.0) ** 0.5)

    def solution_energy(self, u: Field) -> float:
        """The energy norm of a solution, with its known values on Dirichlet sides.

        sqrt(u^T A u - 2 load . u + constant): the difference across the faces at a side is that to the known value.
        """
        if self.held is None:
            return self.energy(u)
        flat, (load, constant) = u.ravel(), self.held
        return float(max(flat @ (self.matrix @ flat) - 2 * (load @ flat) + constant, 0.0) ** 0.5)

    def __str__(self) -> str:
        stored = sp.csr_matrix(self.matrix).nnz
        return f"{self.grid.size:,} unknowns ({self.grid}), {stored:,} nonzeros, {self.kind}"

    def _repr_html_(self) -> str:
        stored = sp.csr_matrix(self.matrix).nnz
        rows = {"unknowns": f"{self.grid.size:,}", "grid": str(self.grid), "nonzeros": f"{stored:,}"}
        return html_table("System", [*rows.items(), ("kind", self.kind)])
