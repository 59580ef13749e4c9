"""Writing whole or not at all: to a temporary name beside the target, then renamed over it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from sciml.errors import InputError, SciMLError

__all__ = ["check_apart", "check_replaceable", "replaced"]

STORES = ("zarr.json", ".zgroup", "config.json")
"""What makes a folder one thing: a zarr store or a checkpoint."""


@contextlib.contextmanager
def replaced(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """A temporary path that takes the place of ``path`` when the block ends well, and else vanishes.

    Parameters
    ----------
    path
        The target.
    folder
        Whether a folder may stand there and go: the caller has looked at what it holds.

    Raises
    ------
    InputError
        The target is a device or the like, or a folder that may not go.
    SciMLError
        The operating system refused (disk full, no permission); what stood at ``path`` still stands.
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
            f"cannot write {path}: {reason}; what was there is untouched: free space or choose another path"
        ) from error
    finally:
        _remove(temporary)


def check_replaceable(path: Path, *, folder: bool = False) -> None:
    """Refuse a target that renaming would destroy: a device, a pipe, a socket, a folder unless it may go.

    Raises
    ------
    InputError
        Naming what stands there.
    """
    if path.name in ("", ".."):
        raise InputError(f"{str(path)!r} has no name of its own: give the path of what is to be written")
    if path.is_dir():
        if not folder:
            raise InputError(f"{path} is a folder: give the name of a file to write")
    elif path.exists() and not path.is_file():
        raise InputError(f"{path} is a device, a pipe or a socket: give the name of a file to write")
    above = next((one for one in path.parents if one.exists()), path.parent)
    if above.exists() and not above.is_dir():
        raise InputError(f"cannot write {path}: {above} is a file, not a folder; give another path")


def check_apart(path: Path, inputs: Iterable[str | Path]) -> None:
    """Refuse a target that is one of the inputs, lies in one that is a store, or holds one.

    A folder of files may be both read from and written to.

    Raises
    ------
    InputError
        Naming both.
    """
    target = path.resolve()
    for one in inputs:
        source = Path(one).resolve()
        if target == source:
            raise InputError(
                f"{path} is one of the inputs, which writing it would destroy: give another path"
            )
        if source in target.parents and any((source / name).exists() for name in STORES):
            raise InputError(f"{path} lies in the input {one}, which is a store: write outside it")
        if target in source.parents:
            raise InputError(
                f"{path} holds the input {one}, which writing it would destroy: give another path"
            )


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
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(NotADirectoryError):  # a parent may be a file, which is told elsewhere
            path.unlink(missing_ok=True)
