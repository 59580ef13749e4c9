"""Figure of a score of many outputs by level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sciml.plot.colour import sequential
from sciml.plot.style import StyledFigure, style

__all__ = ["score_by_level"]


def score_by_level(
    height: NDArray[Any], scores: Mapping[str, NDArray[Any]], *, name: str = "R²", top: float = 17.0
) -> Figure:
    """Draw a score between 0 and 1 of each output by height; values below 0 have the colour of 0.

    Parameters
    ----------
    height
        Height of the levels above ground, km, shape (level,).
    scores
        Score of each output, shape (level,); NaN (grey) where the truth does not vary.
    name
        Name of the score.
    top
        Upper end of the axes, km.

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    middle = (height[1:] + height[:-1]) / 2
    edges = np.concatenate([[0.0], middle, [height[-1] + (height[-1] - middle[-1])]])
    with style():
        figure = StyledFigure(figsize=(0.62 * len(scores) + 2.2, 3.6))
        axes = figure.subplots()
        mesh = axes.pcolormesh(
            np.arange(len(scores) + 1) - 0.5,
            edges,
            np.ma.masked_invalid(np.column_stack(list(scores.values()))),
            cmap=sequential(0.12),
            vmin=0.0,
            vmax=1.0,
        )
        axes.set_xticks(range(len(scores)), list(scores), rotation=45, ha="right", rotation_mode="anchor")
        axes.tick_params(axis="x", length=0)
        for edge in np.arange(1, len(scores)) - 0.5:
            axes.axvline(edge, color="white", linewidth=2)
        axes.set_ylim(0, top)
        axes.set_ylabel("height (km)")
        bar = figure.colorbar(mesh, ax=axes, pad=0.02, aspect=24, extend="min")
        bar.set_label(f"{name} by level (grey: the truth does not vary)")
    return figure
