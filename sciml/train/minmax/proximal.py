"""Proximal operators of constraints."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sciml.checks import check_whole, is_number
from sciml.errors import InputError

__all__ = ["Proximal", "box", "project_to_simplex", "simplex"]

Proximal = Callable[[Tensor, float], Tensor]
"""``prox(z, step)``: the least value of ``h(x) + |x - z|^2 / (2 step)`` over x."""


def box(low: float, high: float) -> Proximal:
    """Return the projection of all components to an interval.

    Parameters
    ----------
    low, high
        Ends of the interval.

    Returns
    -------
    callable
        ``prox(z, step)``.

    Raises
    ------
    InputError
        The interval is empty.

    Examples
    --------
    >>> box(-1, 1)(torch.tensor([-3.0, 0.5]), 0.1).tolist()
    [-1.0, 0.5]
    """
    if not (is_number(low) and is_number(high) and low <= high):
        raise InputError(f"box({low!r}, {high!r}): give two numbers, the lower one first")
    return lambda z, step: z.clamp(low, high)


def simplex(count: int) -> Proximal:
    """Return the projection of the last components to weights, not negative and of sum 1.

    Parameters
    ----------
    count
        Number of weights; the components before them are not changed.

    Returns
    -------
    callable
        ``prox(z, step)``.

    Raises
    ------
    InputError
        There are no weights.

    Examples
    --------
    >>> simplex(2)(torch.tensor([5.0, 1.0, 2.0]), 0.1).tolist()
    [5.0, 0.0, 1.0]
    """
    check_whole("count", count, 1, owner="simplex")
    return lambda z, step: torch.cat([z[:-count], project_to_simplex(z[-count:])])


def project_to_simplex(weights: Tensor) -> Tensor:
    """Return the nearest weights that are not negative and have the sum 1.

    Parameters
    ----------
    weights
        (weight,).

    Returns
    -------
    Tensor
        (weight,).

    Notes
    -----
    Held, Wolfe and Crowder (1974), by sorting.

    Examples
    --------
    >>> project_to_simplex(torch.tensor([0.2, 0.2])).tolist()
    [0.5, 0.5]
    """
    ordered = weights.sort(descending=True).values
    excess = (ordered.cumsum(0) - 1) / torch.arange(
        1, len(weights) + 1, dtype=weights.dtype, device=weights.device
    )
    last = int((ordered > excess).sum()) - 1
    return (weights - excess[last]).clamp_min(0)
