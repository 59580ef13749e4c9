"""Scores of predicted columns for arrays: of the trigger and of each output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciml.errors import InputError
from sciml.tables import plain
from sciml.verify.emulator.moments import CLASSES, DEEP, EVERY, NIL, NONE, SHALLOW, TRIGGERED, MomentSums

__all__ = ["confusion", "f1", "output_scores", "score", "trigger_scores"]

Floats = NDArray[np.float64]


def confusion(kind: ArrayLike, predicted: ArrayLike, weight: ArrayLike | None = None) -> Floats:
    """Count columns by true (row) and predicted (column) class: none, shallow, deep.

    Examples
    --------
    >>> confusion([0, 1, 2, 2], [0, 1, 1, 2])
    array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 1., 1.]])
    """
    rows, columns = np.asarray(kind, np.int64), np.asarray(predicted, np.int64)
    for name, values in (("true", rows), ("predicted", columns)):
        if values.size and (values.min() < NONE or values.max() > DEEP):
            raise InputError(
                f"{name} classes {sorted(set(values.tolist()))}: only 0 (none), 1 (shallow) and 2 (deep) can "
                "be scored; leave out held (3) and unknown (-1) columns"
            )
    size = len(CLASSES)
    weights = None if weight is None else np.asarray(weight, np.float64)
    return np.bincount(rows * size + columns, weights, size * size).astype(np.float64).reshape(size, size)


def f1(table: Floats, positive: Iterable[int]) -> float:
    """Compute F1 = 2 TP / (2 TP + FP + FN) with these classes as positive.

    It is NaN where the truth has none of these classes, because a single false alarm would make it 0.
    """
    yes = list(positive)
    hits, predicted, true = table[np.ix_(yes, yes)].sum(), table[:, yes].sum(), table[yes, :].sum()
    return float(2 * hits / (predicted + true)) if true > 0 else float("nan")


def trigger_scores(table: Floats) -> dict[str, Any]:
    """Compute the scores of the trigger from a confusion table (rows truth).

    ``accuracy``, ``f1``, ``precision`` and ``recall`` are of triggered or not; ``accuracy_class`` is of the
    three classes; ``f1_shallow`` and ``f1_deep`` of that class against the rest.
    """
    total = table.sum()
    yes = list(TRIGGERED)
    hits, predicted, true = table[np.ix_(yes, yes)].sum(), table[:, yes].sum(), table[yes, :].sum()
    nan = float("nan")
    result: dict[str, Any] = plain(
        {
            "accuracy": (table[NONE, NONE] + hits) / total if total > 0 else nan,
            "accuracy_class": np.trace(table) / total if total > 0 else nan,
            "f1": f1(table, TRIGGERED),
            "f1_shallow": f1(table, [SHALLOW]),
            "f1_deep": f1(table, [DEEP]),
            "precision": hits / predicted if predicted > 0 else nan,
            "recall": hits / true if true > 0 else nan,
            "classes": list(CLASSES),
            "confusion": table.astype(np.int64) if (table == np.rint(table)).all() else table,
        }
    )
    return result


def score(
    truth: Mapping[str, ArrayLike],
    prediction: Mapping[str, ArrayLike],
    kind: ArrayLike,
    kind_predicted: ArrayLike,
    weight: ArrayLike | None = None,
) -> dict[str, Any]:
    """Score arrays that fit in memory, for training loops and experiments.

    Parameters
    ----------
    truth, prediction
        Arrays by WRF name, shape (column,) or (column, level); names in both are scored.
    kind, kind_predicted
        Shape (column,): 0 none, 1 shallow, 2 deep. Columns of the true classes 1 and 2 count as triggered.
    weight
        Shape (column,); 1 for each column if None.

    Returns
    -------
    dict
        ``trigger`` (see `trigger_scores`) and ``outputs.<name>`` with ``r2``, ``rmse``, ``bias``, ``nmae``
        over the columns in which the scheme triggered, ``r2_all`` over all, ``r2_class_mean`` (see
        `MomentSums.class_mean_r2`), and the same four scores under ``deep`` and ``shallow``. Undefined scores
        are None.

    Examples
    --------
    >>> heating = np.array([[0.0, 0.0], [1.0, 3.0]])
    >>> result = score({"RTHCUTEN": heating}, {"RTHCUTEN": heating}, [0, 2], [0, 2])
    >>> result["trigger"]["f1"], result["outputs"]["RTHCUTEN"]["r2"]
    (1.0, 1.0)
    """
    outputs = {}
    for name in truth:
        if name in prediction:
            values = np.asarray(truth[name], np.float64)
            levels = values.shape[1] if values.ndim > 1 else 1
            moments = MomentSums.empty(levels).add(values, prediction[name], kind, weight)
            outputs[name] = output_scores(moments, NIL.get(name, 0.0))
    return {"trigger": trigger_scores(confusion(kind, kind_predicted, weight)), "outputs": outputs}


def output_scores(moments: MomentSums, nil: float = 0.0) -> dict[str, Any]:
    """Compute the scores of one output, as a plain dict; see `score` for its keys."""
    whole = moments.scores(TRIGGERED, nil=nil)
    result = whole.to_json()
    result["r2_all"] = plain(moments.scores(EVERY, nil=nil).r2)
    result["r2_class_mean"] = None if result["r2"] is None else plain(moments.class_mean_r2())
    if result["r2"] is None and whole.n > 0:
        result["note"] = "the truth does not vary (numerically zero or constant), so R2 is not defined"
    for name, index in (("shallow", SHALLOW), ("deep", DEEP)):
        result[name] = moments.scores([index], nil=nil).to_json()
    return result
