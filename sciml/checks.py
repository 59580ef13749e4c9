"""Checks of single values: whole numbers, finite real numbers, and one of several choices."""

from __future__ import annotations

import math
from collections.abc import Collection
from numbers import Integral
from typing import Any, TypeGuard

from sciml.errors import InputError

__all__ = [
    "check_choice",
    "check_fraction",
    "check_int",
    "check_positive",
    "check_whole",
    "is_int",
    "is_number",
    "is_whole",
]


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is one finite real number, of Python or numpy.

    Examples
    --------
    >>> is_number(2.5), is_number(float("nan")), is_number("2.5")
    (True, False, False)
    """
    import numpy as np

    if not isinstance(value, int | float | np.integer | np.floating):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int above the largest float
        return False


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


def check_whole(name: str, value: object, least: int = 0, *, owner: str = "", remedy: str = "") -> None:
    """Check that a value is a whole number of at least ``least``.

    Parameters
    ----------
    name, value
        Name of the parameter, or of the option of a command (``--seed``), and its value.
    least
        The smallest number that is allowed.
    owner
        Name of the class or function of the parameter.
    remedy
        What else the caller can do, such as "or leave it out".

    Raises
    ------
    InputError
        The value is anything else.

    Examples
    --------
    >>> check_whole("layers", 0, 1, owner="Architecture")
    Traceback (most recent call last):
    sciml.errors.InputError: Architecture(layers=0): give a whole number of 1 or more
    """
    if not is_whole(value, least):
        text = f"give a whole number of {least} or more" + (f", {remedy}" if remedy else "")
        raise InputError(f"{_described(name, value, owner)}: {text}")


def check_int(name: str, value: object, least: int = 0, *, owner: str = "") -> None:
    """Check that a value is an int of at least ``least``, as JSON holds the settings of networks.

    For the parameters see `check_whole`.

    Raises
    ------
    InputError
        The value is anything else, such as a whole number of numpy.
    """
    if not is_int(value, least):
        text = f"give a whole number (int) of {least} or more"
        raise InputError(f"{_described(name, value, owner)}: {text}")


def check_positive(name: str, value: Any, *, owner: str = "") -> None:
    """Check that a value is a finite number above 0; for the parameters see `check_whole`.

    Raises
    ------
    InputError
        The value is anything else.
    """
    if not (is_number(value) and value > 0):
        raise InputError(f"{_described(name, value, owner)}: give a positive number")


def check_fraction(name: str, value: Any, *, example: str = "1e-8", owner: str = "") -> None:
    """Check that a value is a number between 0 and 1, both excluded; for the parameters see `check_whole`.

    Raises
    ------
    InputError
        The value is anything else.
    """
    if not (is_number(value) and 0 < value < 1):
        raise InputError(
            f"{_described(name, value, owner)}: give a number between 0 and 1, such as {example}"
        )


def check_choice(name: str, value: object, choices: Collection[str], *, owner: str = "") -> None:
    """Check that a value is one of several; for the parameters see `check_whole`.

    Raises
    ------
    InputError
        The value is anything else.

    Examples
    --------
    >>> check_choice("--centring", "edge", ("vertex", "cell"))
    Traceback (most recent call last):
    sciml.errors.InputError: --centring edge: give vertex or cell
    """
    names = [str(choice) if name.startswith("-") else repr(choice) for choice in choices]
    if not isinstance(value, str) or value not in choices:
        text = " or ".join(names) if len(names) < 3 else f"one of {', '.join(names)}"
        raise InputError(f"{_described(name, value, owner)}: give {text}")


def _described(name: str, value: object, owner: str) -> str:
    if name.startswith("-"):
        return f"{name} {value}"
    return f"{owner}({name}={value!r})" if owner else f"{name}={value!r}"
