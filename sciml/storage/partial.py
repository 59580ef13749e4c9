"""Unfinished work that a later call resumes: a folder beside its target, for one process at a time."""

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

__all__ = ["PLAN", "PartialStore", "claimed", "discard", "partial_store"]

LOCK: Final = "lock"
PLAN: Final = "plan.json"
_OWN: Final = {LOCK, PLAN, "plan.tmp", "done", "store", "replaced"}
"""Names in the folder of an unfinished store; a folder with other names is not one."""
_NO_LOCKS: Final = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


@contextlib.contextmanager
def claimed(output: Path, what: str) -> Iterator[Path]:
    """Yield the folder ``<output>.partial`` for this process alone; it is removed at the end if it has no plan.

    The lock is that of the operating system, which ends with the process. On a file system without locks, other
    processes are not excluded.

    Parameters
    ----------
    output
        Path that will be written.
    what
        Its kind, for messages: ``store``, ``dataset``.

    Raises
    ------
    InputError
        Another process writes it, or something else has the folder's name.
    """
    partial = output.with_name(output.name + ".partial")
    with _locked(partial, output, what):
        try:
            yield partial
        finally:
            if not (partial / PLAN).exists():
                shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def _locked(partial: Path, output: Path, what: str) -> Iterator[None]:
    while True:
        _make(partial, what)
        try:
            opened = (partial / LOCK).open("a+")
        except FileNotFoundError:
            continue  # the process before finished and removed its folder between the two lines above
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


def _make(partial: Path, what: str) -> None:
    try:
        partial.mkdir(exist_ok=True)
        strange = sorted(p.name for p in partial.iterdir() if p.name not in _OWN)
    except (FileExistsError, NotADirectoryError):
        strange = [partial.name]
    if strange:
        raise InputError(
            f"{partial} is in the way and holds what no unfinished {what} does ({', '.join(strange[:3])}): move it"
        )


def _who(file: IO[str]) -> str:
    file.seek(0)
    owner = file.read().strip()
    return f" ({owner})" if owner else ""


def _still_there(file: IO[str], path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(file.fileno())
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def discard(partial: Path) -> None:
    """Remove the content of such a folder, except the lock."""
    (partial / PLAN).unlink(missing_ok=True)  # first: content without a plan belongs to no process
    for path in partial.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


@dataclass(frozen=True)
class PartialStore:
    """An unfinished store: the folder ``<target>.partial`` with the store, its plan, and a mark for each block.

    Parameters
    ----------
    folder
        The folder, which `partial_store` locks for this process.
    """

    folder: Path

    @property
    def store(self) -> Path:
        """Path of the store that is being written."""
        return self.folder / "store"

    def plan(self) -> dict[str, Any] | None:
        """Read the plan of the store; None if there is none."""
        try:
            plan = json.loads((self.folder / PLAN).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return plan if isinstance(plan, dict) else None

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Write the plan, once the empty store is complete."""
        (self.folder / "done").mkdir()
        temporary = self.folder / "plan.tmp"
        temporary.write_text(json.dumps(plan), encoding="utf-8")
        os.replace(temporary, self.folder / PLAN)

    def mark(self, block: int) -> None:
        """Record that a block is in the store."""
        (self.folder / "done" / str(block)).touch()

    def done(self, block: int) -> bool:
        """Return whether a block is in the store."""
        return (self.folder / "done" / str(block)).exists()

    def discard(self) -> None:
        """Remove everything except the lock."""
        discard(self.folder)


@contextlib.contextmanager
def partial_store(target: Path, what: str = "dataset") -> Iterator[PartialStore]:
    """Yield the unfinished store of a target, for this process alone; parameters and errors as those of `claimed`."""
    with claimed(target, what) as folder:
        yield PartialStore(folder)
