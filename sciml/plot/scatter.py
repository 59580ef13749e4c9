"""Two-dimensional histograms of predicted and true values."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sciml.plot.colour import sequential
from sciml.plot.style import COLOURS, StyledFigure, set_title, style

__all__ = ["Pair", "density"]


@dataclasses.dataclass(frozen=True)
class Pair:
    """True and predicted values of one quantity.

    Attributes
    ----------
    title, unit
        Name and unit of the quantity.
    truth, prediction
        Values, (column,); values that are not finite are not drawn.
    """

    title: str
    unit: str
    truth: NDArray[Any]
    prediction: NDArray[Any]


def density(pairs: Sequence[Pair], *, bins: int = 60) -> Figure:
    """Draw a two-dimensional histogram of each pair with logarithmic counts, and the line of equality.

    Parameters
    ----------
    pairs
        Quantities, one in each panel.
    bins
        Number of bins along each axis.

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    with style():
        figure = StyledFigure(figsize=(3.5 * len(pairs) + 0.4, 3.1))
        grid = figure.subplots(1, len(pairs), squeeze=False)[0]
        for axes, pair in zip(grid, pairs, strict=True):
            good = np.isfinite(pair.truth) & np.isfinite(pair.prediction)
            true, predicted = pair.truth[good], pair.prediction[good]
            both = np.concatenate([true, predicted]) if good.any() else np.zeros(1)
            low, high = float(both.min()), float(both.max())
            high = high if high > low else low + 1.0
            count, across, up = np.histogram2d(true, predicted, bins=bins, range=[[low, high], [low, high]])
            mesh = axes.pcolormesh(
                across,
                up,
                np.ma.masked_equal(count.T, 0),
                norm=LogNorm(1, max(count.max(), 10)),
                cmap=sequential(0.15).with_extremes(bad="none"),
                rasterized=True,
            )
            axes.plot([low, high], [low, high], color=COLOURS["third"], linewidth=0.8)
            axes.set_aspect("equal")
            axes.set_xlabel(f"true ({pair.unit})")
            axes.set_ylabel(f"predicted ({pair.unit})")
            set_title(axes, pair.title)
            figure.colorbar(mesh, ax=axes, shrink=0.9, aspect=22, pad=0.02, label="columns")
    return figure
