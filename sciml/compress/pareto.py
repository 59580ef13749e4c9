"""Assignments of widths for which no cheaper assignment has a lower predicted loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from sciml.compress.loss_model import LossModel
from sciml.errors import InputError

__all__ = ["Front", "bisect_last", "choose_on_front", "pareto_front"]

Floats: TypeAlias = npt.NDArray[np.float64]
Choices: TypeAlias = npt.NDArray[np.int64]
MOST_ENUMERATED = 2_000_000
"""Number of assignments up to which all are enumerated: 13 tensors of 3 widths."""
LOOKAHEAD = 2
"""Number of cheaper assignments that are tried after the first that fails, because accuracy is not quite monotonic."""
MULTIPLIERS = 160
BEAM = 8
BUCKETS = 128
ROUNDS = 4
IMPROVED = 300  # assignments of the front from which neighbours are tried in a round


@dataclass(frozen=True, eq=False)
class Front:
    """Assignments from the most to the least expensive; the predicted loss increases along them.

    Attributes
    ----------
    choices
        Number of the width of each tensor (assignment, tensor).
    cost
        Cost (assignment,), decreasing.
    predicted
        Predicted increase of the loss (assignment,), increasing.
    exact
        Whether all assignments were enumerated.
    """

    choices: Choices
    cost: Floats
    predicted: Floats
    exact: bool

    def __len__(self) -> int:
        return len(self.cost)


def pareto_front(model: LossModel, cost: npt.ArrayLike, *, most: int = MOST_ENUMERATED) -> Front:
    """Compute the assignments that no other one dominates in cost and predicted loss.

    Parameters
    ----------
    model
        Predicted loss.
    cost
        Cost of each tensor at each width (tensor, width); that of an assignment is the sum.
    most
        Number of assignments up to which all are enumerated, and the front is exact.

    Returns
    -------
    Front
        The front, with the assignment of the largest widths at its expensive end.

    Raises
    ------
    InputError
        The cost has another shape, or is not finite.

    Notes
    -----
    Beyond ``most`` assignments two searches are joined. For each of a range of multipliers ``m``, ``loss + m cost`` is
    minimised by changes of one and of two tensors at a time, which reaches the convex part of the front: with pair
    terms, a change of two tensors that compensate each other is often the only improvement. A beam search over the
    tensors, with a number of partial assignments for each range of cost, fills the parts between, and its results are
    improved by exchanges between two tensors. All assignments that either search visits are candidates.
    """
    table = np.asarray(cost, np.float64)
    tensors, widths = model.single.shape
    if table.shape != (tensors, widths) or not np.isfinite(table).all():
        raise InputError(
            f"cost of shape {table.shape}: give a finite number for {tensors} tensors of {widths} widths"
        )
    exact = widths**tensors <= most
    if exact:
        choices, predicted, costs = _enumerate(model, table)
    else:
        choices = _search(model, table)
        predicted, costs = model.predict(choices), _cost(table, choices)
    largest = np.full((1, tensors), widths - 1, np.int64)
    order = _undominated(costs, predicted)
    choices, predicted, costs = choices[order], predicted[order], costs[order]
    if not (choices[0] == largest[0]).all():
        choices = np.concatenate([largest, choices])
        predicted = np.concatenate([model.predict(largest), predicted])
        costs = np.concatenate([_cost(table, largest), costs])
    return Front(choices, costs, predicted, exact)


def bisect_last(count: int, passes: Callable[[int], bool]) -> int:
    """Return the last number from 0 to ``count`` for which a condition is true, if it is true up to there.

    Parameters
    ----------
    count
        Largest number.
    passes
        Condition; it is not evaluated for 0, which is taken to pass.

    Examples
    --------
    >>> bisect_last(9, lambda number: number <= 6)
    6
    """
    low, high = 0, count
    while low < high:
        middle = (low + high + 1) // 2
        if passes(middle):
            low = middle
        else:
            high = middle - 1
    return low


def choose_on_front(
    count: int,
    passes: Callable[[int], bool],
    is_confirmed: Callable[[int], bool] | None = None,
    lookahead: int = LOOKAHEAD,
) -> tuple[int | None, int]:
    """Choose the last assignment of a front that passes.

    Parameters
    ----------
    count
        Number of assignments, from the most to the least expensive.
    passes
        Whether an assignment passes on the calibration data.
    is_confirmed
        Whether it passes on the confirmation data; by default all do.
    lookahead
        Number of assignments that are tried beyond the first that fails.

    Returns
    -------
    tuple
        Number of the assignment, or None if none passes; and the number of steps back that the confirmation required.

    Notes
    -----
    Bisection assumes that accuracy decreases along the front. The end point has been evaluated, and a few assignments
    beyond it are tried too. Steps back have lengths 1, 2, 4, ...

    Examples
    --------
    >>> choose_on_front(20, lambda number: number <= 11, lambda number: number <= 9)
    (8, 3)
    """
    last = bisect_last(count - 1, passes)
    if last == 0 and not passes(0):
        return None, 0
    for further in range(last + 2, min(last + 2 + lookahead, count)):
        if passes(further):
            last = further
    if is_confirmed is None:
        return last, 0
    index, step = last, 1
    while not (passes(index) and is_confirmed(index)):
        if index == 0:
            return None, last
        index, step = max(index - step, 0), 2 * step
    return index, last - index


def _enumerate(model: LossModel, table: Floats) -> tuple[Choices, Floats, Floats]:
    """Compute loss and cost of all assignments, one tensor after the other."""
    tensors, widths = table.shape
    predicted, costs = np.zeros(1), np.zeros(1)
    for t in range(tensors):
        added = np.broadcast_to(model.single[t], (len(predicted), widths)).copy()
        if model.pairs is not None:
            shape = (widths,) * t
            for u in range(t):
                place = (None,) * u + (slice(None),) + (None,) * (t - u - 1) + (slice(None),)
                added.reshape(*shape, widths)[...] += model.pairs[u, :, t, :][place]
        predicted = (predicted[:, None] + added).ravel()
        costs = (costs[:, None] + table[t]).ravel()
    keep = _undominated(costs, predicted)
    choices = np.stack(np.unravel_index(keep, (widths,) * tensors), 1).astype(np.int64)
    return choices, predicted[keep], costs[keep]


def _undominated(costs: Floats, predicted: Floats) -> Choices:
    """Return the numbers of the assignments that none dominates, from the most to the least expensive."""
    order = np.lexsort((predicted, costs))
    best = np.minimum.accumulate(predicted[order])
    first = np.concatenate([[True], predicted[order][1:] < best[:-1]])
    return np.asarray(order[first][::-1], np.int64)


def _cost(table: Floats, choices: Choices) -> Floats:
    return np.asarray(table[np.arange(len(table)), choices].sum(1), np.float64)


def _search(model: LossModel, table: Floats) -> Choices:
    """Return candidates for the front of many tensors."""
    made = np.unique(np.array([*_descents(model, table), *_beam(model, table)]), axis=0)
    for _ in range(ROUNDS):
        predicted, costs = model.predict(made), _cost(table, made)
        order = _undominated(costs, predicted)[::-1]
        made, predicted, costs = made[order], predicted[order], costs[order]
        rows = np.unique(np.linspace(0, len(made) - 1, min(IMPROVED, len(made))).astype(np.int64))
        better = [_improvements(model, table, made[row], predicted[row], costs, predicted) for row in rows]
        is_final = not sum(map(len, better))
        made = np.unique(np.concatenate([made, *better]), axis=0)
        if is_final:
            break
    return made


def _descents(model: LossModel, table: Floats) -> list[Choices]:
    """Minimise loss plus a multiple of the cost, for multiples from small to large."""
    scale = np.abs(model.single).max() / max(float(np.ptp(table)), 1e-300)
    state = np.full(len(table), table.shape[1] - 1, np.int64)
    visited = [state]
    for multiplier in scale * np.logspace(-6, 2, MULTIPLIERS):
        state = _descend(model, table, state, float(multiplier))
        visited.append(state)
    return visited


def _descend(model: LossModel, table: Floats, state: Choices, multiplier: float) -> Choices:
    """Change one tensor, or two if no single change helps, until nothing improves."""
    while True:
        own = _marginals(model, state) + multiplier * table
        gain = own - own[np.arange(len(state)), state][:, None]
        t, w = np.unravel_index(int(gain.argmin()), gain.shape)
        if gain[t, w] < -1e-15 * max(1.0, float(np.abs(own).max())):
            state = state.copy()
            state[t] = w
            continue
        if model.pairs is None:
            return state
        both = _pair_gain(model, state, gain)
        place = np.unravel_index(int(both.argmin()), both.shape)
        if both[place] >= -1e-12 * max(1.0, float(np.abs(gain).max())):
            return state
        state = state.copy()
        state[place[0]], state[place[2]] = place[1], place[3]


def _marginals(model: LossModel, state: Choices) -> Floats:
    """Return the terms of each tensor at each width, with all others as they are."""
    rows = np.arange(len(state))
    total = model.single.copy()
    if model.pairs is not None:
        chosen = model.pairs[:, :, rows, state]
        chosen[rows, :, rows] = 0.0
        total += chosen.sum(2)
    return total


def _pair_gain(model: LossModel, state: Choices, gain: Floats) -> Floats:
    """Return the change by new widths of two tensors (tensor, width, tensor, width); infinite for equal ones."""
    rows = np.arange(len(state))
    pairs = np.zeros((*gain.shape, *gain.shape)) if model.pairs is None else model.pairs
    now = pairs[rows[:, None], state[:, None], rows[None], state[None]]
    first = pairs[:, :, rows, state][:, :, :, None]
    second = pairs[rows, state][:, None]
    change = pairs - first - second + now[:, None, :, None]
    both = gain[:, :, None, None] + gain[None, None] + change
    both[rows, :, rows] = np.inf
    return np.asarray(both, np.float64)


def _beam(model: LossModel, table: Floats) -> list[Choices]:
    """Extend partial assignments by one tensor at a time; tensors not reached yet have the largest width."""
    tensors, widths = table.shape
    states = np.full((1, tensors), widths - 1, np.int64)
    order = np.argsort(-np.ptp(model.single, axis=1))
    for t in order:
        states = np.repeat(states, widths, 0)
        states[:, t] = np.tile(np.arange(widths), len(states) // widths)
        predicted, costs = model.predict(states), _cost(table, states)
        edges = np.linspace(costs.min(), costs.max(), BUCKETS)
        bucket = np.searchsorted(edges, costs)
        rank = np.lexsort((predicted, bucket))
        starts = np.searchsorted(bucket[rank], bucket[rank])
        states = states[rank[np.arange(len(rank)) - starts < BEAM]]
    return list(states[_undominated(_cost(table, states), model.predict(states))])


def _improvements(
    model: LossModel, table: Floats, state: Choices, loss: float, costs: Floats, predicted: Floats
) -> Choices:
    """Return changes of one or two tensors that the front, of increasing cost, does not dominate."""
    rows = np.arange(len(state))
    own = _marginals(model, state)
    gain = own - own[rows, state][:, None]
    dearer = table - table[rows, state][:, None]
    losses = loss + _pair_gain(model, state, gain)
    sums = _cost(table, state[None])[0] + dearer[:, :, None, None] + dearer[None, None]
    best = np.concatenate([[np.inf], predicted])[np.searchsorted(costs, sums * (1 + 1e-12), "right")]
    t, w, u, v = np.nonzero(
        losses < best - 1e-12 * np.abs(best, where=np.isfinite(best), out=np.zeros_like(best))
    )
    made = np.repeat(state[None], len(t), 0)
    numbers = np.arange(len(t))
    made[numbers, t], made[numbers, u] = w, v
    return made
