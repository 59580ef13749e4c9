"""A pyamg hierarchy in torch, with the same cycle for batches of right-hand sides."""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import torch
from torch import Tensor

from sciml.errors import InputError
from sciml.multigrid.settings import CycleType
from sciml.multigrid.torch.folded_cycle import FoldedCycle, FoldedLevel
from sciml.multigrid.torch.krylov import BatchSolution, bicgstab, conjugate_gradients, cycling
from sciml.multigrid.torch.levels import Matrices, TorchLevel, diagonals, kind_of
from sciml.multigrid.torch.relaxation import product, sparse
from sciml.pde.grid import Field
from sciml.pde.system import Kind, Matrix
from sciml.tables import aligned, html_table

__all__ = ["Accelerate", "TorchHierarchy"]

Accelerate = Literal["cg", "bicgstab"]
BLOCK_BYTES = 1 << 20
LEAST_BLOCK = 8


@runtime_checkable
class _Holder(Protocol):
    """Protocol of objects with a pyamg hierarchy, such as `sciml.multigrid.Hierarchy`."""

    @property
    def multilevel(self) -> Any: ...


class TorchHierarchy:
    """The levels of a multigrid hierarchy as torch tensors on a device.

    The cycle equals that of pyamg with the same smoothers up to rounding, for a batch of right-hand sides. On a CPU
    core a batch of 64 takes several times less time than 64 separate cycles, because each matrix is read once. Use
    Jacobi or Chebyshev smoothers on a GPU; Gauss-Seidel is sequential and slow there.

    `TorchHierarchy.of` makes it from a hierarchy of pyamg.

    Parameters
    ----------
    matrix, levels
        csr_matrix (n, n) of the finest level in float64; levels except the coarsest, finest first.
    coarse
        Inverse of the matrix of the coarsest level (m, m).
    cycle
        V, W or F.
    kind
        Kind of the matrix, see `sciml.pde.System`.
    symmetric
        Whether one cycle is a symmetric operator.
    dtype
        Precision of the vectors.
    weights
        Areas of the control volumes (n,), for the mean of a semidefinite solution.

    Examples
    --------
    >>> import pyamg
    >>> multilevel = pyamg.ruge_stuben_solver(pyamg.gallery.poisson((15, 15), format="csr"))
    >>> hierarchy = TorchHierarchy.of(multilevel)
    >>> hierarchy.solve(torch.ones(4, 225, dtype=torch.float64)).converged.tolist()
    [True, True, True, True]
    """

    def __init__(
        self,
        matrix: Matrix,
        levels: tuple[TorchLevel, ...],
        coarse: Tensor,
        *,
        cycle: CycleType,
        kind: Kind,
        symmetric: bool,
        dtype: torch.dtype,
        weights: Field,
    ) -> None:
        self.matrix, self.levels, self.coarse = matrix, levels, coarse
        self.cycle_kind, self.kind, self.symmetric, self.dtype = cycle, kind, symmetric, dtype
        self.device = coarse.device
        self.weights = torch.from_numpy(weights / weights.sum()).to(self.device, dtype)
        self.operator = (
            levels[0].operator
            if levels and levels[0].operator.dtype == dtype
            else sparse(matrix, self.device, dtype)
        )
        self._transposed: TorchHierarchy | None = None
        self._folded: FoldedCycle | None = None
        self._matrices: tuple[Any, ...] = ()

    @classmethod
    def of(
        cls,
        hierarchy: Any,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
        cycle_dtype: torch.dtype | None = None,
        cycle: CycleType | None = None,
        kind: Kind | None = None,
    ) -> TorchHierarchy:
        """Copy a hierarchy to a device.

        Parameters
        ----------
        hierarchy
            A `sciml.multigrid.Hierarchy`, or a `pyamg.MultilevelSolver` with real matrices.
        device, dtype
            Device, and precision of the vectors and of the fine matrix.
        cycle_dtype
            Precision of the levels. With float32 under a float64 solve a cycle reads half the memory, and the accuracy
            does not change, since residuals are float64.
        cycle
            Type of the cycle: V, W or F; by default that of the hierarchy.
        kind
            Kind of the matrix, see `sciml.pde.System`; by default that of the hierarchy, else from the matrix.

        Raises
        ------
        InputError
            The argument is not a hierarchy, or torch does not have its smoother.
        """
        held = hierarchy.multilevel if isinstance(hierarchy, _Holder) else hierarchy
        if not hasattr(held, "levels") or not hasattr(held, "coarse_solver"):
            raise InputError(
                f"a {type(hierarchy).__name__} is no hierarchy: give what sm.init(problem, AMG()) or pyamg made"
            )
        matrices = [Matrices.of(level) for level in held.levels]
        inner = cycle_dtype or dtype
        place = torch.device(device)
        built = tuple(m.level(place, inner) for m in matrices[:-1])
        if held is hierarchy:  # pyamg's own
            form: CycleType = cycle or "V"
            weights = np.ones(matrices[0].operator.shape[0])
            kind = kind or kind_of(matrices[0].operator)
            smooths_alike = bool(held.symmetric_smoothing)
            inverse = scipy.linalg.pinv(matrices[-1].operator.toarray())
        else:
            form = cycle or hierarchy.algorithm.cycle
            weights = hierarchy.system.weights
            kind = kind or hierarchy.system.kind
            smooths_alike = hierarchy.algorithm.sweeps[0] == hierarchy.algorithm.sweeps[1]
            inverse = hierarchy.levels[-1].dense_inverse
        made = cls(
            matrices[0].operator,
            built,
            torch.tensor(inverse).to(place, inner),
            cycle=form,
            kind=kind,
            symmetric=smooths_alike and form != "F" and kind != "nonsymmetric",
            dtype=dtype,
            weights=weights,
        )
        made._matrices = (tuple(matrices), inner)
        return made

    @property
    def size(self) -> int:
        """Number of unknowns n."""
        return int(self.matrix.shape[0])

    @property
    def transposed(self) -> TorchHierarchy:
        """Hierarchy of the transposed matrix, whose V-cycle is the transpose of this one; computed once."""
        if self._transposed is None:
            (matrices, inner) = self._matrices
            turned = [m.transposed() for m in matrices]
            levels = tuple(
                t.level(
                    self.device, inner, (level.after.adjoint(t.operator), level.before.adjoint(t.operator))
                )
                for t, level in zip(turned[:-1], self.levels, strict=True)
            )
            transposed = TorchHierarchy(
                turned[0].operator,
                levels,
                self.coarse.T.contiguous(),
                cycle=self.cycle_kind,
                kind=self.kind,
                symmetric=self.symmetric,
                dtype=self.dtype,
                weights=np.asarray(self.weights.cpu(), dtype=np.float64),
            )
            transposed._matrices = (tuple(turned), inner)
            transposed._transposed = self
            self._transposed = transposed
        return self._transposed

    @cached_property
    def places(self) -> tuple[Tensor, Tensor, Tensor]:
        """Row and column of each stored entry of A, and the order of the entries in A^T."""
        operator = self.operator
        pointers, columns = operator.crow_indices().cpu().numpy(), operator.col_indices().cpu().numpy()
        numbered = sp.csr_matrix((np.arange(len(columns)), columns, pointers), shape=operator.shape)
        turned = numbered.T.tocsr()
        turned.sort_indices()
        rows = np.repeat(np.arange(self.size), np.diff(pointers))
        return (
            torch.from_numpy(rows).to(self.device),
            torch.from_numpy(columns.astype(np.int64)).to(self.device),
            torch.from_numpy(turned.data.astype(np.int64)).to(self.device),
        )

    def cycle(self, r: Tensor) -> Tensor:
        """Apply one cycle from zero.

        Parameters
        ----------
        r
            Residuals (batch, n) or (n,).

        Returns
        -------
        Tensor
            Corrections, with the shape of r.
        """
        self._check(r)
        return self._cycled(r.reshape(-1, self.size).T.contiguous()).T.reshape(r.shape)

    def solve(
        self,
        b: Tensor,
        *,
        x0: Tensor | None = None,
        rtol: float = 1e-8,
        max_cycles: int = 100,
        accelerate: Accelerate | Literal["auto"] | None = "auto",
        operator: Tensor | None = None,
    ) -> BatchSolution:
        """Solve A u = b for a batch, each right-hand side until its residual is below the tolerance.

        Parameters
        ----------
        b
            Right-hand sides (batch, n) or (n,).
        x0
            First guesses, with the shape of b; zero by default.
        rtol
            Tolerance of the residual norm, relative to that of b.
        max_cycles
            Largest number of cycles of each right-hand side.
        accelerate
            ``cg`` (needs a symmetric cycle), ``bicgstab``, or None for plain cycles; ``auto`` uses ``cg`` if the cycle
            is symmetric, else ``bicgstab``.
        operator
            CSR tensor of another matrix to solve with, close to that of the hierarchy.

        Raises
        ------
        InputError
            b has another size or dtype, is not finite, or has a mean although constants are in the kernel.
        """
        self._check(b)
        if x0 is not None:
            self._check(x0)
            if x0.shape != b.shape:
                raise InputError(
                    f"x0 has shape {tuple(x0.shape)}, b {tuple(b.shape)}: give one guess a problem"
                )
        if not bool(torch.isfinite(b).all()):
            raise InputError("b holds NaN or infinity: give finite right-hand sides")
        columns = b.detach().reshape(-1, self.size).T.contiguous()
        if self.kind == "semidefinite":
            columns = compatible(columns)
        start = None if x0 is None else x0.detach().reshape(-1, self.size).T.contiguous()
        solution = self._iterated(columns, start, rtol, max_cycles, accelerate, operator)
        u = solution.u - self.weights @ solution.u if self.kind == "semidefinite" else solution.u
        return BatchSolution(
            u.T.reshape(b.shape), solution.relative_residual, solution.cycles, solution.converged
        )

    def _iterated(
        self,
        b: Tensor,
        x: Tensor | None,
        rtol: float,
        max_cycles: int,
        accelerate: Accelerate | Literal["auto"] | None,
        operator: Tensor | None,
    ) -> BatchSolution:
        matrix = self.operator if operator is None else operator
        if accelerate == "auto":
            accelerate = "cg" if self.symmetric else "bicgstab"
        if accelerate == "cg" and not self.symmetric:
            raise InputError(
                "accelerate='cg' needs a symmetric matrix and cycle, and this one is not: use 'bicgstab'"
            )
        iterate = {"cg": conjugate_gradients, "bicgstab": bicgstab, None: cycling}[accelerate]
        parts = []
        for part, start in _blocks(b, x, self.coarse.element_size()):
            cycle = self.folded.prepared(part.shape[1]) if self._folds else self._cycled
            parts.append(
                iterate(partial(product, matrix), cycle, part, x=start, rtol=rtol, max_cycles=max_cycles)
            )
        return parts[0] if len(parts) == 1 else BatchSolution.joined(parts, 1)

    def _cycled(self, r: Tensor) -> Tensor:
        """Apply one cycle from zero to (n, batch)."""
        if self._folds:
            return self.folded.prepared(r.shape[1])(r)
        inner = r.to(self.coarse.dtype)
        if not self.levels:
            return (self.coarse @ inner).to(r.dtype)
        return self._visit(0, None, inner, self.cycle_kind).to(r.dtype)

    @property
    def _folds(self) -> bool:
        return self.cycle_kind == "V" and bool(self.levels) and all(diagonals(level) for level in self.levels)

    @property
    def folded(self) -> FoldedCycle:
        """V-cycle of single Jacobi sweeps, multiplied out; computed once."""
        if self._folded is None:
            matrices, inner = self._matrices
            levels = []
            for m, level in zip(matrices, self.levels, strict=False):
                transfers = (m.operator, m.restriction, m.prolongation)
                scales = diagonals(level)
                assert scales is not None  # else the cycle does not fold
                levels.append(FoldedLevel.of(*transfers, scales, self.device, inner))
            self._folded = FoldedCycle(tuple(levels), self.coarse)
        return self._folded

    def _visit(self, at: int, x: Tensor | None, b: Tensor, cycle: CycleType) -> Tensor:
        level = self.levels[at]
        x = level.before(x, b)
        coarse_b = product(level.restriction, torch.addmm(b, level.operator, x, alpha=-1))
        if at + 1 == len(self.levels):
            coarse_x = self.coarse @ coarse_b
        else:
            coarse_x = self._visit(at + 1, None, coarse_b, cycle)
            if cycle != "V":
                coarse_x = self._visit(at + 1, coarse_x, coarse_b, "W" if cycle == "W" else "V")
        return level.after(torch.addmm(x, level.prolongation, coarse_x), b)

    def _check(self, b: Tensor) -> None:
        if b.shape[-1:] != (self.size,) or b.ndim > 2:
            raise InputError(f"b has shape {tuple(b.shape)}: this hierarchy takes (batch, {self.size})")
        if b.dtype != self.dtype or b.device.type != self.device.type:
            raise InputError(
                f"b is {b.dtype} on {b.device}, the hierarchy {self.dtype} on {self.device}: "
                "make them alike, with b.to(...) or TorchHierarchy.of(..., device=..., dtype=...)"
            )

    def __str__(self) -> str:
        rows = (("level", "unknowns", "stored"), *self._rows())
        return "\n".join([self._title(), *aligned(rows, align=">", widths=(5, 12, 12), gap=" ", indent="  ")])

    def _title(self) -> str:
        count = len(self.levels) + 1
        return f"TorchHierarchy: {count} levels, {self.cycle_kind}-cycle, {self.kind}, on {self.device}"

    def _rows(self) -> list[tuple[str, str, str]]:
        sizes = [level.operator.shape[0] for level in self.levels] + [self.coarse.shape[0]]
        stored = [level.operator.values().numel() for level in self.levels] + [self.coarse.numel()]
        return [(str(k), f"{n:,}", f"{z:,}") for k, (n, z) in enumerate(zip(sizes, stored, strict=True))]

    def _repr_html_(self) -> str:
        return html_table(self._title(), self._rows(), head=("level", "unknowns", "stored"))


def _blocks(b: Tensor, x: Tensor | None, size: int) -> list[tuple[Tensor, Tensor | None]]:
    """Split a batch (n, batch) into blocks whose vectors fit into the cache of a core; a GPU uses one block."""
    n, batch = b.shape
    if b.device.type != "cpu":
        return [(b, x)]
    count = -(-batch // max(BLOCK_BYTES // (size * n), LEAST_BLOCK))
    starts = [None] * count if x is None else x.tensor_split(count, 1)
    return [
        (part.contiguous(), None if start is None else start.contiguous())
        for part, start in zip(b.tensor_split(count, 1), starts, strict=True)
    ]


def compatible(b: Tensor, tolerance: float = 1e-6) -> Tensor:
    """Subtract the mean of right-hand sides (n, batch), which must be rounding.

    Raises
    ------
    InputError
        A right-hand side does not sum to zero, so that there is no solution with constants in the kernel.
    """
    mean = b.mean(0)
    size = torch.linalg.vector_norm(b, dim=0) / b.shape[0] ** 0.5
    wrong = mean.abs() > tolerance * size
    if bool(wrong.any()):
        k = int(wrong.nonzero()[0])
        raise InputError(
            f"right-hand side {k} has mean {float(mean[k]):.3g}: with Neumann or periodic sides all around there is "
            "a solution only where source and flux balance; subtract the mean"
        )
    return b - mean
