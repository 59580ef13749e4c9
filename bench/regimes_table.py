"""Tables of the numbers of bench/regimes.py: the scores of each test, and whether they reach the goals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

OURS, EARLIER = "mskf-regimes", "mskf-convrad"
GOALS = {
    "f1": 0.9995,  # 1.000 as printed
    "f1_deep": 0.99,
    "f1_shallow": 0.99,
    **dict.fromkeys(("RTHCUTEN", "RQVCUTEN", "RQCCUTEN", "RQICUTEN", "RQRCUTEN"), 0.985),
    "PRATEC": 0.97,
    **dict.fromkeys(("RUCUTEN", "RVCUTEN"), 0.95),
    **dict.fromkeys(("CLDFRA_DP", "CLDFRA_SH"), 0.98),
}
"""Least score of each held-out run."""
NAMES = tuple(name for name in GOALS if not name.startswith("f1"))
NOVELTY = {"novel": "novel, %", "novelty_rank": "rank", "novelty_usual": "usual, %"}
EQUILIBRIUM_RUN = 92
SHORT = {"f1": "F1", "f1_deep": "F1 deep", "f1_shallow": "F1 shallow"}


class Value(NamedTuple):
    """A score, and the test (and seed, and output) that it is of."""

    value: float
    where: str


class Goal(NamedTuple):
    """A goal: what is measured, the limit, the worst value, and whether larger is better."""

    what: str
    limit: float
    worst: Value | None
    larger: bool = True

    @property
    def reached(self) -> bool:
        """Whether the worst value is within the limit."""
        if self.worst is None:
            return False
        return self.worst.value >= self.limit if self.larger else self.worst.value <= self.limit


def texts(numbers: Mapping[str, Any]) -> str:
    """Write the tables in Markdown: the scores of the tests by model, and the goals."""
    rows = numbers["rows"]
    parts = [f"`{OURS}`: mean (worst) of the seeds\n\n{table(rows, OURS)}"]
    parts.append(f"`{EARLIER}`\n\n{table(rows, EARLIER)}")
    parts.append(f"Goals, with the worst seed\n\n{verdicts(rows, numbers['held_out'])}")
    return "\n\n".join(parts)


def table(rows: Mapping[str, Mapping[str, Any]], model: str) -> str:
    """Write a row per test, a column per score, with the mean (and worst) of the seeds."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for name, row in rows.items():
        who, test = name.split(": ")
        if who.split(", seed")[0] == model:
            groups.setdefault(test, []).append(row)
    columns = {**{name: SHORT.get(name, name) for name in GOALS}, "rain_ratio": "rain", **NOVELTY}
    lines = ["| | " + " | ".join(columns.values()) + " |", "|---" * (len(columns) + 1) + "|"]
    for test, mine in groups.items():
        lines.append(f"| {test} | " + " | ".join(_cell(mine, name) for name in columns) + " |")
    return "\n".join(lines)


def _cell(rows: Iterable[Mapping[str, Any]], name: str) -> str:
    values = [row[name] for row in rows if row.get(name) is not None]
    if not values:
        return "-"
    scale, digits = (100, 1) if NOVELTY.get(name, "").endswith("%") else (1, 3)
    if name == "rain_ratio":
        worst = max(values, key=lambda value: abs(value - 1))
    else:
        worst = max(values) if scale == 100 else min(values)
    brackets = f" ({scale * worst:.{digits}f})" if len(values) > 1 else ""
    return f"{scale * np.mean(values):.{digits}f}{brackets}"


def verdicts(rows: Mapping[str, Mapping[str, Any]], held_out: Iterable[int]) -> str:
    """Write a row per goal: limit, worst value and where it was measured, and whether the goal is reached."""
    lines = ["| goal | limit | worst | where | |", "|---|---|---|---|---|"]
    for goal in goals(rows, held_out):
        if goal.worst is not None:
            side, verdict = ">=" if goal.larger else "<=", "reached" if goal.reached else "**missed**"
            lines.append(
                f"| {goal.what} | {side} {goal.limit:g} | {goal.worst.value:.4f} | {goal.worst.where} | {verdict} |"
            )
    return "\n".join(lines)


def goals(rows: Mapping[str, Mapping[str, Any]], held_out: Iterable[int]) -> list[Goal]:
    """Compare the scores with each goal; the worst value is None where nothing was measured."""
    regimes = [f"run {run}" for run in held_out if run != EQUILIBRIUM_RUN]
    column = [f"run {EQUILIBRIUM_RUN}"]
    measured = _Measured(rows)
    result = [
        Goal(f"{SHORT.get(name, 'R2 of ' + name)}, held-out runs", limit, measured.least(regimes, name))
        for name, limit in GOALS.items()
    ]
    result += [
        Goal("rank correlation of novelty and error", 0.5, measured.least(regimes, "novelty_rank")),
        Goal(
            "novel where the error is usual", 0.05, measured.greatest(regimes, "novelty_usual"), larger=False
        ),
        Goal(f"R2 minus that of {EARLIER}, run 3 and sample", -0.003, measured.less_than_earlier()),
        Goal("change of R2 by other levels", 0.02, measured.change_by_levels(), larger=False),
        Goal("R2 of RQVCUTEN, terrain", 0.93, measured.least(["terrain"], "RQVCUTEN")),
        Goal("R2 of PRATEC, terrain", 0.92, measured.least(["terrain"], "PRATEC")),
        Goal("F1 deep, equilibrium", 0.99, measured.least(column, "f1_deep")),
        Goal("R2 of deep heating, equilibrium", 0.98, measured.least(column, "deep RTHCUTEN")),
        Goal("R2 of deep moistening, equilibrium", 0.95, measured.least(column, "deep RQVCUTEN")),
        Goal(
            "rain, relative difference, equilibrium",
            0.02,
            measured.greatest(column, "rain_ratio", lambda ratio: abs(ratio - 1)),
            larger=False,
        ),
        Goal("novel, equilibrium", 0.1, measured.greatest(column, "novel"), larger=False),
    ]
    return result


class _Measured:
    """Scores of the emulators of many regimes."""

    def __init__(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        split = {tuple(name.split(": ")): row for name, row in rows.items()}
        self.ours = {key: row for key, row in split.items() if key[0].startswith(OURS)}
        self.earlier = {key[1]: row for key, row in split.items() if key[0] == EARLIER}

    def least(self, tests: Iterable[str], name: str) -> Value | None:
        """Return the least value of a score over tests and seeds."""
        return min(self._values(tests, name), default=None)

    def greatest(self, tests: Iterable[str], name: str, of: Callable[[float], float] = float) -> Value | None:
        """Return the greatest value of a function of a score over tests and seeds."""
        values = self._values(tests, name)
        return max((Value(of(value), where) for value, where in values), default=None)

    def _values(self, tests: Iterable[str], name: str) -> list[Value]:
        chosen = set(tests)
        return [
            Value(row[name], f"{test}, {model.removeprefix(f'{OURS}, ')}")
            for (model, test), row in self.ours.items()
            if test in chosen and row.get(name) is not None
        ]

    def less_than_earlier(self) -> Value | None:
        """Return the least difference of R2 from the earlier emulator on its own regime."""
        differences = [
            Value(row[name] - self.earlier[test][name], f"{name}, {test}")
            for (_, test), row in self.ours.items()
            if test in ("run 3", "sample") and test in self.earlier
            for name in NAMES
            if row.get(name) is not None and self.earlier[test].get(name) is not None
        ]
        return min(differences, default=None)

    def change_by_levels(self) -> Value | None:
        """Return the greatest change of R2 between the given and other numbers of levels."""
        parsed = [
            (model, match[1], match[2], row)
            for (model, test), row in self.ours.items()
            if (match := re.fullmatch(r"(.*) at (\d+) levels", test))
        ]
        changes: list[Value] = []
        for model, run, levels, row in parsed:
            given = next(own for who, where, _, own in parsed if (who, where) == (model, run))
            changes += [
                Value(abs(row[name] - given[name]), f"{name}, {run} at {levels} levels")
                for name in NAMES
                if row is not given and row.get(name) is not None and given.get(name) is not None
            ]
        return max(changes, default=None)
