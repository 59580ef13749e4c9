"""How a training tells where it is: live in a terminal or a notebook, plain lines in a log, or not at all."""

from __future__ import annotations

import html
import importlib
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from sciml.train.history import Epoch

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

__all__ = ["Lines", "Live", "Notebook", "Progress", "Quiet", "Report", "automatic"]


@dataclass(frozen=True)
class Report:
    """Where a training is within an epoch; the losses are means over the epoch so far."""

    epoch: int
    epochs: int
    step: int
    steps: int
    losses: Mapping[str, float]
    learning_rate: float
    samples_per_second: float


class Progress(Protocol):
    """What `fit` tells. `step` is only called when `due` says so, so that it costs nothing in between."""

    def due(self) -> bool:
        """Whether it is time for a `step`."""
        ...

    def step(self, report: Report) -> None:
        """Somewhere in an epoch."""
        ...

    def epoch(self, epoch: Epoch, best: bool) -> None:
        """An epoch is done; ``best`` where it is the best so far."""
        ...

    def say(self, message: str) -> None:
        """One line of news."""
        ...

    def close(self) -> None:
        """No more is to come."""
        ...


class Quiet:
    """Says nothing."""

    def due(self) -> bool:
        """Never."""
        return False

    def step(self, report: Report) -> None:
        """Nothing."""

    def epoch(self, epoch: Epoch, best: bool) -> None:
        """Nothing."""

    def say(self, message: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Lines:
    """Plain lines: one an epoch, and one every so many seconds within long epochs.

    Parameters
    ----------
    every_s
        Seconds between lines within an epoch.
    stream
        Where they go; standard error by default.
    """

    def __init__(self, every_s: float = 30.0, stream: TextIO | None = None) -> None:
        self.every_s = every_s
        self.stream = stream
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether the seconds have passed."""
        return time.monotonic() - self._last >= self.every_s

    def step(self, report: Report) -> None:
        """One line."""
        where = f"epoch {report.epoch}/{report.epochs} step {report.step}/{report.steps}"
        self.say(f"{where}: {_losses(report.losses)}; {_speed(report)}")

    def epoch(self, epoch: Epoch, best: bool) -> None:
        """One line."""
        self.say(_line(epoch, best))

    def say(self, message: str) -> None:
        """One line."""
        self._last = time.monotonic()
        print(message, file=self.stream or sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing is left to do."""


class Live:
    """A live bar in a terminal, with the losses by output under it."""

    def __init__(self, every_s: float = 0.2) -> None:
        self.every_s = every_s
        self._last = 0.0
        self._shown: RichProgress | None = None
        self._task: TaskID | None = None

    def due(self) -> bool:
        """Whether the display is old enough."""
        return time.monotonic() - self._last >= self.every_s

    def step(self, report: Report) -> None:
        """Move the bar."""
        self._last = time.monotonic()
        shown, task = self._display()
        done = (report.epoch - 1) * report.steps + report.step
        news = f"{_losses(report.losses)}\n{_speed(report)}"
        shown.update(
            task,
            total=report.epochs * report.steps,
            completed=done,
            description=f"epoch {report.epoch}/{report.epochs}",
            news=news,
        )

    def epoch(self, epoch: Epoch, best: bool) -> None:
        """One line above the bar."""
        self.say(_line(epoch, best))

    def say(self, message: str) -> None:
        """One line above the bar."""
        self._display()[0].console.print(message, highlight=False, markup=False)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._shown is not None:
            self._shown.stop()
        self._shown = self._task = None

    def _display(self) -> tuple[RichProgress, TaskID]:
        if self._shown is None or self._task is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                TaskProgressColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[news]}", markup=False),
            )
            self._shown = Progress(*columns, console=Console(stderr=True), transient=True)
            self._shown.start()
            self._task = self._shown.add_task("epoch", total=None, news="")
        return self._shown, self._task


class Notebook:
    """A bar in the output of a notebook's cell, drawn over; what stays is one line, not one for each epoch."""

    def __init__(self, every_s: float = 0.5) -> None:
        self.every_s = every_s
        self._last = 0.0
        self._epochs = 0
        self._display: Any = importlib.import_module("IPython.display")
        self._handle: Any = None

    def due(self) -> bool:
        """Whether what is shown is old enough."""
        return time.monotonic() - self._last >= self.every_s

    def step(self, report: Report) -> None:
        """Move the bar."""
        self._epochs = report.epochs
        done = (report.epoch - 1) * report.steps + report.step
        news = f"epoch {report.epoch}/{report.epochs}: {_losses(report.losses)}; {_speed(report)}"
        self._show(news, done / (report.epochs * report.steps))

    def epoch(self, epoch: Epoch, best: bool) -> None:
        """The line of the epoch, in the place of the last."""
        self._show(_line(epoch, best), epoch.number / self._epochs if self._epochs else None)

    def say(self, message: str) -> None:
        """One line, in the place of the last."""
        self._show(message)

    def close(self) -> None:
        """What was shown last stays."""

    def _show(self, text: str, share: float | None = None) -> None:
        self._last = time.monotonic()
        bar = "" if share is None else f'<progress value="{share:.3f}" max="1"></progress> '
        shown = self._display.HTML(f'<div style="opacity:.75">{bar}{html.escape(text)}</div>')
        if self._handle is None:
            self._handle = self._display.display(shown, display_id=True)
        else:
            self._handle.update(shown)


def automatic(quiet: bool = False) -> Progress:
    """`Quiet` if asked, `Notebook` in one, `Live` in a terminal, else `Lines`, both on standard error."""
    if quiet:
        return Quiet()
    if "ipykernel" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
        return Notebook()
    return Live() if sys.stderr.isatty() else Lines()


def _speed(report: Report) -> str:
    return f"rate {report.learning_rate:.2e}, {report.samples_per_second:,.0f} samples/s"


def _losses(losses: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in losses.items())


def _line(epoch: Epoch, best: bool) -> str:
    text = f"epoch {epoch.number}: training {_losses(epoch.training)}"
    if epoch.validation:
        text += f"; validation {_losses(epoch.validation)}"
    if epoch.metrics:
        text += f"; {_losses(epoch.metrics)}"
    return f"{text}; {epoch.seconds:.1f} s{' (best)' if best else ''}"
