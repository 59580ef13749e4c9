"""Structured grids in torch: the ghost values of boundary conditions, and transfers between levels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from sciml.pde.grid import Centring, Grid, Side

__all__ = [
    "Layout",
    "extend",
    "fold",
    "ghost_sign",
    "ghosts",
    "mirror",
    "prolong",
    "restrict",
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
            value = u.narrow(dim, at, 1) * ghost_sign(layout, side)
            parts = [value, *parts] if end == 0 else [*parts, value]
        u = torch.cat(parts, dim=dim)
    return u


def ghost_sign(layout: Layout, side: Side) -> float:
    """What a ghost of interpolation is times its unknown: 0 where it is known to vanish, -1 odd, 1 even or around."""
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
            sign = ghost_sign(layout, side)
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
