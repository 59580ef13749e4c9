"""Checks of single values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sciml.checks import (
    check_choice,
    check_fraction,
    check_int,
    check_positive,
    check_whole,
    is_int,
    is_number,
    is_whole,
)
from sciml.errors import InputError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, (True, True, True)),
        (np.int32(3), (True, True, False)),
        (True, (True, False, False)),
        (3.0, (True, False, False)),
        (np.float32(3), (True, False, False)),
        (np.bool_(1), (False, False, False)),
        (float("inf"), (False, False, False)),
        (10**400, (False, True, True)),
        (3 + 0j, (False, False, False)),
        ("3", (False, False, False)),
        (None, (False, False, False)),
    ],
    ids=repr,
)
def test_what_is_a_number_and_a_whole_number(value: Any, expected: tuple[bool, bool, bool]) -> None:
    assert (is_number(value), is_whole(value), is_int(value)) == expected


def test_the_least_value_is_included() -> None:
    assert [is_whole(n, 2) for n in (1, 2, np.int64(1), np.int64(2))] == [False, True, False, True]
    assert [is_int(n, 0) for n in (-1, 0)] == [False, True]


@pytest.mark.parametrize("value", [2, True, 3.0, "3", None])
def test_no_whole_number_is_an_error_that_shows_the_value(value: Any) -> None:
    expected = f"Cycle(sweeps={value!r}): give a whole number of 3 or more"
    with pytest.raises(InputError) as caught:
        check_whole("sweeps", value, 3, owner="Cycle")
    assert str(caught.value) == expected
    check_whole("sweeps", np.int64(3), 3)


def test_no_choice_is_an_error_with_the_choices() -> None:
    with pytest.raises(InputError, match=r"^precision='half': give 'float32' or 'float64'$"):
        check_choice("precision", "half", ("float32", "float64"))
    with pytest.raises(InputError, match=r"^--mode 7: give one of a, b, c$"):
        check_choice("--mode", 7, ("a", "b", "c"))
    check_choice("--mode", "b", ("a", "b", "c"))


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (check_int, np.int64(-1), f"n={np.int64(-1)!r}: give a whole number (int) of 0 or more"),
        (check_int, True, "n=True: give a whole number (int) of 0 or more"),
        (check_positive, 0.0, "n=0.0: give a positive number"),
        (check_positive, "3", "n='3': give a positive number"),
        (check_positive, float("nan"), "n=nan: give a positive number"),
        (check_fraction, 1, "n=1: give a number between 0 and 1, such as 1e-8"),
        (check_fraction, None, "n=None: give a number between 0 and 1, such as 1e-8"),
    ],
)
def test_a_wrong_value_is_shown_with_the_remedy(check: Any, value: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        check("n", value)
    assert str(caught.value) == message


def test_a_right_value_passes() -> None:
    check_int("n", 0)
    check_positive("n", np.float32(1e-30))
    check_fraction("n", 0.5)


def test_another_remedy_is_named() -> None:
    with pytest.raises(InputError, match=r"^workers=0: give a whole number of 1 or more, or leave it out$"):
        check_whole("workers", 0, 1, remedy="or leave it out")
