"""Checks of single values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sciml.checks import is_int, is_number, is_whole


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
