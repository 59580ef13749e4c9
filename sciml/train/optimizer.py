"""The optimiser of a training."""

from __future__ import annotations

import torch
from torch import nn

from sciml.errors import InputError
from sciml.train.settings import Fit

__all__ = ["optimizer"]


def optimizer(model: nn.Module, settings: Fit) -> torch.optim.AdamW:
    """Make AdamW for the trainable parameters; only those of two dimensions or more decay.

    Raises
    ------
    InputError
        The model has no trainable parameters.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise InputError(f"{type(model).__name__} has no trainable parameters: nothing can be fitted")
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    fused = all(parameter.is_floating_point() for parameter in trained)
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.learning_rate,
        betas=settings.betas,
        fused=fused,
    )
