"""Chapters of a report page about operators."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Final

from sciml.tables import Table, number
from sciml.verify.html_report import Chapter, Picture, definitions, drawn, table
from sciml.verify.operator.evaluation import PdeEvaluation
from sciml.verify.operator.figures import pictures

__all__ = ["chapters"]

AFTER: Final = {"Error by frequency": "spectrum", "Error by multigrid level": "levels", "Rollout": "rollout"}
"""Figure after the table whose caption begins with the key."""


def chapters(evaluations: Sequence[PdeEvaluation]) -> list[Chapter]:
    """Return a comparison of several evaluations, a chapter for each, and the definitions."""
    several = [_comparison(evaluations)] if len(evaluations) > 1 else []
    words = [
        Chapter.of("Definitions: errors of operators", definitions(evaluations[0].scores["definitions"]))
    ]
    return [*several, *(_chapter(evaluation) for evaluation in evaluations), *(words if evaluations else [])]


def _chapter(evaluation: PdeEvaluation) -> Chapter:
    figures = {picture.name: picture for picture in pictures(evaluation)}
    paragraphs = "".join(
        f"<p>{html.escape(line)}</p>" for line in [*evaluation.headline()[1:], *_findings(evaluation)]
    )
    parts = [
        f'<p class="quiet">Evaluated on {html.escape(evaluation.data)}.</p>{paragraphs}',
        drawn(figures["fields"]),
    ]
    for content in evaluation.tables():
        parts.append(_table(content))
        name = next((name for start, name in AFTER.items() if content.caption.startswith(start)), None)
        parts.append(_picture(figures.get(name or "")))
    absent = evaluation.scores["absent"].items()
    if absent:
        items = "".join(f"<li>{html.escape(what)}: {html.escape(why)}.</li>" for what, why in absent)
        parts.append(f"<h3>Missing scores</h3><ul>{items}</ul>")
    return Chapter.of(evaluation.model, *parts)


def _findings(evaluation: PdeEvaluation) -> list[str]:
    """Summarise the numbers for users of a multigrid solver."""
    scores, sentences = evaluation.scores, []
    if "iterations" in scores:
        zero, near = scores["iterations"]["zero"], scores["iterations"]["prediction"]
        before, after = (x["iterations"]["RS"]["residual"] for x in (zero, near))
        if before is not None and after is not None:
            sentences.append(
                f"As an initial guess the prediction saves {before - after:.1f} of {before:.1f} iterations of "
                f"multigrid-CG; one multigrid cycle reduces its L2 error by a factor of "
                f"{scores['cycle']['relative_l2']:.1f}."
            )
    if "time" in scores:
        ratio, together = scores["time"]["ratio"], scores["time"]["ratio_in_batch"]
        sentences.append(
            f"On this machine one prediction takes {number(ratio)} times the wall-clock of multigrid-CG to 1e-8 with "
            f"its set-up ({number(together)} times in a batch), and its relative L2 error is "
            f"{number(scores['relative_l2'])}."
        )
    if "certified" in scores:
        sharp = scores["certified"]["effectivity"]
        sentences.append(
            f"The guaranteed bound is {number(sharp['upper']['mean'], '.3f')} times the true energy error on average, "
            f"at most {number(sharp['upper']['greatest'], '.3f')} times."
        )
    return sentences


def _comparison(evaluations: Sequence[PdeEvaluation]) -> Chapter:
    names = list(dict.fromkeys(name for evaluation in evaluations for name in evaluation.scores["norms"]))
    rows = [
        [name.replace("_", " "), *(_mean(evaluation, name) for evaluation in evaluations)] for name in names
    ]
    errors = Table(
        "Mean errors by operator", ["norm", *(evaluation.model for evaluation in evaluations)], rows
    )
    return Chapter.of("Comparison of operators", _table(errors))


def _mean(evaluation: PdeEvaluation, name: str) -> str:
    return number(evaluation.scores["norms"].get(name, {}).get("mean"))


def _table(content: Table) -> str:
    return table(content.caption, content.head, content.rows)


def _picture(picture: Picture | None) -> str:
    return drawn(picture) if picture else ""
