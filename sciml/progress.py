"""How the writing of a store tells where it is: a bar in a terminal, lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Telling"]


class Telling:
    """Progress by stages; this one says nothing.

    Examples
    --------
    >>> with Telling() as telling:
    ...     telling.stage("writing")(1, 10)
    """

    @staticmethod
    def automatic() -> Telling:
        """A bar if the standard error is a terminal, else lines on it."""
        return Bar() if sys.stderr.isatty() else Lines()

    def __enter__(self) -> Telling:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def stage(self, name: str) -> Callable[[int, int], None]:
        """Begin a stage; the function returned is told how many steps of how many are done."""
        return lambda done, total: None

    def say(self, line: str) -> None:
        """Tell something that is no progress."""


class Bar(Telling):
    """A bar for each stage, on the standard error."""

    def __enter__(self) -> Telling:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar: Progress = RichProgress(
            TextColumn("{task.description:<9}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._bar.stop()

    def stage(self, name: str) -> Callable[[int, int], None]:
        """A new bar under the last."""
        task = self._bar.add_task(name, total=None)

        def tell(done: int, total: int) -> None:
            self._bar.update(task, completed=done, total=total)

        return tell

    def say(self, line: str) -> None:
        """A line on the standard error."""
        print(line, file=sys.stderr, flush=True)


class Lines(Telling):
    """A line every ten seconds, and one at the end of a stage that took longer."""

    def __init__(self, every: float = 10.0) -> None:
        self._every = every

    def stage(self, name: str) -> Callable[[int, int], None]:
        """Lines that begin with the stage's name."""
        begun = last = time.monotonic()

        def tell(done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last > self._every or (done == total and now - begun > self._every):
                last = now
                print(f"{name}: {done} of {total} blocks, {now - begun:.0f} s", file=sys.stderr, flush=True)

        return tell

    def say(self, line: str) -> None:
        """A line on the standard error."""
        print(line, file=sys.stderr, flush=True)
