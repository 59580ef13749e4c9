"""Results of an evaluation: numbers, a table, and the data of its figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final, final

import xarray as xr

from sciml.tables import aligned, html_table, ruled, score_text

__all__ = ["COLUMNS", "Evaluation", "f1_text"]

COLUMNS: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "R²": (("r2",), ".3f"),
    "deep": (("deep", "r2"), ".3f"),
    "shallow": (("shallow", "r2"), ".3f"),
    "all": (("r2_all",), ".3f"),
    "class mean": (("r2_class_mean",), ".3f"),
    "RMSE": (("rmse",), ".2e"),
    "bias": (("bias",), "+.1e"),
    "nmae": (("nmae",), ".3f"),
}
"""Columns of the table of outputs: key of the score, and format, by head."""

GROUP_COLUMNS: Final[dict[str, tuple[str, str]]] = {
    "rain_ratio": ("rain", ".3f"),
    "novel": ("novel", ".1%"),
    "novelty_rank": ("rank", ".3f"),
    "novelty_usual": ("usual", ".1%"),
}
"""Last columns of a table of groups: head and format by key of the score."""


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Evaluation:
    """Scores of one model on one set of columns. ``print`` shows them as a table.

    Attributes
    ----------
    model, data
        Names of the evaluated model and of the data.
    scores
        All numbers, nested as in the JSON file: ``trigger``, ``outputs``, ``rain``, ``budgets``, ``novelty``.
    profiles
        Statistics by level, dims (statistic, subset, level), one variable for each output; ``height`` (level) in km.
    columns
        One entry per evaluated column, with its coordinates: KIND, PRATEC, HEATING (W m-2), WATER, ENTHALPY, MOMENTUM
        with a dim ``source`` (truth, prediction); HEATING_ERROR (K s-1); NOVELTY and WEIGHT if they are known.
    """

    model: str
    data: str
    scores: Mapping[str, Any]
    profiles: xr.Dataset
    columns: xr.Dataset

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as a dict for `json.dump`, with None instead of NaN."""
        return {"model": self.model, "data": self.data, **self.scores}

    def rows(self) -> list[list[str]]:
        """Return the table of outputs as text: a header and a row for each output."""
        rows = [["output", "unit", *COLUMNS]]
        for name, scores in self.scores["outputs"].items():
            cells = [score_text(_nested(scores, keys), form) for keys, form in COLUMNS.values()]
            rows.append([name, scores["units"], *cells])
        return rows

    def group_rows(self) -> list[list[list[str]]]:
        """Return the tables of groups (``by`` of `sciml.verify.assess`) as text, with headers."""
        return [_group_rows(table) for table in self.scores.get("groups", ())]

    def headline(self) -> list[str]:
        """Return the lines above the table: number of columns and scores of the trigger."""
        count, trigger, rain = self.scores["columns"], self.scores["trigger"], self.scores.get("rain")
        left = ", ".join(
            f"{count[key]:,} {key}"
            for key in ("held", "unknown", "not_finite", "synthetic")
            if count.get(key)
        )
        lines = [
            f"{self.model} on {self.data}",
            f"{count['evaluated']:,} columns: {count['none']:,} none, {count['shallow']:,} shallow, "
            f"{count['deep']:,} deep" + (f" (left out: {left})" if left else ""),
            f"trigger accuracy {score_text(trigger['accuracy'])}, F1 {f1_text(trigger['f1'])}, "
            f"shallow F1 {f1_text(trigger['f1_shallow'])}, deep F1 {f1_text(trigger['f1_deep'])}",
        ]
        if rain:
            lines.append(
                f"rain rate: predicted / true {score_text(rain['ratio'])}, "
                f"correlation {score_text(rain['correlation'])}"
            )
        if self.scores.get("seen_in_training"):
            lines.append(
                "the model was trained on runs of these data: the scores do not measure generalisation"
            )
        return lines

    def __str__(self) -> str:
        groups = [line for rows in self.group_rows() for line in ("", *ruled(aligned(rows, align="<>")))]
        return "\n".join([*self.headline(), "", *ruled(aligned(self.rows(), align="<<>")), *groups])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *body = self.rows()
        tables = [html_table("\n".join(self.headline()), body, head=head)]
        tables += [html_table("groups", body, head=head) for head, *body in self.group_rows()]
        return "".join(tables)


def _group_rows(table: Mapping[str, Any]) -> list[list[str]]:
    """Return a table of groups as text: F1, R2 of the outputs where it is defined, rain and novelty."""
    rows, by = table["rows"], table["by"]
    outputs = [name for name in rows[0]["r2"] if any(row["r2"][name] is not None for row in rows)]
    extra = [key for key in GROUP_COLUMNS if any(row.get(key) is not None for row in rows)]
    head = [*by, "columns", "F1", "shallow", "deep", *(name.removesuffix("CUTEN") for name in outputs)]
    text = [[*head, *(GROUP_COLUMNS[key][0] for key in extra)]]
    for row in rows:
        cells = [*(str(row[key]) for key in by), f"{row['columns']:,}"]
        cells += [score_text(row[key]) for key in ("f1", "f1_shallow", "f1_deep")]
        cells += [score_text(row["r2"][name]) for name in outputs]
        text.append([*cells, *(score_text(row.get(key), GROUP_COLUMNS[key][1]) for key in extra)])
    return text


def _nested(scores: Mapping[str, Any], keys: tuple[str, ...]) -> float | None:
    value: Any = scores
    for key in keys:
        value = value[key]
    return None if value is None else float(value)


def f1_text(value: float | None, form: str = ".3f") -> str:
    """Format F1; n/a where the truth has no column of the class.

    Examples
    --------
    >>> f1_text(0.98765), f1_text(None)
    ('0.988', 'n/a')
    """
    return "n/a" if value is None else score_text(value, form)
