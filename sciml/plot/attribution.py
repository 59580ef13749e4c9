"""Figure of an attribution: from which layers and from which inputs a head comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sciml.plot.colour import diverging
from sciml.plot.style import COLOURS, INK, StyledFigure, set_title, style

__all__ = ["attribution"]


def attribution(layers: NDArray[Any], shares: Mapping[str, float], *, head: str) -> Figure:
    """Draw the contributions between layers, and the shares of the inputs.

    Parameters
    ----------
    layers
        Contribution of each layer to the head of each layer, (output layer, layer), the lowest layer first.
    shares
        Share of each input in the absolute contributions, between 0 and 1, the largest first.
    head
        Name of the head, for the titles.

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    outputs, inputs = layers.shape
    most = float(np.abs(layers).max()) or 1.0
    with style():
        figure = StyledFigure(figsize=(9.2, 4.2))
        left, right = figure.subplots(1, 2, width_ratios=(1.15, 1.0))
        edges = (np.arange(inputs + 1) + 0.5, np.arange(outputs + 1) + 0.5)
        mesh = left.pcolormesh(*edges, layers, cmap=diverging(), vmin=-most, vmax=most, rasterized=True)
        figure.colorbar(mesh, ax=left, pad=0.02, label=f"contribution to {head} (units of the network)")
        left.set_xlabel("layer of the inputs (1: lowest)")
        left.set_ylabel(f"layer of {head} (1: lowest)")
        set_title(left, "mean contribution of the inputs of a layer")
        names = list(shares)
        bars = right.barh(names, [100 * value for value in shares.values()], color=COLOURS["prediction"])
        right.bar_label(bars, fmt="%.0f", fontsize=7.5, color=INK, padding=1.5)
        right.invert_yaxis()
        right.tick_params(axis="y", length=0)
        right.set_xlabel("share of the absolute contributions (%)")
        set_title(right, "shares of the inputs")
    return figure
