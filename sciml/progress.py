"""Progress of long work on the standard error: a bar in a terminal, lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Bar", "LineLog", "Lines", "StageProgress", "Update", "progress_bar", "terminal_bar"]

Update = Callable[[int, int], None]
"""A function of the number of steps done and of their total."""


class LineLog:
    """Lines on a stream, with a clock that says when the next one is due.

    Parameters
    ----------
    every_s
        Seconds between lines.
    stream
        Standard error by default.
    """

    def __init__(self, every_s: float, stream: TextIO | None = None) -> None:
        self.every_s = every_s
        self.stream = stream
        self._last = time.monotonic()

    def due(self) -> bool:
        """Return whether the seconds have passed since the last line."""
        return time.monotonic() - self._last >= self.every_s

    def write(self, line: str) -> None:
        """Write one line."""
        self._last = time.monotonic()
        print(line, file=self.stream or sys.stderr, flush=True)


def terminal_bar(*columns: Any, transient: bool) -> Progress:
    """Make a progress bar of rich on the standard error.

    Parameters
    ----------
    columns
        Of rich; by default a description, the bar, the steps done and the time that remains.
    transient
        Whether the bar disappears at its end.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    default = (TextColumn("{task.description:<9}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*(columns or default), console=Console(stderr=True), transient=transient)


class StageProgress:
    """Progress of work in stages; this class shows nothing.

    Examples
    --------
    >>> with StageProgress() as stages:
    ...     update = stages.stage("writing")
    ...     update(1, 10)
    """

    @staticmethod
    def automatic(*, transient: bool = False) -> StageProgress:
        """Return bars if the standard error is a terminal, else lines."""
        return Bar(transient=transient) if sys.stderr.isatty() else Lines()

    def __enter__(self) -> StageProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def stage(self, name: str, unit: str = "blocks") -> Update:
        """Start a stage.

        Parameters
        ----------
        name
            Shown before the numbers.
        unit
            Name of the steps; empty for none.

        Returns
        -------
        Update
            Call it with the number of steps done and their total.
        """
        return lambda done, total: None

    def say(self, line: str) -> None:
        """Show a line of text that is not progress."""


class Bar(StageProgress):
    """A bar for each stage.

    Parameters
    ----------
    transient
        Whether the bars disappear at the end.
    """

    def __init__(self, *, transient: bool = False) -> None:
        self._transient = transient

    def __enter__(self) -> StageProgress:
        self._bar = terminal_bar(transient=self._transient)
        self._bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._bar.stop()

    def stage(self, name: str, unit: str = "blocks") -> Update:
        """Add a bar below the last one."""
        task = self._bar.add_task(name, total=None)

        def update(done: int, total: int) -> None:
            self._bar.update(task, completed=done, total=total)

        return update

    def say(self, line: str) -> None:
        """Print a line."""
        print(line, file=sys.stderr, flush=True)


class Lines(StageProgress):
    """A line every few seconds, and one at the end of a stage that took longer.

    Parameters
    ----------
    every
        Seconds between lines.
    """

    def __init__(self, every: float = 10.0) -> None:
        self._every = every

    def stage(self, name: str, unit: str = "blocks") -> Update:
        """Print lines that start with the stage's name."""
        start, log = time.monotonic(), LineLog(self._every)
        steps = f" {unit}" if unit else ""

        def update(done: int, total: int) -> None:
            seconds = time.monotonic() - start
            if log.due() or (done == total and seconds >= self._every):
                log.write(f"{name}: {done} of {total}{steps}, {seconds:.0f} s")

        return update

    def say(self, line: str) -> None:
        """Print a line."""
        print(line, file=sys.stderr, flush=True)


@contextmanager
def progress_bar(text: str, quiet: bool) -> Iterator[Update | None]:
    """Show the progress of work of one stage; None is what a quiet command gets."""
    if quiet:
        yield None
        return
    with StageProgress.automatic(transient=True) as stages:
        yield stages.stage(text, "")
