"""Accumulation of an evaluation over blocks of columns: sums, and a short row for each column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml.columns.classes import HELD, true_kinds
from sciml.columns.formats import SYNTHETIC
from sciml.columns.mixture import LEVELS as LEVELS_OF_EACH
from sciml.columns.mixture import padding
from sciml.errors import InputError, MissingVariable
from sciml.schemes.mskf import MSKF
from sciml.tables import plain
from sciml.verify.attributes import described
from sciml.verify.emulator.evaluation import Evaluation
from sciml.verify.emulator.groups import GROUP_DEFINITIONS, Groups
from sciml.verify.emulator.moments import CLASSES, DEEP, NIL, NONE, MomentSums
from sciml.verify.emulator.rain_rate import rain_scores
from sciml.verify.emulator.reliability import reliability
from sciml.verify.emulator.scores import confusion, output_scores, trigger_scores
from sciml.verify.emulator.tables import (
    SOURCES,
    STATISTICS,
    budget_scores,
    column_rows,
    column_table,
    novelty,
    profile_table,
)

__all__ = ["LEVELS", "OUTPUTS", "ScoreAccumulator", "classify"]

Array = NDArray[Any]

EVALUATION_SCHEMA: Final = 1
"""Schema of the JSON of an evaluation."""
OUTPUTS: Final = MSKF.unit_labels
"""Outputs that are scored where both sides have them, with their units."""

LEVELS: Final = MSKF.levels
"""Outputs that are model levels. They have no value without convection and are scored where both sides triggered."""

STATE: Final = ("RHO", "DZ8W", "PI_PHY", "T_PHY", "QVAPOR")
DEFINITIONS: Final = {
    "r2": "1 - SSE/SST over all elements (column, level) where the scheme triggered, SST about its mean",
    "r2_all": "the same over all evaluated columns",
    "CUTOP, CUBOT": "over the columns in which both the truth and the prediction triggered",
    "r2_class_mean": "the r2 of predicting the mean true profile of the true class of each column",
    "nmae": "sum |prediction - truth| / sum |truth|",
    "levels": "by level where the scheme triggered, lowest first; each r2 about the mean of its level",
    "water": "(PRATEC + sum m R) / sum m |R|, R the total water tendency, m = RHO * DZ8W",
    "enthalpy": "sum m (cp pi RTH + Lv(T) RQV) / sum m |cp pi RTH|",
    "momentum": "|sum m (RU, RV)| / sum m |(RU, RV)|",
    "confusion": "counts: rows are true classes, columns are predicted classes, in the order of classes",
}


def classify(columns: xr.Dataset) -> NDArray[np.int8]:
    """Return the class of each column: 0 none, 1 shallow, 2 deep.

    The class is KIND where that is 0, 1 or 2, else the result of `true_kinds` from NCA and PRATEC, and from CUDT and
    CUTOP where they are known.

    Raises
    ------
    MissingVariable
        There is neither KIND, nor NCA and PRATEC.
    """
    stated = columns["KIND"].values if "KIND" in columns.variables else np.array(-1)
    known = (stated >= NONE) & (stated <= DEEP)
    if known.all():
        return stated.astype(np.int8)
    nca, rain = _values(columns, "NCA"), _values(columns, "PRATEC")
    cudt, top = _setting(columns, "CUDT"), columns.get("CUTOP")
    kinds = true_kinds(nca, rain, cudt, None if top is None else top.values)
    return np.where(known, stated, kinds).astype(np.int8)


def _setting(columns: xr.Dataset, name: str) -> float | Array | None:
    """Return a setting of the run: (column,) where the runs differ, or a number, or None if it is not known."""
    if name in columns.variables:
        values: Array = columns[name].values
        return values
    value = columns.attrs.get(name)
    return None if value is None else float(value)


def _filled(columns: xr.Dataset, name: str, above: NDArray[np.bool_] | None) -> Array:
    """Return values with zeros above shorter columns."""
    values = _values(columns, name)
    return values if above is None or values.ndim < 2 else np.where(above, values.dtype.type(0), values)


def _values(columns: xr.Dataset, name: str) -> Array:
    if name not in columns.variables:
        raise MissingVariable(f"the columns have no {name}, which the scores need")
    values: Array = columns[name].transpose("column", ...).values
    return values


class ScoreAccumulator:
    """Scores of columns, accumulated block by block.

    Parameters
    ----------
    model, data, weighted
        As in `sciml.verify.emulator.evaluate.evaluate`.
    groups
        Tables of groups.
    """

    def __init__(
        self,
        *,
        model: str = "prediction",
        data: str = "columns",
        weighted: bool = False,
        groups: Sequence[Groups] = (),
    ) -> None:
        self.model, self.data, self.weighted = model, data, weighted
        self._groups = groups
        self._moments: dict[tuple[str, bool], MomentSums] = {}
        self._units: dict[str, str] = {}
        self._rows: list[xr.Dataset] = []
        self._heights: list[Array] = []
        self._counted: list[Array] = []
        self._left = {"held": 0, "unknown": 0, "not_finite": 0, "synthetic": 0}
        self._absent: set[str] = set()
        self._broken = 0
        self._dt: set[float] = set()

    def select(self, truth: xr.Dataset) -> NDArray[np.bool_]:
        """Select the columns that can be scored, and count the others; synthetic columns have no true outputs."""
        kind = _values(truth, "KIND")
        held = kind == HELD
        unknown = ~held & ((kind < NONE) | (kind > DEEP))
        finite = np.ones(kind.shape, bool)
        above = padding(truth)
        for name in OUTPUTS:
            if name in truth:
                finite &= _finite(_filled(truth, name, above))
        made = _values(truth, SYNTHETIC) != 0 if SYNTHETIC in truth.variables else np.zeros(kind.shape, bool)
        good: NDArray[np.bool_] = finite & ~held & ~unknown & ~made
        self._left["held"] += int(held.sum())
        self._left["unknown"] += int(unknown.sum())
        self._left["synthetic"] += int(made.sum())
        self._left["not_finite"] += int((~finite & ~held & ~unknown & ~made).sum())
        return good

    def add(self, truth: xr.Dataset, prediction: xr.Dataset) -> None:
        """Add the sums of columns that `select` selected; ``prediction`` has the same columns in the same order.

        Raises
        ------
        InputError
            A WEIGHT is negative or not finite.
        """
        kind = {"truth": _values(truth, "KIND").astype(np.int8), "prediction": classify(prediction)}
        matched = np.flatnonzero((kind["truth"] > NONE) & (kind["prediction"] > NONE))
        both = dict(zip(SOURCES, (truth, prediction), strict=True))
        outputs: dict[str, dict[str, Array]] = {source: {} for source in SOURCES}
        weight, above = _weight(truth), padding(truth)
        length = None if above is None else truth[LEVELS_OF_EACH].values
        for name, units in OUTPUTS.items():
            if name not in truth:
                continue
            if name not in prediction:
                self._absent.add(name)
                continue
            self._units[name] = str(truth[name].attrs.get("units", "")) or units
            for source, columns in both.items():
                values = _filled(columns, name, above)
                outputs[source][name] = np.where(kind[source] > NONE, values, 0) if name == "NCA" else values
            t, p = (outputs[source][name] for source in SOURCES)
            scored = matched if name in LEVELS else slice(None)
            levels = t.shape[1] if t.ndim > 1 else 1
            for weigh, by in ((False, None), (True, weight)):
                if not weigh or by is not None:
                    sums = self._moments.setdefault((name, weigh), MomentSums.empty(levels))
                    sums.add(
                        t[scored],
                        p[scored],
                        kind["truth"][scored],
                        None if by is None else by[scored],
                        levels=None if length is None else length[scored],
                    )
        both_triggered = np.zeros(kind["truth"].size, bool)
        both_triggered[matched] = True
        pairs = {name: (t, outputs["prediction"][name]) for name, t in outputs["truth"].items()}
        for group in self._groups:
            only, weights = dict.fromkeys(LEVELS, both_triggered), weight if self.weighted else None
            group.add(truth, pairs, kind["truth"], only, weights, length)
        finite = [_finite(values) for values in outputs["prediction"].values()]
        self._broken += int((~np.logical_and.reduce(finite)).sum()) if finite else 0
        dt = _setting(truth, "DT")
        dt = 0.0 if dt is None else dt
        self._dt.update(np.unique(dt).tolist())
        state = {name: _filled(truth, name, above) for name in STATE}
        thickness = state["DZ8W"].astype(np.float64)
        inside = np.ones(thickness.shape, bool) if above is None else ~above
        self._heights.append((np.cumsum(thickness, 1) - thickness / 2).sum(0, where=inside))
        self._counted.append(inside.sum(0))
        self._rows.append(column_rows(truth, prediction, state, outputs, kind, dt))

    @property
    def scored(self) -> bool:
        """Whether a column was added."""
        return bool(self._rows)

    def merge(self, other: ScoreAccumulator) -> None:
        """Add the columns of another accumulator with the same settings, after those added so far."""
        for key, sums in other._moments.items():
            self._moments.setdefault(key, MomentSums.empty(sums.sums.shape[1])).merge(sums)
        for own, group in zip(self._groups, other._groups, strict=True):
            own.merge(group)
        self._units |= other._units
        self._rows += other._rows
        self._heights += other._heights
        self._counted += other._counted
        self._left = {name: count + other._left[name] for name, count in self._left.items()}
        self._absent |= other._absent
        self._broken += other._broken
        self._dt |= other._dt

    def result(self) -> Evaluation:
        """Return the evaluation of the columns added so far.

        Raises
        ------
        InputError
            No column was scored, or ``weighted`` is true and WEIGHT does not vary.
        """
        if not self._rows:
            left = ", ".join(f"{count} {name}" for name, count in self._left.items())
            raise InputError(
                f"{self.data}: no column to evaluate (left out: {left}); give output at cumulus times, "
                "captured or drawn pairs, or the output of the true scheme with --reference"
            )
        columns = column_table(self._rows)
        weighable = "WEIGHT" in columns and bool(np.ptp(columns["WEIGHT"].values) > 0)
        if self.weighted and not weighable:
            raise InputError(f"{self.data}: WEIGHT is missing or constant, so the scores cannot be weighted")
        kind = columns["KIND"].sel(source="truth").values
        with np.errstate(invalid="ignore"):  # no evaluated column may be as long as the longest
            height = np.sum(self._heights, axis=0) / np.sum(self._counted, axis=0) / 1000
        moments = {name: sums for (name, weigh), sums in self._moments.items() if weigh == self.weighted}
        profiles = profile_table(moments, height, self._units)
        scores: dict[str, Any] = {
            "schema": EVALUATION_SCHEMA,
            "weighted_scores": self.weighted,
            "columns": {
                "evaluated": kind.size,
                **{name: int((kind == index).sum()) for index, name in enumerate(CLASSES)},
                **self._left,
                "prediction_not_finite": self._broken,
            },
            **self._figures(columns, self.weighted),
            "budgets": budget_scores(columns, sorted(self._dt)),
            "novelty": novelty(columns),
            "not_scored": sorted(self._absent),
            "height_km": plain(height),
            "definitions": dict(DEFINITIONS),
        }
        if self._groups:
            scores["groups"] = [group.to_json(columns, self.weighted) for group in self._groups]
            scores["definitions"] |= GROUP_DEFINITIONS
        for name in profiles.data_vars:
            level = profiles[name].sel(subset="triggered")
            scores["outputs"][name]["levels"] = {x: plain(level.sel(statistic=x).values) for x in STATISTICS}
        if weighable and not self.weighted:
            scores["weighted"] = self._figures(columns, True)
        history = f"{self.model} evaluated on {self.data}"
        return Evaluation(
            self.model, self.data, scores, described(profiles, {}, history), described(columns, {}, history)
        )

    def _figures(self, columns: xr.Dataset, weighted: bool) -> dict[str, Any]:
        kind, predicted = columns["KIND"].values
        weight = columns["WEIGHT"].values if weighted else None
        trigger = trigger_scores(confusion(kind, predicted, weight))
        for name, event in (("P_TRIGGER", kind > NONE), ("P_DEEP", kind == DEEP)):
            if name in columns:
                stated = reliability(columns[name].values, event, weight)
                trigger.setdefault("reliability", {})[name] = stated
        figures: dict[str, Any] = {
            "trigger": trigger,
            "outputs": {
                name: {"units": self._units[name], **output_scores(sums, NIL.get(name, 0.0))}
                for (name, weigh), sums in self._moments.items()
                if weigh == weighted
            },
        }
        if "PRATEC" in columns:
            true, predicted = columns["PRATEC"].values
            figures["rain"] = rain_scores(true, predicted, weight)
        return figures


def _weight(columns: xr.Dataset) -> Array | None:
    """Check the weights, if there are any; a NaN would make every weighted score NaN."""
    if "WEIGHT" not in columns.variables:
        return None
    weight: Array = columns["WEIGHT"].values
    bad = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if bad.size:
        raise InputError(
            f"WEIGHT has {bad.size} values that are not finite or negative, such as {weight[bad[0]]}: "
            "drop those columns, or drop WEIGHT"
        )
    return weight


def _finite(values: Array) -> NDArray[np.bool_]:
    good: NDArray[np.bool_] = (~np.isfinite(values)).reshape(len(values), values[:1].size).sum(1) == 0
    return good
