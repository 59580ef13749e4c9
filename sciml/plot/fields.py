"""Figures of PDE solutions: fields in rows, and spectra and shares of their errors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from sciml.plot.colour import NOTHING, diverging, sequential
from sciml.plot.style import COLOURS, INK, StyledFigure, set_title, style

__all__ = ["Panel", "curves", "panels", "shares", "spectra"]

Array = NDArray[Any]
Scale = Literal["plain", "signed", "log", "phases"]
DECADES = 3.0  # range of a logarithmic scale


@dataclasses.dataclass(frozen=True)
class Panel:
    """One field (y, x) and its colour scale.

    Attributes
    ----------
    title
        Title above the field.
    values
        (y, x); y increases upwards.
    scale
        ``plain``: from zero to the largest value; ``signed``: symmetric about zero; ``log``: logarithmic, with the
        largest decades; ``phases``: a colour for each of a few values.
    label
        Label of the colour bar.
    shared
        Panels with the same ``shared`` have the same scale.
    classes
        Names of the values 0, 1, ... of a field of classes. The panel has a legend instead of a colour bar, and
        ``scale`` has no effect.
    """

    title: str
    values: Array
    scale: Scale = "plain"
    label: str = ""
    shared: str = ""
    classes: tuple[str, ...] = ()


def panels(
    fields: Sequence[Panel],
    x: Array,
    y: Array,
    *,
    columns: int = 3,
    lengths: tuple[float, float] = (1.0, 1.0),
    unit: str = "",
) -> Figure:
    """Draw fields on one rectangle in rows of panels, each with a colour bar or a legend.

    Parameters
    ----------
    fields
        Panels in reading order.
    x, y
        Positions of the values, (x,) and (y,).
    columns
        Number of panels in a row.
    lengths
        Lengths of the rectangle along y and x. The axes show the whole rectangle.
    unit
        Unit of the positions, such as "km"; empty for a unit square.

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    rows = -(-len(fields) // columns)
    tall = min(max(lengths[0] / lengths[1], 0.4), 1.6)
    with style():
        figure = StyledFigure(figsize=(3.55 * columns, (2.75 * tall + 0.5) * rows + 0.2))
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        flat: list[Axes] = list(grid.ravel())
        for axes, panel in zip(flat, fields, strict=False):
            if panel.classes:
                _draw_classes(axes, panel, x, y)
            else:
                alike = [field.values for field in fields if field.shared and field.shared == panel.shared]
                _draw(figure, axes, panel, x, y, alike or [panel.values])
            _frame(axes, panel.title)
            axes.set_xlim(0, lengths[1])
            axes.set_ylim(0, lengths[0])
        for spare in flat[len(fields) :]:
            spare.set_axis_off()
        for axes in grid[:, 0]:
            axes.set_ylabel(f"y ({unit})" if unit else "y")
        for number, axes in enumerate(flat[: len(fields)]):
            if number + columns >= len(fields):
                axes.set_xlabel(f"x ({unit})" if unit else "x")
                axes.tick_params(labelbottom=True)
    return figure


def _draw(figure: Figure, axes: Axes, panel: Panel, x: Array, y: Array, alike: Sequence[Array]) -> None:
    every = np.concatenate([values[np.isfinite(values)].ravel() for values in alike])
    largest = float(np.abs(every).max()) if every.size else 0.0
    largest = largest or 1.0
    values, ticks = np.ma.masked_invalid(panel.values), None
    scale = panel.scale
    if scale == "plain" and every.size and every.min() < -0.02 * largest:
        scale = "signed"
    if scale == "phases":
        phases = np.unique(every)
        edges = np.concatenate([[phases[0] - 1], (phases[1:] + phases[:-1]) / 2, [phases[-1] + 1]])
        colours: Any = sequential(0.12)
        norm: Any = BoundaryNorm(edges, colours.N)
        ticks = (edges[1:] + edges[:-1]) / 2
    elif scale == "signed":
        colours, norm = diverging(), Normalize(-largest, largest)
    elif scale == "log":
        # Values below the range have the colour of its lower end.
        values = np.ma.maximum(values, largest / 10**DECADES)
        colours, norm = sequential(), LogNorm(largest / 10**DECADES, largest)
    else:
        colours, norm = sequential(), Normalize(0.0, largest)
    mesh = axes.pcolormesh(x, y, values, cmap=colours, norm=norm, shading="nearest", rasterized=True)
    beside = axes.inset_axes((1.03, 0.0, 0.05, 1.0))  # the height of the colour bar is that of the field
    bar = figure.colorbar(mesh, cax=beside, label=panel.label, extend="min" if scale == "log" else "neither")
    if ticks is not None:
        bar.set_ticks(list(ticks), labels=[f"{value:g}" for value in np.unique(every)])


def _draw_classes(axes: Axes, panel: Panel, x: Array, y: Array) -> None:
    """Draw a field of class numbers, with a legend of the names of the classes."""
    count = len(panel.classes)
    shades = sequential()(np.linspace(0.08, 0.85, count))
    colours = ListedColormap(list(shades)).with_extremes(bad=NOTHING)
    norm = BoundaryNorm(np.arange(count + 1) - 0.5, count)
    values = np.ma.masked_invalid(panel.values)
    axes.pcolormesh(x, y, values, cmap=colours, norm=norm, shading="nearest", rasterized=True)
    handles = [Patch(facecolor=shade, label=name) for shade, name in zip(shades, panel.classes, strict=True)]
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0, handlelength=1.0
    )


def _frame(axes: Axes, title: str) -> None:
    axes.set_aspect("equal")
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color("#c8c8c8")
    set_title(axes, title)


def spectra(
    wavenumber: Array,
    lines: Mapping[str, Array],
    *,
    cutoff: float | None = None,
    xlabel: str = "wave number (half-waves across the longer side)",
    ylabel: str = "mean square of a shell (relative)",
) -> Figure:
    """Draw spectra on logarithmic axes.

    Parameters
    ----------
    wavenumber
        Wave number of each shell, (shell,); shells of wave number 0 are not drawn.
    lines
        Values by name, ``truth`` first, (shell,); zeros are not drawn.
    cutoff
        Wave number above which the shells are incomplete; this range is shaded.
    xlabel, ylabel
        Labels of the axes.

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    shades = [*COLOURS.values(), "#cc79a7", "#8a8a8a"]
    with style():
        figure = StyledFigure(figsize=(6.2, 3.3))
        axes = figure.subplots()
        largest = 0.0
        for shade, (name, values) in zip(shades, lines.items(), strict=False):
            good = (wavenumber > 0) & (values > 0)
            largest = max(largest, float(values[good].max(initial=0.0)))
            axes.plot(wavenumber[good], values[good], color=shade, label=name)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_ylim(bottom=max(axes.get_ylim()[0], largest * 1e-14))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        if cutoff:
            end = max(float(wavenumber.max()), cutoff)
            axes.axvspan(cutoff, end, color="#e4e4e1", alpha=0.5, linewidth=0, zorder=0)
            axes.set_xlim(right=end)
        axes.legend(loc="lower left", borderaxespad=0.4)
    return figure


def shares(names: Sequence[str], bars: Mapping[str, Sequence[float]], *, xlabel: str, ylabel: str) -> Figure:
    """Draw shares as grouped bars, such as error and truth by multigrid level.

    Parameters
    ----------
    names
        Names of the groups.
    bars
        A share between 0 and 1 of each group, by name of the series.
    xlabel, ylabel
        Labels of the axes.

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    shades = {"truth": COLOURS["truth"], "error": COLOURS["third"]}
    with style():
        figure = StyledFigure(figsize=(max(0.75 * len(names) + 1.4, 4.2), 2.9))
        axes = figure.subplots()
        wide = 0.8 / len(bars)
        for number, (name, values) in enumerate(bars.items()):
            place = np.arange(len(names)) - 0.4 + wide * (number + 0.5)
            shade = shades.get(name, COLOURS["prediction"])
            drawn = axes.bar(place, np.asarray(values) * 100, wide * 0.94, color=shade, label=name)
            axes.bar_label(drawn, fmt="%.0f", fontsize=7.5, color=INK, padding=1.5)
        axes.set_xticks(range(len(names)), list(names))
        axes.tick_params(axis="x", length=0)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        axes.legend(loc="best")
    return figure


def curves(x: Array, lines: Mapping[str, Sequence[float]], *, xlabel: str, ylabel: str) -> Figure:
    """Draw curves on an axis that begins at zero, such as the error of a rollout by step.

    Parameters
    ----------
    x
        Positions of the values, (x,).
    lines
        Values by name of the curve, (x,).
    xlabel, ylabel
        Labels of the axes.

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    with style():
        figure = StyledFigure(figsize=(5.2, 3.0))
        axes = figure.subplots()
        shades = [COLOURS["prediction"], "#8a8a8a", COLOURS["third"], COLOURS["fourth"]]
        for shade, (name, values) in zip(shades, lines.items(), strict=False):
            axes.plot(x, values, "o-", markersize=3.5, color=shade, label=name)
        axes.set_ylim(bottom=0)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        axes.legend(loc="best")
    return figure
