"""Unfinished work that a later call resumes: a folder beside its target, for one process at a time."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sciml.errors import InputError, SciMLError
from sciml.storage.atomic import put_in_place
from sciml.storage.lock import lock_path, owned

__all__ = ["PLAN", "PartialStore", "claimed", "clear", "discard", "finish_placing", "partial_store", "place"]

PLAN: Final = "plan.json"
_PLACING: Final = "placing"
"""File with the number of the finished store, from before it gets its name until after."""
_OWN: Final = {"lock", PLAN, "plan.tmp", "done", "store", "replaced", _PLACING, "placing.tmp", "trial.nc"}
"""Names in the folder of an unfinished store (some of earlier versions); a folder with other names is not one."""


@contextlib.contextmanager
def claimed(output: Path, what: str) -> Iterator[Path]:
    """Yield the folder ``<output>.partial`` for this process alone; it is removed at the end if it has no plan.

    Parameters
    ----------
    output
        Path that will be written, which is locked meanwhile (`sciml.storage.lock`).
    what
        Its kind, for messages: ``store``, ``dataset``.

    Raises
    ------
    InputError
        Another process writes it, or something else has the folder's name.
    SciMLError
        The folder cannot be written.
    """
    partial = output.with_name(output.name + ".partial")
    with owned(output):
        _make(partial, what)
        try:
            yield partial
        finally:
            if not (partial / PLAN).exists():
                shutil.rmtree(partial, ignore_errors=True)


def _make(partial: Path, what: str) -> None:
    try:
        partial.mkdir(exist_ok=True)
        strange = sorted(p.name for p in partial.iterdir() if p.name not in _OWN)
    except (FileExistsError, NotADirectoryError):
        strange = [partial.name]
    except OSError as error:
        raise SciMLError(
            f"cannot write {partial}: {error.strerror}; give a path in a folder that you may write to"
        ) from error
    if strange:
        raise InputError(
            f"{partial} is in the way and holds what no unfinished {what} does ({', '.join(strange[:3])}): move it"
        )


def discard(partial: Path) -> None:
    """Remove the content of such a folder."""
    (partial / PLAN).unlink(missing_ok=True)  # first: content without a plan belongs to no process
    for path in partial.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != _PLACING:
            path.unlink()
    (partial / _PLACING).unlink(
        missing_ok=True
    )  # last: until then the content is that of a store with its name


def clear(output: Path, what: str) -> None:
    """Remove what a process that was killed left beside a complete output, unless another process is writing it.

    Parameters
    ----------
    output, what
        Those of `claimed`.
    """
    if not output.with_name(output.name + ".partial").exists() and not lock_path(output).exists():
        return
    with contextlib.suppress(SciMLError), claimed(output, what) as partial:
        discard(partial)


def place(partial: Path, target: Path) -> None:
    """Give the finished store its name, in place of an old store, and remove the rest of the folder.

    At any moment the target is the old store or the new one, and a process that is killed here leaves what
    `finish_placing` completes.
    """
    store = partial / "store"
    for left in store.rglob("*.partial"):  # a chunk that zarr was writing when an earlier process was killed
        left.unlink()
    _write_whole(partial / _PLACING, str(store.stat().st_ino))
    put_in_place(store, target)
    discard(partial)


def finish_placing(partial: Path, target: Path) -> bool:
    """Complete `place` of a process that was killed; return whether the target is now the store of this folder.

    Parameters
    ----------
    partial
        Folder of the unfinished store, which this process has claimed.
    target
        Path of the store.
    """
    try:
        number = int((partial / _PLACING).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return False
    if target.exists() and target.stat().st_ino == number:
        discard(partial)
        return True
    store = partial / "store"
    if store.exists() and store.stat().st_ino == number:
        place(partial, target)
        return True
    return False


def _write_whole(path: Path, text: str) -> None:
    """Write a file that appears under its name when it is complete."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


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
        _write_whole(self.folder / PLAN, json.dumps(plan))

    def mark(self, block: int) -> None:
        """Record that a block is in the store."""
        (self.folder / "done" / str(block)).touch()

    def done(self, block: int) -> bool:
        """Return whether a block is in the store."""
        return (self.folder / "done" / str(block)).exists()

    def discard(self) -> None:
        """Remove everything."""
        discard(self.folder)

    def place(self, target: Path) -> None:
        """Give the finished store its name; see `place`."""
        place(self.folder, target)

    def finish_placing(self, target: Path) -> bool:
        """Complete `place` of a process that was killed; see `finish_placing`."""
        return finish_placing(self.folder, target)


@contextlib.contextmanager
def partial_store(target: Path, what: str = "dataset") -> Iterator[PartialStore]:
    """Yield the unfinished store of a target, for this process alone; parameters and errors as those of `claimed`."""
    with claimed(target, what) as folder:
        yield PartialStore(folder)
