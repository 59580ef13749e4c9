"""A dataset under way: a folder beside its target, for one process at a time, that a later call goes on with."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml.storage.partial import PLAN, claimed, discard

__all__ = ["Unfinished", "unfinished"]


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
            found = json.loads((self.folder / PLAN).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Write the plan, once the empty store is whole."""
        (self.folder / "done").mkdir()
        temporary = self.folder / "plan.tmp"
        temporary.write_text(json.dumps(plan), encoding="utf-8")
        os.replace(temporary, self.folder / PLAN)

    def mark(self, block: int) -> None:
        """Note that a block is in the store."""
        (self.folder / "done" / str(block)).touch()

    def done(self, block: int) -> bool:
        """Whether a block is in the store."""
        return (self.folder / "done" / str(block)).exists()

    def discard(self) -> None:
        """Remove everything but the lock."""
        discard(self.folder)


@contextlib.contextmanager
def unfinished(target: Path) -> Iterator[Unfinished]:
    """The unfinished dataset of a target, for this process alone; see `sciml.storage.partial.claimed`."""
    with claimed(target, "dataset") as folder:
        yield Unfinished(folder)
