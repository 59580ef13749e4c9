"""Pictures of a PDE's solution: the fields side by side, and spectra and shares of their errors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, LogNorm, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sciml.plot.colour import diverging, sequential
from sciml.plot.style import COLOURS, INK, letter, style

__all__ = ["Panel", "curves", "panels", "shares", "spectra"]

Array = NDArray[Any]
Scale = Literal["plain", "signed", "log", "phases"]
DECADES = 3.0  # shown of a field on a logarithmic scale


@dataclasses.dataclass(frozen=True)
class Panel:
    """One field (y, x) and how it is shown.

    Attributes
    ----------
    title
        Above the field.
    values
        (y, x); y grows upwards.
    scale
        ``plain``: from nothing to the largest value; ``signed``: nothing in the middle; ``log``: the upper decades;
        ``phases``: a few values, each a colour.
    label
        Of the colour bar.
    shared
        Panels of the same name share their scale.
    """

    title: str
    values: Array
    scale: Scale = "plain"
    label: str = ""
    shared: str = ""


def panels(
    fields: Sequence[Panel],
    x: Array,
    y: Array,
    *,
    columns: int = 3,
    lengths: tuple[float, float] = (1.0, 1.0),
    unit: str = "",
) -> Figure:
    """Draw fields on one rectangle side by side, each with its colour bar.

    Parameters
    ----------
    fields
        In reading order.
    x, y
        Positions of the values, (x,) and (y,).
    columns
        Panels beside each other.
    lengths
        Of the rectangle along y and x, which is drawn whole.
    unit
        Of the positions, such as "km"; they have none on a unit square.
    """
    rows = -(-len(fields) // columns)
    tall = min(max(lengths[0] / lengths[1], 0.4), 1.6)
    with style():
        figure = Figure(figsize=(3.55 * columns, (2.75 * tall + 0.5) * rows + 0.2))
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        flat: list[Axes] = list(grid.ravel())
        for axes, panel in zip(flat, fields, strict=False):
            alike = [one.values for one in fields if one.shared and one.shared == panel.shared]
            _draw(figure, axes, panel, x, y, alike or [panel.values])
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
    every = np.concatenate([one[np.isfinite(one)].ravel() for one in alike])
    largest = float(np.abs(every).max()) if every.size else 0.0
    largest = largest or 1.0
    values, ticks = np.ma.masked_invalid(panel.values), None
    scale = panel.scale
    if scale == "plain" and every.size and every.min() < -0.02 * largest:
        scale = "signed"
    if scale == "phases":
        there = np.unique(every)
        edges = np.concatenate([[there[0] - 1], (there[1:] + there[:-1]) / 2, [there[-1] + 1]])
        colours: Any = sequential(0.12)
        norm: Any = BoundaryNorm(edges, colours.N)
        ticks = (edges[1:] + edges[:-1]) / 2
    elif scale == "signed":
        colours, norm = diverging(), Normalize(-largest, largest)
    elif scale == "log":
        # What is below the shown decades has the colour of their beginning.
        values = np.ma.maximum(values, largest / 10**DECADES)
        colours, norm = sequential(), LogNorm(largest / 10**DECADES, largest)
    else:
        colours, norm = sequential(), Normalize(0.0, largest)
    mesh = axes.pcolormesh(x, y, values, cmap=colours, norm=norm, shading="nearest", rasterized=True)
    axes.set_aspect("equal")
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color("#c8c8c8")
    letter(axes, panel.title)
    beside = axes.inset_axes((1.03, 0.0, 0.05, 1.0))  # as tall as the field, whatever its shape
    bar = figure.colorbar(mesh, cax=beside, label=panel.label, extend="min" if scale == "log" else "neither")
    if ticks is not None:
        bar.set_ticks(list(ticks), labels=[f"{value:g}" for value in np.unique(every)])


def spectra(
    wavenumber: Array,
    lines: Mapping[str, Array],
    *,
    cutoff: float | None = None,
    xlabel: str = "wave number (half-waves across the longer side)",
    ylabel: str = "mean square in a shell, of the truth's",
) -> Figure:
    """Draw spectra on logarithmic axes.

    Parameters
    ----------
    wavenumber
        (shell,); shells of wave number 0 are left out.
    lines
        By name, ``truth`` first; (shell,), values of 0 are left out.
    cutoff
        Beyond this a shell is not whole: shaded.
    xlabel, ylabel
        Of the axes.
    """
    shades = [*COLOURS.values(), "#cc79a7", "#8a8a8a"]
    with style():
        figure = Figure(figsize=(6.2, 3.3))
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
    """Draw shares of a whole as bars side by side, such as error and truth by multigrid level.

    Parameters
    ----------
    names
        Of the groups.
    bars
        By name, a share between 0 and 1 for each group.
    xlabel, ylabel
        Of the axes.
    """
    shades = {"truth": COLOURS["truth"], "error": COLOURS["third"]}
    with style():
        figure = Figure(figsize=(max(0.75 * len(names) + 1.4, 4.2), 2.9))
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
    """Draw a few curves from zero up, such as the error of a rollout by step."""
    with style():
        figure = Figure(figsize=(5.2, 3.0))
        axes = figure.subplots()
        shades = [COLOURS["prediction"], "#8a8a8a", COLOURS["third"], COLOURS["fourth"]]
        for shade, (name, values) in zip(shades, lines.items(), strict=False):
            axes.plot(x, values, "o-", markersize=3.5, color=shade, label=name)
        axes.set_ylim(bottom=0)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        axes.legend(loc="best")
    return figure
