"""Whether a stated probability is the frequency with which the event happens."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sciml.verify.emulator.moments import plain

__all__ = ["reliability"]


def reliability(
    probability: ArrayLike, event: ArrayLike, weight: ArrayLike | None = None, *, bins: int = 10
) -> dict[str, Any]:
    """Bin a probability and count how often the event came.

    Parameters
    ----------
    probability
        Shape (column,), within [0, 1].
    event
        Shape (column,), bool.
    weight
        Shape (column,); one each if None.
    bins
        Equal bins of [0, 1]; empty ones are given with None.

    Returns
    -------
    dict
        By bin ``probability`` (mean of what was stated), ``frequency`` (of the event), ``count``; ``brier`` =
        mean (probability - event)^2 and ``brier_climatology``, that of always stating the mean frequency; and
        ``calibration_error``, the mean distance between the two over the columns (0 is perfect).

    References
    ----------
    Murphy, A. H. (1973), J. Appl. Meteor. 12, 595-600.

    Examples
    --------
    >>> found = reliability([0.1, 0.1, 0.9], [False, False, True], bins=2)
    >>> found["frequency"], round(found["brier"], 3)
    ([0.0, 1.0], 0.01)
    """
    p, yes = np.asarray(probability, np.float64), np.asarray(event, bool).astype(np.float64)
    w = np.ones_like(p) if weight is None else np.asarray(weight, np.float64)
    index = np.clip((p * bins).astype(np.int64), 0, bins - 1)
    count, stated, came = (np.bincount(index, w * x, bins) for x in (np.ones_like(p), p, yes))
    total = count.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        base = came.sum() / total
        result: dict[str, Any] = plain(
            {
                "probability": stated / count,
                "frequency": came / count,
                "count": count,
                "brier": (w * (p - yes) ** 2).sum() / total,
                "brier_climatology": base * (1 - base),
                "calibration_error": np.abs(stated - came).sum() / total,
            }
        )
    return result
