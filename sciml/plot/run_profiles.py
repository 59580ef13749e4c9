"""Mean profiles of two runs and their differences by height."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from numpy.typing import NDArray

from sciml.plot.style import COLOURS, StyledFigure, set_title, style

__all__ = ["RunProfile", "run_profiles"]

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class RunProfile:
    """Content of one column of panels; every array has shape (level,) and the given unit.

    Attributes
    ----------
    title, unit
        Title and unit of the panels.
    reference, candidate
        Means of the two runs.
    bias, rmse
        Mean and root mean square of candidate minus reference.
    """

    title: str
    unit: str
    reference: Array
    candidate: Array
    bias: Array
    rmse: Array


def run_profiles(height: Array, columns: Sequence[RunProfile], names: tuple[str, str]) -> Figure:
    """Draw the means of both runs in the upper row, bias and RMSE of the candidate in the lower row.

    Parameters
    ----------
    height
        Height of the levels above ground, km.
    columns
        Variables, with one panel in each row.
    names
        Names of the reference and the candidate.

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    with style():
        figure = StyledFigure(figsize=(2.1 * len(columns) + 0.6, 5.6))
        grid = figure.subplots(2, len(columns), sharey=True, squeeze=False)
        for (upper, lower), profile in zip(grid.T, columns, strict=True):
            upper.plot(profile.reference, height, color=COLOURS["truth"], label=names[0])
            upper.plot(
                profile.candidate, height, color=COLOURS["prediction"], linestyle=(0, (4, 2)), label=names[1]
            )
            set_title(upper, profile.title)
            upper.set_xlabel(profile.unit)
            lower.axvline(0, color="#b4b4b4", linewidth=0.7)
            lower.plot(
                profile.bias, height, color=COLOURS["prediction"], label="bias (candidate − reference)"
            )
            lower.plot(profile.rmse, height, color=COLOURS["third"], label="RMSE")
            lower.set_xlabel(profile.unit)
        for line in grid:
            line[0].set_ylabel("height (km)")
            line[0].set_ylim(0, float(height[-1]))
        handles = [
            pair for axes in grid[:, 0] for pair in zip(*axes.get_legend_handles_labels(), strict=True)
        ]
        figure.legend(*zip(*handles, strict=True), loc="outside upper right", ncols=2, borderaxespad=0.2)
    return figure
