"""Who may write a store: one process at a time, and only over what is a store."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import platform
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

import zarr

from sciml.errors import InputError

__all__ = ["PLAN", "check_replaceable", "claimed", "discard"]

LOCK: Final = "lock"
PLAN: Final = "plan.json"
_OWN: Final = {LOCK, PLAN, "plan.tmp", "done", "store", "replaced"}
"""All that a store under way holds: a folder with anything else in it is not one, whatever its name."""
_NO_LOCKS: Final = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def check_replaceable(output: Path, inputs: Iterable[Path]) -> None:
    """Refuse to replace anything but a store of columns, or a folder that the inputs lie in.

    Raises
    ------
    InputError
        With what stands there.
    """
    for path in inputs:
        if path == output or output in path.parents:
            raise InputError(f"{output} holds an input ({path.name}): choose another name for the store")
    if not output.is_dir():
        raise InputError(f"{output} is no store of columns, and is not replaced: choose another name")
    try:
        ours = "sciml_schema" in zarr.open_group(output, mode="r").attrs
    except (OSError, ValueError, KeyError):
        ours = False
    if not ours:
        some = ", ".join(sorted(p.name for p in output.iterdir())[:3]) or "nothing"
        raise InputError(
            f"{output} is a folder but no store of columns (it holds {some}), and is not replaced: choose another name"
        )


@contextlib.contextmanager
def claimed(output: Path) -> Iterator[Path]:
    """The folder ``<output>.partial``, for this process alone; it goes at the end if no plan came into it.

    The lock is the operating system's and ends with the process, however that ends. Where the file system has
    none, nobody is kept out.

    Raises
    ------
    InputError
        Another process writes this store, or something else stands under that name.
    """
    partial = output.with_name(output.name + ".partial")
    with _locked(partial, output):
        try:
            yield partial
        finally:
            if not (partial / PLAN).exists():
                shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def _locked(partial: Path, output: Path) -> Iterator[None]:
    while True:
        _make(partial)
        try:
            opened = (partial / LOCK).open("a+")
        except FileNotFoundError:
            continue  # the one before finished, and took its folder away, between the two lines above
        with opened as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise InputError(
                        f"another process{_who(file)} is writing {output}: wait for it, or choose another name"
                    ) from error
            if not _still_there(file, partial / LOCK):
                continue
            file.truncate(0)
            file.write(f"{os.getpid()} on {platform.node()}")
            file.flush()
            yield
            return


def _make(partial: Path) -> None:
    try:
        partial.mkdir(exist_ok=True)
        strange = sorted(p.name for p in partial.iterdir() if p.name not in _OWN)
    except (FileExistsError, NotADirectoryError):
        strange = [partial.name]
    if strange:
        raise InputError(
            f"{partial} is in the way and holds what no unfinished store does ({', '.join(strange[:3])}): move it"
        )


def _who(file: IO[str]) -> str:
    file.seek(0)
    told = file.read().strip()
    return f" ({told})" if told else ""


def _still_there(file: IO[str], path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(file.fileno())
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def discard(partial: Path) -> None:
    """Remove what an unfinished store holds, but for the lock."""
    (partial / PLAN).unlink(missing_ok=True)  # first: what is left without it is nobody's
    for path in partial.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()
