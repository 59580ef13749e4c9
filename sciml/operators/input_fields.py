"""Checks of the fields with which a network is called."""

from __future__ import annotations

from torch import Tensor

from sciml.errors import InputError

__all__ = ["LEAST", "check_input_fields"]

LEAST = 3
"""Least number of points along an axis, see `sciml.pde.grid.Grid`."""


def check_input_fields(name: str, x: Tensor, channels: int | None = None) -> None:
    """Check that an argument is a batch of real floating-point fields (sample, channel, y, x).

    Parameters
    ----------
    name
        Name of the network, for the message.
    x
        Argument of the network.
    channels
        Number of input channels; None accepts any number.

    Raises
    ------
    InputError
        The argument is not a tensor, has another number of axes or channels, has fewer than 3 points along y or x, or
        is not of real floating-point numbers.

    Examples
    --------
    >>> import torch
    >>> check_input_fields("MgNO", torch.ones(2, 1, 15, 15), 1)
    """
    if not isinstance(x, Tensor):
        raise InputError(f"{name} takes a tensor (sample, channel, y, x), not {type(x).__name__}: convert it")
    wanted = "channels" if channels is None else f"{channels} channel{'s' * (channels > 1)}"
    if x.ndim != 4 or (channels is not None and x.shape[1] != channels):
        raise InputError(
            f"{name} takes fields (sample, {wanted}, points y, points x), these have the shape {tuple(x.shape)}: "
            f"{_remedy(x)}"
        )
    if min(x.shape[2:]) < LEAST:
        raise InputError(
            f"{name} takes grids of at least {LEAST} x {LEAST} points, this one has {x.shape[2]} x {x.shape[3]}: "
            "give a finer grid"
        )
    if not x.is_floating_point():
        raise InputError(f"{name} takes real floating-point numbers, these are {x.dtype}: convert them")


def _remedy(x: Tensor) -> str:
    if x.ndim == 5:
        return "fields in three dimensions are not supported"
    if x.ndim < 3:
        return "give fields in the plane; a line is trained as such from a dataset with dims (sample, x)"
    return "add the axis of the channels, x[:, None]" if x.ndim == 3 else "give that many"
