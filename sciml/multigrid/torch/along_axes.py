"""Ghost values and transfers of fields with any number of axes, as products with a matrix along each axis.

In the plane `sciml.multigrid.torch.transfers` computes the same by convolutions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from sciml.multigrid.interpolation import interpolation
from sciml.multigrid.torch.padding import Ghost
from sciml.pde.grid import Centring, Side

__all__ = ["StructuredLevel", "extended_along", "prolonged_along", "restricted_along"]


class StructuredLevel(Protocol):
    """Shape, centring and boundary conditions of a grid, such as a `LevelLayout`."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def centring(self) -> Centring: ...

    @property
    def sides(self) -> tuple[tuple[Side, Side], ...]: ...


def extended_along(u: Tensor, ends: tuple[tuple[Ghost, Ghost], ...]) -> Tensor:
    """Add one ghost value at each end of each axis in space.

    Parameters
    ----------
    u
        Fields (batch, channel, *points).
    ends
        Source and factor of the ghosts before and after each axis.

    Returns
    -------
    Tensor
        (batch, channel, *(points + 2)).
    """
    for axis, pair in enumerate(ends):
        dim = axis - len(ends)
        low, high = (u.narrow(dim, at, 1) * sign for at, sign in pair)
        u = torch.cat((low, u, high), dim)
    return u


def prolonged_along(u: Tensor, fine: StructuredLevel) -> Tensor:
    """Interpolate linearly along each axis from ``fine.coarse()`` to ``fine``, with the boundary conditions."""
    for axis in range(len(fine.shape)):
        u = _multiplied(u, _interpolation(fine, axis, u.dtype, u.device), axis - len(fine.shape))
    return u


def restricted_along(r: Tensor, fine: StructuredLevel) -> Tensor:
    """Apply the transpose of `prolonged_along`."""
    for axis in range(len(fine.shape)):
        r = _multiplied(r, _interpolation(fine, axis, r.dtype, r.device).T, axis - len(fine.shape))
    return r


def _multiplied(u: Tensor, matrix: Tensor, dim: int) -> Tensor:
    """Multiply by a matrix along an axis."""
    if dim == -1:
        return u @ matrix.T
    shape = u.shape
    rows = u.reshape(*shape[: u.ndim + dim], shape[dim], -1)  # all later axes in one
    return (matrix @ rows).reshape(*shape[: u.ndim + dim], len(matrix), *shape[u.ndim + dim + 1 :])


def _interpolation(fine: StructuredLevel, axis: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the interpolation along an axis (fine, coarse)."""
    return _cached(fine.shape[axis], fine.centring, fine.sides[axis], dtype, device)


@lru_cache(maxsize=256)
def _cached(
    n: int, centring: Centring, sides: tuple[Side, Side], dtype: torch.dtype, device: torch.device
) -> Tensor:
    with torch.inference_mode(False):
        return torch.from_numpy(interpolation(n, centring, sides).toarray()).to(device, dtype)
