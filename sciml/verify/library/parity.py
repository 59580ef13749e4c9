"""Comparison of two programs that compute the same outputs: torch and the library, two tilings, or two builds."""

from __future__ import annotations

import dataclasses
from typing import Any, final

import numpy as np
import xarray as xr

from sciml.columns.mixture import padding
from sciml.errors import InputError
from sciml.tables import aligned, plain, ruled
from sciml.verify.emulator.accumulate import OUTPUTS

__all__ = ["Agreement", "Parity", "compare_outputs"]


@final
@dataclasses.dataclass(frozen=True)
class Agreement:
    """Agreement of one output.

    Attributes
    ----------
    median, p99, largest
        Quantiles of the relative difference |b - a| / max(|a|, |b|) over the elements where either is not zero.
    range
        Maximum minus minimum of the reference, in the output's unit.
    worst
        Largest |b - a| in units of the range.
    within
        Share of columns whose largest |b - a| is at most `tolerance` times the range.
    """

    name: str
    median: float
    p99: float
    largest: float
    range: float
    worst: float
    within: float


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Parity:
    """Comparison of two predictions of the same columns. ``print`` shows a table whose last line is the verdict.

    Attributes
    ----------
    names
        Names of the reference and the other prediction.
    columns
        Number of columns.
    classes_differ
        Number of columns with different classes.
    agreements
        Agreement of each output.
    median, tolerance, share
        Limits, as in `compare_outputs`.
    """

    names: tuple[str, str]
    columns: int
    classes_differ: int
    agreements: tuple[Agreement, ...]
    median: float
    tolerance: float
    share: float

    @property
    def ok(self) -> bool:
        """Whether the median difference and the share of columns of every output are within the limits."""
        good = all(x.median <= self.median and x.within >= self.share for x in self.agreements)
        return good and self.classes_differ <= (1 - self.share) * self.columns

    def to_json(self) -> dict[str, Any]:
        """Return a dict of plain numbers, outputs by name."""
        rows = {x.name: dataclasses.asdict(x) for x in self.agreements}
        for row in rows.values():
            del row["name"]
        content: dict[str, Any] = plain(
            {
                "reference": self.names[0],
                "other": self.names[1],
                "columns": self.columns,
                "classes_differ": self.classes_differ,
                "outputs": rows,
                "limits": {"median": self.median, "tolerance": self.tolerance, "share": self.share},
                "ok": self.ok,
            }
        )
        return content

    def __str__(self) -> str:
        rows = [("output", "median rel.", "p99 rel.", "worst/range", "columns within")]
        rows += [
            (x.name, f"{x.median:.1e}", f"{x.p99:.1e}", f"{x.worst:.1e}", f"{x.within:.3%}")
            for x in self.agreements
        ]
        lines = ruled(aligned(rows, widths=(10, 13, 12, 13, 16), gap=""))
        verdict = (
            f"{'agree' if self.ok else 'DISAGREE'}: {self.names[1]} against {self.names[0]}, "
            f"{self.columns:,} columns, {self.classes_differ} of another class; limits: "
            f"median <= {self.median:g}, {self.share:.1%} of columns within {self.tolerance:g} of the range"
        )
        return "\n".join([*lines, verdict])

    __repr__ = __str__


def compare_outputs(
    reference: xr.Dataset,
    other: xr.Dataset,
    *,
    names: tuple[str, str] = ("torch", "native"),
    median: float = 1e-6,
    tolerance: float = 1e-4,
    share: float = 0.999,
) -> Parity:
    """Compare two predictions of the same columns.

    Parameters
    ----------
    reference, other
        Outputs of two algorithms, dims (column, level), with the WRF names; those in both are compared.
    names
        Names of the two.
    median
        Limit on the median relative difference of each output.
    tolerance, share
        At least this share of the columns must be within ``tolerance`` of the output's range.

    Returns
    -------
    Parity
        Agreement of each output, and the verdict.

    Raises
    ------
    InputError
        The columns differ, or there is no common output.

    Examples
    --------
    >>> outputs = xr.Dataset({"PRATEC": ("column", np.array([0.0, 1e-4, 2e-4]))})
    >>> compare_outputs(outputs, outputs * (1 + 1e-9)).ok, compare_outputs(outputs, outputs * 1.01).ok
    (True, False)
    """
    if reference.sizes.get("column") != other.sizes.get("column"):
        raise InputError(
            f"{names[0]} has {reference.sizes.get('column')} columns and {names[1]} "
            f"{other.sizes.get('column')}: give both the same columns"
        )
    common = [name for name in OUTPUTS if name in reference and name in other]
    if not common:
        raise InputError(f"{names[0]} and {names[1]} have no output in common: {sorted(map(str, other))}")
    differ = 0
    if "KIND" in reference.variables and "KIND" in other.variables:
        differ = int((reference["KIND"].values != other["KIND"].values).sum())
    agreements = tuple(_agreement(name, reference, other, tolerance) for name in common)
    return Parity(names, reference.sizes["column"], differ, agreements, median, tolerance, share)


def _agreement(name: str, reference: xr.Dataset, other: xr.Dataset, tolerance: float) -> Agreement:
    a, b = (ds[name].transpose("column", ...).values.astype(np.float64) for ds in (reference, other))
    above = padding(reference)
    if above is not None and a.ndim > 1:
        a, b = (np.where(above, 0.0, values) for values in (a, b))
    difference = np.abs(b - a).reshape(len(a), -1)
    size = np.maximum(np.abs(a), np.abs(b)).reshape(len(a), -1)
    nonzero = ~(size == 0)  # true for NaN, which must not count as agreement
    relative = difference[nonzero] / size[nonzero] if nonzero.any() else np.zeros(1)
    span = float(np.ptp(a)) if a.size else 0.0
    most = difference.max(1, initial=0.0)
    with np.errstate(divide="ignore"):
        worst = float(most.max(initial=0.0) / np.float64(span)) if most.any() else 0.0
    median, p99, largest = np.quantile(relative, (0.5, 0.99, 1.0)).tolist()
    return Agreement(
        name,
        median,
        p99,
        largest,
        range=span,
        worst=worst,
        within=float((most <= tolerance * span).mean()) if len(most) else 1.0,
    )
