"""The linear system of a coefficient and a source, and the mean of solutions that are unique up to a constant."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sciml.multigrid.torch.stencils import diffusion_stencil
from sciml.pde.grid import Grid

__all__ = ["mean_free", "system_of"]


def system_of(fields: Mapping[str, Tensor], grid: Grid) -> tuple[Tensor, Tensor]:
    """Return the stencil (sample, 9, y, x) and right-hand side (sample, 1, y, x) of coefficient and source.

    A missing coefficient or source is 1. The boundary data are zero.
    """
    given = next(iter(fields.values()))
    value = torch.ones_like(given)
    stencil = diffusion_stencil(fields.get("coefficient", value), grid)
    volumes = torch.from_numpy(grid.volumes()).to(given)
    return stencil, (fields.get("source", value) * volumes)[:, None]


def mean_free(u: Tensor, grid: Grid) -> Tensor:
    """Subtract the means over the grid from fields (..., y, x), as solvers do for singular problems."""
    shares = torch.from_numpy(grid.volumes() / grid.volumes().sum()).to(u)
    return u - (u * shares).sum(tuple(range(-grid.ndim, 0)), keepdim=True)
