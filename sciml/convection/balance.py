"""Sampling weights that give each run, each class of convection, or each class of each run the same share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from sciml.errors import InputError

__all__ = ["MOST", "Balance", "balanced", "check_balance"]

Balance = Literal["run", "class"]
MOST: Final = 10.0
"""Greatest weight of a column, in units of the mean weight: the expected number of times that an epoch uses it."""


def check_balance(balance: Sequence[str]) -> tuple[Balance, ...]:
    """Return the keys of a balance, each once and in the order of `Balance`.

    Raises
    ------
    InputError
        A key is unknown.

    Examples
    --------
    >>> check_balance(["class", "run"])
    ('run', 'class')
    """
    keys: tuple[Balance, ...] = get_args(Balance)
    if not isinstance(balance, list | tuple) or any(key not in keys for key in balance):
        raise InputError(f"[data] balance = {balance!r}: give a list of {', '.join(keys)}")
    return tuple(key for key in keys if key in balance)


def balanced(groups: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
    """Return sampling weights (sample,) with mean 1, with which each group has the same share.

    Parameters
    ----------
    groups
        Values (sample,) by name; a group consists of the samples with the same value of each.

    Notes
    -----
    No weight is greater than `MOST`, so that a group of a few samples, such as the columns of a run whose plume rises
    but in which the scheme does nothing, is not used hundreds of times in an epoch. Its share is then smaller.

    Examples
    --------
    >>> balanced({"run": np.array([1, 1, 1, 2])})
    array([0.66666667, 0.66666667, 0.66666667, 2.        ])
    """
    table = np.stack(list(groups.values()), 1)
    _, group, count = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    weight = 1.0 / count[group.ravel()]
    for _ in range(len(count)):  # What is cut off goes to the other groups, which may then exceed the limit.
        cut = weight >= MOST
        rest = len(weight) - MOST * cut.sum()
        weight = np.where(cut, MOST, weight * (rest / weight[~cut].sum()))
        if not (weight[~cut] > MOST).any():
            break
    return weight
