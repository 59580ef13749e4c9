"""Checks of the fields with which a network is called."""

from __future__ import annotations

from torch import Tensor

from sciml.errors import InputError
from sciml.pde.grid import space

__all__ = ["LEAST", "check_input_fields"]

LEAST = 3
"""Least number of points along an axis, see `sciml.pde.grid.Grid`."""


def check_input_fields(name: str, x: Tensor, channels: int | None = None, axes: int = 2) -> None:
    """Check that an argument is a batch of real floating-point fields, such as (sample, channel, y, x).

    Parameters
    ----------
    name
        Name of the network, for the message.
    x
        Argument of the network.
    channels
        Number of input channels; None accepts any number.
    axes
        Number of axes in space.

    Raises
    ------
    InputError
        The argument is not a tensor, has another number of axes or channels, has fewer than 3 points along an axis, or
        is not of real floating-point numbers.

    Examples
    --------
    >>> import torch
    >>> check_input_fields("MgNO", torch.ones(2, 1, 15, 15), 1)
    """
    if not isinstance(x, Tensor):
        raise InputError(
            f"{name} takes a tensor (sample, channel, {', '.join(space(axes))}), not {type(x).__name__}: convert it"
        )
    wanted = "channels" if channels is None else f"{channels} channel{'s' * (channels > 1)}"
    if x.ndim != 2 + axes or (channels is not None and x.shape[1] != channels):
        points = ", ".join(f"points {dim}" for dim in space(axes))
        raise InputError(
            f"{name} takes fields (sample, {wanted}, {points}), these have the shape {tuple(x.shape)}: "
            f"{_remedy(x, axes)}"
        )
    if min(x.shape[2:]) < LEAST:
        least, these = (" x ".join(map(str, shape)) for shape in ([LEAST] * axes, x.shape[2:]))
        raise InputError(
            f"{name} takes grids of at least {least} points, this one has {these}: give a finer grid"
        )
    if not x.is_floating_point():
        raise InputError(f"{name} takes real floating-point numbers, these are {x.dtype}: convert them")


def _remedy(x: Tensor, axes: int) -> str:
    if x.ndim == 1 + axes:
        return "add the axis of the channels, x[:, None]"
    if x.ndim == 2 + axes:
        return "give that many"
    if 3 <= x.ndim <= 5:
        return f"fields of {x.ndim - 2} axes need a network that is made with axes={x.ndim - 2}, FNO or MgNO"
    return "give fields in the plane" if axes == 2 else "give a batch of fields"
