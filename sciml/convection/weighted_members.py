"""Statistics of the weighted members of an ensemble: mean, quantiles, rank of the truth, and its score."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["crps", "mean", "quantile", "rank_range"]

Array = NDArray[Any]


def mean(values: Array, weights: Array) -> Array:
    """Return the mean of the members, (column, ...), of values (column, member, ...) and weights (column, member)."""
    result: Array = (values * _wide(weights, values)).sum(1)
    return result


def quantile(values: Array, weights: Array, share: float) -> Array:
    """Return the weighted quantile of the members, (column, ...), interpolated between their centres."""
    values, weights = _sorted(values, weights)
    centre = np.cumsum(weights, 1) - 0.5 * weights
    above = (centre < share).sum(1, keepdims=True)
    high = np.minimum(above, values.shape[1] - 1)
    low = np.maximum(above - 1, 0)
    ends = [np.take_along_axis(x, i, 1)[:, 0] for x in (centre, values) for i in (low, high)]
    gap = ends[1] - ends[0]
    part = np.where(gap > 0, (share - ends[0]) / np.where(gap > 0, gap, 1.0), 0.0).clip(0.0, 1.0)
    result: Array = ends[2] + part * (ends[3] - ends[2])
    return result


def rank_range(values: Array, weights: Array, truth: Array) -> tuple[Array, Array]:
    """Return the weight of the members below the truth, and of those not above it, (column, ...)."""
    wide, truth = _wide(weights, values), truth[:, None]
    return (wide * (values < truth)).sum(1), (wide * (values <= truth)).sum(1)


def crps(values: Array, weights: Array, truth: Array) -> Array:
    """Return the continuous ranked probability score of the members, (column, ...), in the unit of the values.

    It is the mean difference of a member and the truth less half of the mean difference of two members, and for one
    member the absolute error.
    """
    first = (_wide(weights, values) * np.abs(values - truth[:, None])).sum(1)
    values, weights = _sorted(values, weights)
    below = np.cumsum(weights, 1)
    result: Array = first - ((below * (1.0 - below))[:, :-1] * np.diff(values, axis=1)).sum(1)
    return result


def _wide(weights: Array, values: Array) -> Array:
    return weights.reshape(*weights.shape, *[1] * (values.ndim - 2))


def _sorted(values: Array, weights: Array) -> tuple[Array, Array]:
    order = np.argsort(values, 1, kind="stable")
    wide = np.broadcast_to(_wide(weights, values), values.shape)
    return np.take_along_axis(values, order, 1), np.take_along_axis(wide, order, 1)
