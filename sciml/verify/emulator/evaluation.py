"""What an evaluation found, as numbers, as a table, and as the data its pictures are drawn from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, final

import xarray as xr

from sciml.tables import html_table

__all__ = ["Evaluation", "f1_text", "figure"]


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Evaluation:
    """The scores of one model on one set of columns.

    Attributes
    ----------
    model, data
        What was evaluated, and on what.
    scores
        Every number, nested as in the JSON file: ``trigger``, ``outputs``, ``rain``, ``budgets``,
        ``novelty``.
    profiles
        Statistics by level, dims (statistic, subset, level), a variable per output; ``height`` (level) in km.
    columns
        One entry per evaluated column, with the coordinates it came with: KIND, PRATEC, HEATING (W m-2),
        WATER, ENTHALPY, MOMENTUM with a dim ``source`` (truth, prediction); NOVELTY, WEIGHT where known.
        To find the worst columns, sort these.
    """

    model: str
    data: str
    scores: Mapping[str, Any]
    profiles: xr.Dataset
    columns: xr.Dataset

    def to_json(self) -> dict[str, Any]:
        """The numbers as a dict that `json.dump` takes: no NaN, None instead."""
        return {"model": self.model, "data": self.data, **self.scores}

    def rows(self) -> list[list[str]]:
        """The table of outputs: a header and a row per output, as text."""
        head = ["output", "unit", "R²", "deep", "shallow", "all", "class mean", "RMSE", "bias", "nmae"]
        table = [head]
        for name, found in self.scores["outputs"].items():
            table.append(
                [
                    name,
                    found["units"],
                    figure(found["r2"]),
                    figure(found["deep"]["r2"]),
                    figure(found["shallow"]["r2"]),
                    figure(found["r2_all"]),
                    figure(found["r2_class_mean"]),
                    figure(found["rmse"], "{:.2e}"),
                    figure(found["bias"], "{:+.1e}"),
                    figure(found["nmae"]),
                ]
            )
        return table

    def headline(self) -> list[str]:
        """The lines above the table: how many columns, and how well the trigger is met."""
        count, trigger, rain = self.scores["columns"], self.scores["trigger"], self.scores.get("rain")
        left = ", ".join(
            f"{count[key]:,} {key}" for key in ("held", "unknown", "not_finite") if count.get(key)
        )
        lines = [
            f"{self.model} on {self.data}",
            f"{count['evaluated']:,} columns: {count['none']:,} none, {count['shallow']:,} shallow, "
            f"{count['deep']:,} deep" + (f" (left out: {left})" if left else ""),
            f"trigger accuracy {figure(trigger['accuracy'])}, F1 {f1_text(trigger['f1'])}, "
            f"shallow F1 {f1_text(trigger['f1_shallow'])}, deep F1 {f1_text(trigger['f1_deep'])}",
        ]
        if rain:
            lines.append(
                f"rain rate: predicted / true {figure(rain['ratio'])}, "
                f"correlation {figure(rain['correlation'])}"
            )
        if self.scores.get("seen_in_training"):
            lines.append("trained on runs of this very data: these scores say nothing about others")
        return lines

    def __str__(self) -> str:
        table = self.rows()
        width = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
        lines = [
            "  ".join(
                cell.ljust(size) if i < 2 else cell.rjust(size)
                for i, (cell, size) in enumerate(zip(row, width, strict=True))
            ).rstrip()
            for row in table
        ]
        return "\n".join([*self.headline(), "", lines[0], "-" * max(map(len, lines)), *lines[1:]])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *body = self.rows()
        return html_table("\n".join(self.headline()), body, head=head)


def figure(value: float | None, form: str = "{:.3f}") -> str:
    """A number as text; a dash where it is not defined. What is not quite 1 does not read 1.000.

    Examples
    --------
    >>> figure(0.98765), figure(0.99991), figure(1.0), figure(None)
    ('0.988', '>0.999', '1.000', '–')
    """
    if value is None:
        return "–"
    if form == "{:.3f}" and 0.9995 <= value < 1:
        return ">0.999"
    return form.format(value)


def f1_text(value: float | None, form: str = "{:.3f}") -> str:
    """F1 as text; n/a where the truth has no column of the class.

    Examples
    --------
    >>> f1_text(0.98765), f1_text(None)
    ('0.988', 'n/a')
    """
    return "n/a" if value is None else figure(value, form)
