"""Checks of single values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sciml.checks import check_choice, check_whole, is_int, is_number, is_whole
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
