"""Maps of the truth, the prediction and their difference."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sciml.plot.colour import diverging, sequential
from sciml.plot.style import StyledFigure, set_title, style

__all__ = ["Field", "draw_map", "triptych"]

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Field:
    """Fields of one row of `triptych`.

    Attributes
    ----------
    title, unit
        Title and unit of the row.
    truth, prediction
        True and predicted values, (south_north, west_east); NaN where no column was evaluated.
    """

    title: str
    unit: str
    truth: Array
    prediction: Array


def triptych(fields: Sequence[Field], *, spacing: float = 1.0, axis: str = "grid points") -> Figure:
    """Draw each field in a row: true values, predicted values, and predicted minus true.

    Parameters
    ----------
    fields
        Fields, one in each row.
    spacing
        Distance of grid points in the unit of ``axis``.
    axis
        Unit in the labels of the axes, such as "km".

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    rows, columns = fields[0].truth.shape
    wide = 10.4
    tall = (2.65 * min(max(rows / columns, 0.4), 1.6) + 0.35) * len(fields) + 0.35
    with style():
        figure = StyledFigure(figsize=(wide, tall))
        grid = figure.subplots(len(fields), 3, sharex=True, sharey=True, squeeze=False)
        for line, field in zip(grid, fields, strict=True):
            _row(figure, line, field, spacing)
        for axes in grid[:, 0]:
            axes.set_ylabel(f"south–north ({axis})")
        for axes in grid[-1]:
            axes.set_xlabel(f"west–east ({axis})")
    return figure


def _row(figure: Figure, line: Sequence[Axes], field: Field, spacing: float) -> None:
    limit = max(_largest(field.truth), _largest(field.prediction)) or 1.0
    signed = min(np.nanmin(field.truth), np.nanmin(field.prediction)) < -0.2 * limit
    for axes, values, name in zip(line, (field.truth, field.prediction), ("true", "predicted"), strict=False):
        mesh = draw_map(axes, values, limit, spacing=spacing, signed=bool(signed))
        set_title(axes, f"{field.title}, {name}")
    figure.colorbar(mesh, ax=list(line[:2]), shrink=0.85, aspect=18, pad=0.02, label=field.unit)
    gap = field.prediction - field.truth
    mesh = draw_map(line[2], gap, _largest(gap) or limit, spacing=spacing, signed=True)
    set_title(line[2], "predicted − true")
    figure.colorbar(mesh, ax=line[2], shrink=0.85, aspect=18, pad=0.02, label=field.unit)


def draw_map(
    axes: Axes, values: Array, limit: float, *, spacing: float = 1.0, signed: bool = False
) -> QuadMesh:
    """Draw one map: zero is white, missing values are grey."""
    rows, columns = values.shape
    mesh = axes.pcolormesh(
        np.arange(columns + 1) * spacing,
        np.arange(rows + 1) * spacing,
        np.ma.masked_invalid(values),
        cmap=diverging() if signed else sequential(),
        vmin=-limit if signed else 0.0,
        vmax=limit,
        rasterized=True,
    )
    axes.set_aspect("equal")
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color("#c8c8c8")
    return mesh


def _largest(values: Array) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(np.quantile(finite, 0.998)) or float(finite.max()) if finite.size else 0.0
