"""Results of a comparison of rain: scores, fields and floor, as tables, text and data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml.tables import aligned, decimals, html_table, plain
from sciml.verify.forecast.rain_floor import RainFloor
from sciml.verify.forecast.rain_scores import CATEGORICAL
from sciml.verify.forecast.run_times import stamp

__all__ = ["RainComparison", "floor_range", "text_table"]

Array = NDArray[Any]

RAINFALL_SCHEMA: Final = 1
"""Schema of the JSON of a rainfall verification."""
AMOUNTS: Final = {
    "mean_reference": ("mean of the reference", "mm"),
    "mean_candidate": ("mean of the candidate", "mm"),
    "bias": ("bias", "mm"),
    "ratio": ("ratio of the means", "1"),
    "mae": ("mean absolute error", "mm"),
    "rmse": ("RMSE", "mm"),
    "correlation": ("correlation", "1"),
    "spread_ratio": ("ratio of standard deviations", "1"),
    "crps": ("CRPS of the ensemble, fair", "mm"),
    "spread_skill": ("spread of the ensemble over its error", "1"),
}
"""Long names and units of the scores of the amounts."""

SCORES: Final[dict[str, tuple[str, str]]] = {
    **AMOUNTS,
    **{name: (theirs.replace("_", " "), "1") for name, theirs in CATEGORICAL.items()},
    **{
        name: (name.replace("_", " "), "1")
        for name in ("hits", "misses", "false_alarms", "correct_negatives")
    },
    "fss": ("fractions skill score", "1"),
    "brier": ("Brier score", "1"),
    "rank_histogram": ("cells by the rank of the reference among the members", "1"),
    "threshold": ("least amount of an event in a window", "mm"),
    "scale": ("side of the squares in cells", "1"),
    "estimate": ("value of the score and ends of its interval", ""),
}
"""Long names and units of the variables of `RainComparison.scores`."""

FIELDS: Final[dict[str, tuple[str, str]]] = {
    "reference": ("mean amount of the reference in a window", "mm"),
    "candidate": ("mean amount of the candidate in a window", "mm"),
    "hovmoeller_x": ("amount in a window, mean over y", "mm"),
    "hovmoeller_y": ("amount in a window, mean over x", "mm"),
    "Time": ("end of the window", ""),
    "intensity": ("share of the cells", "1"),
    "bin": ("amount in a window", "mm"),
    "diurnal": ("mean rain rate", "mm h-1"),
    "hour": ("mean solar time", "h"),
}
"""Long names and units of the variables of `RainComparison.fields`."""

EVENTS: Final = {"frequency_bias": "frequency bias", "brier": "Brier score"}
"""Names of the scores by threshold in tables; the other names are acronyms in capitals."""

CaptionedRows = tuple[str, list[str], list[list[str]]]


@dataclass(frozen=True, eq=False)
class RainComparison:
    """Scores of the rain of a candidate, compared with a reference. ``print`` shows them as tables.

    Parameters
    ----------
    names
        Names of the reference and the candidate.
    scores
        Every score with ``estimate`` value, lower, upper: see `sciml.verify.forecast.rain_scores`.
    fields
        ``reference``, ``candidate`` (y, x): their mean amounts per window, mm; ``hovmoeller_x`` (source, Time, x),
        ``hovmoeller_y``; ``intensity`` (source, bin); ``diurnal`` (source, hour), mm/h.
    window
        Length of the windows, hours; 0 where it is not known.
    summary
        Lines on the windows, the parts that were left out, and the intervals.
    floor
        The same scores of perturbed runs of the reference; None without such runs.
    """

    names: tuple[str, str]
    scores: xr.Dataset = field(repr=False)
    fields: xr.Dataset = field(repr=False)
    window: float
    summary: tuple[str, ...]
    floor: RainFloor | None = field(default=None, repr=False)

    def tables(self) -> list[CaptionedRows]:
        """Return caption, head and rows of each table: values, with their intervals in brackets.

        Cells by threshold have lines: the value, its interval and, with a floor, its range and the verdict.
        """
        whole = [str(name) for name in self.scores.data_vars if self.scores[name].dims == ("estimate",)]
        rows = [[_amount(name), _cell(self.scores[name].values), *self._beside(name)] for name in whole]
        head = ["score", "value", *(["floor", "verdict"] if self.floor is not None else [])]
        result: list[CaptionedRows] = [("Amounts", head, rows)]
        limits = [float(x) for x in self.scores["threshold"].values]
        by_threshold = [name for name in (*CATEGORICAL, "brier") if name in self.scores]
        head = ["score", *(f"{x:g} mm" for x in limits)]
        rows = [
            [EVENTS.get(name, name.upper()), *(self._stack(name, {"threshold": x}) for x in limits)]
            for name in by_threshold
        ]
        result.append(("Events by threshold", head, rows))
        if "fss" in self.scores:
            rows = [
                [
                    f"{side} x {side} cells",
                    *(self._stack("fss", {"threshold": x, "scale": side}) for x in limits),
                ]
                for side in self.scores["scale"].values
            ]
            head = ["square", *head[1:]]
            result.append(("Fractions skill score by square and threshold", head, rows))
        return result

    def _beside(self, name: str) -> list[str]:
        """Return the floor of a score of the amounts, and the verdict."""
        if self.floor is None:
            return []
        values = self.floor.values(name, {}) if name in self.floor.scores else []
        return [floor_range(values), self.floor.verdict(name, {})]

    def _stack(self, name: str, at: Mapping[str, Any]) -> str:
        lines = _cell(self.scores[name].sel(**at).values).split(" ", 1)
        if self.floor is not None and name in self.floor.scores:
            known = [x for x in self.floor.values(name, at) if np.isfinite(x)]
            if lines == ["-"] and not known:
                return "-"
            extent = (
                " to ".join(dict.fromkeys(decimals(x) for x in (min(known), max(known)))) if known else "-"
            )
            lines = [*lines, *[""] * (2 - len(lines)), f"floor {extent}"]
            lines.append(self.floor.verdict(name, at))
        return "\n".join(lines)

    def headline(self) -> list[str]:
        """Return the names of both, the summary, and the summary of the floor."""
        floor = [self.floor.summary()] if self.floor is not None else []
        return [f"{self.names[1]} against {self.names[0]}", *self.summary, *floor]

    def __str__(self) -> str:
        return "\n".join([*self.headline(), *(text_table(*table) for table in self.tables())])

    def _repr_html_(self) -> str:
        tables = [html_table(caption, rows, head=tuple(head)) for caption, head, rows in self.tables()]
        return html_table("\n".join(self.headline()), []) + "".join(tables)

    def to_json(self) -> dict[str, Any]:
        """Return every number for `json.dumps`."""
        scored = {str(name): plain(values.values) for name, values in self.scores.variables.items()}
        drawn = {
            str(name): plain(values.values)
            for name, values in self.fields.variables.items()
            if name != "Time"
        }
        return {
            "schema": RAINFALL_SCHEMA,
            "reference": self.names[0],
            "candidate": self.names[1],
            "window_hours": self.window,
            "times": [stamp(time) for time in self.fields["Time"].values],
            "said": list(self.summary),
            "scores": {
                **scored,
                "dims": {str(name): list(v.dims) for name, v in self.scores.data_vars.items()},
            },
            "floor": None if self.floor is None else self.floor.to_json(),
            "fields": drawn,
        }


def text_table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""Format a table as text; a cell may have several lines.

    Examples
    --------
    >>> print(text_table("skill", ["score", "1 mm"], [["csi", "0.500\n[0.4, 0.6]"]]).lstrip())
    skill
    score  1 mm
    csi    0.500
           [0.4, 0.6]
    """
    return "\n".join(["", caption, *aligned([head, *rows], align="<")])


def floor_range(values: Sequence[float], form: Callable[[float], str] | None = None) -> str:
    """Format the value of one floor run, or mean and range of several.

    Examples
    --------
    >>> floor_range([0.5]), floor_range([0.4, 0.6])
    ('0.500', '0.500 (0.400 to 0.600)')
    """
    form = form or decimals
    known = [value for value in values if np.isfinite(value)]
    if len(known) < 2:
        return form(known[0]) if known else "-"
    return f"{form(float(np.mean(known)))} ({form(min(known))} to {form(max(known))})"


def _amount(name: str) -> str:
    """Return the name of a score of the amounts in tables, with its units."""
    long_name, units = AMOUNTS.get(name, (name, "1"))
    return long_name if units == "1" else f"{long_name} ({units})"


def _cell(score: Array) -> str:
    value, low, high = (float(x) for x in score)
    known = bool(np.isfinite([low, high]).all())
    return f"{decimals(value)} [{decimals(low)}, {decimals(high)}]" if known else decimals(value)
