"""Reliability of predicted probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sciml.tables import plain

__all__ = ["reliability"]


def reliability(
    probability: ArrayLike, event: ArrayLike, weight: ArrayLike | None = None, *, bins: int = 10
) -> dict[str, Any]:
    """Compute the observed frequency of an event by bins of its predicted probability.

    Parameters
    ----------
    probability
        Shape (column,), within [0, 1].
    event
        Shape (column,), bool.
    weight
        Shape (column,); 1 for each column if None.
    bins
        Number of equal bins of [0, 1]; the values of empty bins are None.

    Returns
    -------
    dict
        By bin ``probability`` (mean), ``frequency`` of the event and ``count``; ``brier`` =
        mean (probability - event)^2 and ``brier_climatology``, the score of the mean frequency; and
        ``calibration_error``, the mean distance between probability and frequency over the columns (0 is perfect).

    References
    ----------
    Murphy, A. H. (1973), J. Appl. Meteor. 12, 595-600.

    Examples
    --------
    >>> scores = reliability([0.1, 0.1, 0.9], [False, False, True], bins=2)
    >>> scores["frequency"], round(scores["brier"], 3)
    ([0.0, 1.0], 0.01)
    """
    p, yes = np.asarray(probability, np.float64), np.asarray(event, bool).astype(np.float64)
    w = np.ones_like(p) if weight is None else np.asarray(weight, np.float64)
    index = np.clip((p * bins).astype(np.int64), 0, bins - 1)
    count, predicted, observed = (np.bincount(index, w * x, bins) for x in (np.ones_like(p), p, yes))
    total = count.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        base = observed.sum() / total
        result: dict[str, Any] = plain(
            {
                "probability": predicted / count,
                "frequency": observed / count,
                "count": count,
                "brier": (w * (p - yes) ** 2).sum() / total,
                "brier_climatology": base * (1 - base),
                "calibration_error": np.abs(predicted - observed).sum() / total,
            }
        )
    return result
