"""Atomic writes: to a temporary path beside the target, which then replaces it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from sciml.errors import InputError, SciMLError

__all__ = ["check_apart", "check_replaceable", "replaced"]

STORES = ("zarr.json", ".zgroup", "config.json")
"""Files that mark a folder as a zarr store or a checkpoint."""


@contextlib.contextmanager
def replaced(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """Yield a temporary path that replaces ``path`` if the block succeeds, and is removed otherwise.

    Parameters
    ----------
    path
        The target.
    folder
        Whether an existing folder may be replaced, because the caller has checked its content.

    Raises
    ------
    InputError
        The target is a device or the like, or a folder that may not be replaced.
    SciMLError
        The operating system reports an error (disk full, no permission); ``path`` is unchanged.
    """
    check_replaceable(path, folder=folder)
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
            f"cannot write {path}: {reason}; the existing file is unchanged: free space or choose another path"
        ) from error
    finally:
        _remove(temporary)


def check_replaceable(path: Path, *, folder: bool = False) -> None:
    """Check that a target may be replaced: not a device, a pipe or a socket, and a folder only if allowed.

    Raises
    ------
    InputError
        The message names the kind of the target.
    """
    if path.name in ("", ".."):
        raise InputError(f"{str(path)!r} has no name of its own: give the path of what is to be written")
    if path.is_dir():
        if not folder:
            raise InputError(f"{path} is a folder: give the name of a file to write")
    elif path.exists() and not path.is_file():
        raise InputError(f"{path} is a device, a pipe or a socket: give the name of a file to write")
    above = next((parent for parent in path.parents if parent.exists()), path.parent)
    if above.exists() and not above.is_dir():
        raise InputError(f"cannot write {path}: {above} is a file, not a folder; give another path")


def check_apart(path: Path, inputs: Iterable[str | Path]) -> None:
    """Check that a target is not an input, not inside an input that is a store, and contains no input.

    A folder of files may be both read from and written to.

    Raises
    ------
    InputError
        The message names both.
    """
    target = path.resolve()
    for given in inputs:
        source = Path(given).resolve()
        if target == source:
            raise InputError(
                f"{path} is one of the inputs, which writing it would destroy: give another path"
            )
        if source in target.parents and any((source / name).exists() for name in STORES):
            raise InputError(f"{path} lies in the input {given}, which is a store: write outside it")
        if target in source.parents:
            raise InputError(
                f"{path} contains the input {given}, which writing it would destroy: give another path"
            )


def _swap(temporary: Path, path: Path) -> None:
    if not path.is_dir():
        os.replace(temporary, path)
        return
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    _remove(old)
    os.replace(path, old)  # a directory with content cannot be replaced in one call
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
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(NotADirectoryError):  # a parent may be a file, which another check reports
            path.unlink(missing_ok=True)
