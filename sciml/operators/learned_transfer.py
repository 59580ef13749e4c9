"""Learned restriction and interpolation, with the boundary conditions of the grid and exact transposes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sciml.multigrid.torch.transfers import CELL, VERTEX, LevelLayout, fold, ghosts, within_reach
from sciml.pde.grid import Centring

__all__ = ["Transfer"]


class Transfer(nn.Module):
    """A learned kernel for the interpolation from the next coarser level; its transpose is the restriction.

    The initial kernel is bilinear interpolation of each channel plus small random weights between channels. It has
    3 x 3 weights on vertex-centred grids and 4 x 4 on cell-centred grids.

    Parameters
    ----------
    channels
        Number of channels of the fields on both levels.
    centring
        Centring of the grids.
    """

    NOISE = 0.1

    def __init__(self, channels: int, centring: Centring) -> None:
        super().__init__()
        spread = self.NOISE / (3 * channels**0.5)
        value = torch.tensor(VERTEX if centring == "vertex" else CELL)
        taps = len(value)
        noise = spread * torch.randn(channels, channels, taps, taps)
        self.weight = nn.Parameter(noise + torch.eye(channels)[:, :, None, None] * torch.outer(value, value))

    def prolong(self, u: Tensor, fine: LevelLayout) -> Tensor:
        """Interpolate (batch, channel, y, x) from ``fine.coarse()`` to ``fine``."""
        whole = functional.conv_transpose2d(ghosts(u, fine.coarse()), self.weight, stride=2)
        begin = [(3 - fine.offset(axis)) for axis in (0, 1)]
        return whole[..., begin[0] : begin[0] + fine.shape[0], begin[1] : begin[1] + fine.shape[1]]

    def restrict(self, r: Tensor, fine: LevelLayout) -> Tensor:
        """Apply the transpose of `prolong`."""
        return fold(functional.conv2d(within_reach(r, fine), self.weight, stride=2), fine.coarse())
