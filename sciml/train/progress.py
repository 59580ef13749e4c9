"""Display of a training's progress: a live bar in a terminal or a notebook, lines in a log, or nothing."""

from __future__ import annotations

import html
import importlib
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from sciml.parallel.launch import is_first_started
from sciml.progress import LineLog, terminal_bar
from sciml.train.history import Epoch

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

__all__ = ["Lines", "Live", "Notebook", "Progress", "Quiet", "Report", "automatic"]


@dataclass(frozen=True)
class Report:
    """Position of a training within an epoch; the losses are means over the epoch so far."""

    epoch: int
    epochs: int
    step: int
    steps: int
    losses: Mapping[str, float]
    learning_rate: float
    samples_per_second: float


class Progress(Protocol):
    """Protocol of the display that `fit` calls. `fit` calls `step` only if `due` returns True."""

    def due(self) -> bool:
        """Return whether `step` should be called."""
        ...

    def step(self, report: Report) -> None:
        """Show the position within an epoch."""
        ...

    def epoch(self, epoch: Epoch, best: bool) -> None:
        """Show a finished epoch; ``best`` if it is the best so far."""
        ...

    def say(self, message: str) -> None:
        """Show one line of text."""
        ...

    def close(self) -> None:
        """End the display."""
        ...


class Quiet:
    """Shows nothing."""

    def due(self) -> bool:
        """Return False."""
        return False

    def step(self, report: Report) -> None:
        """Do nothing."""

    def epoch(self, epoch: Epoch, best: bool) -> None:
        """Do nothing."""

    def say(self, message: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Lines:
    """Plain lines: one for each epoch, and one every few seconds within long epochs.

    Parameters
    ----------
    every_s
        Seconds between lines within an epoch.
    stream
        Standard error by default.
    """

    def __init__(self, every_s: float = 30.0, stream: TextIO | None = None) -> None:
        self._log = LineLog(every_s, stream)

    def due(self) -> bool:
        """Return whether the seconds have passed since the last line."""
        return self._log.due()

    def step(self, report: Report) -> None:
        """Print one line."""
        where = f"epoch {report.epoch}/{report.epochs} step {report.step}/{report.steps}"
        self.say(f"{where}: {_losses(report.losses)}; {_speed(report)}")

    def epoch(self, epoch: Epoch, best: bool) -> None:
        """Print one line."""
        self.say(_line(epoch, best))

    def say(self, message: str) -> None:
        """Print one line."""
        self._log.write(message)

    def close(self) -> None:
        """Do nothing: every line is printed already."""


class Live:
    """A live bar in a terminal, with the losses by output below it.

    Parameters
    ----------
    every_s
        Seconds between updates.
    """

    def __init__(self, every_s: float = 0.2) -> None:
        self.every_s = every_s
        self._last = 0.0
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None

    def due(self) -> bool:
        """Return whether the seconds have passed since the bar last moved."""
        return time.monotonic() - self._last >= self.every_s

    def step(self, report: Report) -> None:
        """Move the bar."""
        self._last = time.monotonic()
        bar, task = self._display()
        bar.update(
            task,
            total=report.epochs * report.steps,
            completed=(report.epoch - 1) * report.steps + report.step,
            description=f"epoch {report.epoch}/{report.epochs}",
            news=f"{_losses(report.losses)}\n{_speed(report)}",
        )

    def epoch(self, epoch: Epoch, best: bool) -> None:
        """Print one line above the bar."""
        self.say(_line(epoch, best))

    def say(self, message: str) -> None:
        """Print one line above the bar."""
        self._display()[0].console.print(message, highlight=False, markup=False)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._task = None

    def _display(self) -> tuple[RichProgress, TaskID]:
        if self._bar is None or self._task is None:
            from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                TaskProgressColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[news]}", markup=False),
            )
            self._bar = terminal_bar(*columns, transient=True)
            self._bar.start()
            self._task = self._bar.add_task("epoch", total=None, news="")
        return self._bar, self._task


class Notebook:
    """A bar in the output of a notebook cell, redrawn in place; one line remains, not one for each epoch."""

    def __init__(self, every_s: float = 0.5) -> None:
        self.every_s = every_s
        self._last = 0.0
        self._epochs = 0
        self._display: Any = importlib.import_module("IPython.display")
        self._handle: Any = None

    def due(self) -> bool:
        """Return whether the seconds have passed since the last update."""
        return time.monotonic() - self._last >= self.every_s

    def step(self, report: Report) -> None:
        """Move the bar."""
        self._epochs = report.epochs
        done = (report.epoch - 1) * report.steps + report.step
        news = f"epoch {report.epoch}/{report.epochs}: {_losses(report.losses)}; {_speed(report)}"
        self._show(news, done / (report.epochs * report.steps))

    def epoch(self, epoch: Epoch, best: bool) -> None:
        """Replace the output by the line of the epoch."""
        self._show(_line(epoch, best), epoch.number / self._epochs if self._epochs else None)

    def say(self, message: str) -> None:
        """Replace the output by one line."""
        self._show(message)

    def close(self) -> None:
        """Leave the last output."""

    def _show(self, text: str, share: float | None = None) -> None:
        self._last = time.monotonic()
        bar = "" if share is None else f'<progress value="{share:.3f}" max="1"></progress> '
        output = self._display.HTML(f'<div style="opacity:.75">{bar}{html.escape(text)}</div>')
        if self._handle is None:
            self._handle = self._display.display(output, display_id=True)
        else:
            self._handle.update(output)


def automatic(quiet: bool = False) -> Progress:
    """Choose the display: `Quiet` if asked, `Notebook` in a notebook, `Live` in a terminal, else `Lines`.

    Of several processes that torchrun started, the first one has a display.
    """
    if quiet or not is_first_started():
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
