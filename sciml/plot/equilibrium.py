"""Figure of columns in equilibrium: profiles by pressure and time series, with mean and range of the members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sciml.plot.style import COLOURS, StyledFigure, set_title, style

__all__ = ["Course", "equilibrium"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Course:
    """Content of one panel.

    Attributes
    ----------
    title, unit
        Title and unit of the panel.
    bands
        Mean, minimum and maximum by name of the line, each (level,) or (period,). A panel of one line has no legend.
    """

    title: str
    unit: str
    bands: Mapping[str, tuple[Array, Array, Array]]


def equilibrium(
    pressure: Array,
    profiles: Sequence[Course],
    days: Array,
    courses: Sequence[Course],
    *,
    title: str,
    top: float = 80.0,
) -> Figure:
    """Draw profiles in one row and time series in the row below.

    Parameters
    ----------
    pressure
        Pressure of the levels, hPa.
    profiles, courses
        Panels of the first and of the second row; the numbers must be equal.
    days
        Middles of the periods, days.
    title
        Title of the figure.
    top
        Upper end of the axes of profiles, hPa.

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    with style():
        figure = StyledFigure(figsize=(2.75 * len(profiles), 6.2))
        grid = figure.subplots(2, len(profiles), height_ratios=(1.25, 1), squeeze=False)
        for axes, panel in zip(grid[0], profiles, strict=True):
            axes.axvline(0, color="#c8c8c8", linewidth=0.8, zorder=0)
            for shade, (name, (mean, low, high)) in zip(_shades(), panel.bands.items(), strict=False):
                axes.fill_betweenx(pressure, low, high, color=shade, alpha=0.18, linewidth=0)
                axes.plot(mean, pressure, color=shade, label=name)
            axes.set_ylim(float(np.max(pressure)), top)
            _finish(axes, panel)
            axes.set_xlabel(panel.unit)
        grid[0, 0].set_ylabel("pressure (hPa)")
        for axes, panel in zip(grid[1], courses, strict=True):
            for shade, (name, (mean, low, high)) in zip(_shades(), panel.bands.items(), strict=False):
                axes.fill_between(days, low, high, color=shade, alpha=0.18, linewidth=0)
                axes.plot(days, mean, color=shade, label=name)
            axes.set_xlim(0, float(days[-1] + days[0]))
            highest = max(float(np.max(high)) for _, _, high in panel.bands.values()) or 1.0
            # space for the legend
            axes.set_ylim(0, highest * (1.05 if len(panel.bands) == 1 else 1.1 + 0.1 * len(panel.bands)))
            _finish(axes, panel)
            axes.set_xlabel("days")
            axes.set_ylabel(panel.unit)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure


def _shades() -> tuple[str, ...]:
    return COLOURS["prediction"], COLOURS["third"], "#8a8a8a", COLOURS["fourth"]


def _finish(axes: Axes, panel: Course) -> None:
    if len(panel.bands) > 1:
        axes.legend(loc="best", borderaxespad=0.2)
    set_title(axes, panel.title)
