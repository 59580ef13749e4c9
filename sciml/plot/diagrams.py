"""Diagrams of classes: the confusion matrix and the reliability of a predicted probability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from sciml.plot.colour import sequential
from sciml.plot.style import COLOURS, StyledFigure, set_title, style

__all__ = ["confusion", "reliability"]


def confusion(table: ArrayLike, names: Sequence[str]) -> Figure:
    """Draw a confusion matrix: the share of each predicted class in each true class (a row).

    Parameters
    ----------
    table
        Counts, rows truth, columns prediction.
    names
        Names of the classes.

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    counts = np.asarray(table, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = counts / counts.sum(1, keepdims=True)
    with style():
        figure = StyledFigure(figsize=(3.5, 3.0))
        axes = figure.subplots()
        shown = np.nan_to_num(share)
        axes.imshow(shown, cmap=sequential(), vmin=0, vmax=1)
        for row, column in np.ndindex(*counts.shape):
            dark = shown[row, column] > 0.5
            text = "–" if np.isnan(share[row, column]) else f"{share[row, column]:.2%}"
            axes.text(
                column,
                row,
                f"{text}\n{counts[row, column]:,.0f}",
                ha="center",
                va="center",
                fontsize=8.5,
                color="white" if dark else "#1a1a1a",
            )
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        set_title(axes, "share of the true class (%)\nand number of columns")
    return figure


def reliability(scores: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw the observed frequency of events against their predicted probability.

    Parameters
    ----------
    scores
        Result of `sciml.verify.emulator.reliability.reliability` by name of the event: ``probability``,
        ``frequency`` and ``count`` by bin, and ``brier``.

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    with style():
        figure = StyledFigure(figsize=(3.5, 4.3))
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 1], color="#b5b5b5", linewidth=0.8)
        shades = (COLOURS["prediction"], COLOURS["third"], COLOURS["fourth"])
        for shade, (name, event) in zip(shades, scores.items(), strict=False):
            stated, observed, count = (
                np.array(event[key], np.float64) for key in ("probability", "frequency", "count")
            )
            upper.plot(
                stated,
                observed,
                "o-",
                color=shade,
                markersize=4,
                label=f"{name} (Brier {event['brier']:.4f})",
            )
            _counts(lower, count, shade)
        upper.set_ylim(-0.02, 1.02)
        upper.set_ylabel("observed frequency")
        upper.legend(loc="lower right", borderaxespad=0.3)
        lower.set_yscale("log")
        lower.set_ylabel("columns")
        lower.set_xlabel("predicted probability")
        lower.set_xlim(-0.02, 1.02)
    return figure


def _counts(axes: Axes, count: np.ndarray[Any, Any], shade: str) -> None:
    edges = np.linspace(0, 1, count.size + 1)
    axes.stairs(np.maximum(count, 0.5), edges, color=shade, linewidth=1.2, baseline=0.5)
