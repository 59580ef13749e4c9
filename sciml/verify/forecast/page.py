"""Chapters of a report page about two runs."""

from __future__ import annotations

import html
from typing import Final

import numpy as np

from sciml.plot import rainfall as draw
from sciml.plot.run_profiles import RunProfile, run_profiles
from sciml.tables import number
from sciml.verify.forecast.compare import RunComparison
from sciml.verify.forecast.mean_state import FIELDS
from sciml.verify.forecast.run_times import HOUR, microseconds, span
from sciml.verify.html_report import Chapter, Picture, definitions, drawn, table

__all__ = ["chapters", "pictures"]

WORDS: Final = {
    "CSI": "hits / (hits + misses + false alarms), the threat score; 1 is perfect",
    "ETS": "the CSI without the hits by chance (Gilbert)",
    "POD, FAR": "probability of detection, share of the events that were forecast; false alarm ratio, share of the "
    "forecast events that did not occur",
    "frequency bias": "number of forecast events over number of observed events",
    "HSS, PSS, SEDI": "Heidke's and Peirce's skill scores; the symmetric extremal dependence index, for rare events",
    "FSS": "fractions skill score (Roberts and Lean 2008): 1 - sum of (p - o)² / (sum of p² + sum of o²), p and o "
    "the shares of cells with an event in squares of that side",
    "brackets": "the middle 95 % of a block bootstrap",
    "floor": "the same score of runs of the reference with initial states perturbed by rounding errors (for "
    "several runs their mean, and their range in brackets). A score is within the floor if its departure from the "
    "perfect value is not larger than the largest departure of the values of the floor runs and of the ends of their "
    "intervals. The departure of a ratio is that of its logarithm. Profiles and budgets are compared with the largest "
    "value of the floor runs",
    "water, energy": "budget of the mean column: gain, fluxes through top and bottom, and residual, "
    "which contains fluxes through the lateral boundaries and changes of fluxes between frames; enthalpy is "
    "cp T + Lv qv - Lf qi",
}


def pictures(comparison: RunComparison) -> list[Picture]:
    """Draw the figures of the available results."""
    rain, fields, names = comparison.rain, comparison.rain.fields, comparison.rain.names
    spacing = comparison.grid.get("spacing")
    grid = comparison.grid
    place = (grid["longitude"], grid["latitude"]) if grid.get("georeferenced") else None
    limits = [float(x) for x in rain.scores["threshold"].values]
    unit = f"mm in {span(round(rain.window * HOUR))}" if rain.window else "mm"
    out = [
        Picture(
            "maps",
            draw.rain_maps(
                fields["reference"].values,
                fields["candidate"].values,
                names,
                unit=unit,
                spacing=spacing,
                place=place,
            ),
            "Mean amount of a window, and the difference, candidate minus reference.",
            "Maps of the mean rain of both runs and of their difference.",
        ),
        Picture(
            "performance",
            draw.performance(
                {names[1]: rain.scores["pod"].values},
                {names[1]: (1 - rain.scores["far"].values[:, [0, 2, 1]])},
                limits,
            ),
            "Probability of detection and success ratio by threshold, with 95 % intervals; the upper right corner is "
            "perfect.",
            "Performance diagram by threshold.",
        ),
    ]
    if "fss" in rain.scores:
        score = rain.scores["fss"]
        figure = draw.fraction_skill(
            score.sel(estimate="value").values, limits, score["scale"].values.tolist(), spacing
        )
        out.append(
            Picture(
                "fss",
                figure,
                "Fractions skill score by threshold and side of the squares.",
                "Fractions skill score.",
            )
        )
    out += _distributions(comparison)
    times = microseconds(fields["Time"].values)
    hours = (times - times[0]) / HOUR
    if times.size > 1:
        for key, axis in (("hovmoeller_x", "west–east"), ("hovmoeller_y", "south–north")):
            figure = draw.hovmoellers(list(fields[key].values), hours, names, axis, spacing)
            out.append(
                Picture(
                    key,
                    figure,
                    f"Rain by time and {axis}, mean over the other direction.",
                    f"Hovmöller diagram, {axis}.",
                )
            )
    if comparison.profiles is not None:
        out += _profiles(comparison)
    return out


def _distributions(comparison: RunComparison) -> list[Picture]:
    rain, fields, names = comparison.rain, comparison.rain.fields, comparison.rain.names
    figure = draw.intensity(fields["bin"].values, fields["intensity"].values, names)
    out = [
        Picture(
            "intensity",
            figure,
            "Share of cells by amount of a window.",
            "Distribution of amounts.",
        )
    ]
    if fields.sizes["hour"] and np.isfinite(fields["diurnal"].values).any(1).all() and rain.window:
        east = comparison.grid.get("longitude")
        clock = "UTC" if east is None or (not np.ptp(east) and not np.any(east)) else "mean solar time"
        figure = draw.by_hour(fields["hour"].values, fields["diurnal"].values, names, clock)
        out.append(
            Picture(
                "diurnal", figure, "Mean rain rate by the hour of the middle of the window.", "Diurnal cycle."
            )
        )
    ratio, corr = (float(rain.scores[name].sel(estimate="value")) for name in ("spread_ratio", "correlation"))
    if np.isfinite([ratio, corr]).all():
        figure = draw.taylor({names[1]: (ratio, corr)}, names[0])
        caption = "Standard deviation and correlation of the amounts; dashed lines: centred RMSE."
        out.append(Picture("taylor", figure, caption, "Taylor diagram."))
    return out


def _profiles(comparison: RunComparison) -> list[Picture]:
    data = comparison.profiles
    assert data is not None
    columns = [
        RunProfile(
            name,
            str(data[name].attrs["units"]),
            data[name].values[0],
            data[name].values[1],
            data[f"{name} bias"].values,
            data[f"{name} rmse"].values,
        )
        for name in FIELDS
        if name in data
    ]
    figure = run_profiles(data["height"].values, columns, comparison.rain.names)
    return [
        Picture(
            "profiles",
            figure,
            "Means over the grid and the common times (upper row), and bias and RMSE (lower row).",
            "Mean profiles.",
        )
    ]


def chapters(comparison: RunComparison, title: str = "Rain") -> list[Chapter]:
    """Return chapters with summary, tables, figures, budgets and definitions."""
    rain = comparison.rain
    figures = {picture.name: drawn(picture) for picture in pictures(comparison)}
    paragraphs = "".join(f"<p>{html.escape(line)}</p>" for line in rain.headline())
    tables = [
        table(f"{caption}; 95 % intervals in brackets", head, rows, stacked=True)
        for caption, head, rows in rain.tables()
    ]
    beside = "".join(figures.get(name, "") for name in ("performance", "fss"))
    others = "".join(figures.get(name, "") for name in ("intensity", "diurnal", "taylor"))
    out = [
        Chapter.of(title, paragraphs, figures["maps"], tables[0], *tables[1:]),
        Chapter.of("Skill", f'<div class="pair">{beside}</div>'),
        Chapter.of(
            "Distribution in time and intensity",
            f'<div class="pair">{others}</div>',
            *(figures.get(x, "") for x in ("hovmoeller_x", "hovmoeller_y")),
        ),
    ]
    if "profiles" in figures:
        out.append(Chapter.of("Profiles", figures["profiles"]))
    if comparison.budgets:
        terms = list(dict.fromkeys(term for budget in comparison.budgets.values() for term in budget))
        rows = [
            [term, *(number(budget.get(term), ".4g") for budget in comparison.budgets.values())]
            for term in terms
        ]
        out.append(
            Chapter.of(
                "Budgets",
                table(
                    "Budgets of the mean column between the first and the last common time",
                    ["term", *comparison.budgets],
                    rows,
                ),
            )
        )
    if comparison.state:
        out.append(Chapter.of("Comparison with the floor", table(*comparison.state_table(), stacked=True)))
    absent = "".join(
        f"<li>{html.escape(what)}: {html.escape(why)}</li>" for what, why in comparison.absent.items()
    )
    out.append(
        Chapter.of(
            "Definitions: scores of rain",
            definitions({key: text for key, text in WORDS.items() if key != "floor" or rain.floor}),
            f"<h3>Missing scores</h3><ul>{absent}</ul>" if absent else "",
        )
    )
    return out
