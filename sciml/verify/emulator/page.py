"""The page about evaluations of convection: tables, pictures, definitions."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sciml.verify import html_report as layout
from sciml.verify.emulator.evaluation import Evaluation, f1_text, figure
from sciml.verify.emulator.figures import pictures
from sciml.verify.html_report import Chapter, definitions, drawn, render, save, table

__all__ = ["chapters", "render_page", "write_page"]

DOTS: Final = layout.DOTS
BESIDE: Final = ("confusion", "reliability")


def write_page(
    path: str | os.PathLike[str],
    evaluations: Sequence[Evaluation],
    *,
    title: str = "How well the emulator knows the scheme",
) -> Path:
    """Write the page about one or more evaluations, with every picture inside it.

    Parameters
    ----------
    path
        Of the HTML file; written under a temporary name, then renamed.
    evaluations
        In the order in which they are told; with several a table compares them.
    title
        Heading of the page.

    Raises
    ------
    InputError
        If there is no evaluation.
    """
    return save(path, render_page(evaluations, title=title))


def render_page(evaluations: Sequence[Evaluation], *, title: str = "Evaluation") -> str:
    """The page of `write_page` as text."""
    return render(chapters(evaluations), title=title)


def chapters(evaluations: Sequence[Evaluation]) -> list[Chapter]:
    """The chapters of the page of `write_page`: a comparison, one for each model, the definitions."""
    if not evaluations:
        return []
    several = [_comparison(evaluations)] if len(evaluations) > 1 else []
    words = Chapter.of("Definitions, convection", definitions(evaluations[0].scores["definitions"]))
    return [*several, *(_chapter(one) for one in evaluations), words]


def _chapter(one: Evaluation) -> Chapter:
    scores = one.scores
    told = "".join(f"<p>{html.escape(line)}</p>" for line in one.headline()[1:])
    there = {picture.name: picture for picture in pictures(one)}
    beside = "".join(drawn(there.pop(name), DOTS) for name in BESIDE if name in there)
    return Chapter.of(
        one.model,
        f'<p class="quiet">Evaluated on {html.escape(one.data)}.</p>{told}',
        drawn(there.pop("maps"), DOTS) if "maps" in there else "",
        "<h3>Every output</h3>",
        _outputs(one),
        drawn(there.pop("r2_by_level"), DOTS) if "r2_by_level" in there else "",
        f'<h3>None, shallow or deep</h3><div class="beside">{beside}</div>',
        "<h3>Profiles</h3>" + "".join(drawn(p, DOTS) for n, p in there.items() if n != "scatter"),
        "<h3>Rain and heating of the column</h3>",
        drawn(there["scatter"], DOTS) if "scatter" in there else "",
        _rain(scores["rain"]) if "rain" in scores else "",
        "<h3>Budgets</h3>",
        _budgets(scores["budgets"]),
        _novelty(scores["novelty"]) if scores["novelty"] else "",
    )


def _outputs(one: Evaluation) -> str:
    head, *rows = one.rows()
    how = "weighted" if one.scores["weighted_scores"] else "unweighted"
    caption = (
        f"Scores ({how}) over the truly triggered columns; “all” over every column, “class mean” a baseline"
    )
    return table(caption, head, rows, text=2)


def _comparison(evaluations: Sequence[Evaluation]) -> Chapter:
    """Scores by row and models by column: the number of models is small, that of outputs is not."""
    rows = [
        [f"trigger, {name}", *(f1_text(one.scores["trigger"][key]) for one in evaluations)]
        for key, name in (("f1", "F1"), ("f1_deep", "F1 of deep"), ("f1_shallow", "F1 of shallow"))
    ]
    for name in dict.fromkeys(name for one in evaluations for name in one.scores["outputs"]):
        found = [one.scores["outputs"].get(name, {}).get("r2") for one in evaluations]
        if any(value is not None for value in found):
            rows.append([f"{name}, R²", *(figure(value) for value in found)])
    caption = "F1 of the trigger, and R² over the truly triggered columns, model by model"
    return Chapter.of("All together", table(caption, ["score", *(one.model for one in evaluations)], rows))


def _rain(rain: Mapping[str, Any]) -> str:
    keys = ("hits", "misses", "false_alarms", "pod", "far", "csi", "frequency_bias", "ets", "hss")
    there = [key for key in keys if key in rain["contingency"][0]]
    rows = [
        [
            f"{one['threshold']:g}",
            *(figure(one[key], "{:,.0f}" if i < 3 else "{:.3f}") for i, key in enumerate(there)),
        ]
        for one in rain["contingency"]
    ]
    head = ["at least (mm/h)", *(key.replace("_", " ") for key in there)]
    means = figure(rain["mean_truth"], "{:.4f}"), figure(rain["mean_prediction"], "{:.4f}")
    return f"<p>Mean rain rate over all columns: true {means[0]}, predicted {means[1]} mm/h.</p>" + table(
        "Rain or no rain, by threshold", head, rows
    )


def _budgets(found: Mapping[str, Any]) -> str:
    rows = []
    for name in ("water", "enthalpy", "momentum"):
        for kind in ("deep", "shallow"):
            for source in ("truth", "prediction"):
                one = found.get(name, {}).get(source, {}).get(kind)
                if one:
                    numbers = (one[key] for key in ("median", "p01", "p99", "abs_median", "abs_max"))
                    rows.append([name, kind, source, *(figure(x, "{:+.1e}") for x in numbers)])
    head = ["residual", "class", "of", "median", "1st percentile", "99th", "median size", "largest size"]
    text = table("Relative imbalance of the column, defined below", head, rows, text=3)
    if "negative_vapour_columns" in found:
        made = found["negative_vapour_columns"]
        text += (
            f"<p>Columns in which a step of {found['negative_vapour_dt']:g} s makes vapour negative: "
            f"true {made['truth']:,}, predicted {made['prediction']:,}.</p>"
        )
    return text


def _novelty(found: Mapping[str, Any]) -> str:
    rows = [
        [
            name,
            f"{found[name]['columns']:,}",
            f1_text(found[name]["f1"]),
            figure(found[name].get("heating_nmae")),
        ]
        for name in ("inside", "outside")
    ]
    caption = "Columns inside and outside the training range (novelty 1 is its edge)"
    head = ["novelty", "columns", "F1 of the trigger", "error of column heating (nmae)"]
    return (
        f"<h3>Novelty</h3><p>Of {found['looked_at']:,} columns that were looked at more closely, "
        f"{figure(found.get('fraction_above_1'), '{:.2%}')} lie outside the training range: median "
        f"{figure(found.get('median'))}, 99th percentile {figure(found.get('p99'))}, largest "
        f"{figure(found.get('max'))}.</p>{table(caption, head, rows)}"
    )
