"""Geometric multigrid for a batch of operators on one grid, as stencil fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sciml.errors import InputError
from sciml.multigrid.interpolation import CoarseGrid, prolongation
from sciml.multigrid.settings import CycleType
from sciml.multigrid.torch.hierarchy import BLOCK_BYTES, LEAST_BLOCK, Accelerate, compatible
from sciml.multigrid.torch.krylov import BatchSolution, bicgstab, conjugate_gradients, cycling
from sciml.multigrid.torch.relaxation import product, sparse
from sciml.multigrid.torch.stencils import dense, galerkin, inverses
from sciml.multigrid.torch.transfers import LevelLayout
from sciml.pde.grid import Grid, Side
from sciml.pde.system import Kind
from sciml.tables import html_table

__all__ = ["StencilHierarchy", "StencilOperator"]

DAMPING = 0.8
SYMMETRY = 1e-12
NEGLIGIBLE = 1e-10
LARGEST_INVERSE = 1000
FORWARD = (5, 6, 7, 8)  # east and the three to the north; the others are symmetric to these
Piece = tuple[tuple[slice, slice], tuple[slice, slice]]


class StencilOperator:
    """The matrices of a batch of stencil fields, applied to vectors (n, batch).

    The batch is the last dimension, so that each shift is a slice. Only half of a symmetric matrix is stored and read,
    because the coupling of an unknown to its eastern neighbour equals that of the neighbour to the unknown.

    Parameters
    ----------
    stencil
        (batch, 9, y, x), see `sciml.multigrid.torch.stencils`.
    layout
        Layout of the level.
    dtype
        Precision of the computation.
    """

    def __init__(self, stencil: Tensor, layout: LevelLayout, dtype: torch.dtype) -> None:
        self.shape = (*layout.shape, stencil.shape[0])
        fields = stencil.movedim(0, -1)  # (9, y, x, batch)
        self.centre = fields[4].to(dtype).contiguous()
        self.radius = fields.abs().sum(0).flatten(0, 1).amax(0)
        held = fields[4].abs() > 0
        ratio = fields.abs().sum(0) / torch.where(held, fields[4].abs(), 1.0)
        self.dominance = torch.where(held, ratio, 2.0).flatten(0, 1).amax(0)
        self.taps: list[tuple[Piece, Tensor, Tensor]] = []
        tolerance = SYMMETRY * float(fields.abs().max())
        self.symmetric = True
        for k in FORWARD:
            there, back = fields[k].to(dtype).contiguous(), fields[8 - k].to(dtype).contiguous()
            if not (bool(there.any()) or bool(back.any())):
                continue
            for here, beyond in _pieces(layout, k // 3 - 1, k % 3 - 1):
                difference = (
                    (fields[k][here] - fields[8 - k][beyond]).abs().amax() if there[here].numel() else 0
                )
                symmetric = float(difference) <= tolerance
                self.symmetric = self.symmetric and symmetric
                self.taps.append(((here, beyond), there[here], there[here] if symmetric else back[beyond]))

    def __call__(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """Apply A to x (n, batch)."""
        result = torch.empty_like(x) if out is None else out
        self._spread(
            x.view(self.shape), torch.mul(self.centre, x.view(self.shape), out=result.view(self.shape)), 1
        )
        return result

    def residual(self, b: Tensor, x: Tensor, out: Tensor) -> Tensor:
        """Write b - A x to ``out``."""
        field, result = x.view(self.shape), out.view(self.shape)
        torch.addcmul(b.view(self.shape), self.centre, field, value=-1, out=result)
        self._spread(field, result, -1)
        return out

    def _spread(self, x: Tensor, out: Tensor, sign: int) -> None:
        for (here, beyond), there, back in self.taps:
            out[here].addcmul_(there, x[beyond], value=sign)
            out[beyond].addcmul_(back, x[here], value=sign)


def _pieces(layout: LevelLayout, dy: int, dx: int) -> Iterator[Piece]:
    """Yield the rectangles of unknowns with a neighbour at (dy, dx), and the rectangles of these neighbours."""
    along = [
        list(_runs(n, d, sides)) for n, d, sides in zip(layout.shape, (dy, dx), layout.sides, strict=True)
    ]
    for here_y, beyond_y in along[0]:
        for here_x, beyond_x in along[1]:
            yield (here_y, here_x), (beyond_y, beyond_x)


def _runs(n: int, d: int, sides: tuple[Side, Side]) -> Iterator[tuple[slice, slice]]:
    if n > abs(d):
        yield slice(max(0, -d), n - max(0, d)), slice(max(0, d), n - max(0, -d))
    if d and sides[0] == "periodic":
        first, last = slice(0, 1), slice(n - 1, n)
        yield (last, first) if d > 0 else (first, last)


@dataclass(frozen=True, eq=False)
class _Level:
    operator: StencilOperator
    scale: Tensor  # damping / diagonal, (n, batch)
    restriction: Tensor
    prolongation: Tensor
    work: Tensor


@dataclass(frozen=True, eq=False)
class _Block:
    """A part of the batch whose vectors fit into the cache of a core."""

    operator: StencilOperator
    levels: tuple[_Level, ...]
    coarse: Tensor
    sweeps: tuple[int, int]
    kind: CycleType

    def cycle(self, r: Tensor) -> Tensor:
        return self._visit(0, None, r.to(self.coarse.dtype), self.kind).to(r.dtype)

    def _visit(self, at: int, x: Tensor | None, b: Tensor, kind: CycleType) -> Tensor:
        if at == len(self.levels):
            return torch.bmm(self.coarse, b.T[..., None])[..., 0].T.contiguous()
        level = self.levels[at]
        x = self._smooth(level, x, b, self.sweeps[0])
        coarse_b = product(level.restriction, level.operator.residual(b, x, level.work))
        coarse_x = self._visit(at + 1, None, coarse_b, kind)
        if kind != "V" and at + 1 < len(self.levels):
            coarse_x = self._visit(at + 1, coarse_x, coarse_b, "W" if kind == "W" else "V")
        torch.addmm(x, level.prolongation, coarse_x, out=x)
        return self._smooth(level, x, b, self.sweeps[1])

    @staticmethod
    def _smooth(level: _Level, x: Tensor | None, b: Tensor, count: int) -> Tensor:
        for _ in range(count):
            if x is None:
                x = level.scale * b
            else:
                x.addcmul_(level.scale, level.operator.residual(b, x, level.work))
        return torch.zeros_like(b) if x is None else x


class StencilHierarchy:
    """Geometric multigrid for a batch of operators, each with its own coefficient, on one structured grid.

    The cycle uses bilinear interpolation, the coarse operators of `sciml.multigrid.torch.stencils.galerkin` and damped
    Jacobi. On vertex-centred grids it equals that of ``AMG(method="geometric", smoother="jacobi")`` for each problem.

    Parameters
    ----------
    stencil
        Matrices as stencil fields (batch, 9, y, x), see `sciml.multigrid.torch.stencils`.
    grid
        Grid of all matrices.
    kind
        Kind of all matrices, see `sciml.pde.System`.
    sweeps
        Numbers of Jacobi sweeps before and after the coarse correction.
    damping
        Damping of Jacobi for matrices with diagonally dominant rows. Other matrices use less, so that it converges.
    cycle
        Type of the cycle: V, W or F.
    least
        Number of unknowns along an axis of the coarsest level, which has a dense inverse: 1, or 2 for semidefinite
        matrices.
    cycle_dtype
        Precision of the cycle. float32 is faster and does not change the accuracy of `solve`, whose residuals have the
        precision of the stencil.

    Raises
    ------
    InputError
        The stencils have another shape or are not finite, or the grid cannot be coarsened.

    Examples
    --------
    >>> from sciml.multigrid.torch.stencils import diffusion_stencil
    >>> grid = Grid((15, 15))
    >>> stencil = diffusion_stencil(1 + torch.rand(3, 15, 15, dtype=torch.float64), grid)
    >>> StencilHierarchy(stencil, grid).solve(torch.ones(3, 15, 15, dtype=torch.float64)).converged.tolist()
    [True, True, True]
    """

    def __init__(
        self,
        stencil: Tensor,
        grid: Grid,
        *,
        kind: Kind = "definite",
        sweeps: tuple[int, int] = (1, 1),
        damping: float = DAMPING,
        cycle: CycleType = "V",
        least: int | None = None,
        cycle_dtype: torch.dtype | None = None,
    ) -> None:
        if stencil.ndim != 4 or tuple(stencil.shape[1:]) != (9, *grid.shape):
            raise InputError(f"stencil is {tuple(stencil.shape)}: this grid takes (batch, 9, *{grid.shape})")
        if not bool(torch.isfinite(stencil).all()):
            raise InputError("the stencils are not finite: look at the coefficients they were made from")
        self.grid, self.kind, self.cycle_kind = grid, kind, cycle
        self.dtype, self.device, self.batch = stencil.dtype, stencil.device, stencil.shape[0]
        volumes = torch.from_numpy(grid.volumes().ravel()).to(stencil)
        self.weights = volumes / volumes.sum()
        inner = cycle_dtype or stencil.dtype
        least = least or (2 if kind == "semidefinite" else 1)
        layouts, transfers = _levels(grid, least, stencil.device, inner)
        count = 1
        if stencil.device.type == "cpu":
            most = max(BLOCK_BYTES // (inner.itemsize * grid.size), LEAST_BLOCK)
            count = -(-self.batch // most)
        self.blocks = tuple(
            _block(part, layouts, transfers, damping, sweeps, cycle, inner, kind)
            for part in stencil.detach().tensor_split(count)
        )

    def cycle(self, r: Tensor) -> Tensor:
        """Apply one cycle from zero to residuals (batch, y, x)."""
        self._check(r)
        parts = [block.cycle(columns).T for block, columns in zip(self.blocks, self._columns(r), strict=True)]
        return torch.cat(parts).reshape(r.shape)

    def solve(
        self,
        b: Tensor,
        *,
        x0: Tensor | None = None,
        rtol: float = 1e-8,
        max_cycles: int = 100,
        accelerate: Accelerate | Literal["auto"] | None = "auto",
    ) -> BatchSolution:
        """Solve each problem until its residual is below the tolerance.

        Parameters
        ----------
        b, x0
            Right-hand sides and first guesses (batch, y, x), one for each matrix.
        rtol, max_cycles, accelerate
            As for `TorchHierarchy.solve`.

        Returns
        -------
        BatchSolution
            Solutions u (batch, y, x) and their statistics.
        """
        self._check(b)
        if not bool(torch.isfinite(b).all()):
            raise InputError("b holds NaN or infinity: give finite right-hand sides")
        starts: Sequence[Tensor | None] = [None] * len(self.blocks)
        if x0 is not None:
            self._check(x0)
            starts = self._columns(x0)
        if accelerate == "auto":
            accelerate = "cg" if self.symmetric else "bicgstab"
        if accelerate == "cg" and not self.symmetric:
            raise InputError(
                "accelerate='cg' needs symmetric matrices and cycles, and these are not: use 'bicgstab'"
            )
        iterate = {"cg": conjugate_gradients, "bicgstab": bicgstab, None: cycling}[accelerate]
        solutions = []
        for block, columns, start in zip(self.blocks, self._columns(b), starts, strict=True):
            if self.kind == "semidefinite":
                columns = compatible(columns)
            solutions.append(
                iterate(block.operator, block.cycle, columns, x=start, rtol=rtol, max_cycles=max_cycles)
            )
        joined = BatchSolution.joined(solutions, 1)
        u = joined.u
        if self.kind == "semidefinite":
            u = u - self.weights @ u
        return BatchSolution(u.T.reshape(b.shape), joined.relative_residual, joined.cycles, joined.converged)

    @property
    def symmetric(self) -> bool:
        """Whether every matrix and cycle is symmetric."""
        sweeps = self.blocks[0].sweeps
        cycle = self.cycle_kind != "F" and sweeps[0] == sweeps[1]
        return cycle and all(block.operator.symmetric for block in self.blocks)

    def _columns(self, b: Tensor) -> list[Tensor]:
        columns = b.detach().reshape(self.batch, -1).T
        return [part.contiguous() for part in columns.tensor_split(len(self.blocks), 1)]

    def _check(self, b: Tensor) -> None:
        if tuple(b.shape) != (self.batch, *self.grid.shape) or b.dtype != self.dtype:
            raise InputError(
                f"got {b.dtype} {tuple(b.shape)}: these stencils take {self.dtype} {(self.batch, *self.grid.shape)}"
            )

    def __str__(self) -> str:
        return "StencilHierarchy: {problems} problems on {grid}, levels {levels}, {cycle}-cycle".format(
            **self._summary()
        )

    def _summary(self) -> dict[str, str]:
        sizes = " ".join(f"{n}x{m}" for n, m, _ in (level.operator.shape for level in self.blocks[0].levels))
        return {
            "problems": str(self.batch),
            "grid": str(self.grid),
            "levels": sizes,
            "cycle": str(self.cycle_kind),
        }

    def _repr_html_(self) -> str:
        return html_table("StencilHierarchy", self._summary().items())


def _levels(
    grid: Grid, least: int, device: torch.device, dtype: torch.dtype
) -> tuple[list[LevelLayout], list[tuple[Tensor, Tensor]]]:
    layouts = LevelLayout.of(grid).levels(least)
    coarsest = layouts[-1].shape
    if coarsest[0] * coarsest[1] > LARGEST_INVERSE:
        raise InputError(
            f"coarsening stopped at {coarsest[0]} x {coarsest[1]}: a periodic axis needs a multiple of a power of 2, "
            "and no axis may be many times shorter than the other; AMG() takes any grid"
        )
    transfers = []
    for layout in layouts[:-1]:
        matrix, _ = prolongation(CoarseGrid(layout.shape, layout.centring, layout.sides))
        transfers.append((sparse(matrix.T, device, dtype), sparse(matrix, device, dtype)))
    return layouts, transfers


def _block(
    stencil: Tensor,
    layouts: list[LevelLayout],
    transfers: list[tuple[Tensor, Tensor]],
    damping: float,
    sweeps: tuple[int, int],
    cycle: CycleType,
    inner: torch.dtype,
    kind: Kind,
) -> _Block:
    size_of = stencil[:, 4].mean((1, 2))
    outer = StencilOperator(stencil, layouts[0], stencil.dtype)
    levels: list[_Level] = []
    for layout, (restriction, prolonging) in zip(layouts[:-1], transfers, strict=True):
        first = not levels and inner == stencil.dtype
        operator = outer if first else StencilOperator(stencil, layout, inner)
        weight = damping * 2 / operator.dominance.clamp(min=2.0)
        size = (int(np.prod(layout.shape)), stencil.shape[0])
        scale = (weight.to(inner) / operator.centre).reshape(size)
        levels.append(_Level(operator, scale, restriction, prolonging, torch.empty_like(scale)))
        stencil = galerkin(stencil, layout)
    if kind == "semidefinite":
        coarse = inverses(stencil, layouts[-1], size_of)
    else:
        coarse = torch.linalg.pinv(dense(stencil, layouts[-1]), rtol=NEGLIGIBLE)
    return _Block(outer, tuple(levels), coarse.to(inner), sweeps, cycle)
