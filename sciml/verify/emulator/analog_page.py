"""Report page and figure of analog ensembles."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from sciml import plot
from sciml.verify.emulator.analog_scores import DEFINITIONS, HEAD, AnalogScores
from sciml.verify.emulator.figures import SHOWN
from sciml.verify.html_report import DOTS, Chapter, Picture, definitions, drawn, table

__all__ = ["analog_chapters", "analog_figure", "column_to_show"]

MOST = 2  # tendencies in the figure


def column_to_show(answer: xr.Dataset, tendency: str) -> int:
    """Return the number of the column with the strongest predicted tendency among those that are not novel."""
    values = np.square(answer[tendency].values.astype(np.float64))
    strength = values.reshape(len(values), -1).mean(1)
    usual = answer["NOVELTY"].values <= 1
    return int(np.argmax(np.where(usual, strength, -1.0) if usual.any() else strength))


def analog_figure(
    members: xr.Dataset, answer: xr.Dataset, columns: xr.Dataset, tendencies: Sequence[str], coverage: float
) -> Figure:
    """Draw the ensemble of a column and the novelty of all columns.

    Parameters
    ----------
    members
        Result of `AnalogMemory.ensemble` for the column, as a single one.
    answer
        Result of `AnalogMemory.predict` for all columns; the column is that of `column_to_show`.
    columns
        All columns.
    tendencies
        Names of the tendencies; the first two profiles are drawn.
    coverage
        The requested coverage of the intervals.
    """
    shown = column_to_show(answer, tendencies[0])
    column, own = columns.isel(column=shown), answer.isel(column=shown)
    panels = []
    for name in [name for name in tendencies if "level" in answer[name].dims][:MOST]:
        title, factor, unit = SHOWN.get(name, (name, 1.0, str(answer[name].attrs.get("units", "1"))))
        mean, low, high = (own[f"{name}{end}"].values * factor for end in ("", "_LOW", "_HIGH"))
        truth = column[name].values * factor if name in columns else None
        values = members[name].values[0] * factor
        panels.append(plot.AnalogProfile(title, unit, values, mean, low, high, truth))
    depth = column["DZ8W"].values.astype(np.float64) / 1e3
    height = np.cumsum(depth) - 0.5 * depth
    return plot.analogs(height, panels, answer["NOVELTY"].values, interval=f"interval of {coverage:.0%}")


def analog_chapters(scores: AnalogScores, figure: Figure, data: str) -> list[Chapter]:
    """Return the chapters of a page: the scores with the figure, and the definitions."""
    caption = (
        "The strongest predicted column that is not novel: members, mean and interval; novelty of all columns"
    )
    picture = Picture("analogs", figure, f"{caption}.", f"{caption}. {scores.headline()[1]}")
    lines = "".join(f"<p>{html.escape(line)}</p>" for line in scores.headline())
    body = [f'<p class="quiet">Columns of {html.escape(data)}.</p>{lines}', drawn(picture, DOTS)]
    if scores.scores["outputs"]:
        about = f"Scores where the true tendencies are known; intervals of {scores.asked:.0%}"
        body.append(table(about, HEAD, scores.rows(), text=2))
    return [
        Chapter.of("Analog ensembles", *body),
        Chapter.of("Definitions: analog ensembles", definitions(DEFINITIONS)),
    ]
