"""Return freed memory of a worker to the operating system."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["run_and_trim", "trim"]

R = TypeVar("R")


def trim() -> None:
    """Return the memory that the C library has freed but keeps; without effect where it has no `malloc_trim`.

    Dask pauses a worker whose process is near its memory limit until it has less memory. A worker that computes nothing
    frees nothing, so that memory of earlier tasks would pause it for ever.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def run_and_trim(function: Callable[[Any], R], item: Any) -> R:
    """Call a function, and return the memory that it has freed."""
    try:
        return function(item)
    finally:
        trim()
