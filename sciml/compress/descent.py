"""Cheaper assignments of widths than those of a front, searched by evaluations of quantised networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from sciml.compress.loss_model import LossModel
from sciml.compress.pareto import Front

__all__ = ["cheaper_choices", "corrected_excess", "neighbours"]

Floats: TypeAlias = npt.NDArray[np.float64]
Choices: TypeAlias = npt.NDArray[np.int64]
Evaluate: TypeAlias = Callable[[Choices], Floats]
"""A function of an assignment (tensor,) that returns by how much each score falls below what it must retain (score,);
it passes if none is positive."""
MOST_ENUMERATED = 60_000
"""Number of assignments up to which all are candidates: 10 tensors of 3 widths. Beyond, those near the front are."""
MOST_CANDIDATES = 3000
NEAR = 8
"""Number of cheaper assignments of the front whose neighbours are candidates."""
PATIENCE = 12
"""Number of candidates in a row that fail, after which the search ends."""
SPREAD = 0.5
"""Expected relative error of the predicted terms of single tensors."""
NOISE = 0.02
"""Relative part of an evaluation that no term of a single tensor explains."""


def cheaper_choices(
    model: LossModel,
    cost: Floats,
    front: Front,
    index: int,
    evaluate: Evaluate,
    trials: int,
    known: Mapping[bytes, Floats] | None = None,
    start: Choices | None = None,
) -> list[Choices]:
    """Search for assignments that pass and are cheaper than the one that was chosen on a front.

    Parameters
    ----------
    model
        Predicted loss.
    cost
        Cost of each tensor at each width (tensor, width).
    front
        Front of the model.
    index
        Number of the assignment on the front that was chosen.
    evaluate
        By how much each score falls below what it must retain.
    trials
        Largest number of further evaluations.
    known
        Evaluated assignments (the bytes of each), with what was measured.
    start
        Assignment to start from in place of that of the front.

    Returns
    -------
    list of ndarray
        The first assignment, then those that passed, each cheaper than the one before.

    Notes
    -----
    The evaluations made so far correct the predicted loss, for each score on its own (`corrected_excess`). The cheapest
    candidate that is predicted to pass is evaluated, or the one that is nearest to it. The front alone cannot give the
    cheapest assignment where the prediction orders close ones wrongly, or where scores are those of single outputs.
    """
    made = [front.choices[index] if start is None else np.asarray(start, np.int64)]
    if trials <= 0:
        return made
    known = dict(known or {})
    if made[0].tobytes() not in known:
        known[made[0].tobytes()] = evaluate(made[0])
    row = 0
    some = _candidates(model, cost, front, index, made[-1])
    for _ in range(trials):
        some = some[[choice.tobytes() not in known for choice in some]]
        if not len(some) or row >= PATIENCE:
            break
        excess = corrected_excess(model, known, some).max(1)
        order = np.lexsort((_costs(cost, some), np.maximum(excess, 0.0)))
        choice = some[order[0]]
        known[choice.tobytes()] = evaluate(choice)
        row += 1
        if known[choice.tobytes()].max() <= 0:
            made.append(choice)
            row, some = 0, _candidates(model, cost, front, index, choice)
    return made


def corrected_excess(model: LossModel, known: Mapping[bytes, Floats], choices: Choices) -> Floats:
    """Predict by how much each score of assignments falls below what it must retain (assignment, score).

    Parameters
    ----------
    model
        Predicted loss.
    known
        Evaluated assignments, with what was measured.
    choices
        Assignments (assignment, tensor).

    Notes
    -----
    A score is a constant plus a factor times the predicted loss, both by least squares, plus terms of single tensors:
    the conditional mean of normal variables, whose standard deviation is `SPREAD` times the predicted term.
    """
    rows = np.array([np.frombuffer(key, np.int64) for key in known])
    values = np.array(list(known.values()))
    is_finite = np.isfinite(values).all(1)
    rows, values = rows[is_finite], values[is_finite]
    predicted, wanted = model.predict(rows), model.predict(choices)
    straight = np.stack([np.ones_like(predicted), predicted], 1)
    weight = 1.0 / (np.abs(predicted) + 1e-2 * np.abs(predicted).max() + 1e-300)  # errors are relative
    factors = np.linalg.lstsq(straight * weight[:, None], values * weight[:, None], rcond=None)[0]
    scale = np.abs(values).max() / (np.abs(predicted).max() + 1e-300)
    factors[1] = np.maximum(
        factors[1], 1e-6 * scale + 1e-12
    )  # a score that falls with the predicted loss has noise
    terms, others = _single_terms(model, rows), _single_terms(model, choices)
    noise = NOISE * np.abs(predicted) + 1e-3 * np.abs(predicted).max() + 1e-300
    covariance = SPREAD**2 * terms @ terms.T + np.diag(noise**2)
    rest = (values - straight @ factors) / factors[1]
    change = SPREAD**2 * others @ (terms.T @ np.linalg.solve(covariance, rest))
    made = factors[0] + factors[1] * (wanted[:, None] + change)
    return np.asarray(made, np.float64)


def neighbours(choice: Choices, widths: int) -> Choices:
    """Return the assignment itself and all that differ from it in one or two tensors (assignment, tensor).

    Examples
    --------
    >>> neighbours(np.array([1, 0]), 2).tolist()
    [[1, 0], [0, 0], [1, 1], [0, 1]]
    """
    count = len(choice)
    others = [[w for w in range(widths) if w != now] for now in choice.tolist()]
    changes = [((t, w),) for t in range(count) for w in others[t]]
    pairs = [
        ((t, w), (u, v))
        for t in range(count)
        for u in range(t + 1, count)
        for w in others[t]
        for v in others[u]
    ]
    made = np.repeat(choice[None], 1 + len(changes) + len(pairs), 0)
    for number, change in enumerate([*changes, *pairs], 1):
        for t, w in change:
            made[number, t] = w
    return made


def _candidates(model: LossModel, cost: Floats, front: Front, index: int, choice: Choices) -> Choices:
    """Return the cheaper assignments with the least predicted loss."""
    tensors, widths = model.single.shape
    if widths**tensors <= MOST_ENUMERATED:
        some = np.indices((widths,) * tensors).reshape(tensors, -1).T.astype(np.int64)
    else:
        near = min(NEAR, MOST_ENUMERATED // (tensors * widths) ** 2)
        bases = [choice, *front.choices[index + 1 : index + 1 + near]]
        some = np.unique(np.concatenate([neighbours(base, widths) for base in bases]), axis=0)
    some = some[_costs(cost, some) < _costs(cost, choice[None])[0] * (1 - 1e-12)]
    if not len(some):
        return np.zeros((0, tensors), np.int64)
    least = np.argsort(model.predict(some), kind="stable")[:MOST_CANDIDATES]
    return np.ascontiguousarray(some[least], np.int64)


def _single_terms(model: LossModel, choices: Choices) -> Floats:
    """Return the predicted terms of single tensors as a matrix (assignment, tensor x width)."""
    tensors, widths = model.single.shape
    made = np.zeros((len(choices), tensors, widths))
    rows = np.arange(tensors)
    own = np.abs(model.single)
    made[np.arange(len(choices))[:, None], rows, choices] = own[rows, choices]
    return made.reshape(len(choices), -1)


def _costs(table: Floats, choices: Choices) -> Floats:
    return np.asarray(table[np.arange(len(table)), choices].sum(1), np.float64)
