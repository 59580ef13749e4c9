"""Figure of a linear response by pressure: its four blocks, its growth rates, and the response of rain."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sciml.constants import GRAVITY
from sciml.plot.colour import diverging
from sciml.plot.style import COLOURS, StyledFigure, set_title, style

__all__ = ["linear_response"]

Array = NDArray[Any]

NAMES = ("T", "q")
UNITS = (("day⁻¹", "K day⁻¹ / (g kg⁻¹)"), ("g kg⁻¹ day⁻¹ / K", "day⁻¹"))
DEEP = 100.0  # hPa, thickness of the perturbed layer


def linear_response(
    matrix: Array,
    rain: Array,
    rates: Array,
    pressure: Array,
    mass: Array,
    *,
    threshold: float,
    top: float = 100.0,
) -> Figure:
    """Draw a linear response.

    Parameters
    ----------
    matrix
        (2 level, 2 level): rows dT/dt then dq/dt, columns T then q; per day, K and g/kg.
    rain
        (2 level,), mm/day per K or g/kg.
    rates
        Complex eigenvalues, per day.
    pressure, mass
        Pressure and mass of the layers, (level,), hPa and kg/m2. Columns of the matrix are divided by the mass of the
        perturbed layer, so that thick and thin layers are comparable: the figure shows the response to a perturbation
        100 hPa deep.
    threshold
        Growth rate (per day) above which the command warns, drawn as a line.
    top
        Upper end of the axes, hPa. There is no convection above it.

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    levels = len(pressure)
    depth = np.tile(DEEP * 100.0 / GRAVITY / mass, 2)
    scaled, rain = matrix * depth, rain * depth
    with style():
        figure = StyledFigure(figsize=(10.6, 6.4))
        grid = figure.subplots(2, 3, width_ratios=(1, 1, 0.95))
        for row, column in np.ndindex(2, 2):
            block = scaled[row * levels :, column * levels :][:levels, :levels]
            _block(figure, grid[row, column], block, pressure, top, UNITS[row][column])
            set_title(grid[row, column], f"response of d{NAMES[row]}/dt to {NAMES[column]}")
        for axes in grid[1, :2]:
            axes.set_xlabel("pressure of the perturbation (hPa)")
        for axes in grid[:, 0]:
            axes.set_ylabel("pressure of the response (hPa)")
        _rates(grid[0, 2], rates, threshold)
        _rain(grid[1, 2], rain, pressure, top)
        figure.suptitle(
            "response of convection alone to a perturbation 100 hPa deep", x=0.01, ha="left", fontsize=10
        )
    return figure


def _block(figure: Figure, axes: Axes, block: Array, pressure: Array, top: float, unit: str) -> None:
    visible = block[np.ix_(pressure > top, pressure > top)]
    # With the maximum as the scale, most entries would be pale, because a few near the ground are large.
    most = float(np.quantile(np.abs(visible), 0.99)) or 1.0
    edges = _edges(pressure)
    mesh = axes.pcolormesh(edges, edges, block, cmap=diverging(), vmin=-most, vmax=most, rasterized=True)
    axes.plot([edges[0], top], [edges[0], top], color="#8a8a8a", linewidth=0.5)
    axes.set_xlim(edges[0], top)
    axes.set_ylim(edges[0], top)
    axes.set_aspect("equal")
    figure.colorbar(mesh, ax=axes, pad=0.02, aspect=26, shrink=0.85, extend="both", label=unit)


def _edges(pressure: Array) -> Array:
    middle = (pressure[1:] + pressure[:-1]) / 2
    first, last = 2 * pressure[0] - middle[0], max(2 * pressure[-1] - middle[-1], 0.0)
    return np.concatenate([[first], middle, [last]])


def _rates(axes: Axes, rates: Array, threshold: float) -> None:
    growing = rates.real > threshold
    axes.axvline(0, color="#c8c8c8", linewidth=0.8)
    axes.axhline(0, color="#c8c8c8", linewidth=0.8)
    axes.axvline(
        threshold, color=COLOURS["third"], linewidth=0.9, linestyle=(0, (4, 2)), label="limit of the warning"
    )
    for chosen, shade in ((~growing, COLOURS["prediction"]), (growing, COLOURS["third"])):
        axes.plot(
            rates[chosen].real,
            rates[chosen].imag,
            "o",
            color=shade,
            markersize=4,
            alpha=0.7,
            markeredgewidth=0,
        )
    axes.set_xlabel("growth (day⁻¹)")
    axes.set_ylabel("frequency (day⁻¹)")
    highest = max(float(np.abs(rates.imag).max()), 0.5)
    axes.set_ylim(-1.15 * highest, 1.45 * highest)  # space for the legend
    axes.legend(loc="upper left", borderaxespad=0.2)
    set_title(axes, "eigenvalues")


def _rain(axes: Axes, rain: Array, pressure: Array, top: float) -> None:
    levels = len(pressure)
    axes.axvline(0, color="#c8c8c8", linewidth=0.8)
    shades = (COLOURS["third"], COLOURS["prediction"])
    for part, (label, shade) in enumerate(zip(("per K", "per g kg⁻¹"), shades, strict=True)):
        axes.plot(rain[part * levels :][:levels], pressure, color=shade, label=label)
    axes.set_ylim(_edges(pressure)[0], top)
    axes.set_xlabel("mm day⁻¹")
    axes.set_ylabel("pressure of the perturbation (hPa)")
    axes.legend(loc="best", borderaxespad=0.2)
    set_title(axes, "rain")
