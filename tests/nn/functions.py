"""Parametrisations for the tests: with one and several original tensors, with and without inverse and buffers."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class Cubic(nn.Module):
    """x + x^3 / 4; without an inverse, so the weight changes when it is registered."""

    def forward(self, x: Tensor) -> Tensor:
        return x + x**3 / 4


class Doubled(nn.Module):
    """Twice the original tensor."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight / 2


class Factors(nn.Module):
    """The product of two original tensors of the weight's shape."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return first * second

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return weight.abs().sqrt(), weight.sign() * weight.abs().sqrt()


class Masked(nn.Module):
    """The weight times a mask, which is a buffer, with a trained factor of its own."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.register_buffer("mask", (torch.arange(shape.numel()).reshape(shape) % 3 > 0).float())
        self.factor = nn.Parameter(torch.tensor(1.25))

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * self.mask * x


class Packed(nn.Module):
    """A weight made of a vector of half as many numbers: original tensor of another shape."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, -x])[: self.shape.numel()].reshape(self.shape)

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight.flatten()[: (weight.numel() + 1) // 2].clone()


KINDS = ("cubic", "doubled", "factors", "masked", "packed", "chained")


def register(network: nn.Module, name: str, kind: str) -> None:
    """Parametrise one weight of a network, given by its name in the state dict."""
    owner, _, weight = name.rpartition(".")
    part = network.get_submodule(owner)
    shape = getattr(part, weight).shape
    chain = {
        "cubic": [Cubic()],
        "doubled": [Doubled()],
        "factors": [Factors()],
        "masked": [Masked(shape)],
        "packed": [Packed(shape)],
        "chained": [Factors(), Cubic(), Masked(shape)],
    }[kind]
    for function in chain:
        parametrize.register_parametrization(part, weight, function, unsafe=kind == "packed")


def originals(network: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The trained tensors behind parametrised weights."""
    return ((name, x) for name, x in network.named_parameters() if "parametrizations." in name)
