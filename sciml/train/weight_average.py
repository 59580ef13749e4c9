"""The exponential moving average of a network's weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

__all__ = ["Average"]


class Average:
    """A moving average of the trainable parameters.

    ``average = d * average + (1 - d) * parameter`` after each step, with ``d = min(decay, (1 + t) / (10 +
    t))`` at the t-th update (t from 1), so that the initial weights have little influence in a short training.
    Buffers are not averaged.

    Parameters
    ----------
    model
        Model whose parameters are the first average.
    decay
        Decay after many steps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.count = 0
        self.tensors: dict[str, Tensor] = {
            name: parameter.detach().clone()
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Update the average after an optimiser step."""
        self.count += 1
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        averages = list(self.tensors.values())
        torch._foreach_lerp_(averages, self._parameters(model), 1.0 - decay)

    @contextlib.contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Give the model the averaged weights within the block, and its own weights, bit for bit, afterwards."""
        parameters = self._parameters(model)
        own = [parameter.detach().clone() for parameter in parameters]
        _copy(parameters, list(self.tensors.values()))
        try:
            yield
        finally:
            _copy(parameters, own)

    def _parameters(self, model: nn.Module) -> list[Tensor]:
        named = dict(model.named_parameters())
        return [named[name] for name in self.tensors]


@torch.no_grad()
def _copy(targets: list[Tensor], sources: list[Tensor]) -> None:
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)
