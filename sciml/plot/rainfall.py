"""Figures of the rain of two sources: maps, performance and Taylor diagrams, skill by scale, Hovmoeller diagrams."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from sciml.plot.colour import diverging, sequential
from sciml.plot.maps import draw_map
from sciml.plot.style import COLOURS, INK, StyledFigure, set_title, style

__all__ = [
    "by_hour",
    "coastlines",
    "fraction_skill",
    "hovmoellers",
    "intensity",
    "performance",
    "rain_maps",
    "taylor",
]

Array = NDArray[Any]
GREY = "#b4b4b4"


def rain_maps(
    reference: Array,
    candidate: Array,
    names: tuple[str, str],
    *,
    unit: str = "mm",
    spacing: float | None = None,
    place: tuple[Array, Array] | None = None,
) -> Figure:
    """Draw the means of both sources and their difference, with `coastlines` if the position is known.

    Parameters
    ----------
    reference, candidate
        Mean amounts, (y, x), in the given unit.
    names
        Names of the reference and the candidate.
    unit
        Unit of the amounts.
    spacing
        Size of the cells, km; the axes count cells if None.
    place
        Longitude and latitude, (y, x), degrees.

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    gap = candidate - reference
    finite = np.concatenate([reference[np.isfinite(reference)], candidate[np.isfinite(candidate)]])
    most = (float(np.quantile(finite, 0.998)) if finite.size else 0.0) or 1.0
    wide = (float(np.nanquantile(np.abs(gap), 0.998)) if np.isfinite(gap).any() else 0.0) or most
    rows, columns = reference.shape
    with style():
        figure = StyledFigure(figsize=(10.4, 2.65 * min(max(rows / columns, 0.4), 1.6) + 0.75))
        axes = figure.subplots(1, 3, sharex=True, sharey=True)
        titles = (*names, "difference")
        for panel, values, title, limit in zip(
            axes, (reference, candidate, gap), titles, (most, most, wide), strict=True
        ):
            if place is None:
                mesh = draw_map(panel, values, limit, spacing=spacing or 1.0, signed=values is gap)
            else:
                mesh = _on_earth(panel, values, limit, place, signed=values is gap)
            set_title(panel, _cut(title))
            figure.colorbar(mesh, ax=panel, shrink=0.85, aspect=18, pad=0.02, label=unit)
            panel.set_xlabel("longitude (°E)" if place else f"west–east ({'km' if spacing else 'cells'})")
        axes[0].set_ylabel("latitude (°N)" if place else f"south–north ({'km' if spacing else 'cells'})")
    return figure


def _on_earth(
    axes: Axes, values: Array, limit: float, place: tuple[Array, Array], *, signed: bool
) -> QuadMesh:
    """Draw a map by longitude and latitude, with coastlines where they are available."""
    mesh = axes.pcolormesh(
        *place,
        np.ma.masked_invalid(values),
        cmap=diverging() if signed else sequential(),
        vmin=-limit if signed else 0.0,
        vmax=limit,
        shading="nearest",
        rasterized=True,
    )
    west, east = float(place[0].min()), float(place[0].max())
    south, north = float(place[1].min()), float(place[1].max())
    for line in coastlines():
        if line[:, 0].max() >= west and line[:, 0].min() <= east:
            axes.plot(*line.T, color=INK, linewidth=0.6)
    axes.set(
        xlim=(west, east), ylim=(south, north), aspect=1 / max(0.1, np.cos(np.radians((south + north) / 2)))
    )
    return mesh


def coastlines() -> list[Array]:
    """Read coastlines, (point, 2) in degrees, from the files of cartopy on this machine; nothing is downloaded.

    The list is empty without cartopy or its Natural Earth data (``cartopy_feature_download physical`` of cartopy).
    """
    try:
        cartopy = importlib.import_module("cartopy")
        reader = importlib.import_module("cartopy.io.shapereader")
    except ImportError:
        return []
    tail = Path("shapefiles") / "natural_earth" / "physical"
    homes = [cartopy.config.get(key) for key in ("pre_existing_data_dir", "data_dir", "repo_data_dir")]
    for home in filter(None, homes):
        for scale in ("50m", "110m"):
            path = Path(home) / tail / f"ne_{scale}_coastline.shp"
            if path.is_file():
                return [
                    np.asarray(part.coords)
                    for geometry in reader.Reader(path).geometries()
                    for part in _parts(geometry)
                ]
    return []


def _parts(line: Any) -> Sequence[Any]:
    return list(line.geoms) if hasattr(line, "geoms") else [line]


def _cut(text: str, most: int = 34) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def performance(pod: Mapping[str, Array], success: Mapping[str, Array], limits: Sequence[float]) -> Figure:
    """Draw the performance diagram (Roebber 2009), with lines of equal CSI and frequency bias.

    Parameters
    ----------
    pod, success
        Probability of detection and success ratio by name of the candidate (five at most), (threshold, 3): value and
        ends of its interval.
    limits
        Thresholds, mm.

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    with style():
        figure = StyledFigure(figsize=(4.7, 4.4))
        axes = figure.subplots()
        grid = np.linspace(0.005, 1, 200)
        x, y = np.meshgrid(grid, grid)
        csi = axes.contour(x, y, 1 / (1 / x + 1 / y - 1), np.arange(0.1, 1, 0.2), colors=GREY, linewidths=0.6)
        axes.clabel(csi, fmt="CSI %.1f", fontsize=6.5)
        for bias in (0.5, 1.0, 2.0):
            axes.plot(
                [0, min(1, 1 / bias)], [0, min(1, bias)], color=GREY, linewidth=0.6, linestyle=(0, (4, 3))
            )
            axes.text(min(1, 1 / bias), min(1, bias), f" bias {bias:g}", fontsize=6.5, color="#777777", va="bottom",
                      ha="left" if bias <= 1 else "right")  # fmt: skip
        shades = sequential(0.25)(np.linspace(0.1, 1, max(len(limits), 2)))
        for name, marker in zip(pod, "os^vD", strict=False):
            p, s = pod[name], success[name]
            if len(pod) > 1:
                axes.plot([], [], marker, color="#777777", markersize=6, label=_cut(name))
            axes.plot(s[:, 0], p[:, 0], color="#555555", linewidth=0.8, zorder=2)
            for k in range(len(limits)):
                if not np.isfinite([p[k, 0], s[k, 0]]).all():
                    continue
                axes.plot(s[k, 1:], [p[k, 0]] * 2, color=shades[k], linewidth=1.1, zorder=3)
                axes.plot([s[k, 0]] * 2, p[k, 1:], color=shades[k], linewidth=1.1, zorder=3)
                axes.plot(s[k, 0], p[k, 0], marker, color=shades[k], markersize=6, zorder=4)
        for limit, shade in zip(limits, shades, strict=False):
            axes.plot([], [], linewidth=3, color=shade, label=f"≥ {limit:g} mm")
        axes.set(
            xlim=(0, 1.02),
            ylim=(0, 1.02),
            xlabel="success ratio (1 − FAR)",
            ylabel="probability of detection",
        )
        axes.set_aspect("equal")
        axes.legend(loc="lower left", bbox_to_anchor=(1.02, 0))
    return figure


def fraction_skill(
    score: Array, limits: Sequence[float], scales: Sequence[int], spacing: float | None
) -> Figure:
    """Draw the fractions skill score by threshold and scale.

    Parameters
    ----------
    score
        Fractions skill score, (threshold, scale).
    limits
        Thresholds, mm.
    scales
        Sides of the squares, cells.
    spacing
        Size of the cells, km; the axis counts cells if None.

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    with style():
        figure = StyledFigure(figsize=(0.75 * len(scales) + 2.4, 0.42 * len(limits) + 1.3))
        axes = figure.subplots()
        mesh = axes.pcolormesh(np.ma.masked_invalid(score), cmap=sequential(0.05), vmin=0, vmax=1)
        for (i, j), value in np.ndenumerate(score):
            if np.isfinite(value):
                axes.text(j + 0.5, i + 0.5, f"{value:.2f}", ha="center", va="center", fontsize=7.5,
                          color="white" if value > 0.4 else INK)  # fmt: skip
        sides = [f"{scale * spacing:g}" if spacing else str(scale) for scale in scales]
        axes.set_xticks(np.arange(len(scales)) + 0.5, sides)
        axes.set_yticks(np.arange(len(limits)) + 0.5, [f"{limit:g}" for limit in limits])
        axes.tick_params(length=0)
        axes.set_xlabel(f"side of the squares ({'km' if spacing else 'cells'})")
        axes.set_ylabel("threshold (mm)")
        figure.colorbar(mesh, ax=axes, pad=0.02, aspect=16, label="fractions skill score")
    return figure


def hovmoellers(
    over: Sequence[Array], hours: Array, names: tuple[str, str], axis: str, spacing: float | None
) -> Figure:
    """Draw Hovmoeller diagrams of both sources, each (Time, place), mm, and their difference.

    Parameters
    ----------
    over
        Means of the reference and the candidate over the other direction.
    hours
        Ends of the windows, hours since the first.
    axis
        Direction of the axis of places, such as "west–east".

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    gap = over[1] - over[0]
    most = float(np.nanmax(np.stack(over))) or 1.0
    wide = float(np.nanmax(np.abs(gap))) or most
    step = float(hours[1] - hours[0]) if len(hours) > 1 else 1.0
    edges = np.concatenate([hours - step, hours[-1:]])
    with style():
        figure = StyledFigure(figsize=(10.4, 3.0))
        axes = figure.subplots(1, 3, sharex=True, sharey=True)
        places = np.arange(over[0].shape[1] + 1) * (spacing or 1.0)
        for panel, values, title, limit in zip(
            axes, (*over, gap), (*names, "difference"), (most, most, wide), strict=True
        ):
            signed = title == "difference"
            mesh = panel.pcolormesh(places, edges, np.ma.masked_invalid(values), rasterized=True, vmax=limit,
                                  cmap=diverging() if signed else sequential(),
                                  vmin=-limit if signed else 0.0)  # fmt: skip
            set_title(panel, _cut(title))
            panel.set_xlabel(f"{axis} ({'km' if spacing else 'cells'})")
            figure.colorbar(mesh, ax=panel, aspect=18, pad=0.02, label="mm")
        axes[0].set_ylabel("hours since the end of the first window")
    return figure


def intensity(middles: Array, share: Array, names: tuple[str, str]) -> Figure:
    """Draw the share of cells by the amount of a window, (source, bin), on logarithmic axes.

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    with style():
        figure = StyledFigure(figsize=(4.7, 3.2))
        axes = figure.subplots()
        _pair(axes, middles, np.where(share > 0, 100 * share, np.nan), names, marker="o")
        axes.set(xscale="log", yscale="log", xlabel="amount (mm)", ylabel="share of cells (%)")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
        axes.legend()
    return figure


def by_hour(hours: Array, rate: Array, names: tuple[str, str], clock: str) -> Figure:
    """Draw the diurnal cycle, (source, hour), mm/h.

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    with style():
        figure = StyledFigure(figsize=(4.7, 3.2))
        axes = figure.subplots()
        _pair(axes, hours, rate, names, marker="o")
        axes.set(xlim=(0, 24), xticks=range(0, 25, 6), xlabel=f"hour ({clock})", ylabel="rain rate (mm h⁻¹)")
        axes.set_ylim(bottom=0)
        axes.legend()
    return figure


def _pair(axes: Axes, x: Array, both: Array, names: tuple[str, str], marker: str = "") -> None:
    for values, name, key in zip(both, names, ("truth", "prediction"), strict=True):
        axes.plot(x, values, color=COLOURS[key], label=_cut(name), marker=marker, markersize=3.5)


def taylor(points: Mapping[str, tuple[float, float]], reference: str) -> Figure:
    """Draw the Taylor diagram (2001): normalised standard deviation and correlation.

    The distance from the reference is the centred RMSE.

    Parameters
    ----------
    points
        Ratio of standard deviations and correlation by name.

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    wide = max(1.6, 1.15 * max((ratio for ratio, _ in points.values()), default=1.0))
    low = min([0.0, *(corr for _, corr in points.values())])
    with style():
        figure = StyledFigure(figsize=(4.7, 4.0))
        axes = figure.subplots()
        for corr in (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99):
            angle = np.arccos(corr)
            axes.plot([0, wide * np.cos(angle)], [0, wide * np.sin(angle)], color=GREY, linewidth=0.4)
            axes.text(1.01 * wide * np.cos(angle), 1.01 * wide * np.sin(angle), f"{corr:g}", fontsize=7,
                      rotation=np.degrees(angle), rotation_mode="anchor", va="center")  # fmt: skip
        arc = np.linspace(0, np.pi / 2 if low >= 0 else np.pi, 200)
        for radius in np.arange(0.5, wide + 1e-9, 0.5):
            axes.plot(
                radius * np.cos(arc), radius * np.sin(arc), color=GREY, linewidth=1.0 if radius == 1 else 0.4
            )
        around = np.linspace(0, np.pi, 200)
        for error in np.arange(0.5, wide, 0.5):
            x, y = 1 + error * np.cos(around), error * np.sin(around)
            inside = (x**2 + y**2 <= wide**2) & ((x >= 0) | (low < 0))
            axes.plot(
                np.where(inside, x, np.nan), y, color=COLOURS["fourth"], linewidth=0.6, linestyle=(0, (3, 3))
            )
        axes.plot(1, 0, "o", color=COLOURS["truth"], label=_cut(reference), clip_on=False, zorder=4)
        for name, (ratio, corr) in points.items():
            if np.isfinite([ratio, corr]).all():
                at = ratio * np.array([corr, np.sqrt(max(0.0, 1 - corr**2))])
                axes.plot(*at, "o", color=COLOURS["prediction"], label=_cut(name), clip_on=False, zorder=5)
        axes.set(xlim=(0 if low >= 0 else -wide, 1.08 * wide), ylim=(0, 1.08 * wide))
        axes.set_aspect("equal")
        axes.set_xlabel("normalised standard deviation")
        axes.text(0.78 * wide, 0.83 * wide, "correlation", rotation=-45, fontsize=8)
        axes.spines["left"].set_visible(low >= 0)
        axes.legend(loc="upper right", bbox_to_anchor=(1.3, 1.08))
    return figure
