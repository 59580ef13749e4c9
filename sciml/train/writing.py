"""Writing whole or not at all: to a temporary name beside the target, then renamed over it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from sciml.errors import SciMLError

__all__ = ["replaced"]


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary path that takes the place of ``path`` when the block ends well, and else vanishes.

    Raises
    ------
    SciMLError
        The operating system refused (disk full, no permission); what stood at ``path`` still stands.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)
        yield temporary
        _flush(temporary)
        _swap(temporary, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SciMLError(
            f"cannot write {path}: {reason}; what was there is untouched: free space or choose another path"
        ) from error
    finally:
        _remove(temporary)


def _swap(temporary: Path, path: Path) -> None:
    if not path.is_dir():
        os.replace(temporary, path)
        return
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    _remove(old)
    os.replace(path, old)  # a directory that holds something cannot be replaced in one call
    try:
        os.replace(temporary, path)
    except OSError:
        os.replace(old, path)
        raise
    _remove(old)


def _flush(path: Path) -> None:
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(NotADirectoryError):  # a parent may be a file, which is told elsewhere
            path.unlink(missing_ok=True)
