"""The levels of a pyamg hierarchy, as scipy matrices and as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from sciml.errors import InputError
from sciml.multigrid.torch.relaxation import Jacobi, Smoother, smoother_of, sparse
from sciml.pde.grid import Field
from sciml.pde.system import Kind, Matrix

__all__ = ["TorchLevel", "Matrices", "diagonals", "kind_of"]

SYMMETRY = 1e-12


@dataclass(frozen=True, eq=False)
class TorchLevel:
    """A level above the coarsest: matrix and transfers as CSR tensors, and smoothers on (n, batch)."""

    operator: Tensor
    restriction: Tensor
    prolongation: Tensor
    before: Smoother
    after: Smoother


@dataclass(frozen=True, eq=False)
class Matrices:
    """A level as scipy matrices."""

    operator: Matrix
    restriction: Matrix | None
    prolongation: Matrix | None
    smoothers: tuple[Any, Any]

    @classmethod
    def of(cls, level: Any) -> Matrices:
        operator = sp.csr_matrix(level.A)
        if np.iscomplexobj(operator.data):
            raise InputError("the hierarchy is complex: give one of a real matrix")
        smoothers = (getattr(level, "presmoother", None), getattr(level, "postsmoother", None))
        r, p = getattr(level, "R", None), getattr(level, "P", None)
        return cls(
            operator,
            None if r is None else sp.csr_matrix(r),
            None if p is None else sp.csr_matrix(p),
            smoothers,
        )

    def transposed(self) -> Matrices:
        def turned(m: Matrix | None) -> Matrix | None:
            return None if m is None else m.T.tocsr()

        return Matrices(
            turned(self.operator), turned(self.prolongation), turned(self.restriction), (None, None)
        )

    def level(
        self, device: torch.device, dtype: torch.dtype, smoothers: tuple[Smoother, Smoother] | None = None
    ) -> TorchLevel:
        operator = sparse(self.operator, device, dtype)
        if smoothers is None:
            before = smoother_of(self.smoothers[0], self.operator, operator)
            smoothers = (before, smoother_of(self.smoothers[1], self.operator, operator))
        return TorchLevel(
            operator,
            sparse(self.restriction, device, dtype),
            sparse(self.prolongation, device, dtype),
            *smoothers,
        )


def diagonals(level: TorchLevel) -> tuple[Field, Field] | None:
    """Return the diagonals of the smoothers if both are one sweep of Jacobi, else None."""
    inverses = [s.inverse for s in (level.before, level.after) if isinstance(s, Jacobi) and s.iterations == 1]
    return (inverses[0], inverses[1]) if len(inverses) == 2 else None


def kind_of(matrix: Matrix) -> Kind:
    """Return the kind of a matrix from its symmetry and its row sums; definiteness is assumed, not checked."""
    difference = abs(matrix - matrix.T)
    largest = float(abs(matrix).max())
    if difference.nnz and float(difference.max()) > SYMMETRY * largest:
        return "nonsymmetric"
    rows = np.abs(np.asarray(matrix.sum(axis=1))).max()
    return "semidefinite" if float(rows) <= SYMMETRY * largest * matrix.shape[0] ** 0.5 else "definite"
