"""A dataset under way: a folder beside its target, for one process at a time, that a later call goes on with."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from sciml.errors import InputError

__all__ = ["Unfinished", "unfinished"]

_LOCK: Final = "lock"
_PLAN: Final = "plan.json"
_OWN: Final = {_LOCK, _PLAN, "plan.tmp", "done", "store"}
"""All that such a folder holds: one with anything else in it is not one, whatever its name."""
_NO_LOCKS: Final = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


@dataclass(frozen=True)
class Unfinished:
    """The folder ``<target>.partial``: the store, its plan, and a mark for each block that is done."""

    folder: Path

    @property
    def store(self) -> Path:
        """Where the dataset grows."""
        return self.folder / "store"

    def plan(self) -> dict[str, Any] | None:
        """What the store is to become, or None where nothing is begun."""
        try:
            found = json.loads((self.folder / _PLAN).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Write the plan, once the empty store is whole."""
        (self.folder / "done").mkdir()
        temporary = self.folder / "plan.tmp"
        temporary.write_text(json.dumps(plan), encoding="utf-8")
        os.replace(temporary, self.folder / _PLAN)

    def mark(self, block: int) -> None:
        """Note that a block is in the store."""
        (self.folder / "done" / str(block)).touch()

    def done(self, block: int) -> bool:
        """Whether a block is in the store."""
        return (self.folder / "done" / str(block)).exists()

    def discard(self) -> None:
        """Remove everything but the lock."""
        (self.folder / _PLAN).unlink(missing_ok=True)  # first: what is left without it is nobody's
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != _LOCK:
                path.unlink()


@contextlib.contextmanager
def unfinished(target: Path) -> Iterator[Unfinished]:
    """The unfinished dataset of a target, for this process alone; it goes at the end if no plan came into it.

    The lock is the operating system's and ends with the process, however that ends. Where the file system has none,
    nobody is kept out.

    Raises
    ------
    InputError
        Another process writes this dataset, or something else stands under that name.
    """
    folder = target.with_name(target.name + ".partial")
    while True:
        _make(folder)
        try:
            opened = (folder / _LOCK).open("a+")
        except FileNotFoundError:
            continue  # the one before finished, and took its folder away, between the two lines above
        with opened as file:
            _lock(file, target)
            if not _still_there(file, folder / _LOCK):
                continue
            file.truncate(0)
            file.write(f"{os.getpid()} on {platform.node()}")
            file.flush()
            found = Unfinished(folder)
            try:
                yield found
            finally:
                if found.plan() is None:
                    shutil.rmtree(folder, ignore_errors=True)
            return


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
        strange = sorted(path.name for path in folder.iterdir() if path.name not in _OWN)
    except (FileExistsError, NotADirectoryError):
        strange = [folder.name]
    if strange:
        raise InputError(
            f"{folder} is in the way and holds what no unfinished dataset does ({', '.join(strange[:3])}): move it"
        )


def _lock(file: IO[str], target: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return
        file.seek(0)
        who = file.read().strip()
        raise InputError(
            f"another process{f' ({who})' if who else ''} is writing {target}: wait for it, or choose another name"
        ) from error


def _still_there(file: IO[str], path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(file.fileno())
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
