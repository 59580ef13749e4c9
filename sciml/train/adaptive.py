"""Objectives with variables of their own, which change after each step: weights of groups, or multipliers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from sciml.train.batches import Batch

__all__ = ["Adaptive", "Exchanging", "LossesOf", "Objective"]

Objective = Callable[[nn.Module, Batch], Mapping[str, Tensor]]
LossesOf = Callable[[Batch, Objective], Mapping[str, Tensor]]


@runtime_checkable
class Adaptive(Protocol):
    """An objective with variables that `sciml.train.fit` updates after each step, and saves with its state."""

    def __call__(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Return the named losses of a batch."""
        ...

    def update(self, losses: Mapping[str, float]) -> None:
        """Change the variables, after a step with these losses of all processes."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Return the variables by name, those of all processes; all processes call it together."""
        ...

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Set the variables to those of `tensors`."""
        ...


@runtime_checkable
class Exchanging(Protocol):
    """An objective whose processes exchange the gradients in its own way."""

    def join(self, size: int, model: nn.Module) -> None:
        """Prepare the exchange between so many processes.

        Raises
        ------
        InputError
            The number of processes does not fit.
        """
        ...

    def backward(
        self, losses_of: LossesOf, batch: Batch, parts: int, device: torch.device
    ) -> dict[str, float]:
        """Set the gradients of the parameters, and return the losses; both are equal in all processes."""
        ...
