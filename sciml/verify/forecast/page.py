"""The chapters of a page about two runs: what a forecaster looks at first, first."""

from __future__ import annotations

import html
from typing import Any, Final

import numpy as np

from sciml.plot import rainfall as draw
from sciml.plot.run_profiles import RunProfile, run_profiles
from sciml.verify.forecast.compare import RunComparison
from sciml.verify.forecast.mean_state import FIELDS
from sciml.verify.forecast.run_times import HOUR, microseconds, span
from sciml.verify.html_report import Chapter, Picture, definitions, drawn, table

__all__ = ["chapters", "pictures"]

WORDS: Final = {
    "csi": "hits / (hits + misses + false alarms), the threat score; 1 is perfect",
    "ets": "the same with the hits that chance would give taken away (Gilbert)",
    "pod, far": "share of the events that were hit; share of the forecasts that were false",
    "frequency_bias": "events forecast over events that came",
    "hss, pss, sedi": "Heidke's and Peirce's skill; the symmetric extremal dependence index, for rare events",
    "fss": "fractions skill score (Roberts and Lean 2008): 1 - sum of (p - o)² / (sum of p² + sum of o²), p and o "
    "the shares of cells with an event in squares of that side",
    "brackets": "the middle 95 % of a block bootstrap",
    "floor": "the same score of the reference against its run(s) with a start perturbed by rounding errors (of several "
    "their mean, and in brackets their extent). A score is within the floor where its departure from the perfect value "
    "is no larger than the largest departure of the floor runs' values and of the ends of their intervals (of ratios: "
    "of the logarithm); of profiles and budgets, than the largest value of the floor runs",
    "water, energy": "of the mean column: what it gained, what passed through its top and bottom, and the rest, "
    "which holds what crossed the sides and what fluxes did between the frames; enthalpy is cp T + Lv qv - Lf qi",
}


def pictures(found: RunComparison) -> list[Picture]:
    """Every picture that the comparison has the numbers for."""
    rain, fields, names = found.rain, found.rain.fields, found.rain.names
    spacing = found.grid.get("spacing")
    place = (found.grid["longitude"], found.grid["latitude"]) if found.grid.get("georeferenced") else None
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
            "Mean amount of a window, and the candidate minus the reference.",
            "Maps of mean rain of both and their difference.",
        ),
        Picture(
            "performance",
            draw.performance(
                {names[1]: rain.scores["pod"].values},
                {names[1]: (1 - rain.scores["far"].values[:, [0, 2, 1]])},
                limits,
            ),
            "Detection against success, by threshold, with 95 % intervals; the upper right corner is perfect.",
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
                "Skill of the fractions of squares, by threshold and side.",
                "Fractions skill score.",
            )
        )
    out += _distributions(found)
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
                    f"Hovmoeller, {axis}.",
                )
            )
    if found.profiles is not None:
        out += _profiles(found)
    return out


def _distributions(found: RunComparison) -> list[Picture]:
    rain, fields, names = found.rain, found.rain.fields, found.rain.names
    figure = draw.intensity(fields["bin"].values, fields["intensity"].values, names)
    out = [
        Picture(
            "intensity",
            figure,
            "How often a window brings how much, a point each class of amounts.",
            "Distribution.",
        )
    ]
    if fields.sizes["hour"] and np.isfinite(fields["diurnal"].values).any(1).all() and rain.window:
        east = found.grid.get("longitude")
        clock = "UTC" if east is None or (not np.ptp(east) and not np.any(east)) else "mean solar time"
        figure = draw.by_hour(fields["hour"].values, fields["diurnal"].values, names, clock)
        out.append(
            Picture("diurnal", figure, "Mean rain rate by the hour of the window's middle.", "Diurnal cycle.")
        )
    ratio, corr = (float(rain.scores[name].sel(estimate="value")) for name in ("spread_ratio", "correlation"))
    if np.isfinite([ratio, corr]).all():
        figure = draw.taylor({names[1]: (ratio, corr)}, names[0])
        said = "Standard deviation and correlation of the amounts; dashed: the centred error."
        out.append(Picture("taylor", figure, said, "Taylor diagram."))
    return out


def _profiles(found: RunComparison) -> list[Picture]:
    data = found.profiles
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
    figure = run_profiles(data["height"].values, columns, found.rain.names)
    return [
        Picture(
            "profiles",
            figure,
            "Means over the grid and the common times; below, how far apart they are.",
            "Mean profiles.",
        )
    ]


def chapters(found: RunComparison, title: str = "Rain") -> list[Chapter]:
    """Verdict and tables, pictures, budgets, and what the words mean."""
    rain = found.rain
    there = {one.name: drawn(one) for one in pictures(found)}
    said = "".join(f"<p>{html.escape(line)}</p>" for line in rain.headline())
    tables = [
        table(f"{caption}; 95 % intervals in brackets", head, rows, stacked=True)
        for caption, head, rows in rain.tables()
    ]
    beside = "".join(there.get(name, "") for name in ("performance", "fss"))
    others = "".join(there.get(name, "") for name in ("intensity", "diurnal", "taylor"))
    out = [
        Chapter.of(title, said, there["maps"], tables[0], *tables[1:]),
        Chapter.of("Skill", f'<div class="pair">{beside}</div>'),
        Chapter.of(
            "When and how hard",
            f'<div class="pair">{others}</div>',
            *(there.get(x, "") for x in ("hovmoeller_x", "hovmoeller_y")),
        ),
    ]
    if "profiles" in there:
        out.append(Chapter.of("Profiles", there["profiles"]))
    if found.budgets:
        terms = list(dict.fromkeys(term for told in found.budgets.values() for term in told))
        rows = [[term, *(_number(told.get(term)) for told in found.budgets.values())] for term in terms]
        out.append(
            Chapter.of(
                "Budgets",
                table(
                    "Of the mean column, between the first and the last common time",
                    ["term", *found.budgets],
                    rows,
                ),
            )
        )
    if found.state:
        out.append(Chapter.of("Beside the floor", table(*found.state_table(), stacked=True)))
    absent = "".join(
        f"<li>{html.escape(what)}: {html.escape(why)}</li>" for what, why in found.absent.items()
    )
    out.append(
        Chapter.of(
            "Definitions, rain",
            definitions({key: text for key, text in WORDS.items() if key != "floor" or rain.floor}),
            f"<h3>Absent</h3><ul>{absent}</ul>" if absent else "",
        )
    )
    return out


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}"
