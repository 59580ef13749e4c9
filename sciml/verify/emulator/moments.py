"""Sums from which the scores of predicted columns are computed.

`MomentSums` contains nine weighted sums by class of the true column and by level. Sums of blocks can be added, so a
dataset of any size is scored in bounded memory. The scores of all subsets (triggered, deep, shallow, all; whole or by
level) are computed from the same sums. `SCORES` has one formula for each score: a new score needs an entry there, and
an entry in `sciml.verify.emulator.evaluation.COLUMNS` for the table.

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
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciml.errors import InputError
from sciml.schemes.mskf import MSKF
from sciml.tables import plain

__all__ = [
    "CLASSES",
    "DEEP",
    "EVERY",
    "NIL",
    "NONE",
    "SCORES",
    "SHALLOW",
    "TRIGGERED",
    "MomentSums",
    "Scores",
]

Floats = NDArray[np.float64]

CLASSES: Final = MSKF.classes
NONE, SHALLOW, DEEP = 0, 1, 2
TRIGGERED: Final = (SHALLOW, DEEP)
EVERY: Final = (NONE, SHALLOW, DEEP)

NIL: Final[Mapping[str, float]] = {
    **dict.fromkeys(("RQVCUTEN", "RQCCUTEN", "RQRCUTEN", "RQICUTEN", "RQSCUTEN"), 1e-11),
    **dict.fromkeys(("QC_CU", "QI_CU"), 1e-9),
    **dict.fromkeys(("CLDFRA_DP", "CLDFRA_SH"), 1e-6),
}
"""Standard deviation of the truth below which a variable counts as zero and has no R2, in the unit of the variable.

1e-11 kg kg-1 s-1 is one milligram per kilogram and day. RQSCUTEN of MSKF is thirty times smaller.
"""

_SUMS: Final = ("w", "t", "tt", "p", "pp", "e", "ee", "abs_e", "abs_t")
_EXACT: Final = 1e-13  # An SST below this share of sum(t^2) is the rounding of a constant.


@dataclasses.dataclass(frozen=True, repr=False)
class Scores:
    """Scores of one variable over one subset.

    Attributes
    ----------
    n
        Sum of the weights.
    values
        Value of each of `SCORES` by name; NaN where a score is not defined.
    """

    n: float
    values: Mapping[str, float]

    @property
    def r2(self) -> float:
        """Coefficient of determination."""
        return self.values["r2"]

    @property
    def rmse(self) -> float:
        """Root mean square error."""
        return self.values["rmse"]

    @property
    def bias(self) -> float:
        """Mean error."""
        return self.values["bias"]

    @property
    def nmae(self) -> float:
        """Mean absolute error over the mean magnitude of the truth."""
        return self.values["nmae"]

    def __repr__(self) -> str:
        return f"Scores({', '.join(f'{name}={value!r}' for name, value in self._items().items())})"

    def to_json(self) -> dict[str, Any]:
        """Return a dict of plain numbers."""
        result: dict[str, Any] = plain(self._items())
        return result

    def _items(self) -> dict[str, float]:
        return {"n": self.n, **self.values}


@dataclasses.dataclass
class MomentSums:
    """Weighted sums by class of the true column and by level.

    Attributes
    ----------
    sums
        Shape (3 classes, levels, 9 sums), float64.

    Examples
    --------
    >>> truth = np.array([[0.0, 0.0], [1.0, 3.0]])
    >>> moments = MomentSums.empty(levels=2).add(truth, truth + 0.5, kind=[0, 2])
    >>> moments.scores()
    Scores(n=2.0, r2=0.75, rmse=0.5, bias=0.5, nmae=0.25)
    """

    sums: Floats

    @classmethod
    def empty(cls, levels: int) -> Self:
        """Create sums of no columns; ``levels`` is 1 for a variable without levels."""
        return cls(np.zeros((len(CLASSES), levels, len(_SUMS))))

    def add(
        self,
        truth: ArrayLike,
        prediction: ArrayLike,
        kind: ArrayLike,
        weight: ArrayLike | None = None,
        *,
        levels: ArrayLike | None = None,
    ) -> Self:
        """Add columns.

        Parameters
        ----------
        truth, prediction
            Shape (column,) or (column, level), in the variable's unit.
        kind
            Shape (column,): the class of the TRUE column, 0 none, 1 shallow, 2 deep.
        weight
            Shape (column,); 1 for each column if None.
        levels
            Shape (column,): number of levels of each column, above which values do not count; all if None.

        Raises
        ------
        InputError
            Shapes differ.
        """
        t, p, k = _columns(truth), _columns(prediction), np.asarray(kind)
        if t.shape != p.shape or t.shape != (k.size, self.sums.shape[1]):
            raise InputError(
                f"truth {t.shape}, prediction {p.shape} and class {k.shape} do not fit together for "
                f"{self.sums.shape[1]} levels: give (column, level) arrays of the same columns"
            )
        w = np.ones(k.size) if weight is None else np.asarray(weight, np.float64)
        inside = None
        if levels is not None and t.shape[1] > 1:
            inside = np.arange(t.shape[1]) < np.asarray(levels)[:, None]
            t, p = np.where(inside, t, 0.0), np.where(inside, p, 0.0)
        for index in EVERY:
            here = k == index
            if not here.any():
                continue
            a, b, c = t[here], p[here], w[here]
            e = b - a
            self.sums[index, :, 0] += c.sum() if inside is None else c @ inside[here]
            for column, term in enumerate((a, a * a, b, b * b, e, e * e, np.abs(e), np.abs(a)), start=1):
                self.sums[index, :, column] += c @ term
        return self

    def merge(self, other: MomentSums) -> Self:
        """Add the sums of other columns."""
        self.sums += other.sums
        return self

    def scores(self, kinds: Iterable[int] = TRIGGERED, *, nil: float = 0.0) -> Scores:
        """Compute scores over all elements of the columns of these classes."""
        return _scores(self.sums[list(kinds)].sum((0, 1)), nil)

    def by_level(self, kinds: Iterable[int] = TRIGGERED, *, nil: float = 0.0) -> list[Scores]:
        """Compute scores by level; each R2 is about the mean of its level."""
        return [_scores(row, nil) for row in self.sums[list(kinds)].sum(0)]

    def mean_profiles(self, kinds: Iterable[int] = TRIGGERED) -> dict[str, Floats]:
        """Compute means and deviations by level: ``truth``, ``truth_std``, ``prediction``, ``prediction_std``."""
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
        """Compute the R2 of predicting the mean profile of the true class of each column.

        The means are those of the evaluated columns, so this is the upper limit for a scheme with one profile for each
        class, and a baseline for an emulator.
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
    if total["w"] <= 0:
        return Scores(0.0, dict.fromkeys(SCORES, float("nan")))
    return Scores(total["w"], {name: formula(total, nil) for name, formula in SCORES.items()})


def _r2(total: Mapping[str, float], nil: float) -> float:
    sst = total["tt"] - total["t"] ** 2 / total["w"]
    constant = sst <= _EXACT * total["tt"] or sst <= nil**2 * total["w"]
    return float("nan") if constant else 1 - total["ee"] / sst


def _rmse(total: Mapping[str, float], nil: float) -> float:
    return float(np.sqrt(total["ee"] / total["w"]))


def _bias(total: Mapping[str, float], nil: float) -> float:
    return total["e"] / total["w"]


def _nmae(total: Mapping[str, float], nil: float) -> float:
    return total["abs_e"] / total["abs_t"] if total["abs_t"] > 0 else float("nan")


SCORES: Final[dict[str, Callable[[Mapping[str, float], float], float]]] = {
    "r2": _r2,
    "rmse": _rmse,
    "bias": _bias,
    "nmae": _nmae,
}
"""Formula of each score: a function of the sums of `MomentSums` by name, and of the standard deviation below which the
truth counts as zero."""
