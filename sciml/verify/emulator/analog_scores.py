"""Scores of analog ensembles: novelty, and errors, CRPS and coverage where the true tendencies are known."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final, final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml.columns.classes import HELD, UNKNOWN
from sciml.tables import aligned, ruled, score_text

__all__ = ["AnalogScores", "score_analogs"]

Array = NDArray[Any]

HEAD: Final = ("columns", "tendency", "number", "R²", "CRPS", "coverage", "width")
DEFINITIONS: Final = {
    "novelty": "distance to the nearest stored column; above 1 it is larger than it is for 99 % of the stored columns",
    "effective members": "one over the sum of the squared weights, median over the columns",
    "R²": "1 less the mean square error of the mean over the variance of the truth, over all columns and levels",
    "CRPS": "mean continuous ranked probability score of the members over the standard deviation of the truth; for a "
    "prediction without spread the mean absolute error",
    "coverage": "share of the true values that are not zero inside the interval",
    "width": "mean width of the interval at these values over the standard deviation of the truth",
}


@final
@dataclasses.dataclass(frozen=True, repr=False)
class AnalogScores:
    """Scores of an analog ensemble. ``print`` shows them as a table.

    Attributes
    ----------
    memory
        Description of the stored columns.
    asked
        Number of the requested coverage.
    scores
        All numbers, nested as in the JSON file: ``novelty``, and ``outputs`` by group of columns and tendency.
    """

    memory: str
    asked: float
    scores: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {"memory": self.memory, "interval": self.asked, **self.scores, "definitions": DEFINITIONS}

    def headline(self) -> list[str]:
        """Return the lines above the table."""
        n = self.scores["novelty"]
        return [
            self.memory,
            f"{n['columns']:,} columns: {n['above_1']:.1%} with a novelty above 1; median {n['median']:.2g}, largest "
            f"{n['largest']:.3g}; {n['members']:.1f} effective members",
        ]

    def rows(self) -> list[list[str]]:
        """Return the rows of the table, without its head."""
        rows = []
        for group, outputs in self.scores["outputs"].items():
            for name, x in outputs.items():
                values = (score_text(x[key]) for key in ("r2", "crps", "coverage", "width"))
                rows.append([group, name, f"{x['columns']:,}", *values])
        return rows

    def __str__(self) -> str:
        lines = self.headline()
        if self.scores["outputs"]:
            interval = f"interval of {self.asked:.0%}"
            table = ruled(aligned([HEAD, *self.rows()], align="<<", gap="  "))
            return "\n".join([*lines, f"where the true tendencies are known ({interval}):", *table])
        return "\n".join([*lines, "the columns have no true tendencies, so that nothing is scored"])


def score_analogs(
    answer: xr.Dataset, columns: xr.Dataset, tendencies: Sequence[str], *, memory: str, coverage: float
) -> AnalogScores:
    """Score predictions of analogs.

    Parameters
    ----------
    answer
        Result of `AnalogMemory.predict` for the columns.
    columns
        The columns. Those whose tendencies the scheme held from an earlier call are not scored. Novel columns and
        others, and of several runs each, are also scored alone.
    tendencies
        Names of the tendencies.
    memory
        Description of the stored columns.
    coverage
        The requested coverage of the intervals.
    """
    novelty = answer["NOVELTY"].values
    scores: dict[str, Any] = {
        "novelty": {
            "columns": len(novelty),
            "above_1": float((novelty > 1).mean()),
            "median": float(np.median(novelty)),
            "largest": float(novelty.max()),
            "members": float(np.median(answer["ANALOGS"])),
        },
        "outputs": {},
    }
    known = [name for name in tendencies if f"{name}_CRPS" in answer]
    computed = np.ones(len(novelty), bool)
    if "KIND" in columns.variables:
        computed = ~np.isin(columns["KIND"].values, (HELD, UNKNOWN))
    if known and computed.any():
        for group, member in _groups(columns, computed, novelty > 1).items():
            rows = np.flatnonzero(member)
            some, true = answer.isel(column=rows), columns[known].isel(column=rows)
            scores["outputs"][group] = {name: _score(some, true, name) for name in known}
    return AnalogScores(memory, coverage, scores)


def _groups(columns: xr.Dataset, computed: Array, novel: Array) -> dict[str, Array]:
    groups = {"all": computed}
    if (computed & novel).any() and (computed & ~novel).any():
        groups |= {"novelty up to 1": computed & ~novel, "novelty above 1": computed & novel}
    if "RUN" in columns.variables:
        runs = columns["RUN"].values
        distinct = np.unique(runs[computed])
        if len(distinct) > 1:
            groups |= {f"run {run}": computed & (runs == run) for run in distinct}
    return groups


def _score(answer: xr.Dataset, columns: xr.Dataset, name: str) -> dict[str, Any]:
    truth = columns[name].transpose("column", ...).values.astype(np.float64)
    low, high = answer[f"{name}_LOW"].values, answer[f"{name}_HIGH"].values
    active, variance = truth != 0, float(truth.var())
    error = float(np.square(answer[name].values - truth).mean())
    spread = np.sqrt(variance)
    inside = (truth >= low) & (truth <= high)
    some = bool(active.any()) and variance > 0
    return {
        "columns": len(truth),
        "r2": 1 - error / variance if variance > 0 else None,
        "crps": float(answer[f"{name}_CRPS"].mean()) / spread if variance > 0 else None,
        "coverage": float(inside[active].mean()) if some else None,
        "width": float((high - low)[active].mean() / spread) if some else None,
    }
