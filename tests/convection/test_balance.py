"""Sampling weights by run and class."""

from __future__ import annotations

import numpy as np
import pytest

from sciml.convection.balance import MOST, balanced, check_balance
from sciml.errors import InputError


def shares(weights: np.ndarray, groups: np.ndarray) -> list[float]:
    return [float(weights[groups == group].sum() / weights.sum()) for group in np.unique(groups)]


def test_each_group_has_the_same_share() -> None:
    rng = np.random.default_rng(11)
    run, kind = rng.choice([3, 8, 11], 5000, p=[0.5, 0.3, 0.2]), rng.choice(3, 5000, p=[0.2, 0.5, 0.3])
    assert shares(balanced({"run": run}), run) == pytest.approx([1 / 3] * 3)
    assert shares(balanced({"class": kind}), kind) == pytest.approx([1 / 3] * 3)
    both = balanced({"run": run, "class": kind})
    assert shares(both, run * 10 + kind) == pytest.approx([1 / 9] * 9)
    assert shares(both, run) == pytest.approx([1 / 3] * 3)
    assert both.mean() == pytest.approx(1)
    assert balanced({"run": np.full(7, 3)}) == pytest.approx(np.ones(7))


def test_a_few_columns_are_not_used_hundreds_of_times() -> None:
    kind = np.repeat([0, 1, 2], [3, 900, 97])
    weight = balanced({"class": kind})
    assert weight[0] == MOST
    assert weight.mean() == pytest.approx(1)
    # what is cut off goes to the others, each of which has the same share
    assert weight[kind == 1].sum() == pytest.approx((1000 - 30) / 2)
    assert weight[kind == 2].sum() == pytest.approx((1000 - 30) / 2)


def test_other_keys() -> None:
    assert check_balance(()) == ()
    assert check_balance(["class", "run", "class"]) == ("run", "class")
    for balance in (["month"], "run", 3, [["run"]]):
        with pytest.raises(InputError, match=r"\[data\] balance = .*: give a list of run, class"):
            check_balance(balance)  # type: ignore[arg-type]
