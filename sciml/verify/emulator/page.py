"""Report page of evaluations of convection: tables, figures, definitions."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sciml.tables import score_text
from sciml.verify import html_report
from sciml.verify.emulator.evaluation import Evaluation, f1_text
from sciml.verify.emulator.figures import pictures
from sciml.verify.html_report import Chapter, definitions, drawn, render, save, table

__all__ = ["chapters", "render_page", "write_page"]

DOTS: Final = html_report.DOTS
BESIDE: Final = ("confusion", "reliability")


def write_page(
    path: str | os.PathLike[str],
    evaluations: Sequence[Evaluation],
    *,
    title: str = "Evaluation of the emulator",
) -> Path:
    """Write a report of one or more evaluations with embedded figures.

    Parameters
    ----------
    path
        Path of the HTML file. It is written under a temporary name and then renamed.
    evaluations
        Evaluations in the order of the page; a table compares several.
    title
        Heading of the page.

    Returns
    -------
    pathlib.Path
        Path of the page.

    Raises
    ------
    InputError
        There is no evaluation.
    """
    return save(path, render_page(evaluations, title=title))


def render_page(evaluations: Sequence[Evaluation], *, title: str = "Evaluation") -> str:
    """Return the page of `write_page` as text."""
    return render(chapters(evaluations), title=title)


def chapters(evaluations: Sequence[Evaluation]) -> list[Chapter]:
    """Return the chapters of the page: a comparison, a chapter for each model, the definitions."""
    if not evaluations:
        return []
    several = [_comparison(evaluations)] if len(evaluations) > 1 else []
    words = Chapter.of("Definitions: scores of convection", definitions(evaluations[0].scores["definitions"]))
    return [*several, *(_chapter(evaluation) for evaluation in evaluations), words]


def _chapter(evaluation: Evaluation) -> Chapter:
    scores = evaluation.scores
    paragraphs = "".join(f"<p>{html.escape(line)}</p>" for line in evaluation.headline()[1:])
    figures = {picture.name: picture for picture in pictures(evaluation)}
    beside = "".join(drawn(figures.pop(name), DOTS) for name in BESIDE if name in figures)
    return Chapter.of(
        evaluation.model,
        f'<p class="quiet">Evaluated on {html.escape(evaluation.data)}.</p>{paragraphs}',
        drawn(figures.pop("maps"), DOTS) if "maps" in figures else "",
        "<h3>Outputs</h3>",
        _outputs(evaluation),
        _groups(evaluation),
        drawn(figures.pop("r2_by_level"), DOTS) if "r2_by_level" in figures else "",
        f'<h3>Class of convection</h3><div class="beside">{beside}</div>',
        "<h3>Profiles</h3>" + "".join(drawn(p, DOTS) for n, p in figures.items() if n != "scatter"),
        "<h3>Rain and heating of the column</h3>",
        drawn(figures["scatter"], DOTS) if "scatter" in figures else "",
        _rain(scores["rain"]) if "rain" in scores else "",
        "<h3>Budgets</h3>",
        _budgets(scores["budgets"]),
        _novelty(scores["novelty"]) if scores["novelty"] else "",
    )


def _outputs(evaluation: Evaluation) -> str:
    head, *rows = evaluation.rows()
    how = "weighted" if evaluation.scores["weighted_scores"] else "unweighted"
    caption = (
        f"Scores ({how}) over the columns in which the scheme triggered. “all”: R² over every column; "
        "“class mean”: R² of the mean of each class as the prediction"
    )
    return table(caption, head, rows, text=2)


def _groups(evaluation: Evaluation) -> str:
    """Tabulate the scores of each group."""
    caption = (
        "Scores by group: F1, R² of the outputs over the columns in which the scheme triggered, predicted over true "
        "rain, and novelty (see the definitions)"
    )
    tables = [table(caption, head, rows) for head, *rows in evaluation.group_rows()]
    return "".join(["<h3>Groups</h3>" * bool(tables), *tables])


def _comparison(evaluations: Sequence[Evaluation]) -> Chapter:
    """Tabulate scores by row and models by column."""
    rows = [
        [f"trigger, {name}", *(f1_text(evaluation.scores["trigger"][key]) for evaluation in evaluations)]
        for key, name in (("f1", "F1"), ("f1_deep", "F1 of deep"), ("f1_shallow", "F1 of shallow"))
    ]
    for name in dict.fromkeys(name for evaluation in evaluations for name in evaluation.scores["outputs"]):
        values = [evaluation.scores["outputs"].get(name, {}).get("r2") for evaluation in evaluations]
        if any(value is not None for value in values):
            rows.append([f"{name}, R²", *(score_text(value) for value in values)])
    models = [evaluation.model for evaluation in evaluations]
    caption = "F1 of the trigger, and R² over the columns in which the scheme triggered, by model"
    return Chapter.of("Comparison of models", table(caption, ["score", *models], rows))


def _rain(rain: Mapping[str, Any]) -> str:
    keys = ("hits", "misses", "false_alarms", "pod", "far", "csi", "frequency_bias", "ets", "hss")
    there = [key for key in keys if key in rain["contingency"][0]]
    rows = [
        [
            f"{counts['threshold']:g}",
            *(score_text(counts[key], ",.0f" if i < 3 else ".3f") for i, key in enumerate(there)),
        ]
        for counts in rain["contingency"]
    ]
    head = ["threshold (mm/h)", *(key.replace("_", " ") for key in there)]
    means = score_text(rain["mean_truth"], ".4f"), score_text(rain["mean_prediction"], ".4f")
    return f"<p>Mean rain rate over all columns: true {means[0]}, predicted {means[1]} mm/h.</p>" + table(
        "Rain or no rain, by threshold", head, rows
    )


def _budgets(budgets: Mapping[str, Any]) -> str:
    rows = []
    for name in ("water", "enthalpy", "momentum"):
        for kind in ("deep", "shallow"):
            for source in ("truth", "prediction"):
                residual = budgets.get(name, {}).get(source, {}).get(kind)
                if residual:
                    numbers = (residual[key] for key in ("median", "p01", "p99", "abs_median", "abs_max"))
                    rows.append([name, kind, source, *(score_text(x, "+.1e") for x in numbers)])
    head = [
        "residual",
        "class",
        "source",
        "median",
        "1st percentile",
        "99th",
        "median magnitude",
        "largest magnitude",
    ]
    text = table("Relative residual of the budgets of a column (see the definitions)", head, rows, text=3)
    if "negative_vapour_columns" in budgets:
        negative = budgets["negative_vapour_columns"]
        text += (
            f"<p>Columns in which a step of {_range(budgets['negative_vapour_dt'])} s makes vapour negative: "
            f"true {negative['truth']:,}, predicted {negative['prediction']:,}.</p>"
        )
    return text


def _range(value: float | list[float]) -> str:
    return " to ".join(f"{x:g}" for x in (value if isinstance(value, list) else [value]))


def _novelty(novelty: Mapping[str, Any]) -> str:
    rows = [
        [
            name,
            f"{novelty[name]['columns']:,}",
            f1_text(novelty[name]["f1"]),
            score_text(novelty[name].get("heating_nmae")),
        ]
        for name in ("inside", "outside")
    ]
    caption = "Columns inside the training range, and outside of it (novelty above 1)"
    head = ["novelty", "columns", "F1 of the trigger", "error of column heating (nmae)"]
    return (
        f"<h3>Novelty</h3><p>{novelty['looked_at']:,} columns passed the parcel test, and "
        f"{score_text(novelty.get('fraction_above_1'), '.2%')} of them are outside the training range. Novelty: median "
        f"{score_text(novelty.get('median'))}, 99th percentile {score_text(novelty.get('p99'))}, largest "
        f"{score_text(novelty.get('max'))}.</p>{table(caption, head, rows)}"
    )
