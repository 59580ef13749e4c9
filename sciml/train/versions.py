"""Versions of the software that writes a checkpoint."""

from __future__ import annotations

import functools
import importlib.metadata
import platform

from sciml.version import __version__

__all__ = ["versions"]


@functools.cache
def versions() -> tuple[tuple[str, str], ...]:
    """Return the versions of this package, Python, torch and NumPy, without importing them."""
    versions = [("sciml", __version__), ("python", platform.python_version())]
    for name in ("torch", "numpy"):
        try:
            versions.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            versions.append((name, "not installed"))
    return tuple(versions)
