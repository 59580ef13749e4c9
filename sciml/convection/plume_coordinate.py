"""A vertical coordinate of the plume itself, which the network sees instead of the model's levels.

A fixed number of layers of equal mass lies below the cloud's base, and another one between its base and top. Profiles
are remapped conservatively: the mean of a layer is the integral over its mass, piecewise constant on the levels. A
sum over the cloud, such as a change of wind, is mapped back so that its total stays the same. The network's answer
does not depend on the number of levels, or on where they lie, beyond what they resolve.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.convection.plume import Plume
from sciml.convection.sounding import Sounding

__all__ = ["PlumeCoordinate", "spread"]


@dataclass(frozen=True)
class PlumeCoordinate:
    """Layers of the plume of each column.

    Parameters
    ----------
    faces
        Pressure depth (Pa) from the ground to the bottom of each level, and to the top, (column, level + 1).
    edges
        The same of the coordinate's layers, (column, layer + 1).
    """

    faces: Tensor
    edges: Tensor

    @classmethod
    def of(cls, s: Sounding, plume: Plume, below: int, cloud: int) -> PlumeCoordinate:
        """Make `below` layers between the ground and the cloud's base, and `cloud` layers from there to its top."""
        depth = torch.cumsum(s.dp.T, 1)
        faces = torch.cat([torch.zeros_like(depth[:, :1]), depth], 1).contiguous()
        base = faces.gather(1, plume.cloud_base.unsqueeze(1))
        top = faces.gather(1, plume.top.unsqueeze(1) + 1)
        lower = torch.arange(below, dtype=faces.dtype, device=faces.device) / below
        upper = torch.arange(cloud + 1, dtype=faces.dtype, device=faces.device) / cloud
        return cls(faces, torch.cat([base * lower, base + (top - base) * upper], 1).contiguous())

    def means(self, profiles: Tensor) -> Tensor:
        """Means over the coordinate's layers of profiles (..., level, column): (column, layer, ...)."""
        values = profiles.movedim(-1, 0).movedim(-1, 1)  # (column, level, ...)
        mass = (self.faces[:, 1:] - self.faces[:, :-1]).reshape(
            *self.faces[:, 1:].shape, *[1] * (values.ndim - 2)
        )
        total = torch.cumsum(values * mass, 1)
        total = torch.cat([torch.zeros_like(total[:, :1]), total], 1)
        level = torch.searchsorted(self.faces, self.edges, right=True) - 1
        level = level.clamp(0, self.faces.shape[1] - 2)
        inside = self.edges - self.faces.gather(1, level)
        shape = (*level.shape, *[1] * (values.ndim - 2))
        index = level.reshape(shape).expand(*level.shape, *values.shape[2:])
        at_edge = total.gather(1, index) + values.gather(1, index) * inside.reshape(shape)
        width = (self.edges[:, 1:] - self.edges[:, :-1]).reshape(-1, level.shape[1] - 1, *shape[2:])
        return (at_edge[:, 1:] - at_edge[:, :-1]) / width

    @property
    def positions(self) -> Tensor:
        """Position of each face of the levels in units of layers, (column, level + 1)."""
        layers = self.edges.shape[1] - 1
        layer = (torch.searchsorted(self.edges, self.faces, right=True) - 1).clamp(0, layers - 1)
        low, high = self.edges.gather(1, layer), self.edges.gather(1, layer + 1)
        return layer + ((self.faces - low) / (high - low)).clamp(0.0, 1.0)


def spread(amounts: Tensor, positions: Tensor) -> Tensor:
    """Distribute the amounts of layers over levels, with equal sums; levels above the plume get nothing.

    Parameters
    ----------
    amounts
        Amount of each layer, (column, layer).
    positions
        `PlumeCoordinate.positions`, (column, level + 1).

    Returns
    -------
    Tensor
        Amount of each level, (column, level).
    """
    layers = amounts.shape[1]
    below = torch.cat([torch.zeros_like(amounts[:, :1]), torch.cumsum(amounts, 1)], 1)
    layer = positions.to(torch.int64).clamp(0, layers - 1)
    at_face = below.gather(1, layer) + amounts.gather(1, layer) * (positions - layer)
    return at_face[:, 1:] - at_face[:, :-1]
