"""Multigrid on structured grids in torch: ghost values, transfers and 9-point stencil fields, for whole batches.

A stencil field (batch, 9, y, x) holds one matrix per sample: entry ``3 (dy + 1) + dx + 1`` at an unknown multiplies
the neighbour at (y + dy, x + dx). Galerkin coarsening of it is one strided convolution with a fixed kernel, so a
hierarchy for a batch of different coefficients costs about as much as smoothing a few times.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sciml.errors import InputError
from sciml.pde.grid import Centring, Grid, Side
from sciml.pde.system import Matrix

__all__ = [
    "Layout",
    "apply_stencil",
    "dense",
    "diffusion_stencil",
    "extend",
    "fold",
    "galerkin",
    "ghosts",
    "mirror",
    "prolong",
    "restrict",
    "stencil_of",
    "within_reach",
]

VERTEX = (0.5, 1.0, 0.5)
CELL = (0.25, 0.75, 0.75, 0.25)


@dataclass(frozen=True)
class Layout:
    """What transfers need to know of a grid or of a coarser level of it.

    Vertex-centred, every second node is kept: the odd ones after a Dirichlet side (so 2^k - 1 becomes 2^(k-1) - 1),
    the even ones after a Neumann side or around. Cell-centred, two cells become one, an odd last one stays alone.

    Examples
    --------
    >>> Layout.of(Grid((63, 63))).coarse().shape
    (31, 31)
    """

    shape: tuple[int, int]
    centring: Centring
    sides: tuple[tuple[Side, Side], tuple[Side, Side]]

    @classmethod
    def of(cls, grid: Grid) -> Layout:
        return cls(grid.shape, grid.centring, (grid.sides(0), grid.sides(1)))

    @property
    def zero(self) -> bool:
        """Whether every ghost value is zero."""
        return self.centring == "vertex" and all(side == "dirichlet" for pair in self.sides for side in pair)

    def offset(self, axis: int) -> int:
        """The index of the first coarse node among the fine ones."""
        return int(self.centring == "vertex" and self.sides[axis][0] == "dirichlet")

    def coarse(self) -> Layout:
        """The next coarser level."""
        shape = tuple((n + 1 - self.offset(axis)) // 2 for axis, n in enumerate(self.shape))
        return Layout((shape[0], shape[1]), self.centring, self.sides)

    def levels(self, least: int = 1) -> list[Layout]:
        """All levels from this one down to the last with ``least`` unknowns an axis that `galerkin` can make."""
        found = [self]
        while min(found[-1].shape) > 1:
            last, coarser = found[-1], found[-1].coarse()
            pairs = zip(last.shape, last.sides, strict=True)
            if min(coarser.shape) < least or any(n % 2 and sides[0] == "periodic" for n, sides in pairs):
                break
            found.append(coarser)
        return found


def extend(u: Tensor, layout: Layout) -> Tensor:
    """Add one ghost value at each end: exact boundary conditions for fields that obey them.

    Odd across a Dirichlet side (0 at a known node), even across a Neumann side, wrapped where periodic.

    Parameters
    ----------
    u
        (..., y, x).

    Returns
    -------
    Tensor
        (..., y + 2, x + 2).
    """
    if layout.zero:
        return functional.pad(u, (1, 1, 1, 1))
    for axis in (0, 1):
        low, high = (_ghost(u, layout, axis, end) for end in (0, 1))
        u = torch.cat((low, u, high), dim=axis - 2)
    return u


def _ghost(u: Tensor, layout: Layout, axis: int, end: int) -> Tensor:
    side = layout.sides[axis][end]
    dim, n = axis - 2, u.shape[axis - 2]
    at = {"periodic": n - 1 - end * (n - 1), "dirichlet": end * (n - 1)}.get(side)
    if at is None:  # Neumann: even about the face, or about the node
        step = min(int(layout.centring == "vertex"), n - 1)
        at = (n - 1 - step) if end else step
    value = u.narrow(dim, at, 1)
    if side == "dirichlet":
        return torch.zeros_like(value) if layout.centring == "vertex" else -value
    return value


def mirror(a: Tensor, layout: Layout) -> Tensor:
    """Extend a coefficient or feature, which obeys no boundary condition: even everywhere, or wrapped.

    Shapes are those of `extend`.
    """
    for axis, ends in ((1, (1, 1, 0, 0)), (0, (0, 0, 1, 1))):
        around = layout.sides[axis][0] == "periodic"
        a = functional.pad(a, ends, mode="circular" if around else "replicate")
    return a


def ghosts(u: Tensor, layout: Layout) -> Tensor:
    """Ghosts of a coarse field for interpolation, which at a Neumann side is constant beyond the last node."""
    if layout.zero:
        return functional.pad(u, (1, 1, 1, 1))
    for axis in (0, 1):
        dim, n = axis - 2, u.shape[axis - 2]
        parts = [u]
        for end in (0, 1):
            side = layout.sides[axis][end]
            at = (n - 1) * (1 - end) if side == "periodic" else (n - 1) * end
            value = u.narrow(dim, at, 1) * _sign(layout, side)
            parts = [value, *parts] if end == 0 else [*parts, value]
        u = torch.cat(parts, dim=dim)
    return u


def _sign(layout: Layout, side: Side) -> float:
    if side != "dirichlet":
        return 1.0
    return 0.0 if layout.centring == "vertex" else -1.0


def fold(v: Tensor, layout: Layout) -> Tensor:
    """The transpose of the ghosts of interpolation: (..., y + 2, x + 2) to (..., y, x), nothing is lost."""
    if layout.zero:
        return v[..., 1:-1, 1:-1]
    for axis in (0, 1):
        dim, n = axis - 2, v.shape[axis - 2] - 2
        inner = v.narrow(dim, 1, n).clone()
        for end in (0, 1):
            side = layout.sides[axis][end]
            sign = _sign(layout, side)
            if sign:
                at = (n - 1) * (1 - end) if side == "periodic" else (n - 1) * end
                inner.narrow(dim, at, 1).add_(v.narrow(dim, (n + 1) * end, 1), alpha=sign)
        v = inner
    return v


def prolong(u: Tensor, fine: Layout) -> Tensor:
    """Bilinear interpolation from ``fine.coarse()`` to ``fine``, exact at the boundary.

    Parameters
    ----------
    u
        (batch, channel, y, x) on the coarse level.

    Returns
    -------
    Tensor
        (batch, channel, *fine.shape).
    """
    padded = u if fine.zero else ghosts(u, fine.coarse())
    kernel = _kernel(fine.centring, u)
    whole = functional.conv_transpose2d(padded, kernel, stride=2, groups=u.shape[1])
    y, x = (0, 0) if fine.zero else _first(fine)
    return whole[..., y : y + fine.shape[0], x : x + fine.shape[1]]


def _kernel(centring: Centring, like: Tensor) -> Tensor:
    """The weights of interpolation (channel, 1, m, m): grouped convolutions are the fastest way on a CPU."""
    one = torch.tensor(VERTEX if centring == "vertex" else CELL, dtype=like.dtype, device=like.device)
    return torch.outer(one, one).expand(like.shape[1], 1, -1, -1)


def _first(fine: Layout) -> tuple[int, int]:
    """Where the first fine unknown lies in the interpolation of the extended coarse field."""
    if fine.centring == "cell":
        return 3, 3
    return 3 - fine.offset(0), 3 - fine.offset(1)


def within_reach(v: Tensor, fine: Layout) -> Tensor:
    """Pad a fine field with zeros to all that the extended coarse field interpolates to."""
    width = len(CELL) if fine.centring == "cell" else len(VERTEX)
    before = _first(fine)
    after = [
        2 * (c + 1) + width - b - n for c, b, n in zip(fine.coarse().shape, before, fine.shape, strict=True)
    ]
    return functional.pad(v, (before[1], after[1], before[0], after[0]))


def restrict(r: Tensor, fine: Layout) -> Tensor:
    """The transpose of `prolong`: (batch, channel, *fine.shape) to (batch, channel, *fine.coarse().shape)."""
    kernel = _kernel(fine.centring, r)
    if fine.zero:  # nothing comes from beyond the boundary, nothing is folded back
        y, x = (2 * c + 1 - n for c, n in zip(fine.coarse().shape, fine.shape, strict=True))
        return functional.conv2d(
            functional.pad(r, (0, x, 0, y)) if x or y else r, kernel, stride=2, groups=r.shape[1]
        )
    sums = functional.conv2d(within_reach(r, fine), kernel, stride=2, groups=r.shape[1])
    return fold(sums, fine.coarse())


def apply_stencil(stencil: Tensor, u: Tensor, layout: Layout) -> Tensor:
    """A u for stencil fields (batch, 9, y, x), or (1, 9, y, x) for all, and u (batch, channel, y, x)."""
    ny, nx = layout.shape
    padded = _neighbourhood(u, layout)
    result = stencil[:, 4:5] * u
    for k in (0, 1, 2, 3, 5, 6, 7, 8):
        dy, dx = divmod(k, 3)
        result = torch.addcmul(result, stencil[:, k : k + 1], padded[..., dy : dy + ny, dx : dx + nx])
    return result


def _neighbourhood(u: Tensor, layout: Layout) -> Tensor:
    """Pad with zeros, which no stencil reaches, or around: a matrix has its boundary conditions in it."""
    for axis in (1, 0):
        ends = (1, 1) if axis == 1 else (0, 0, 1, 1)
        if layout.sides[axis][0] == "periodic":
            dim, n = axis - 2, u.shape[axis - 2]
            u = torch.cat((u.narrow(dim, n - 1, 1), u, u.narrow(dim, 0, 1)), dim=dim)
        else:
            u = functional.pad(u, ends)
    return u


@cache
def _galerkin_kernel(centring: Centring) -> Tensor:
    """K (9, 9, m, m): coarse entry D from fine entry delta at offset p is w(p) w(p + delta - 2 D)."""
    # sqrt(1/2) a transfer and axis and so 1/2 in all: what piecewise constants overestimate the energy by.
    one = torch.tensor(VERTEX if centring == "vertex" else (0.5**0.25, 0.5**0.25), dtype=torch.float64)
    m = len(one)
    along = torch.zeros(3, 3, m, dtype=torch.float64)
    for d in range(3):
        for delta in range(3):
            for p in range(m):
                q = p + (delta - 1) - 2 * (d - 1)
                if 0 <= q < m:
                    along[d, delta, p] = one[p] * one[q]
    return torch.einsum("adp,beq->abdepq", along, along).reshape(9, 9, m, m).contiguous()


def galerkin(stencil: Tensor, fine: Layout) -> Tensor:
    """The matrices of the next coarser level, as stencil fields on ``fine.coarse()``.

    Vertex-centred: P^T A P to round-off, P the interpolation of `prolong`. Cell-centred, where that would reach
    beyond nine points: half of P^T A P with piecewise constant P, which for finite volumes is the discretisation on
    the coarse cells (Wesseling 1992, section 5.4).

    Parameters
    ----------
    stencil
        (batch, 9, *fine.shape).

    Returns
    -------
    Tensor
        (batch, 9, *fine.coarse().shape).

    Raises
    ------
    InputError
        A periodic axis with an odd number of unknowns, which has no coarse level that closes.
    """
    for axis in (0, 1):
        if fine.sides[axis][0] == "periodic" and fine.shape[axis] % 2:
            raise InputError(
                f"a periodic axis of {fine.shape[axis]} unknowns has no coarse level: use a multiple of a power of 2"
            )
    coarse = fine.coarse()
    kernel = _galerkin_kernel(fine.centring).to(stencil)
    if fine.centring == "cell":
        ends = [2 * c - n for c, n in zip(coarse.shape, fine.shape, strict=True)]
        whole = functional.pad(stencil, (0, ends[1], 0, ends[0]))
        return functional.conv2d(whole, kernel, stride=2)
    extended = functional.conv2d(within_reach(stencil, fine), kernel, stride=2)
    batch = extended.shape[0]
    fields = extended.reshape(batch, 3, 3, *extended.shape[-2:])
    for axis in (0, 1):
        fields = _fold_stencil(fields, coarse, axis)
    return fields.reshape(batch, 9, *coarse.shape)


def _fold_stencil(fields: Tensor, coarse: Layout, axis: int) -> Tensor:
    """Fold the ghosts of one axis: the rows that belong to them, then the columns that point at them."""
    entry, dim = 1 + axis, 3 + axis
    n = fields.shape[dim] - 2
    inner = fields.narrow(dim, 1, n).clone()
    for end in (0, 1):
        side = coarse.sides[axis][end]
        sign = _sign(coarse, side)
        at = (n - 1) * end
        edge = inner.narrow(dim, at, 1)
        outward, inward = 2 * end, 2 - 2 * end
        row = fields.narrow(dim, (n + 1) * end, 1)
        if side == "periodic":
            # The ghost is the last unknown of the other end and sees the same neighbours.
            inner.narrow(dim, (n - 1) * (1 - end), 1).add_(row)
            continue
        if sign:
            # Seen from the ghost, the edge is its inward neighbour and the ghost itself; from the edge, itself.
            edge.narrow(entry, 1, 1).add_(row.narrow(entry, inward, 1), alpha=sign)
            edge.narrow(entry, 1, 1).add_(row.narrow(entry, 1, 1))
            edge.narrow(entry, 1, 1).add_(edge.narrow(entry, outward, 1), alpha=sign)
        edge.narrow(entry, outward, 1).zero_()
    return inner


def dense(stencil: Tensor, layout: Layout) -> Tensor:
    """The matrices (batch, n, n) of stencil fields, for the coarsest level."""
    batch = stencil.shape[0]
    ny, nx = layout.shape
    n = ny * nx
    unit = torch.eye(n, dtype=stencil.dtype, device=stencil.device).reshape(1, n, ny, nx)
    columns = apply_stencil(stencil, unit.expand(batch, n, ny, nx), layout)
    return columns.reshape(batch, n, n).transpose(1, 2)


def stencil_of(matrix: Matrix, grid: Grid) -> Tensor:
    """A sparse matrix on a grid as a stencil field (9, y, x), float64.

    Raises
    ------
    InputError
        The matrix couples unknowns that are no neighbours.
    """
    ny, nx = grid.shape
    rows = np.repeat(np.arange(grid.size), np.diff(matrix.indptr))
    y, x = np.divmod(rows, nx)
    to_y, to_x = np.divmod(matrix.indices, nx)
    dy, dx = to_y - y, to_x - x
    if grid.sides(0)[0] == "periodic":
        dy = (dy + 1) % ny - 1
    if grid.sides(1)[0] == "periodic":
        dx = (dx + 1) % nx - 1
    if len(dy) and max(np.abs(dy).max(), np.abs(dx).max()) > 1:
        raise InputError(
            f"the matrix couples unknowns {max(np.abs(dy).max(), np.abs(dx).max())} apart: a stencil has 9 points"
        )
    field = np.zeros((9, ny, nx))
    np.add.at(field, (3 * (dy + 1) + dx + 1, y, x), matrix.data)
    return torch.from_numpy(field)


def diffusion_stencil(coefficient: Tensor, grid: Grid) -> Tensor:
    """The finite-volume matrices of -div(coefficient grad u), as `sciml.pde.discretize` makes them, differentiable.

    Parameters
    ----------
    coefficient
        (batch, y, x), positive.
    grid
        The rectangle and its sides.

    Returns
    -------
    Tensor
        (batch, 9, y, x), integrated over the control volumes; entries at the corners are zero.
    """
    batch = coefficient.shape[0]
    flows: dict[tuple[int, int], Tensor] = {}
    for axis in (0, 1):
        dim, n = 1 + axis, grid.shape[axis]
        width = torch.from_numpy(grid.weights(1 - axis)).to(coefficient)
        across = width[None, None, :] if axis == 0 else width[None, :, None]
        h = grid.spacing[axis]
        sides = grid.sides(axis)
        a, b = coefficient.narrow(dim, 0, n - 1), coefficient.narrow(dim, 1, n - 1)
        inside = across * (2 * a * b / (a + b)) / h
        if sides[0] == "periodic":
            a, b = coefficient.narrow(dim, n - 1, 1), coefficient.narrow(dim, 0, 1)
            ends = [across * (2 * a * b / (a + b)) / h] * 2
        else:
            distance = h / 2 if grid.centring == "cell" else h
            ends = [
                across * coefficient.narrow(dim, at, 1) * (float(side == "dirichlet") / distance)
                for at, side in zip((0, n - 1), sides, strict=True)
            ]
        flows[axis, 0] = torch.cat((ends[0], inside), dim)
        flows[axis, 1] = torch.cat((inside, ends[1]), dim)
    zero = torch.zeros(batch, *grid.shape, dtype=coefficient.dtype, device=coefficient.device)
    entries = [zero] * 9
    for (axis, end), flow in flows.items():
        at = 4 + (2 * end - 1) * (3 if axis == 0 else 1)
        entries[at] = -flow
        entries[4] = entries[4] + flow
        side = grid.sides(axis)[end]
        if side != "periodic":  # nothing lies beyond
            keep = torch.ones(grid.shape[axis], dtype=flow.dtype, device=flow.device)
            keep[-end] = 0.0
            entries[at] = entries[at] * (keep[None, :, None] if axis == 0 else keep[None, None, :])
    return torch.stack(entries, 1)
