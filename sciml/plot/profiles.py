"""Mean profiles of truth and prediction with their standard deviations, and errors by height."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sciml.plot.style import COLOURS, StyledFigure, set_title, style

__all__ = ["Profile", "draw_profile", "errors", "profiles"]

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Profile:
    """Content of one panel; every array has shape (level,) and the given unit.

    Attributes
    ----------
    title, unit
        Title and unit of the panel.
    truth, truth_std
        Mean and standard deviation of the truth.
    prediction, prediction_std
        Mean and standard deviation of the prediction.
    bias, rmse
        Mean and root mean square of prediction minus truth.
    """

    title: str
    unit: str
    truth: Array
    truth_std: Array
    prediction: Array
    prediction_std: Array
    bias: Array
    rmse: Array


def profiles(height: Array, panels: Sequence[Profile], *, columns: int = 4, top: float = 17.0) -> Figure:
    """Draw mean profiles: truth and prediction with one standard deviation, shaded and dashed.

    Parameters
    ----------
    height
        Height of the levels above ground, km.
    panels
        Panels in reading order.
    columns
        Number of panels in a row.
    top
        Upper end of the axes, km.

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    with style():
        figure, grid = _panels(len(panels), columns)
        for axes, panel in zip(grid, panels, strict=False):
            draw_profile(axes, height, panel, top=top)
        _share_height(grid, columns)
        figure.legend(
            *grid[0].get_legend_handles_labels(), loc="outside upper right", ncols=4, borderaxespad=0.2
        )
    return figure


def draw_profile(axes: Axes, height: Array, panel: Profile, *, top: float = 17.0) -> None:
    """Draw one panel of `profiles` on these axes."""
    true, predicted = COLOURS["truth"], COLOURS["prediction"]
    low, high = panel.truth - panel.truth_std, panel.truth + panel.truth_std
    axes.axvline(0, color="#c8c8c8", linewidth=0.8, zorder=0)
    axes.fill_betweenx(height, low, high, color=true, alpha=0.12, linewidth=0, label="truth ± 1 std. dev.")
    axes.plot(panel.truth, height, color=true, linewidth=2.2, label="truth")
    axes.plot(panel.prediction, height, color=predicted, linewidth=1.4, label="prediction")
    for sign in (-1, 1):
        edge = panel.prediction + sign * panel.prediction_std
        axes.plot(
            edge,
            height,
            color=predicted,
            linewidth=0.8,
            linestyle=(0, (4, 2)),
            label="prediction ± 1 std. dev." if sign > 0 else None,
        )
    axes.set_xlabel(panel.unit)
    axes.set_ylim(0, top)
    set_title(axes, panel.title)


def errors(height: Array, panels: Sequence[Profile], *, columns: int = 4, top: float = 17.0) -> Figure:
    """Draw the bias and the root mean square error by height; the standard deviation of the truth is shaded.

    Parameters
    ----------
    height
        Height of the levels above ground, km.
    panels
        Panels in reading order.
    columns
        Number of panels in a row.
    top
        Upper end of the axes, km.

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    with style():
        figure, grid = _panels(len(panels), columns)
        for axes, panel in zip(grid, panels, strict=False):
            axes.axvline(0, color="#c8c8c8", linewidth=0.8, zorder=0)
            axes.fill_betweenx(
                height,
                0,
                panel.truth_std,
                color=COLOURS["truth"],
                alpha=0.12,
                linewidth=0,
                label="std. dev. of truth",
            )
            axes.plot(panel.rmse, height, color=COLOURS["third"], label="RMSE")
            axes.plot(panel.bias, height, color=COLOURS["prediction"], label="bias (prediction − truth)")
            axes.set_xlabel(panel.unit)
            axes.set_ylim(0, top)
            set_title(axes, panel.title)
        _share_height(grid, columns)
        figure.legend(
            *grid[0].get_legend_handles_labels(), loc="outside upper right", ncols=3, borderaxespad=0.2
        )
    return figure


def _panels(count: int, columns: int) -> tuple[Figure, list[Axes]]:
    rows = math.ceil(count / columns)
    figure = StyledFigure(figsize=(2.45 * columns, 2.6 * rows + 0.3))
    axes: list[Axes] = list(np.ravel(figure.subplots(rows, columns, sharey=True, squeeze=False)))
    for spare in axes[count:]:
        spare.set_axis_off()
    return figure, axes


def _share_height(grid: Sequence[Axes], columns: int) -> None:
    for axes in grid[::columns]:
        axes.set_ylabel("height (km)")
