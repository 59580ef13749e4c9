"""Cheaper assignments beside a front, and the front of a loss that the expansion predicts to fall."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from sciml.compress.descent import cheaper_choices, corrected_excess, neighbours
from sciml.compress.expansion import Sensitivity
from sciml.compress.pareto import pareto_front
from tests.compress.test_allocation import pairwise


@pytest.mark.parametrize("seed", [13, 17, 29])
def test_evaluations_correct_a_wrong_prediction(seed: int) -> None:
    true, cost = pairwise(6, seed)
    rng = np.random.default_rng(seed)
    wrong = type(true)(
        "wrong", true.tensors, true.widths, true.single * rng.uniform(0.6, 1.6, (6, 1)), true.pairs
    )
    limit = 0.2 * float(true.predict(np.zeros(6, int))[0])
    every = np.array(list(itertools.product(range(3), repeat=6)))
    costs = cost[np.arange(6), every].sum(1).astype(float)
    best = costs[true.predict(every) <= limit].min()
    front = pareto_front(wrong, cost)
    evaluated: list[Any] = []

    def evaluate(choice: Any) -> Any:
        evaluated.append(choice)
        return 3.0 * (true.predict(choice) - limit) * np.array([1.0, 0.7])

    index = max(number for number in range(len(front)) if evaluate(front.choices[number]).max() <= 0)
    evaluated.clear()
    made = cheaper_choices(wrong, cost.astype(float), front, index, evaluate, 32)
    reached = [float(cost[np.arange(6), choice].sum()) for choice in made]
    assert reached[0] == front.cost[index]
    assert (np.diff(reached) < 0).all()
    assert reached[-1] <= 1.02 * best
    assert all(true.predict(choice)[0] <= limit for choice in made)
    assert len({choice.tobytes() for choice in evaluated}) == len(evaluated) <= 36
    evaluated.clear()
    assert len(cheaper_choices(wrong, cost.astype(float), front, index, evaluate, 0)) == 1
    assert not evaluated


def test_scores_that_rise_with_the_predicted_loss_are_finite() -> None:
    large, _ = pairwise(5, 43)
    assert large.pairs is not None
    true = type(large)("small", large.tensors, large.widths, 1e-5 * large.single, 1e-5 * large.pairs)
    every = np.array(list(itertools.product(range(3), repeat=5)))
    known = {c.tobytes(): np.array([-1e5 * float(true.predict(c)[0]), 0.2]) for c in every[::40]}
    with np.errstate(all="raise"):
        made = corrected_excess(true, known, every)
    assert made.shape == (243, 2)
    assert np.isfinite(made).all()


def test_neighbours_differ_in_one_or_two_tensors() -> None:
    choice = np.array([2, 0, 1, 1])
    made = neighbours(choice, 3)
    assert sorted((made != choice).sum(1)) == [0] + [1] * 8 + [2] * 24
    assert len(np.unique(made, axis=0)) == len(made)


def terms(slope: float) -> Sensitivity:
    rng = np.random.default_rng(19)
    rows = rng.normal(size=(6, 6)) * np.tile([1.0, 0.05], 3)[:, None]
    other = rng.normal(size=6)
    square = rows @ rows.T - 0.4 * np.outer(other, other)
    assert np.linalg.eigvalsh(square)[0] < 0
    curvature = square.reshape(3, 2, 3, 2)
    slopes = np.full((3, 2), slope)
    return Sensitivity(("a", "b", "c"), (4, 8), np.array([8, 8, 8]), 1.0, slopes, curvature, slopes**2, 1.0)


def test_predicted_decreases_do_not_dominate_the_front() -> None:
    every = np.array(list(itertools.product(range(2), repeat=3)))
    falling = terms(-2.0)
    assert falling.model().predict(every).min() < 0
    front = falling.front_model()
    assert front.name == "semidefinite"
    assert front.predict(every).min() >= -1e-12
    assert (pareto_front(front, [[4, 8]] * 3).choices[0] == 1).all()
    assert len(pareto_front(front, [[4, 8]] * 3)) > 2
    assert terms(2.0).front_model().name == "inter-layer"
