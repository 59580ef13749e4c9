"""Versions of the software, and the revision of the source of this package."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import subprocess
from dataclasses import dataclass

from sciml.storage.packaged import PACKAGE
from sciml.version import __version__

__all__ = ["Revision", "revision", "versions"]

LIBRARIES = ("torch", "numpy", "xarray", "netCDF4", "zarr")


@dataclass(frozen=True)
class Revision:
    """The revision of the source of this package.

    Parameters
    ----------
    commit
        Commit of the checkout that is imported; empty for an installed package.
    changed
        Whether files of the package differ from the commit.
    """

    commit: str = ""
    changed: bool = False


@functools.cache
def versions() -> tuple[tuple[str, str], ...]:
    """Return the versions of this package, Python and the libraries that compute, without importing them."""
    versions = [("sciml", __version__), ("python", platform.python_version())]
    for name in LIBRARIES:
        try:
            versions.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            versions.append((name, "not installed"))
    return tuple(versions)


@functools.cache
def revision() -> Revision:
    """Return the revision of the source, which `git` reports for a checkout; it is read once for each process."""
    root = PACKAGE.parent
    if not (root / ".git").exists():
        return Revision()

    def ask(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *words],
                capture_output=True,
                text=True,
                check=False,
                timeout=10,
                env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = ask("rev-parse", "HEAD")
    if not commit:
        return Revision()
    return Revision(commit, bool(ask("status", "--porcelain", "--untracked-files=no", "--", PACKAGE.name)))
