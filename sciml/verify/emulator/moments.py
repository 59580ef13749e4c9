"""Scores of predicted columns, as numpy arrays in and plain numbers out.

Everything rests on `Moments`: nine weighted sums per class of the true column and per level. Sums of blocks
add up, so a data set of any size is scored in bounded memory, and every score of any subset (triggered, deep,
shallow, all; whole or by level) comes from the same sums.

Definitions, with t the truth, p the prediction, w the weight, sums over all elements (columns and levels) of
one variable in the subset:

======== =====================================================================================
r2       1 - SSE/SST; SSE = sum w (p - t)^2, SST = sum w (t - m)^2, m = the mean of t over ALL
         those elements (one number, not a mean profile)
rmse     sqrt(SSE / sum w)
bias     sum w (p - t) / sum w
nmae     sum w |p - t| / sum w |t|
======== =====================================================================================
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciml.errors import InputError

__all__ = [
    "CLASSES",
    "DEEP",
    "EVERY",
    "NIL",
    "NONE",
    "SHALLOW",
    "TRIGGERED",
    "Moments",
    "Scores",
    "confusion",
    "f1",
    "output_scores",
    "plain",
    "score",
    "trigger_scores",
]

Floats = NDArray[np.float64]

CLASSES: Final = ("none", "shallow", "deep")
NONE, SHALLOW, DEEP = 0, 1, 2
TRIGGERED: Final = (SHALLOW, DEEP)
EVERY: Final = (NONE, SHALLOW, DEEP)

NIL: Final[Mapping[str, float]] = {
    **dict.fromkeys(("RQVCUTEN", "RQCCUTEN", "RQRCUTEN", "RQICUTEN", "RQSCUTEN"), 1e-11),
    **dict.fromkeys(("QC_CU", "QI_CU"), 1e-9),
    **dict.fromkeys(("CLDFRA_DP", "CLDFRA_SH"), 1e-6),
}
"""Standard deviations of the truth below which a variable counts as nil and has no R2, in its own unit.

1e-11 kg kg-1 s-1 is one milligram per kilogram and day: MSKF's RQSCUTEN stays thirty times below it.
"""

_SUMS: Final = ("w", "t", "tt", "p", "pp", "e", "ee", "abs_e", "abs_t")
_EXACT: Final = 1e-13  # SST below this share of sum(t^2) is the rounding of a constant


def plain(value: Any) -> Any:
    """Turn numbers, arrays and nested containers into what JSON can say: NaN and infinity become None.

    Examples
    --------
    >>> plain({"r2": np.float32("nan"), "levels": np.array([0.5, np.inf])})
    {'r2': None, 'levels': [0.5, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.bool_ | bool):
        return bool(value)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.floating | float):
        return float(value) if np.isfinite(value) else None
    return value


@dataclasses.dataclass(frozen=True)
class Scores:
    """The scores of one variable over one subset; NaN where a score is not defined."""

    n: float
    r2: float
    rmse: float
    bias: float
    nmae: float

    def to_json(self) -> dict[str, Any]:
        """A dict of plain numbers."""
        result: dict[str, Any] = plain(dataclasses.asdict(self))
        return result


@dataclasses.dataclass
class Moments:
    """Weighted sums by class of the true column and by level.

    Attributes
    ----------
    sums
        Shape (3 classes, levels, 9 sums), float64.

    Examples
    --------
    >>> truth = np.array([[0.0, 0.0], [1.0, 3.0]])
    >>> moments = Moments.empty(levels=2).add(truth, truth + 0.5, kind=[0, 2])
    >>> moments.scores()
    Scores(n=2.0, r2=0.75, rmse=0.5, bias=0.5, nmae=0.25)
    """

    sums: Floats

    @classmethod
    def empty(cls, levels: int) -> Self:
        """No columns yet; ``levels`` is 1 for a variable with one number a column."""
        return cls(np.zeros((len(CLASSES), levels, len(_SUMS))))

    def add(
        self, truth: ArrayLike, prediction: ArrayLike, kind: ArrayLike, weight: ArrayLike | None = None
    ) -> Self:
        """Add columns.

        Parameters
        ----------
        truth, prediction
            Shape (column,) or (column, level), in the variable's unit.
        kind
            Shape (column,): the class of the TRUE column, 0 none, 1 shallow, 2 deep.
        weight
            Shape (column,); one each if None.

        Raises
        ------
        InputError
            If shapes differ.
        """
        t, p, k = _columns(truth), _columns(prediction), np.asarray(kind)
        if t.shape != p.shape or t.shape != (k.size, self.sums.shape[1]):
            raise InputError(
                f"truth {t.shape}, prediction {p.shape} and class {k.shape} do not fit together for "
                f"{self.sums.shape[1]} levels: give (column, level) arrays of the same columns"
            )
        w = np.ones(k.size) if weight is None else np.asarray(weight, np.float64)
        for index in EVERY:
            here = k == index
            if not here.any():
                continue
            a, b, c = t[here], p[here], w[here]
            e = b - a
            self.sums[index, :, 0] += c.sum()
            for column, term in enumerate((a, a * a, b, b * b, e, e * e, np.abs(e), np.abs(a)), start=1):
                self.sums[index, :, column] += c @ term
        return self

    def merge(self, other: Moments) -> Self:
        """Add the sums of other columns."""
        self.sums += other.sums
        return self

    def scores(self, kinds: Iterable[int] = TRIGGERED, *, nil: float = 0.0) -> Scores:
        """Scores over all elements of the columns of these classes; see the definitions above."""
        return _scores(self.sums[list(kinds)].sum((0, 1)), nil)

    def by_level(self, kinds: Iterable[int] = TRIGGERED, *, nil: float = 0.0) -> list[Scores]:
        """Scores level by level; each R2 is about that level's own mean."""
        return [_scores(row, nil) for row in self.sums[list(kinds)].sum(0)]

    def mean_profiles(self, kinds: Iterable[int] = TRIGGERED) -> dict[str, Floats]:
        """Means and deviations by level: ``truth``, ``truth_std``, ``prediction``, ``prediction_std``."""
        total = dict(zip(_SUMS, np.moveaxis(self.sums[list(kinds)].sum(0), -1, 0), strict=True))
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = {name: total[name] / total["w"] for name in ("t", "tt", "p", "pp")}
        return {
            "truth": mean["t"],
            "truth_std": np.sqrt(np.maximum(mean["tt"] - mean["t"] ** 2, 0.0)),
            "prediction": mean["p"],
            "prediction_std": np.sqrt(np.maximum(mean["pp"] - mean["p"] ** 2, 0.0)),
        }

    def class_mean_r2(self, kinds: Sequence[int] = TRIGGERED) -> float:
        """The R2 of answering with the mean profile of each class, the classes being known.

        The means are those of the evaluated columns themselves, so this is the most that a scheme with one
        profile per class can reach: what an emulator has to beat before it has learned anything.
        """
        rows = self.sums[list(kinds)]
        count, t, tt = rows[..., 0], rows[..., 1], rows[..., 2]
        with np.errstate(invalid="ignore", divide="ignore"):
            within = np.where(count > 0, tt - t * t / count, 0.0).sum()
        whole = rows.sum((0, 1))
        sst = whole[2] - whole[1] ** 2 / whole[0] if whole[0] > 0 else 0.0
        return float(1 - within / sst) if sst > _EXACT * whole[2] else float("nan")


def _columns(values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    return array[:, None] if array.ndim == 1 else array


def _scores(row: Floats, nil: float) -> Scores:
    total = dict(zip(_SUMS, row.tolist(), strict=True))
    count, nan = total["w"], float("nan")
    if count <= 0:
        return Scores(0.0, nan, nan, nan, nan)
    sst = total["tt"] - total["t"] ** 2 / count
    constant = sst <= _EXACT * total["tt"] or sst <= nil**2 * count
    return Scores(
        n=count,
        r2=nan if constant else 1 - total["ee"] / sst,
        rmse=float(np.sqrt(total["ee"] / count)),
        bias=total["e"] / count,
        nmae=total["abs_e"] / total["abs_t"] if total["abs_t"] > 0 else nan,
    )


def confusion(kind: ArrayLike, predicted: ArrayLike, weight: ArrayLike | None = None) -> Floats:
    """Count columns by true (row) and predicted (column) class: none, shallow, deep.

    Examples
    --------
    >>> confusion([0, 1, 2, 2], [0, 1, 1, 2])
    array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 1., 1.]])
    """
    rows, columns = np.asarray(kind, np.int64), np.asarray(predicted, np.int64)
    for name, values in (("true", rows), ("predicted", columns)):
        if values.size and (values.min() < NONE or values.max() > DEEP):
            raise InputError(
                f"{name} classes {sorted(set(values.tolist()))}: only 0 (none), 1 (shallow) and 2 (deep) can "
                "be scored; leave out held (3) and unknown (-1) columns"
            )
    size = len(CLASSES)
    weights = None if weight is None else np.asarray(weight, np.float64)
    return np.bincount(rows * size + columns, weights, size * size).astype(np.float64).reshape(size, size)


def f1(table: Floats, positive: Iterable[int]) -> float:
    """F1 = 2 TP / (2 TP + FP + FN) with these classes as "yes".

    NaN where the truth has none of these classes: without a column to find, a single false alarm would make it 0.
    """
    yes = list(positive)
    hits, predicted, true = table[np.ix_(yes, yes)].sum(), table[:, yes].sum(), table[yes, :].sum()
    return float(2 * hits / (predicted + true)) if true > 0 else float("nan")


def trigger_scores(table: Floats) -> dict[str, Any]:
    """The scores of the trigger from a confusion table (rows truth).

    ``accuracy``, ``f1``, ``precision`` and ``recall`` are of triggered or not; ``accuracy_class`` of the
    three classes; ``f1_shallow`` and ``f1_deep`` of that class against the rest.
    """
    total = table.sum()
    yes = list(TRIGGERED)
    hits, said, true = table[np.ix_(yes, yes)].sum(), table[:, yes].sum(), table[yes, :].sum()
    nan = float("nan")
    result: dict[str, Any] = plain(
        {
            "accuracy": (table[NONE, NONE] + hits) / total if total > 0 else nan,
            "accuracy_class": np.trace(table) / total if total > 0 else nan,
            "f1": f1(table, TRIGGERED),
            "f1_shallow": f1(table, [SHALLOW]),
            "f1_deep": f1(table, [DEEP]),
            "precision": hits / said if said > 0 else nan,
            "recall": hits / true if true > 0 else nan,
            "classes": list(CLASSES),
            "confusion": table.astype(np.int64) if (table == np.rint(table)).all() else table,
        }
    )
    return result


def score(
    truth: Mapping[str, ArrayLike],
    prediction: Mapping[str, ArrayLike],
    kind: ArrayLike,
    kind_predicted: ArrayLike,
    weight: ArrayLike | None = None,
) -> dict[str, Any]:
    """Score arrays that fit in memory: the numpy-level entrance, for training loops and experiments.

    Parameters
    ----------
    truth, prediction
        Arrays by WRF name, shape (column,) or (column, level); names in both are scored.
    kind, kind_predicted
        Shape (column,): 0 none, 1 shallow, 2 deep. Classes of the truth say which columns truly triggered.
    weight
        Shape (column,); one each if None.

    Returns
    -------
    dict
        ``trigger`` (see `trigger_scores`) and ``outputs.<name>`` with ``r2``, ``rmse``, ``bias``, ``nmae``
        over the truly triggered columns, ``r2_all`` over all, ``r2_class_mean`` (see
        `Moments.class_mean_r2`), and the same four scores under ``deep`` and ``shallow``. Undefined scores
        are None.

    Examples
    --------
    >>> heating = np.array([[0.0, 0.0], [1.0, 3.0]])
    >>> result = score({"RTHCUTEN": heating}, {"RTHCUTEN": heating}, [0, 2], [0, 2])
    >>> result["trigger"]["f1"], result["outputs"]["RTHCUTEN"]["r2"]
    (1.0, 1.0)
    """
    outputs = {}
    for name in truth:
        if name in prediction:
            values = _columns(truth[name])
            moments = Moments.empty(values.shape[1]).add(values, prediction[name], kind, weight)
            outputs[name] = output_scores(moments, NIL.get(name, 0.0))
    return {"trigger": trigger_scores(confusion(kind, kind_predicted, weight)), "outputs": outputs}


def output_scores(moments: Moments, nil: float = 0.0) -> dict[str, Any]:
    """The scores of one output as a plain dict; the layout is told at `score`."""
    whole = moments.scores(TRIGGERED, nil=nil)
    result = whole.to_json()
    result["r2_all"] = plain(moments.scores(EVERY, nil=nil).r2)
    result["r2_class_mean"] = None if result["r2"] is None else plain(moments.class_mean_r2())
    if result["r2"] is None and whole.n > 0:
        result["note"] = "the truth does not vary (numerically nil or constant), so R2 is not defined"
    for name, index in (("shallow", SHALLOW), ("deep", DEEP)):
        result[name] = moments.scores([index], nil=nil).to_json()
    return result
