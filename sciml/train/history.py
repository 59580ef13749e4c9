"""The history of a training by epochs, as a table, a figure and JSON."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from sciml.errors import SchemaError
from sciml.storage.schema import check_schema
from sciml.tables import aligned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Epoch", "History", "Stopped"]

HISTORY_SCHEMA = 1
_MORE_SHADES = ["#cc79a7", "#e69f00", "#56b4e9", "#8a8a8a", "#1a1a1a"]  # palette of Okabe and Ito (2008)
Stopped = Literal["running", "finished", "patience", "time limit", "time budget"]


@dataclass(frozen=True)
class Epoch:
    """One epoch: the losses by name, averaged over its samples.

    Parameters
    ----------
    number
        Counted from 1.
    step
        Optimiser steps done since the start of the training.
    learning_rate
        Learning rate of the epoch's last step.
    training, validation
        Loss by name; ``loss`` is the total. ``validation`` is empty where the epoch was not validated.
    metrics
        Result of the caller's ``metrics(model)``.
    gradient_norm
        Mean over the epoch, before clipping.
    seconds
        Wall-clock time of the epoch, validation included.
    """

    number: int
    step: int
    learning_rate: float
    training: Mapping[str, float]
    validation: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    gradient_norm: float = 0.0
    seconds: float = 0.0

    def value(self, monitor: str) -> float | None:
        """Return the monitored value: a validation loss, else a metric; None if it was not computed."""
        if monitor in self.validation:
            return self.validation[monitor]
        if monitor in self.metrics:
            return self.metrics[monitor]
        return None


@dataclass(frozen=True)
class History:
    """The epochs of a training, and the reason for its end.

    Parameters
    ----------
    epochs
        One record for each epoch, in order.
    stopped
        ``running`` (not yet, or interrupted), ``finished``, ``patience`` (early) or ``time limit``.
    best
        Number of the epoch whose weights the model has, or None if nothing was validated.
    monitor
        The value that decides which epoch is best; smaller is better.

    Examples
    --------
    >>> history = History().add(Epoch(1, 10, 1e-3, {"loss": 2.0}, {"loss": 3.0}))
    >>> history = history.add(Epoch(2, 20, 1e-3, {"loss": 1.0}, {"loss": 4.0}))
    >>> history.best, history.losses("loss"), History.from_json(history.to_json()) == history
    (1, [2.0, 1.0], True)
    """

    epochs: tuple[Epoch, ...] = ()
    stopped: Stopped = "running"
    best: int | None = None
    monitor: str = "loss"

    def add(self, epoch: Epoch) -> History:
        """Append an epoch; it becomes `best` if its monitored value is the smallest so far."""
        value = epoch.value(self.monitor)
        if value is None:
            return replace(self, epochs=(*self.epochs, epoch))
        least = self.best_value
        best = epoch.number if least is None or value < least else self.best
        return replace(self, epochs=(*self.epochs, epoch), best=best)

    @property
    def best_value(self) -> float | None:
        """The monitored value at the best epoch."""
        values = [epoch.value(self.monitor) for epoch in self.epochs if epoch.number == self.best]
        return values[0] if values else None

    @property
    def seconds(self) -> float:
        """Wall-clock time of all epochs."""
        return sum(epoch.seconds for epoch in self.epochs)

    def losses(self, name: str = "loss", *, validation: bool = False) -> list[float]:
        """One loss over the epochs (the validated ones for ``validation``)."""
        rows = [epoch.validation if validation else epoch.training for epoch in self.epochs]
        return [row[name] for row in rows if name in row]

    def monitored(self) -> list[float]:
        """Return the monitored values, or the training loss of every epoch where nothing was validated."""
        values = [value for epoch in self.epochs if (value := epoch.value(self.monitor)) is not None]
        return values if values else self.losses()

    def to_json(self) -> str:
        """Return JSON text, from which `from_json` reads the same bits."""
        content = {"schema": HISTORY_SCHEMA, **asdict(self)}
        return json.dumps(content, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> History:
        """Read the text of `to_json`.

        Raises
        ------
        SchemaError
            The text has another schema, or is not a history.
        """
        try:
            content: dict[str, Any] = json.loads(text)
            check_schema(content["schema"], HISTORY_SCHEMA, "the training history", "train again")
            epochs = tuple(Epoch(**epoch) for epoch in content["epochs"])
            return cls(epochs, content["stopped"], content["best"], content["monitor"])
        except (KeyError, TypeError, ValueError) as error:
            raise SchemaError(
                f"this is not a training history ({error}): write it with History.to_json"
            ) from error

    def plot(self) -> Figure:
        """Draw the losses (total and by output) and the learning rate over the epochs."""
        from sciml.plot.style import StyledFigure, set_title, style

        with style():
            figure = StyledFigure(figsize=(9.0, 3.2))
            left, right = figure.subplots(1, 2)
            self._draw(left, ["loss"])
            self._draw(right, [name for name in self._names() if name != "loss"])
            set_title(left, f"total loss, {self.stopped}")
            set_title(right, "losses by output (dashed: validation)")
            rate = left.twinx()
            rate.plot(
                [e.number for e in self.epochs], [e.learning_rate for e in self.epochs], color="0.7", lw=1
            )
            rate.set_ylabel("learning rate (grey)")
            rate.spines["right"].set_visible(True)
            if self.best is not None:
                left.axvline(self.best, color="0.4", ls=":", label=f"best: epoch {self.best}")
            for axes in (left, right):
                axes.set_xlabel("epoch")
                axes.set_ylabel("loss")
                axes.xaxis.get_major_locator().set_params(integer=True)
                if axes.get_legend_handles_labels()[0]:
                    axes.legend()
        return figure

    def _names(self) -> list[str]:
        return list(self.epochs[-1].training) if self.epochs else []

    def _draw(self, axes: Any, names: list[str]) -> None:
        from sciml.plot.style import COLOURS

        shades = [COLOURS[name] for name in ("prediction", "third", "fourth")] + _MORE_SHADES
        for index, name in enumerate(names):
            for part, line in (("training", "-"), ("validation", "--")):
                points = [(e.number, getattr(e, part)[name]) for e in self.epochs if name in getattr(e, part)]
                if points:
                    label = part if names == ["loss"] else name if part == "training" else None
                    axes.plot(
                        *zip(*points, strict=True), line, color=shades[index % len(shades)], label=label
                    )
        if names and self.epochs and all(min(e.training.get(n, 1.0) for n in names) > 0 for e in self.epochs):
            axes.set_yscale("log")

    def summary(self, last: int = 10) -> str:
        """Return the last epochs as a table."""
        lines = [f"History: {len(self.epochs)} epochs, {self.stopped}, {self.seconds:.1f} s"]
        if self.best is not None:
            lines[0] += f", best epoch {self.best} ({self.monitor} {self.best_value:.4g})"
        rows: list[tuple[object, ...]] = [("epoch", "step", "training", "validation", "rate", "s")]
        for epoch in self.epochs[-last:]:
            value = epoch.value(self.monitor)
            shown = "-" if value is None else f"{value:.4g}"
            loss = f"{epoch.training['loss']:.4g}" if "loss" in epoch.training else "-"
            tail = f"{epoch.learning_rate:.2e}", f"{epoch.seconds:.1f}"
            rows.append((epoch.number, epoch.step, loss, shown, *tail))
        return "\n".join([*lines, *aligned(rows, align=">", widths=(6, 8, 11, 11, 9, 8), gap=" ")])

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        table = f"<pre>{html.escape(self.summary())}</pre>"
        if not self.epochs:
            return table
        try:
            from sciml.plot.style import png

            picture = png(self.plot(), 90)
        except ImportError:  # matplotlib is missing; the table has the same numbers
            return table
        content = base64.b64encode(picture).decode()
        return f'<img alt="losses" src="data:image/png;base64,{content}">{table}'
