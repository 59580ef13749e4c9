"""The ensemble of analogs of a column: members, mean and interval by height, and a histogram of the novelty."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sciml.plot.style import COLOURS, StyledFigure, set_title, style

__all__ = ["AnalogProfile", "analogs"]

Array = NDArray[Any]

BINS = 40
LEAST_NOVELTY = 0.1  # left end of the histogram


@dataclasses.dataclass(frozen=True)
class AnalogProfile:
    """Ensemble of a tendency in a column, in the given unit.

    Attributes
    ----------
    title, unit
        Title and unit of the panel.
    members
        Tendency of each member, (member, level).
    mean, low, high
        Mean, and limits of the interval, (level,).
    truth
        True tendency (level,), or None if it is not known.
    """

    title: str
    unit: str
    members: Array
    mean: Array
    low: Array
    high: Array
    truth: Array | None


def analogs(
    height: Array, panels: Sequence[AnalogProfile], novelty: Array, *, interval: str = "interval"
) -> Figure:
    """Draw the ensemble of a column, and the novelty of all columns.

    Parameters
    ----------
    height
        Height of the levels above ground, km.
    panels
        Tendencies of the column.
    novelty
        Novelty of all columns, (column,).
    interval
        Name of the interval in the legend.

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    with style():
        figure = StyledFigure(figsize=(3.0 * (len(panels) + 1), 3.5))
        grid: list[Axes] = list(np.ravel(figure.subplots(1, len(panels) + 1, squeeze=False)))
        for axes, panel in zip(grid, panels, strict=False):
            _draw_profile(axes, height, panel, interval)
        for axes in grid[1:-1]:
            axes.tick_params(labelleft=False)
        if panels:
            grid[0].set_ylabel("height (km)")
            figure.legend(*grid[0].get_legend_handles_labels(), loc="outside upper right", ncols=4)
        _draw_novelty(grid[-1], novelty)
    return figure


def _draw_profile(axes: Axes, height: Array, panel: AnalogProfile, interval: str) -> None:
    axes.axvline(0, color="#c8c8c8", linewidth=0.8, zorder=0)
    blue = COLOURS["prediction"]
    axes.fill_betweenx(height, panel.low, panel.high, color=blue, alpha=0.18, linewidth=0, label=interval)
    for number, member in enumerate(panel.members):
        label = None if number else "members"
        axes.plot(member, height, color="#8a8a8a", linewidth=0.5, alpha=0.6, label=label)
    axes.plot(panel.mean, height, color=blue, label="mean")
    if panel.truth is not None:
        axes.plot(
            panel.truth, height, color=COLOURS["truth"], linewidth=2.0, linestyle=(0, (3, 1.5)), label="truth"
        )
    active = np.any(panel.members != 0, 0) | (panel.mean != 0)
    axes.set_ylim(0, 1.1 * float(height[active].max()) if active.any() else 17.0)
    axes.set_xlabel(panel.unit)
    set_title(axes, panel.title)


def _draw_novelty(axes: Axes, novelty: Array) -> None:
    shown = np.maximum(novelty, LEAST_NOVELTY)
    edges = np.geomspace(LEAST_NOVELTY, max(2.0, 1.1 * float(shown.max())), BINS)
    axes.hist(shown, list(edges), color=COLOURS["prediction"], alpha=0.7)
    axes.axvline(1.0, color=COLOURS["third"])
    axes.set_xscale("log")
    axes.set_xlabel(f"novelty (first bar: {LEAST_NOVELTY:g} and less)")
    axes.set_ylabel("columns")
    set_title(axes, f"{np.mean(novelty > 1):.1%} of the columns above 1")
