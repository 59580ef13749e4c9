"""Transfers between the grid of a field and a fixed grid, on which kernels have the same width at every resolution."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from sciml.multigrid.torch.transfers import LevelLayout, prolong, restrict
from sciml.operators.resampling import applied, hats, shares
from sciml.pde.grid import Boundary, Field, Grid

__all__ = ["FixedGrid", "fixed_shape", "mean"]

POOLS: Mapping[int, Callable[..., Tensor]] = {
    1: functional.avg_pool1d,
    2: functional.avg_pool2d,
    3: functional.avg_pool3d,
}


@dataclass(frozen=True)
class FixedGrid:
    """Weighted means of features on a fixed grid, and interpolation back with the boundary conditions.

    A grid is halved as often as it stays at least as fine as the fixed one. If the last level has another shape, its
    control volumes are averaged, and its fields are interpolated. Fields on a coarser grid are interpolated to the
    fixed grid, and the result is averaged.

    Parameters
    ----------
    levels
        Layouts from that of the fields to the last that is halved, and the one after it.
    coarse
        Layout of the fixed grid.

    Examples
    --------
    >>> import torch
    >>> fine = LevelLayout.of(Grid((63, 127)))
    >>> fixed = FixedGrid.of(fine, (31, 31))
    >>> fixed.average(torch.ones(1, 2, 63, 127)).shape
    torch.Size([1, 2, 31, 31])
    >>> fixed.interpolate(torch.ones(1, 2, 31, 31)).shape
    torch.Size([1, 2, 63, 127])
    """

    levels: tuple[LevelLayout, ...]
    coarse: LevelLayout

    @classmethod
    def of(cls, fine: LevelLayout, shape: Sequence[int]) -> FixedGrid:
        """Return the transfers between the grid of a layout and the grid of a shape on the same rectangle."""
        return _transfers(fine, tuple(shape))

    @property
    def same(self) -> bool:
        """Whether the fixed grid is that of the fields."""
        return self.levels[0].shape == self.coarse.shape

    def average(self, field: Tensor) -> Tensor:
        """Average features (batch, channel, *fine) to (batch, channel, *coarse)."""
        for layout in self.levels[:-1]:
            field = mean(field, layout)
        last = self.levels[-1]
        return field if last.shape == self.coarse.shape else applied(_weights(self.coarse, last, None), field)

    def interpolate(self, u: Tensor) -> Tensor:
        """Interpolate fields (batch, channel, *coarse) to (batch, channel, *fine)."""
        last = self.levels[-1]
        u = u if last.shape == self.coarse.shape else applied(_weights(last, self.coarse, 0.0), u)
        for layout in reversed(self.levels[:-1]):
            u = prolong(u, layout)
        return u

    def area(self, level: LevelLayout) -> float:
        """Return the area of a control volume of a level, relative to that of the fixed grid."""
        fine, coarse = _grid(level).spacing, _grid(self.coarse).spacing
        return math.prod(fine) / math.prod(coarse)


def fixed_shape(layout: LevelLayout, points: int) -> tuple[int, ...]:
    """Return the shape after halving a grid until its shorter axis has at most ``points`` points.

    Examples
    --------
    >>> fixed_shape(LevelLayout.of(Grid((63, 127))), 31)
    (31, 63)
    """
    while min(layout.shape) > points:
        layout = layout.coarse()
    return layout.shape


def mean(field: Tensor, fine: LevelLayout) -> Tensor:
    """Average features to the next coarser level: the mean of four cells, or the weighted mean around a node.

    Parameters
    ----------
    field
        Features (batch, channel, *fine.shape), which have no boundary condition.
    fine
        Layout of the features.

    Returns
    -------
    Tensor
        (batch, channel, *fine.coarse().shape).

    Examples
    --------
    >>> import torch
    >>> mean(torch.ones(1, 1, 7, 8), LevelLayout.of(Grid((7, 8)))).flatten().unique()
    tensor([1.])
    """
    if fine.centring == "cell":
        return POOLS[len(fine.shape)](field, 2, ceil_mode=True)
    sums = restrict(field, fine)
    # Compiled programs cannot cache tensors.
    totals = _totals if torch.compiler.is_compiling() else _cached_totals
    return sums / totals(fine, field.dtype, field.device)


def _totals(fine: LevelLayout, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the sums of the weights of restriction (1, 1, *coarse): 4 except near some sides."""
    return restrict(torch.ones(1, 1, *fine.shape, dtype=dtype, device=device), fine)


@lru_cache(maxsize=64)
def _cached_totals(fine: LevelLayout, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return _totals(fine, dtype, device)


@lru_cache(maxsize=64)
def _transfers(fine: LevelLayout, shape: tuple[int, ...]) -> FixedGrid:
    levels = [fine]
    while levels[-1].shape != shape and _finer(levels[-1].coarse(), fine.resized(shape)):
        levels.append(levels[-1].coarse())
    return FixedGrid(tuple(levels), fine.resized(shape))


def _finer(fine: LevelLayout, coarse: LevelLayout) -> bool:
    return all(n >= m for n, m in zip(fine.shape, coarse.shape, strict=True))


@lru_cache(maxsize=64)
def _weights(to: LevelLayout, of: LevelLayout, side: float | None) -> list[Field]:
    """Return the weights (to, of) along each axis: means on a coarser axis, and interpolation on a finer one."""
    target, source = _grid(to), _grid(of)
    return [
        shares(source, target, axis)
        if to.shape[axis] <= of.shape[axis]
        else hats(target, source, axis, known=side is not None)
        for axis in range(len(to.shape))
    ]


def _grid(layout: LevelLayout) -> Grid:
    sides = [side for pair in reversed(layout.sides) for side in pair]
    return Grid(layout.shape, layout.centring, Boundary(*sides))
