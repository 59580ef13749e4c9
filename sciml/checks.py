"""Checks of single values: whole numbers, and finite real numbers."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any, TypeGuard

__all__ = ["is_int", "is_number", "is_whole"]


def is_number(value: Any) -> bool:
    """Whether a value is one finite real number, of Python or numpy.

    Examples
    --------
    >>> is_number(2.5), is_number(float("nan")), is_number("2.5")
    (True, False, False)
    """
    import numpy as np

    return isinstance(value, int | float | np.integer | np.floating) and bool(np.isfinite(value))


def is_whole(value: object, least: float = -math.inf) -> TypeGuard[int]:
    """Whether a value is a whole number of at least ``least``, of Python or numpy; True and False are not.

    Examples
    --------
    >>> is_whole(3), is_whole(3.0), is_whole(True), is_whole(0, least=1)
    (True, False, False, False)
    """
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= least


def is_int(value: object, least: float = -math.inf) -> TypeGuard[int]:
    """Whether a value is a whole number as JSON holds it: an int of Python, as the settings of networks are.

    Examples
    --------
    >>> import numpy as np
    >>> is_int(3), is_int(np.int64(3)), is_int(True)
    (True, False, False)
    """
    return isinstance(value, int) and is_whole(value, least)
