"""The objective of the training of an operator: the loss, and the validation errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.operators import losses
from sciml.operators.field_scaling import FieldScaling
from sciml.operators.samples import TRUTH
from sciml.operators.trained_operator import answer, system_of
from sciml.pde.grid import Grid
from sciml.pde.sides import Given
from sciml.train import Batch, relative_l2

__all__ = ["Loss", "OperatorObjective"]

Loss = Literal["h1", "l2", "h1-truncated", "h1-fft", "h1-helmholtz", "residual"]


@dataclass(frozen=True)
class OperatorObjective:
    """Objective of the training: the loss, and in validation also the relative L2 and H1 errors.

    Parameters
    ----------
    loss
        ``h1``: `sciml.operators.losses.relative_h1`; ``h1-truncated`` and ``h1-fft``: those of published codes;
        ``l2``; ``h1-helmholtz``: an absolute loss; ``residual``: `residual_energy`, which needs no reference. All are
        computed in float32 for any precision of the network.
    normalisation, grid, side_values
        Scaling, grid and side values of the samples.
    """

    loss: Loss
    normalisation: FieldScaling
    grid: Grid
    side_values: Given = 0.0

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        truth = batch[TRUTH]
        fields = {name: value for name, value in batch.items() if name != TRUTH}
        prediction = answer(model, fields, self.normalisation.to(truth.device), self.grid)
        if prediction.shape != truth.shape:
            raise InputError(
                f"{type(model).__name__} gives {tuple(prediction.shape)} for truths of {tuple(truth.shape)}: "
                "it cannot take this grid; generate another resolution or use another network"
            )
        with torch.autocast(truth.device.type, enabled=False):
            scores = {"loss": self.cost(prediction, truth, fields)}
        if not model.training:
            scores["relative_l2"] = relative_l2(prediction, truth)
            scores["relative_h1"] = losses.relative_h1(
                prediction, truth, self.grid, boundary_value=self.side_values
            )
        return scores

    def cost(self, prediction: Tensor, truth: Tensor, fields: Mapping[str, Tensor]) -> Tensor:
        """Compute the loss of a prediction (sample, y, x)."""
        if self.loss == "h1":
            return losses.relative_h1(prediction, truth, self.grid, boundary_value=self.side_values)
        if self.loss == "residual":
            from sciml.multigrid.torch.stencil_cycle import StencilCycle

            stencil, rhs = system_of(fields, self.grid)
            cycle = StencilCycle.of(stencil, self.grid)
            return losses.residual_energy(prediction[:, None], rhs, cycle.operator, cycle)
        plain: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
            "l2": relative_l2,
            "h1-truncated": partial(losses.relative_h1_truncated, axes=self.grid.ndim),
            "h1-fft": partial(losses.relative_h1_fft, axes=self.grid.ndim),
            "h1-helmholtz": losses.h1_helmholtz,
        }
        return plain[self.loss](prediction, truth)
