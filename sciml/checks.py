"""Checks of single values: whole numbers, finite real numbers, and one of several choices."""

from __future__ import annotations

import math
from collections.abc import Collection
from numbers import Integral
from typing import Any, TypeGuard

from sciml.errors import InputError

__all__ = ["check_choice", "check_whole", "is_int", "is_number", "is_whole"]


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


def check_whole(name: str, value: object, least: int = 0, *, owner: str = "") -> None:
    """Check that a value is a whole number of at least ``least``.

    Parameters
    ----------
    name, value
        Name of the parameter, or of the option of a command (``--seed``), and its value.
    least
        The smallest number that is allowed.
    owner
        Name of the class or function of the parameter.

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
        raise InputError(f"{_described(name, value, owner)}: give a whole number of {least} or more")


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
