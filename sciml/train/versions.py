"""Which versions write a checkpoint."""

from __future__ import annotations

import functools
import importlib.metadata
import platform

from sciml.version import __version__

__all__ = ["versions"]


@functools.cache
def versions() -> tuple[tuple[str, str], ...]:
    """Of this package, Python, torch and NumPy, without importing them."""
    found = [("sciml", __version__), ("python", platform.python_version())]
    for name in ("torch", "numpy"):
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            found.append((name, "not installed"))
    return tuple(found)
