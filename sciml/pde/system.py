"""A discretised problem: the sparse system and its properties."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from sciml.errors import InputError
from sciml.pde.grid import Field, Grid
from sciml.pde.matrices import checked_kind, real_matrix, real_vector
from sciml.pde.matrix_kind import kind_of
from sciml.pde.near_nullspace import checked_modes, size_of_blocks
from sciml.pde.residuals import SplitMatrix
from sciml.tables import html_table

__all__ = ["Kind", "Matrix", "System"]

Matrix: TypeAlias = Any  # scipy's sparse classes are generic only in their stubs
Kind = Literal["definite", "semidefinite", "indefinite", "nonsymmetric"]
UNKNOWN = "unknown"


@dataclass(frozen=True, eq=False)
class System:
    """A u = b, of a problem on a grid or of any other origin.

    On a grid the equations are integrated over the control volumes (or against the basis functions), so that at any
    resolution u^T A u is the energy, the integral of diffusion |grad u|^2.

    Parameters
    ----------
    matrix
        Sparse or dense matrix (n, n) of real numbers; with a grid n = grid.size, unknowns in C order. It is stored as
        `scipy.sparse.csr_matrix` of float64 without duplicates.
    rhs
        Right-hand side (n,) or of the shape of the grid, stored as (n,) of float64.
    grid
        Grid of the unknowns, or None: geometric multigrid and networks need a grid, other algorithms do not.
    kind
        ``definite``: symmetric positive definite. ``semidefinite``: symmetric, constants in its kernel.
        ``indefinite``: symmetric, eigenvalues of both signs possible. ``nonsymmetric``. ``unknown``: computed by
        `sciml.pde.matrix_kind.kind_of`.
    held
        Part of known values on Dirichlet sides in the energy of a solution, see `solution_energy`: a load (n,) and a
        constant. None where they are zero, or where the scheme does not give it (finite elements).
    near_nullspace
        Vectors (n, k) of small energy that smoothed aggregation interpolates exactly, such as the rigid body modes of
        elasticity; None for constants.
    block_size
        Number of unknowns of a node, which smoothed aggregation coarsens together; 2 or 3 for elasticity. 0: that of a
        `scipy.sparse.bsr_matrix`, else 1.

    Raises
    ------
    InputError
        The matrix or the right-hand side does not fit the grid, is not real or not finite, or the matrix is not of its
        kind (see `sciml.pde.matrices.checked_kind`).

    Examples
    --------
    >>> import numpy as np
    >>> print(System(np.diag([2.0, 3.0]), np.ones(2)))
    2 unknowns (no grid), 2 nonzeros, definite
    >>> System(np.diag([2.0] * 9), np.ones(9), Grid((3, 3)), "definite").energy(np.ones(9))
    4.242640687119285
    """

    matrix: Matrix
    rhs: Field
    grid: Grid | None = None
    kind: Kind = UNKNOWN  # type: ignore[assignment]  # replaced by its kind
    held: tuple[Field, float] | None = None
    near_nullspace: Field | None = None
    block_size: int = 0

    def __post_init__(self) -> None:
        if self.grid is not None and not isinstance(self.grid, Grid):
            raise InputError(f"grid={self.grid!r}: give a Grid, such as Grid((31, 31)), or None")
        known = self.kind not in (UNKNOWN, None)
        if known and self.kind not in get_args(Kind):
            raise InputError(f"kind={self.kind!r}: give one of {', '.join(get_args(Kind))}")
        matrix = real_matrix(self.matrix, None if self.grid is None else self.grid.size)
        if not known:
            object.__setattr__(self, "kind", kind_of(matrix))
        object.__setattr__(self, "block_size", size_of_blocks(self.block_size, self.matrix))
        object.__setattr__(self, "matrix", checked_kind(matrix, self.kind))
        object.__setattr__(self, "rhs", real_vector(self.rhs, self.shape))
        object.__setattr__(self, "near_nullspace", checked_modes(self.near_nullspace, self.size))

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return int(self.matrix.shape[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a field of the unknowns: that of the grid, or (n,)."""
        return (self.size,) if self.grid is None else self.grid.shape

    @cached_property
    def weights(self) -> Field:
        """Weights (n,) of the unknowns in a mean: their control volumes, or ones without a grid."""
        return np.ones(self.size) if self.grid is None else self.grid.volumes().ravel()

    @property
    def on_grid(self) -> Grid:
        """The grid, where it is needed.

        Raises
        ------
        InputError
            The system has no grid.
        """
        if self.grid is None:
            raise InputError(
                f"{self}: networks and geometric multigrid need the grid of the unknowns; give "
                "System(..., grid=Grid(...)), or use AMG(), AMG('smoothed_aggregation') or Direct()"
            )
        return self.grid

    def with_rhs(self, rhs: Field) -> System:
        """The same matrix with another right-hand side (n,) or of the grid; the matrix is not checked again.

        Values on Dirichlet sides, which are part of a right-hand side, count as zero in `solution_energy`.
        """
        made = copy.copy(self)
        object.__setattr__(made, "held", None)
        object.__setattr__(made, "rhs", real_vector(rhs, self.shape))
        return made

    def field(self, vector: Field) -> Field:
        """Reshape a vector (n,) to a field (y, x), or leave it without a grid."""
        return vector.reshape(self.shape)

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
        return f"{self.size:,} unknowns ({self.grid or 'no grid'}), {self.matrix.nnz:,} nonzeros, {self.kind}"

    def _repr_html_(self) -> str:
        rows = {
            "unknowns": f"{self.size:,}",
            "grid": str(self.grid or "none"),
            "nonzeros": f"{self.matrix.nnz:,}",
        }
        return html_table("System", [*rows.items(), ("kind", self.kind)])
