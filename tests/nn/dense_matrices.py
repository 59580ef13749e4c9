"""Matrices of convolutions on periodic grids, made by applying the layer to unit fields."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["matrix"]

_CONVOLUTIONS = (functional.conv1d, functional.conv2d, functional.conv3d)


def matrix(layer: nn.Module, n: tuple[int, ...]) -> Tensor:
    """Return the matrix of a layer on fields of n points, float64; of the adjoint of a transposed one."""
    weight = layer.weight.detach().double()  # type: ignore[union-attr, operator]
    stride, dilation, groups = layer.stride, layer.dilation, layer.groups
    transposed = "Transpose" in type(layer).__name__
    fine = tuple(p * s for p, s in zip(n, stride, strict=True)) if transposed else n  # type: ignore[arg-type]
    channels = weight.shape[1] * groups  # type: ignore[operator]
    fields = torch.eye(channels * math.prod(fine), dtype=torch.float64).reshape(-1, channels, *fine)
    for axis, points in enumerate(fine):
        beyond = (weight.shape[2 + axis] - 1) * dilation[axis]  # type: ignore[index]
        fields = fields.index_select(2 + axis, torch.arange(points + beyond) % points)
    made = _CONVOLUTIONS[len(n) - 1](fields, weight, None, stride, 0, dilation, groups)  # type: ignore[operator]
    return made.reshape(len(fields), -1).T
