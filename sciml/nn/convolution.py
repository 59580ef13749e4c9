"""Weights of convolutions, for layers that call the functional form themselves."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from sciml.errors import InputError

__all__ = ["CONVOLUTIONS", "convolution_weights"]

CONVOLUTIONS: Mapping[int, type[nn.Conv1d] | type[nn.Conv2d] | type[nn.Conv3d]] = {
    1: nn.Conv1d,
    2: nn.Conv2d,
    3: nn.Conv3d,
}
"""Class of the convolutions, by the number of axes in space."""


def convolution_weights(convolution: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Return the current weight and bias of a convolution, each computed once if it is parametrised.

    Parameters
    ----------
    convolution
        Module with attributes ``weight`` and ``bias``, such as `torch.nn.Conv2d`.

    Returns
    -------
    tuple
        Weight, and bias or None.

    Raises
    ------
    InputError
        The module has no weight.

    Examples
    --------
    >>> weight, bias = convolution_weights(nn.Conv2d(2, 5, 3, bias=False))
    >>> weight.shape, bias
    (torch.Size([5, 2, 3, 3]), None)
    """
    weight, bias = getattr(convolution, "weight", None), getattr(convolution, "bias", None)
    if not isinstance(weight, Tensor):
        raise InputError(f"{type(convolution).__name__} has no weight: give a convolution")
    return weight, bias
