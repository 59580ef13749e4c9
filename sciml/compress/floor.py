"""The share of a network's accuracy that a quantised copy must retain."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from torch import nn

from sciml.compress.second_order import BatchLoss, mean_loss
from sciml.errors import InputError

__all__ = ["Metric", "loss_metric", "retained_shares", "scores_of"]

Metric: TypeAlias = Callable[[nn.Module, Sequence[Any]], float | Mapping[str, float]]
"""A function of a network and batches that returns scores by name, or one score; larger is better."""


def loss_metric(loss: BatchLoss) -> Metric:
    """Return the metric that is the negative mean loss."""
    return lambda model, batches: {"loss": -mean_loss(model, batches, loss)}


def scores_of(metric: Metric, model: nn.Module, batches: Sequence[Any]) -> dict[str, float]:
    """Compute the scores of a network by name.

    Raises
    ------
    InputError
        The metric returns no score.
    """
    made = metric(model, batches)
    named = dict(made) if isinstance(made, Mapping) else {"score": made}
    if not named:
        raise InputError("the metric returns no scores: return a number, or numbers by name")
    return {name: float(value) for name, value in named.items()}


def retained_shares(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return the share of each score that a quantised network retains.

    Parameters
    ----------
    before, after
        Scores of the network and of its quantised copy; larger is better.

    Returns
    -------
    dict
        ``1 - (before - after) / |before|``, which is ``after / before`` for positive scores. Scores that are not
        finite before (R2 of a constant output) are left out; scores that are not finite after retain nothing.

    Examples
    --------
    >>> retained_shares({"rain": 0.8, "loss": -0.5}, {"rain": 0.796, "loss": -0.505})
    {'rain': 0.995, 'loss': 0.99}
    """
    shares = {}
    for name, score in before.items():
        if not math.isfinite(score):
            continue
        now = after.get(name, math.nan)
        share = 1.0 - (score - now) / max(abs(score), 1e-300) if math.isfinite(now) else -math.inf
        shares[name] = share
    if not shares:
        raise InputError("no score of the network is finite: give other data or another metric")
    return shares
