"""Mean profiles of two runs, and how far the one is from the other, by height."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from numpy.typing import NDArray

from sciml.plot.style import COLOURS, letter, style

__all__ = ["RunProfile", "run_profiles"]

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class RunProfile:
    """One column of panels; every array has shape (level,) and the unit given."""

    title: str
    unit: str
    reference: Array
    candidate: Array
    bias: Array
    rmse: Array


def run_profiles(height: Array, columns: Sequence[RunProfile], names: tuple[str, str]) -> Figure:
    """Draw the means of both runs above, the bias of the candidate and the RMSE below.

    Parameters
    ----------
    height
        Of the levels above ground, in km.
    columns
        One panel above and one below each.
    names
        Of the reference and the candidate.
    """
    with style():
        figure = Figure(figsize=(2.1 * len(columns) + 0.6, 5.6))
        grid = figure.subplots(2, len(columns), sharey=True, squeeze=False)
        for (upper, lower), one in zip(grid.T, columns, strict=True):
            upper.plot(one.reference, height, color=COLOURS["truth"], label=names[0])
            upper.plot(
                one.candidate, height, color=COLOURS["prediction"], linestyle=(0, (4, 2)), label=names[1]
            )
            letter(upper, one.title)
            lower.axvline(0, color="#b4b4b4", linewidth=0.7)
            lower.plot(one.bias, height, color=COLOURS["prediction"], label="bias (candidate − reference)")
            lower.plot(one.rmse, height, color=COLOURS["third"], label="RMSE")
            lower.set_xlabel(one.unit)
        for line in grid:
            line[0].set_ylabel("height (km)")
            line[0].set_ylim(0, float(height[-1]))
        handles = [
            pair for axes in grid[:, 0] for pair in zip(*axes.get_legend_handles_labels(), strict=True)
        ]
        figure.legend(*zip(*handles, strict=True), loc="outside upper right", ncols=2, borderaxespad=0.2)
    return figure
