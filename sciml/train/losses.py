"""Losses that are independent of the problem."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from sciml.errors import InputError, SciMLError

__all__ = ["NotFinite", "check_finite", "check_losses", "relative_l2", "scalars"]


class NotFinite(SciMLError):
    """A loss or gradient became NaN or infinite. The model keeps the weights from before that step."""


def relative_l2(prediction: Tensor, target: Tensor, *, floor: float = 0.0) -> Tensor:
    """Compute the mean over samples of the Euclidean norm of the error, relative to that of the target.

    Parameters
    ----------
    prediction, target
        Tensors of equal shape (sample, ...).
    floor
        Least value of the target's norm, in its units, for samples that may vanish. With 0 such a sample
        gives a loss that is not finite unless it is predicted exactly, when it counts as 0.

    Returns
    -------
    Tensor
        A scalar, at least in float32, because norms of many values are inaccurate in lower precision.

    Raises
    ------
    InputError
        The shapes differ; torch would broadcast them.

    Examples
    --------
    >>> relative_l2(torch.tensor([[3.0, 3.0], [0.0, 1.0]]), torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor(0.1000)
    """
    if prediction.shape != target.shape:
        raise InputError(
            f"prediction {tuple(prediction.shape)} against target {tuple(target.shape)}: give one shape"
        )
    kind = torch.promote_types(prediction.dtype, torch.float32)
    error = (prediction.to(kind) - target.to(kind)).flatten(1)
    # The norm has no gradient where the error is zero; vector_norm takes the subgradient 0 there.
    above = torch.linalg.vector_norm(error, dim=1)
    below = torch.linalg.vector_norm(target.to(kind).flatten(1), dim=1).clamp_min(floor)
    exact = (above == 0) & (below == 0)
    return torch.where(exact, torch.zeros_like(above), above / torch.where(exact, 1.0, below)).mean()


def check_losses(losses: Mapping[str, Tensor]) -> None:
    """Check the losses that an objective returned.

    Raises
    ------
    InputError
        None of them is named ``loss``, or one has several values.
    """
    if "loss" not in losses:
        raise InputError(f"the objective returned the losses {sorted(losses)}: name the total 'loss'")
    if shapes := {name: tuple(value.shape) for name, value in losses.items() if value.numel() != 1}:
        raise InputError(f"the objective returned losses of shapes {shapes}: average each over the samples")


def scalars(values: Mapping[str, Tensor]) -> dict[str, float]:
    """Convert scalar tensors to Python numbers, in a single transfer from the device.

    Examples
    --------
    >>> scalars({"loss": torch.tensor(0.5), "rain": torch.tensor([2.0])})
    {'loss': 0.5, 'rain': 2.0}
    """
    kind = functools.reduce(torch.promote_types, (value.dtype for value in values.values()), torch.float32)
    together = torch.stack([value.detach().reshape(()).to(kind) for value in values.values()])
    return dict(zip(values, together.tolist(), strict=True))


def check_finite(values: Mapping[str, float], where: str, learning_rate: float, path: Path | None) -> None:
    """Check that losses and gradient norms are finite, before they change the weights.

    Parameters
    ----------
    values
        Numbers by name.
    where
        Place in the training.
    learning_rate
        Learning rate of the step.
    path
        File of the resumable state, or None.

    Raises
    ------
    NotFinite
        They are not.
    """
    bad = {name: value for name, value in values.items() if not math.isfinite(value)}
    if bad:
        names = ", ".join(f"{name} = {value}" for name, value in bad.items())
        state = f"; the last good state is in {path}" if path and path.is_file() else ""
        remedy = "look for NaN in the data, lower learning_rate or gradient_clip, or use precision='float32'"
        raise NotFinite(f"{names} at {where}, learning rate {learning_rate:.3g}: {remedy}{state}")
