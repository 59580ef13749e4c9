"""Structured grids in torch: the ghost values of boundary conditions, and transfers between levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from sciml.multigrid.torch.along_axes import prolonged_along, restricted_along
from sciml.multigrid.torch.padding import (
    SMALL,
    Ghost,
    Ghosts,
    edge_factors,
    linear,
    with_ghosts,
    without_ghosts,
)
from sciml.pde.grid import Centring, Grid, Side

__all__ = [
    "LevelLayout",
    "all_conditions",
    "conditions",
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
class LevelLayout:
    """Layout of a grid, or of a coarser level of it, for the transfers.

    On vertex-centred grids every second node is a coarse node: the odd nodes after a Dirichlet side (2^k - 1 nodes
    become 2^(k-1) - 1), the even nodes after a Neumann or periodic side. On cell-centred grids two cells become one;
    the last of an odd number of cells becomes a coarse cell by itself.

    Examples
    --------
    >>> LevelLayout.of(Grid((63, 63))).coarse().shape
    (31, 31)
    """

    shape: tuple[int, ...]
    centring: Centring
    sides: tuple[tuple[Side, Side], ...]

    @classmethod
    def of(cls, grid: Grid) -> LevelLayout:
        return cls(grid.shape, grid.centring, tuple(grid.sides(axis) for axis in range(grid.ndim)))

    @property
    def zero(self) -> bool:
        """Whether every ghost value is zero."""
        return self.centring == "vertex" and all(side == "dirichlet" for pair in self.sides for side in pair)

    def offset(self, axis: int) -> int:
        """Return the fine index of the first coarse node."""
        return int(self.centring == "vertex" and self.sides[axis][0] == "dirichlet")

    def coarse(self) -> LevelLayout:
        """Return the next coarser level."""
        shape = tuple((n + 1 - self.offset(axis)) // 2 for axis, n in enumerate(self.shape))
        return LevelLayout(shape, self.centring, self.sides)

    def resized(self, shape: Sequence[int]) -> LevelLayout:
        """Return the layout of a grid of another shape on the same rectangle."""
        return replace(self, shape=tuple(shape))

    def levels(self, least: int = 1) -> list[LevelLayout]:
        """Return all levels from this one that `galerkin` can make, down to ``least`` unknowns along an axis."""
        layouts = [self]
        while min(layouts[-1].shape) > 1:
            last, coarser = layouts[-1], layouts[-1].coarse()
            pairs = zip(last.shape, last.sides, strict=True)
            if min(coarser.shape) < least or any(n % 2 and sides[0] == "periodic" for n, sides in pairs):
                break
            layouts.append(coarser)
        return layouts


def extend(u: Tensor, layout: LevelLayout) -> Tensor:
    """Add one ghost value at each end, by the boundary conditions.

    Fields are odd across a Dirichlet side (0 at a known node), even across a Neumann side, and periodic otherwise.

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
    return with_ghosts(u, conditions(layout, u))


def conditions(layout: LevelLayout, u: Tensor) -> Ghosts:
    """Return the sources of the ghosts of `extend`, for fields (..., y, x)."""
    y, x = all_conditions(layout, u)
    return y, x


def all_conditions(layout: LevelLayout, u: Tensor) -> tuple[tuple[Ghost, Ghost], ...]:
    """Return the sources of the ghosts along each axis of a field (..., *points)."""
    return tuple(
        (_condition(layout, axis, n, 0), _condition(layout, axis, n, 1))
        for axis, n in enumerate(u.shape[-len(layout.shape) :])
    )


def _condition(layout: LevelLayout, axis: int, n: int, end: int) -> Ghost:
    side = layout.sides[axis][end]
    if side != "neumann":
        return _interpolated(layout, axis, n, end)
    step = min(int(layout.centring == "vertex"), n - 1)  # even across the face, or across the node
    return (n - 1 - step if end else step), 1.0


def mirror(a: Tensor, layout: LevelLayout) -> Tensor:
    """Extend a coefficient or feature, which has no boundary condition: even at all sides, or periodic.

    Shapes are those of `extend`.
    """
    for axis, ends in ((1, (1, 1, 0, 0)), (0, (0, 0, 1, 1))):
        around = layout.sides[axis][0] == "periodic"
        a = functional.pad(a, ends, mode="circular" if around else "replicate")
    return a


def ghosts(u: Tensor, layout: LevelLayout) -> Tensor:
    """Add the ghosts of a coarse field for interpolation; it is constant beyond the last node at a Neumann side."""
    if layout.zero:
        return functional.pad(u, (1, 1, 1, 1))
    return with_ghosts(u, _all_interpolated(layout, u.shape[-2], u.shape[-1]))


def _all_interpolated(layout: LevelLayout, ny: int, nx: int) -> Ghosts:
    y, x = (
        (_interpolated(layout, axis, n, 0), _interpolated(layout, axis, n, 1))
        for axis, n in enumerate((ny, nx))
    )
    return y, x


def _interpolated(layout: LevelLayout, axis: int, n: int, end: int) -> Ghost:
    side = layout.sides[axis][end]
    return (n - 1) * (1 - end if side == "periodic" else end), ghost_sign(layout, side)


def ghost_sign(layout: LevelLayout, side: Side) -> float:
    """Return the factor of a ghost of interpolation: 0 if it is zero, -1 if odd, 1 if even or periodic."""
    if side != "dirichlet":
        return 1.0
    return 0.0 if layout.centring == "vertex" else -1.0


def fold(v: Tensor, layout: LevelLayout) -> Tensor:
    """Apply the transpose of `ghosts`: (..., y + 2, x + 2) to (..., y, x)."""
    if layout.zero:
        return v[..., 1:-1, 1:-1]
    return without_ghosts(v, _all_interpolated(layout, v.shape[-2] - 2, v.shape[-1] - 2))


def prolong(u: Tensor, fine: LevelLayout) -> Tensor:
    """Interpolate bilinearly from ``fine.coarse()`` to ``fine``, with the boundary conditions.

    Parameters
    ----------
    u
        Fields (batch, channel, y, x) on the coarse level, (batch, channel, x) on a line, with z before y in a box.

    Returns
    -------
    Tensor
        (batch, channel, *fine.shape).
    """
    if len(fine.shape) != 2:
        return prolonged_along(u, fine)
    return linear(u, lambda v: _prolong(v, fine), lambda r: _restrict(r, fine))


def restrict(r: Tensor, fine: LevelLayout) -> Tensor:
    """Apply the transpose of `prolong`: (batch, channel, *fine.shape) to (batch, channel, *fine.coarse().shape)."""
    if len(fine.shape) != 2:
        return restricted_along(r, fine)
    return linear(r, lambda v: _restrict(v, fine), lambda u: _prolong(u, fine))


def _prolong(u: Tensor, fine: LevelLayout) -> Tensor:
    if _few(fine, u):
        return _interpolated_few(u, fine)
    padded = u if fine.zero else ghosts(u, fine.coarse())
    kernel = _kernel(fine.centring, u)
    before, after = _margins(fine)
    # Values beyond both ends are not computed; values beyond one end are removed.
    crop = [min(pair) for pair in zip(before, after, strict=True)]
    whole = functional.conv_transpose2d(padded, kernel, stride=2, padding=crop, groups=u.shape[1])
    y, x = (b - c for b, c in zip(before, crop, strict=True))
    return whole[..., y : y + fine.shape[0], x : x + fine.shape[1]]


def _restrict(r: Tensor, fine: LevelLayout) -> Tensor:
    if _few(fine, r):
        return _restricted_few(r, fine)
    before, after = _margins(fine)
    both = [min(pair) for pair in zip(before, after, strict=True)]
    more = [(b - c, a - c) for b, a, c in zip(before, after, both, strict=True)]
    if any(map(any, more)):
        r = functional.pad(r, (*more[1], *more[0]))
    sums = functional.conv2d(r, _kernel(fine.centring, r), stride=2, padding=both, groups=r.shape[1])
    return sums if fine.zero else fold(sums, fine.coarse())


def _few(fine: LevelLayout, like: Tensor) -> bool:
    """Return whether the interpolation of torch is faster than a convolution, as it is for few values."""
    if torch.compiler.is_compiling():  # a comparison would fix the size of the compiled program
        return False
    batch, channels = like.shape[:2]
    return batch * channels * fine.shape[0] * fine.shape[1] <= SMALL


def _interpolated_few(u: Tensor, fine: LevelLayout) -> Tensor:
    """Compute the result of `_prolong` by the interpolation of torch."""
    if _clamped(fine):
        factors = edge_factors(_halves(fine), *fine.shape, u.dtype, u.device)
        whole = [2 * n for n in u.shape[-2:]]
        made = functional.interpolate(u, whole, mode="bilinear")[..., : fine.shape[0], : fine.shape[1]]
        return made if factors is None else made * factors
    padded = functional.pad(u, (1, 1, 1, 1)) if fine.zero else ghosts(u, fine.coarse())
    whole, first, aligned = _interpolation(fine)
    made = functional.interpolate(padded, whole, mode="bilinear", align_corners=aligned)
    return made[..., first[0] : first[0] + fine.shape[0], first[1] : first[1] + fine.shape[1]]


def _restricted_few(r: Tensor, fine: LevelLayout) -> Tensor:
    coarse, (ny, nx) = fine.coarse(), fine.shape
    backward = torch.ops.aten.upsample_bilinear2d_backward
    if _clamped(fine):
        factors = edge_factors(_halves(fine), ny, nx, r.dtype, r.device)
        scaled = r if factors is None else r * factors
        whole, size = [2 * n for n in coarse.shape], [*r.shape[:2], *coarse.shape]
        if whole != [ny, nx]:
            scaled = functional.pad(scaled, (0, whole[1] - nx, 0, whole[0] - ny))
        result: Tensor = backward(scaled, whole, size, False)
        return result
    whole, (y, x), aligned = _interpolation(fine)
    padded = functional.pad(r, (x, whole[1] - x - nx, y, whole[0] - y - ny))
    sums = backward(padded, whole, [*r.shape[:2], coarse.shape[0] + 2, coarse.shape[1] + 2], aligned)
    return fold(sums, coarse)


def _clamped(fine: LevelLayout) -> bool:
    """Return whether the interpolation is one with repeated edges, up to factors of the edges."""
    return fine.centring == "cell" and all(ends[0] != "periodic" for ends in fine.sides)


def _halves(fine: LevelLayout) -> tuple[float, float, float, float]:
    """Return the weights of a coarse cell in the fine cell next to each side: 3/4 - 1/4 at a Dirichlet side."""
    factors = [
        0.5 if side == "dirichlet" and (end == 0 or n % 2 == 0) else 1.0
        for n, ends in zip(fine.shape, fine.sides, strict=True)
        for end, side in enumerate(ends)
    ]
    return factors[0], factors[1], factors[2], factors[3]


def _interpolation(fine: LevelLayout) -> tuple[list[int], list[int], bool]:
    """Return the shape of an interpolated extended field, the offset of the fine field in it, and its form."""
    ny, nx = fine.coarse().shape
    if fine.centring == "cell":
        return [2 * ny + 4, 2 * nx + 4], [2, 2], False
    return [2 * ny + 3, 2 * nx + 3], [2 - fine.offset(0), 2 - fine.offset(1)], True


def _kernel(centring: Centring, like: Tensor) -> Tensor:
    """Return the weights of interpolation (channel, 1, m, m), for grouped convolutions, the fastest on a CPU."""
    if torch.compiler.is_compiling():  # compiled programs cannot cache tensors
        return _made_kernel(centring, like.shape[1], like.dtype, like.device)
    return _cached_kernel(centring, like.shape[1], like.dtype, like.device)


def _made_kernel(centring: Centring, channels: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    value = torch.tensor(VERTEX if centring == "vertex" else CELL, dtype=dtype, device=device)
    return torch.outer(value, value).expand(channels, 1, -1, -1)


@lru_cache(maxsize=64)
def _cached_kernel(centring: Centring, channels: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return _made_kernel(centring, channels, dtype, device).contiguous()


def _margins(fine: LevelLayout) -> tuple[list[int], list[int]]:
    """Return the reach of interpolation before and after the fine unknowns, along y and x."""
    if fine.zero:  # all ghosts are zero
        return [0, 0], [2 * c + 1 - n for c, n in zip(fine.coarse().shape, fine.shape, strict=True)]
    return _reach(fine)


def _reach(fine: LevelLayout) -> tuple[list[int], list[int]]:
    """Return the reach of interpolation with the ghosts of the coarse field."""
    width = len(CELL) if fine.centring == "cell" else len(VERTEX)
    before = [3, 3] if fine.centring == "cell" else [3 - fine.offset(0), 3 - fine.offset(1)]
    sizes = zip(fine.coarse().shape, before, fine.shape, strict=True)
    return before, [2 * (c + 1) + width - b - n for c, b, n in sizes]


def within_reach(v: Tensor, fine: LevelLayout) -> Tensor:
    """Pad a fine field with zeros to the shape that interpolation of the extended coarse field has."""
    before, after = _reach(fine)
    return functional.pad(v, (before[1], after[1], before[0], after[0]))
