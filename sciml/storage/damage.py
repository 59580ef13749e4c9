"""Errors of the libraries that read files, for files that are damaged."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sciml.errors import InputError, SciMLError

__all__ = ["DAMAGE", "reading_values", "reason_of"]

DAMAGE: Final = (
    OSError,
    RuntimeError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    EOFError,
    OverflowError,
    ArithmeticError,
    MemoryError,
    AssertionError,
    UnicodeError,
    NotImplementedError,
)
"""What the libraries that read zarr, HDF5 and netCDF raise for damaged files."""


def reason_of(error: BaseException) -> str:
    r"""Return the text of an error of a library as a part of one line.

    Examples
    --------
    >>> reason_of(ValueError("a b\n  c")), reason_of(MemoryError())
    ('a b c', 'MemoryError')
    """
    return " ".join(str(error).split())[:200] or type(error).__name__


@contextlib.contextmanager
def reading_values(path: str | Path, name: str) -> Iterator[None]:
    """Replace errors while the values of a variable are read.

    Parameters
    ----------
    path
        The file or store.
    name
        Name of the variable.

    Raises
    ------
    InputError
        The values cannot be read; the message names the file and the variable.
    """
    try:
        yield
    except SciMLError:
        raise
    except DAMAGE as error:
        raise InputError(
            f"{path}: the values of {name} cannot be read ({reason_of(error)}): is it whole? Copy or write it again"
        ) from error
