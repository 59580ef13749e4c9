"""Scores of groups of columns, such as those of each run, each grid spacing, or each class of each run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml.errors import InputError
from sciml.tables import plain
from sciml.verify.emulator.moments import CLASSES, NIL, MomentSums
from sciml.verify.emulator.rain_rate import rain_scores
from sciml.verify.emulator.scores import confusion, trigger_scores

__all__ = ["GROUP_DEFINITIONS", "KEYS", "Groups", "check_keys"]

Array = NDArray[Any]

KEYS: Final = {"run": "RUN", "dx": "DX", "dt": "DT", "cudt": "CUDT", "levels": "LEVELS", "class": "KIND"}
"""Variable or attribute of the columns of each key of a group."""

FEWEST: Final = 10
"""Least number of columns for a rank correlation."""

F1_NAMES: Final = ("f1", "f1_shallow", "f1_deep")

GROUP_DEFINITIONS: Final = {
    "groups": "scores of the columns with the same value of each key; class is the true class. With class among the "
    "keys, F1 is that of the class of the row, over the columns with the other keys of the row",
    "novel": "share of the columns with a rising plume whose NOVELTY is above 1",
    "novelty_rank": "Spearman's rank correlation of NOVELTY and the root mean square error of RTHCUTEN (weighted by "
    "mass) of a column, over the columns with a rising plume",
    "novelty_usual": "share of NOVELTY above 1 of the columns whose error is not above the 99th percentile of the "
    "error of the training",
}


def check_keys(by: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """Return the keys of each table of groups.

    Raises
    ------
    InputError
        A key is unknown, or given twice.

    Examples
    --------
    >>> check_keys([["run", "dx"], ["class"]])
    (('run', 'dx'), ('class',))
    """
    for keys in by:
        unknown = [key for key in keys if key not in KEYS]
        if isinstance(keys, str) or unknown or not keys or len(set(keys)) < len(keys):
            raise InputError(f"groups by {keys!r} (--by): give some of {', '.join(KEYS)}, each once")
    return tuple(tuple(keys) for keys in by)


class Groups:
    """Sums for the scores of the groups of one table.

    Parameters
    ----------
    by
        Keys of the groups, of `KEYS`.
    usual_error
        99th percentile of the error of a column's heating (K/s) in the training; None if it is not known.
    """

    def __init__(self, by: tuple[str, ...], usual_error: float | None = None) -> None:
        self.by, self.usual_error = by, usual_error
        self._sums: dict[tuple[float, ...], dict[str, MomentSums]] = {}
        self._keys: list[Array] = []

    def add(
        self,
        truth: xr.Dataset,
        outputs: Mapping[str, tuple[Array, Array]],
        kind: Array,
        scored: Mapping[str, Array],
        weight: Array | None,
        levels: Array | None,
    ) -> None:
        """Add columns.

        Parameters
        ----------
        truth
            True columns.
        outputs
            True and predicted values by name.
        kind
            True classes.
        scored
            Masks (column,) of the outputs that are not scored in all columns.
        weight, levels
            As for `MomentSums.add`.
        """
        table = np.stack([_values(truth, key, kind) for key in self.by], 1)
        self._keys.append(table)
        for group in np.unique(table, axis=0):
            member = (table == group).all(1)
            sums = self._sums.setdefault(tuple(group.tolist()), {})
            for name, (t, p) in outputs.items():
                here = member & scored.get(name, True)
                own = sums.setdefault(name, MomentSums.empty(t.shape[1] if t.ndim > 1 else 1))
                own.add(
                    t[here],
                    p[here],
                    kind[here],
                    None if weight is None else weight[here],
                    levels=None if levels is None else levels[here],
                )

    def merge(self, other: Groups) -> None:
        """Add the columns of other groups by the same keys, after those added so far."""
        for group, moments in other._sums.items():
            sums = self._sums.setdefault(group, {})
            for name, more in moments.items():
                sums.setdefault(name, MomentSums.empty(more.sums.shape[1])).merge(more)
        self._keys += other._keys

    def to_json(self, columns: xr.Dataset, weighted: bool) -> dict[str, Any]:
        """Return the table: ``by``, and a row for each group.

        Parameters
        ----------
        columns
            Table of the columns (`sciml.verify.emulator.tables.column_table`), in the order in which they were added.
        weighted
            Whether to weight F1, the ratio of rain and the share of novel columns by WEIGHT.
        """
        table = np.concatenate(self._keys)
        rest = np.array([key != "class" for key in self.by])
        rows = []
        for group in sorted(self._sums):
            member = (table == group).all(1)
            wider = (table[:, rest] == np.array(group)[rest]).all(1)
            names = {
                key: CLASSES[int(value)] if key == "class" else _whole(value)
                for key, value in zip(self.by, group, strict=True)
            }
            r2 = {name: sums.scores(nil=NIL.get(name, 0.0)).r2 for name, sums in self._sums[group].items()}
            rows.append(
                {
                    **names,
                    "columns": int(member.sum()),
                    **self._trigger(columns, member, wider, names.get("class"), weighted),
                    "r2": r2,
                    "rain_ratio": _rain_ratio(columns, member, weighted),
                    **self._novelty(columns, member, weighted),
                }
            )
        content: dict[str, Any] = plain({"by": list(self.by), "rows": rows})
        return content

    def _trigger(
        self, columns: xr.Dataset, member: Array, wider: Array, name: str | float | None, weighted: bool
    ) -> dict[str, float | None]:
        where = member if name is None else wider
        kind, predicted = columns["KIND"].values[:, where]
        scores = trigger_scores(confusion(kind, predicted, _weight(columns, where, weighted)))
        return {x: scores[x] if name is None or x == f"f1_{name}" else None for x in F1_NAMES}

    def _novelty(self, columns: xr.Dataset, member: Array, weighted: bool) -> dict[str, float]:
        if "NOVELTY" not in columns:
            return {}
        here = member & (columns["NOVELTY"].values != 0)
        novelty, weight = columns["NOVELTY"].values[here].astype(np.float64), _weight(columns, here, weighted)
        result = {"novel": _mean(novelty > 1, weight)}
        if "HEATING_ERROR" in columns:
            error = columns["HEATING_ERROR"].values[here].astype(np.float64)
            result["novelty_rank"] = _rank_correlation(novelty, error)
            if self.usual_error is not None:
                result["novelty_usual"] = _mean(novelty[error <= self.usual_error] > 1)
        return result


def _values(columns: xr.Dataset, key: str, kind: Array) -> Array:
    """Return the values (column,) of a key."""
    name = KEYS[key]
    if key == "class":
        return kind.astype(np.float64)
    if name in columns.variables:
        return columns[name].values.astype(np.float64)
    value = columns.sizes["level"] if key == "levels" else columns.attrs.get(name)
    if value is None:
        raise InputError(f"groups by {key} (--by): the columns do not have {name}")
    return np.full(columns.sizes["column"], float(value))


def _weight(columns: xr.Dataset, where: Array, weighted: bool) -> Array | None:
    return columns["WEIGHT"].values[where] if weighted else None


def _rain_ratio(columns: xr.Dataset, member: Array, weighted: bool) -> float | None:
    if "PRATEC" not in columns:
        return None
    true, predicted = columns["PRATEC"].values[:, member]
    ratio: float | None = rain_scores(true, predicted, _weight(columns, member, weighted), thresholds=())[
        "ratio"
    ]
    return ratio


def _rank_correlation(a: Array, b: Array) -> float:
    from scipy.stats import spearmanr

    finite = np.isfinite(b)
    a, b = a[finite], b[finite]
    if a.size < FEWEST or (a == a[0]).all() or (b == b[0]).all():
        return float("nan")
    return float(spearmanr(a, b).statistic)


def _mean(values: Array, weight: Array | None = None) -> float:
    if not values.size or (weight is not None and not weight.sum()):
        return float("nan")
    return float(np.average(values, weights=weight))


def _whole(value: float) -> float:
    return int(value) if value == int(value) else value
