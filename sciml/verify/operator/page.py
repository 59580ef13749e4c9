"""The chapters of a page about operators: pictures and tables in the order in which one asks."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Final

from sciml.verify.html_report import Chapter, Picture, definitions, drawn, table
from sciml.verify.operator.evaluation import PdeEvaluation, Table, number
from sciml.verify.operator.figures import pictures

__all__ = ["chapters"]

AFTER: Final = {"Error by frequency": "spectrum", "Error by multigrid level": "levels", "Rollout": "rollout"}
"""Which picture follows which table."""


def chapters(evaluations: Sequence[PdeEvaluation]) -> list[Chapter]:
    """A comparison where there are several, a chapter for each, and what the words mean."""
    several = [_comparison(evaluations)] if len(evaluations) > 1 else []
    words = [Chapter.of("Definitions, operators", definitions(evaluations[0].scores["definitions"]))]
    return [*several, *(_chapter(one) for one in evaluations), *(words if evaluations else [])]


def _chapter(one: PdeEvaluation) -> Chapter:
    there = {picture.name: picture for picture in pictures(one)}
    told = "".join(f"<p>{html.escape(line)}</p>" for line in [*one.headline()[1:], *_findings(one)])
    parts = [f'<p class="quiet">Evaluated on {html.escape(one.data)}.</p>{told}', drawn(there["fields"])]
    for found in one.tables():
        parts.append(_table(found))
        name = next((name for start, name in AFTER.items() if found.caption.startswith(start)), None)
        parts.append(_picture(there.get(name or "")))
    absent = one.scores["absent"].items()
    if absent:
        said = "".join(f"<li>{html.escape(what)}: {html.escape(why)}.</li>" for what, why in absent)
        parts.append(f"<h3>Not there</h3><ul>{said}</ul>")
    return Chapter.of(one.model, *parts)


def _findings(one: PdeEvaluation) -> list[str]:
    """What the numbers say to someone who has a multigrid solver."""
    scores, said = one.scores, []
    if "iterations" in scores:
        zero, near = scores["iterations"]["zero"], scores["iterations"]["prediction"]
        before, after = (x["iterations"]["RS"]["residual"] for x in (zero, near))
        if before is not None and after is not None:
            said.append(
                f"As an initial guess it saves {before - after:.1f} of {before:.1f} iterations of multigrid-CG; "
                f"one multigrid cycle makes its L2 error {scores['cycle']['relative_l2']:.1f} times smaller."
            )
    if "time" in scores:
        ratio, together = scores["time"]["ratio"], scores["time"]["ratio_in_batch"]
        said.append(
            f"On this machine one prediction takes {number(ratio)} times the wall-clock of multigrid-CG to 1e-8 with "
            f"its set-up ({number(together)} times in a batch), and its answer is {number(scores['relative_l2'])} off."
        )
    if "certified" in scores:
        sharp = scores["certified"]["effectivity"]
        said.append(
            f"The guaranteed bound is {number(sharp['upper']['mean'], '.3f')} times the true energy error on average, "
            f"at most {number(sharp['upper']['greatest'], '.3f')} times."
        )
    return said


def _comparison(evaluations: Sequence[PdeEvaluation]) -> Chapter:
    names = list(dict.fromkeys(name for one in evaluations for name in one.scores["norms"]))
    rows = [[name.replace("_", " "), *(_mean(one, name) for one in evaluations)] for name in names]
    found = Table("Mean errors, operator by operator", ["norm", *(one.model for one in evaluations)], rows)
    return Chapter.of("Operators together", _table(found))


def _mean(one: PdeEvaluation, name: str) -> str:
    return number(one.scores["norms"].get(name, {}).get("mean"))


def _table(one: Table) -> str:
    return table(one.caption, one.head, one.rows)


def _picture(picture: Picture | None) -> str:
    return drawn(picture) if picture else ""
