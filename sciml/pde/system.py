"""A discretised problem: the sparse system and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import scipy.sparse as sp

from sciml.pde.grid import Field, Grid
from sciml.tables import html_table

__all__ = ["Kind", "Matrix", "System"]

Matrix: TypeAlias = Any  # scipy's sparse classes are generic in their stubs only
Kind = Literal["definite", "semidefinite", "indefinite", "nonsymmetric"]


@dataclass(frozen=True, eq=False)
class System:
    """A u = b, integrated over the control volumes (or against the basis functions).

    So u^T A u is the energy, the integral of diffusion |grad u|^2, whatever the resolution.

    Parameters
    ----------
    matrix
        `scipy.sparse.csr_matrix` of float64, (n, n), n = grid.size, unknowns in C order of (y, x).
    rhs
        (n,).
    grid
        Where the unknowns lie.
    kind
        ``definite``: symmetric positive definite. ``semidefinite``: symmetric, constants in its kernel.
        ``indefinite``: symmetric, eigenvalues of both signs possible. ``nonsymmetric``.
    """

    matrix: Matrix
    rhs: Field
    grid: Grid
    kind: Kind

    def field(self, vector: Field) -> Field:
        """A vector (n,) as a field (y, x)."""
        return vector.reshape(self.grid.shape)

    def residual(self, u: Field) -> Field:
        """B - A u for a field or vector u, as a vector."""
        return np.asarray(self.rhs - self.matrix @ u.ravel())

    def energy(self, e: Field) -> float:
        """The energy norm sqrt(e^T A e) of a field or vector."""
        flat = e.ravel()
        return float(max(flat @ (self.matrix @ flat), 0.0) ** 0.5)

    def __str__(self) -> str:
        stored = sp.csr_matrix(self.matrix).nnz
        return f"{self.grid.size:,} unknowns ({self.grid}), {stored:,} nonzeros, {self.kind}"

    def _repr_html_(self) -> str:
        stored = sp.csr_matrix(self.matrix).nnz
        rows = {"unknowns": f"{self.grid.size:,}", "grid": str(self.grid), "nonzeros": f"{stored:,}"}
        return html_table("System", [*rows.items(), ("kind", self.kind)])
