"""Scores of the convective rain rate: its bias, its correlation, and rain or no rain by threshold.

Scores are computed over all evaluated columns, including dry columns, in mm/h. The counts and four common scores
are computed here; the package ``scores`` (extra ``verify``) adds the skill scores where it is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from sciml.tables import plain

__all__ = ["THRESHOLDS", "contingency", "rain_scores"]

THRESHOLDS: Final = (0.1, 0.25, 0.5, 1.0, 2.0)
"""Rain rates (mm/h) from which a column counts as raining. A 10 km column of MSKF rarely exceeds 3 mm/h."""


def rain_scores(
    truth: ArrayLike,
    prediction: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
) -> dict[str, Any]:
    """Score rain rates.

    Parameters
    ----------
    truth, prediction
        PRATEC (mm s-1), shape (column,).
    weight
        Shape (column,); 1 for each column if None.
    thresholds
        Thresholds, mm/h.

    Returns
    -------
    dict
        ``units`` mm h-1; ``mean_truth``, ``mean_prediction``, ``bias`` and ``ratio`` of the two;
        ``correlation`` (Pearson); ``contingency``: a list of `contingency` with the ``threshold``.

    Examples
    --------
    >>> scores = rain_scores([0.0, 1 / 3600], [0.0, 2 / 3600])
    >>> scores["ratio"], scores["contingency"][-1]["false_alarms"]
    (2.0, 1.0)
    """
    t, p = np.asarray(truth, np.float64) * 3600, np.asarray(prediction, np.float64) * 3600
    w = np.ones_like(t) if weight is None else np.asarray(weight, np.float64)
    total = w.sum()
    nan = float("nan")
    mean_t, mean_p = (float((w * x).sum() / total) if total > 0 else nan for x in (t, p))
    dt, dp = t - mean_t, p - mean_p
    spread = np.sqrt((w * dt * dt).sum() * (w * dp * dp).sum())
    result: dict[str, Any] = plain(
        {
            "units": "mm h-1",
            "mean_truth": mean_t,
            "mean_prediction": mean_p,
            "bias": mean_p - mean_t,
            "ratio": mean_p / mean_t if mean_t > 0 else nan,
            "correlation": (w * dt * dp).sum() / spread if spread > 0 else nan,
            "contingency": [{"threshold": x, **contingency(t >= x, p >= x, w)} for x in thresholds],
        }
    )
    return result


def contingency(event: ArrayLike, predicted: ArrayLike, weight: ArrayLike | None = None) -> dict[str, Any]:
    """Count hits, misses, false alarms and correct negatives, and compute their scores.

    ``pod`` hits / events, ``far`` false alarms / predicted, ``csi`` hits / (events or predicted), and
    ``frequency_bias`` predicted / events; None where the divisor is 0. With the package ``scores`` also
    ``ets`` (equitable threat score) and ``hss`` (Heidke).
    """
    yes, forecast = np.asarray(event, bool), np.asarray(predicted, bool)
    w = np.ones(yes.shape) if weight is None else np.asarray(weight, np.float64)
    hits, misses = float(w[yes & forecast].sum()), float(w[yes & ~forecast].sum())
    false_alarms, negatives = float(w[~yes & forecast].sum()), float(w[~yes & ~forecast].sum())

    def share(part: float, whole: float) -> float | None:
        return part / whole if whole > 0 else None

    counts = {
        "hits": hits,
        "misses": misses,
        "false_alarms": false_alarms,
        "correct_negatives": negatives,
    }
    return {
        **counts,
        "pod": share(hits, hits + misses),
        "far": share(false_alarms, hits + false_alarms),
        "csi": share(hits, hits + misses + false_alarms),
        "frequency_bias": share(hits + false_alarms, hits + misses),
        **_skill(hits, misses, false_alarms, negatives),
    }


def _skill(hits: float, misses: float, false_alarms: float, negatives: float) -> dict[str, Any]:
    try:
        from scores.categorical import BasicContingencyManager
    except ImportError:
        return {}
    import xarray as xr

    counts = {
        "tp_count": hits,
        "fn_count": misses,
        "fp_count": false_alarms,
        "tn_count": negatives,
        "total_count": hits + misses + false_alarms + negatives,
    }
    table = BasicContingencyManager({name: xr.DataArray(value) for name, value in counts.items()})
    with np.errstate(invalid="ignore", divide="ignore"):
        skill: dict[str, Any] = plain(
            {
                "ets": float(table.equitable_threat_score()),
                "hss": float(table.heidke_skill_score()),
            }
        )
    return skill
