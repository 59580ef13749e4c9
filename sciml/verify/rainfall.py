"""Rain of two sources on one grid: amounts by window, and every score of one against the other with its interval.

>>> import numpy as np
>>> times = np.datetime64("2024-07-01T01") + np.arange(6) * np.timedelta64(1, "h")
>>> rain = np.random.default_rng(3).gamma(0.3, 4.0, (6, 12, 12))
>>> reference = xr.DataArray(rain, dims=("Time", "y", "x"), coords={"Time": times}, attrs={"units": "mm"})
>>> found = compare(reference, reference, thresholds=[1, 10], scales=[1, 3])
>>> float(found.scores["rmse"].sel(estimate="value")), found.scores["fss"].sel(estimate="value").values.tolist()
(0.0, [[1.0, 1.0], [1.0, 1.0]])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from sciml.errors import InputError
from sciml.tables import html_table
from sciml.verify.rain_blocks import Blocks
from sciml.verify.rain_distribution import by_intensity, by_local_hour, hovmoeller
from sciml.verify.rain_scores import CATEGORICAL, categorical, continuous, ensemble, fractions
from sciml.verify.rain_windows import known_windows
from sciml.verify.scores import plain

__all__ = ["RainComparison", "accumulations", "compare", "default_thresholds"]

Array = NDArray[Any]

DAILY: Final = (0.1, 1.0, 10.0, 25.0, 50.0, 100.0)
HOURLY: Final = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0)
SHORT: Final = (0.02, 0.1, 0.25, 0.5, 1.0, 2.0)
AMOUNTS: Final = {
    "mean_reference": "mean of the reference (mm)",
    "mean_candidate": "mean of the candidate (mm)",
    "bias": "bias (mm)",
    "ratio": "ratio of the means",
    "mae": "mean absolute error (mm)",
    "rmse": "RMSE (mm)",
    "correlation": "correlation",
    "spread_ratio": "ratio of standard deviations",
    "crps": "CRPS of the ensemble, fair (mm)",
    "spread_skill": "spread of the ensemble over its error",
}
"""What the scores of the amounts are called in tables."""
SCALES: Final = (1, 3, 5, 9, 17, 33, 65)


def accumulations(amounts: xr.DataArray, window: str | None = None) -> xr.DataArray:
    """Add amounts up to windows.

    Parameters
    ----------
    amounts
        (Time, y, x), in mm, each fallen since the Time before: ``ds.sciml.rain`` of a wrfout, which counts the
        buckets in, or observations. Of the first it is not known when it began: it is left out, or stands for an
        interval like the next if it is known (not NaN).
    window
        Such as "1h", "3h", "24h", ending on whole multiples of itself since 0 UTC; None: the frames as they are.

    Returns
    -------
    xr.DataArray
        (Time, y, x), mm; Time is the end of each window, ``window`` its length in hours. Windows that frames do not
        fill to the end are left out. A window is NaN where one of its amounts is, as at a seam between two runs.

    Raises
    ------
    InputError
        No dimension Time, other units, frames out of order, or none of which such a window could be made; a single
        frame whose amount is not known.
    """
    _check_amounts(amounts)
    times = pd.DatetimeIndex(amounts["Time"].values)
    if len(times) < 2:
        hours = 0.0
        if window is not None:
            raise InputError(f"one frame only ({times[0]}): windows of {window} need the frames between")
        if not np.isfinite(amounts.values).any():
            raise InputError(
                f"one frame only ({times[0]}): the rain since the frame before is not known; give at least two frames"
            )
        return amounts.assign_attrs(window=hours, units="mm")
    steps = np.diff(times.values)
    if (steps <= np.timedelta64(0, "ns")).any():
        raise InputError(
            f"the frames are not in the order of time ({times[0]} to {times[-1]}): sort them by Time"
        )
    known = bool(np.isfinite(amounts.isel(Time=0).values).any())
    length = np.concatenate([[steps[0]], steps])
    kept, length = (amounts, length) if known else (amounts.isel(Time=slice(1, None)), length[1:])
    if window is None:
        if (length != length[0]).any():
            raise InputError(
                f"the frames are {_told(length.min())} to {_told(length.max())} apart: give a window, such as 6h"
            )
        return kept.assign_attrs(window=length[0] / np.timedelta64(1, "h"), units="mm")
    return _windowed(kept, length, _window(window))


def _window(given: str) -> pd.Timedelta:
    try:
        window = pd.Timedelta(given if not given.isalpha() else f"1{given}")
    except ValueError as error:
        raise InputError(f"{given!r} is no window: give a time such as 1h, 3h or 24h") from error
    if not pd.Timedelta(0) < window <= pd.Timedelta(days=366):
        raise InputError(f"{given!r} is no window: give a time such as 1h, 3h or 24h")
    return window


def _windowed(amounts: xr.DataArray, length: Array, window: pd.Timedelta) -> xr.DataArray:
    """Add up to windows that end on whole multiples of their length; those that are not full are left out."""
    ends = pd.DatetimeIndex(amounts["Time"].values).ceil(window)
    filled = pd.Series(length).groupby(ends).sum()
    full = filled.index[filled == window]
    if not len(full):
        raise InputError(
            f"{len(length)} frames {_told(length.min())} apart fill no window of {_told(window)}: "
            "give a window that is a multiple of that, or more frames"
        )
    labelled = amounts.assign_coords(Time=ends.values)
    out = labelled.groupby("Time").sum("Time", skipna=False).sel(Time=full.values)
    other = [dim for dim in amounts.dims if dim != "Time"]
    return out.transpose(*(["Time", *other])).assign_attrs(window=window / pd.Timedelta("1h"), units="mm")


def _told(length: Any) -> str:
    hours = pd.Timedelta(length) / pd.Timedelta("1h")
    return f"{hours:g} h" if hours >= 1 else f"{hours * 60:g} min"


def _check_amounts(amounts: xr.DataArray) -> None:
    if "Time" not in amounts.dims or amounts["Time"].dtype.kind != "M":
        raise InputError(
            f"rain with dims {tuple(map(str, amounts.dims))}: give (Time, y, x) with times in Time"
        )
    units = str(amounts.attrs.get("units", "mm"))
    if units not in ("mm", "kg m-2", "kg/m2", "kg m**-2"):
        raise InputError(f"rain in {units!r}: give amounts in mm (kg m-2) that fell since the time before")
    low = float(amounts.min())
    if low < -1e-3:
        raise InputError(f"a rain amount of {low:g} mm: give amounts since the time before, none negative")


def default_thresholds(hours: float) -> tuple[float, ...]:
    """Thresholds (mm) that are usual for windows of so many hours."""
    return DAILY if hours >= 12 else HOURLY if hours >= 1 else SHORT


@dataclass(frozen=True, eq=False)
class RainComparison:
    """The scores of a candidate's rain against a reference's.

    Parameters
    ----------
    names
        Of the two.
    scores
        Every score with ``estimate`` value, lower, upper: see `sciml.verify.rain_scores`.
    fields
        ``reference``, ``candidate`` (y, x): their mean amounts per window, mm; ``hovmoeller_x`` (source, Time, x),
        ``hovmoeller_y``; ``intensity`` (source, bin); ``diurnal`` (source, hour), mm/h.
    window
        Hours; 0 where it is not known.
    said
        What was counted, left out, and how the intervals were made.
    """

    names: tuple[str, str]
    scores: xr.Dataset = field(repr=False)
    fields: xr.Dataset = field(repr=False)
    window: float
    said: tuple[str, ...]

    def tables(self) -> list[tuple[str, list[str], list[list[str]]]]:
        """Caption, head and rows of each table: values, with their intervals in brackets."""
        whole = [name for name in self.scores.data_vars if self.scores[name].dims == ("estimate",)]
        limits = self.scores["threshold"].values
        by_threshold = [name for name in (*CATEGORICAL, "brier") if name in self.scores]
        found = [
            (
                "amounts",
                ["score", "value"],
                [[AMOUNTS.get(str(name), str(name)), _cell(self.scores[name].values)] for name in whole],
            )
        ]
        rows = [
            [f"{x:g} mm", *(_cell(self.scores[n].sel(threshold=x).values) for n in by_threshold)]
            for x in limits
        ]
        found.append(("by threshold", ["at least", *by_threshold], rows))
        if "fss" in self.scores:
            score = self.scores["fss"]
            sides = score["scale"].values
            rows = [
                [f"{x:g} mm", *(_cell(score.sel(threshold=x, scale=side).values) for side in sides)]
                for x in limits
            ]
            found.append(
                (
                    "fractions skill score, by threshold and square",
                    ["at least", *(f"{s} x {s} cells" for s in sides)],
                    rows,
                )
            )
        return found

    def headline(self) -> list[str]:
        """What was compared, and how the intervals in brackets were made."""
        return [f"{self.names[1]} against {self.names[0]}", *self.said]

    def __str__(self) -> str:
        lines = self.headline()
        for caption, head, rows in self.tables():
            width = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
            lines += ["", caption]
            lines += [
                "  ".join(f"{cell:<{w}}" for cell, w in zip(row, width, strict=True)).rstrip()
                for row in [head, *rows]
            ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        tables = [html_table(caption, rows, head=tuple(head)) for caption, head, rows in self.tables()]
        return html_table("\n".join(self.headline()), []) + "".join(tables)

    def to_json(self) -> dict[str, Any]:
        """Every number, for `json.dumps`."""
        told = {str(name): plain(values.values) for name, values in self.scores.variables.items()}
        drawn = {
            str(name): plain(values.values)
            for name, values in self.fields.variables.items()
            if name != "Time"
        }
        return {
            "schema": 1,
            "reference": self.names[0],
            "candidate": self.names[1],
            "window_hours": self.window,
            "said": list(self.said),
            "scores": {
                **told,
                "dims": {str(name): list(v.dims) for name, v in self.scores.data_vars.items()},
            },
            "fields": drawn,
        }


def _cell(score: Array) -> str:
    value, low, high = (float(x) for x in score)
    known = bool(np.isfinite([low, high]).all())
    return f"{_figure(value)} [{_figure(low)}, {_figure(high)}]" if known else _figure(value)


def _figure(value: float) -> str:
    if not np.isfinite(value):
        return "-"
    return f"{value:.3f}".replace("-0.000", "0.000") if abs(value) < 100 else f"{value:.4g}"


def compare(
    reference: xr.DataArray,
    candidate: xr.DataArray,
    *,
    thresholds: Sequence[float] | None = None,
    scales: Sequence[int] | None = None,
    names: tuple[str, str] = ("reference", "candidate"),
    longitude: Array | None = None,
    block: int | None = None,
    resamples: int = 1000,
    seed: int = 7,
) -> RainComparison:
    """Score one rain against another.

    Parameters
    ----------
    reference, candidate
        (Time, y, x), mm per window, of `accumulations`; the same grid. Times that both have are compared; a window in
        which one of them is NaN everywhere is left out, and `said` counts these. The candidate may have a dimension
        ``member``: its mean is scored like a single one, and the ensemble as such.
    thresholds
        In mm; by default `default_thresholds` of the window.
    scales
        Sides of the squares of the FSS, in cells; by default 1, 3, 5, 9, ... up to half the grid.
    longitude
        (y, x), degrees east, for the local hour; without it, or where all are equal, hours are UTC plus that longitude.
    block, resamples, seed
        Of the bootstrap: windows in a block (see `Blocks.of`), resamples, seed.

    Raises
    ------
    InputError
        Other grids, no common time, negative or non-finite thresholds, or nothing finite.
    SciMLError
        The package `scores` is not installed.
    """
    r, c, members, said = _matched(reference, candidate)
    times = pd.DatetimeIndex(r["Time"].values)
    hours = float(r.attrs.get("window", 0.0))
    limits = tuple(thresholds if thresholds is not None else default_thresholds(hours))
    if not limits or not all(np.isfinite(x) and x > 0 for x in limits):
        raise InputError(f"thresholds {list(limits)}: give amounts in mm above zero")
    rows, columns = r.shape[1:]
    sides = tuple(
        scales if scales is not None else (s for s in SCALES if s <= max(1, min(rows, columns) // 2))
    )
    if not sides or not all(1 <= s <= min(rows, columns) for s in sides):
        raise InputError(f"scales {list(sides)}: give numbers of cells from 1 to {min(rows, columns)}")
    blocks = Blocks.of(
        (len(times), rows, columns),
        length=block,
        per_day=24 / hours if hours else None,
        resamples=resamples,
        seed=seed,
    )
    a, b = r.values.astype(np.float64), c.values.astype(np.float64)
    missing = int((~(np.isfinite(a) & np.isfinite(b))).sum())
    if missing == a.size:
        raise InputError("the two have no finite amount at the same place and time")
    parts = [continuous(a, b, blocks), categorical(a, b, limits, blocks)]
    if not missing:
        parts.append(fractions(a, b, limits, sides, blocks))
    if members is not None:
        parts.append(ensemble(a, members, limits, blocks))
    left = f", {missing} cells without a value on one side left out: no FSS" if missing else ""
    span = f"{len(times)} windows of {_told(pd.Timedelta(hours=hours)) if hours else 'unknown length'}"
    said = [f"{span}, {times[0]} to {times[-1]}, {rows} x {columns} cells{left}", *said]
    fields = xr.merge(
        [
            xr.Dataset({"reference": (("y", "x"), _mean(a)), "candidate": (("y", "x"), _mean(b))}),
            hovmoeller(a, b, times.values),
            by_intensity(a, b),
            by_local_hour(a, b, times, hours, longitude),
        ]
    )
    window = _told(pd.Timedelta(hours=hours)) if hours else "a frame"
    return RainComparison(names, xr.merge(parts), fields, hours, (*said, blocks.told(window)))


def _mean(values: Array) -> Array:
    known = np.isfinite(values)
    with np.errstate(all="ignore"):
        return np.asarray(np.where(known, values, 0).sum(0) / known.sum(0))


def _matched(
    reference: xr.DataArray, candidate: xr.DataArray
) -> tuple[xr.DataArray, xr.DataArray, Array | None, list[str]]:
    """The two at their common times, the members if there are any, and what is to be said of it."""
    for one in (reference, candidate):
        _check_amounts(one)
    plain_dims = [dim for dim in candidate.dims if dim not in ("member", "Time")]
    shapes = [
        tuple(one.sizes[d] for d in one.dims if d not in ("member", "Time")) for one in (reference, candidate)
    ]
    if "member" in reference.dims:
        raise InputError("the reference has members: give the ensemble as the candidate")
    if shapes[0] != shapes[1] or len(shapes[0]) != 2:
        raise InputError(
            f"grids of {shapes[0]} and {shapes[1]} cells: bring both to one grid first, such as by xesmf"
        )
    hours = [one.attrs.get("window") for one in (reference, candidate)]
    if None not in hours and hours[0] != hours[1]:
        raise InputError(
            f"windows of {hours[0]:g} and {hours[1]:g} hours: accumulate both over the same window"
        )
    common = np.intersect1d(reference["Time"].values, candidate["Time"].values)
    if not common.size:
        spans = [f"{one['Time'].values[0]} to {one['Time'].values[-1]}" for one in (reference, candidate)]
        raise InputError(
            f"no common time: {spans[0]} and {spans[1]}; compare by time since the start, or other files"
        )
    alone = [one.sizes["Time"] - common.size for one in (reference, candidate)]
    said = (
        [f"{alone[0]} windows of the reference and {alone[1]} of the candidate have no partner"]
        if any(alone)
        else []
    )
    common, words = known_windows(reference, candidate, common)
    said += words
    r = reference.sel(Time=common).transpose("Time", ...)
    c = candidate.sel(Time=common)
    if "member" not in candidate.dims:
        return r, c.transpose("Time", *plain_dims), None, said
    if candidate.sizes["member"] < 2:
        raise InputError("an ensemble of one member: give at least two, or leave the dimension out")
    c = c.transpose("member", "Time", *plain_dims)
    said.append(f"an ensemble of {c.sizes['member']} members: scores of its mean, and of the ensemble")
    return r, c.mean("member"), c.values.astype(np.float64), said
