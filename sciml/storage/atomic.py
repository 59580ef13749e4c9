"""Atomic writes: to a temporary path beside the target, which then replaces it."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from sciml.errors import InputError, SciMLError

__all__ = ["beside", "check_apart", "check_replaceable", "put_in_place", "remove_leftovers", "replaced"]

STORES = ("zarr.json", ".zgroup", "config.json")
"""Files that mark a folder as a zarr store or a checkpoint."""


@contextlib.contextmanager
def replaced(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """Yield a temporary path that replaces ``path`` if the block succeeds, and is removed otherwise.

    At any moment ``path`` is the old file or the new one. Temporary files of processes that were killed are removed.

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
    temporary = beside(path, f"{_host()}-{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
        _remove(temporary)
        yield temporary
        _flush(temporary)
        put_in_place(temporary, path)
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


def beside(path: Path, ending: str) -> Path:
    """Return a hidden path beside a path, of its name (or, if that is too long, of its digest) and an ending.

    Examples
    --------
    >>> beside(Path("runs/m.sciml"), "lock").name
    '.m.sciml.lock'
    """
    name = path.name
    if len(os.fsencode(name)) + len(os.fsencode(ending)) > 250:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    return path.with_name(f".{name}.{ending}")


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files that processes of this host left when they were killed.

    If such a process was killed between the two renames of `put_in_place`, the old folder returns to its name.
    """
    marker = beside(path, f"{_host()}-")
    with contextlib.suppress(OSError):
        for left in sorted(path.parent.iterdir()):
            number, _, ending = left.name.removeprefix(marker.name).partition(".")
            if not left.name.startswith(marker.name) or ending not in ("part", "old") or not number.isdigit():
                continue
            if _runs(int(number)):
                continue
            if ending == "old" and not path.exists():
                os.replace(left, path)
            _remove(left)


def _host() -> str:
    return platform.node().replace("/", "_") or "host"


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a file or a folder to its final name; what had this name is removed.

    A folder is exchanged with the old one in one call of the operating system. File systems that cannot do so (NFS)
    have no folder of that name for a moment.
    """
    if not path.is_dir() or path.is_symlink():
        os.replace(temporary, path)
        return
    if _exchange(temporary, path):
        _remove(temporary)
        return
    old = beside(path, f"{_host()}-{os.getpid()}.old")
    _remove(old)
    os.replace(path, old)
    try:
        os.replace(temporary, path)
    except OSError:
        os.replace(old, path)
        raise
    _remove(old)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two paths in one call; return whether the system can."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
    return bool(call(here, os.fsencode(first), here, os.fsencode(second), exchange) == 0)


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
