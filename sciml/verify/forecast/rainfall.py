"""Rain of two sources on one grid: amounts by window, and scores with intervals.

>>> import numpy as np
>>> times = np.datetime64("2024-07-01T01") + np.arange(6) * np.timedelta64(1, "h")
>>> rain = np.random.default_rng(3).gamma(0.3, 4.0, (6, 12, 12))
>>> reference = xr.DataArray(rain, dims=("Time", "y", "x"), coords={"Time": times}, attrs={"units": "mm"})
>>> result = compare_rain(reference, reference, thresholds=[1, 10], scales=[1, 3])
>>> float(result.scores["rmse"].sel(estimate="value")), result.scores["fss"].sel(estimate="value").values.tolist()
(0.0, [[1.0, 1.0], [1.0, 1.0]])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml.checks import is_number, is_whole
from sciml.errors import InputError
from sciml.parallel.bounded import ALONE, TaskRunner
from sciml.verify.attributes import described
from sciml.verify.forecast.block_bootstrap import Blocks
from sciml.verify.forecast.rain_distribution import by_intensity, by_local_hour, hovmoeller
from sciml.verify.forecast.rain_scores import categorical, continuous, ensemble, fractions
from sciml.verify.forecast.rain_tables import FIELDS, SCORES, RainComparison
from sciml.verify.forecast.rain_windows import known_windows
from sciml.verify.forecast.run_times import (
    HOUR,
    common_frames,
    duration,
    like_times,
    microseconds,
    normalised,
    span,
    stamp,
)

__all__ = ["RainComparison", "accumulations", "compare_rain", "default_thresholds"]

Array = NDArray[Any]

DAILY: Final = (0.1, 1.0, 10.0, 25.0, 50.0, 100.0)
HOURLY: Final = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0)
SHORT: Final = (0.02, 0.1, 0.25, 0.5, 1.0, 2.0)
SCALES: Final = (1, 3, 5, 9, 17, 33, 65)


def accumulations(amounts: xr.DataArray, window: str | None = None, *, tolerance: int = 0) -> xr.DataArray:
    """Sum amounts over windows.

    Parameters
    ----------
    amounts
        Amounts (Time, y, x), mm, each since the previous Time: ``ds.sciml.rain`` of a wrfout, which includes the
        buckets, or observations. The start of the first interval is unknown: the amount is left out if NaN, otherwise
        its interval has the length of the next. Times are of any calendar, or lead times (timedelta64).
    window
        Length of the windows, such as "1h", "3h" or "24h". Windows end at whole multiples of it since 0 UTC (since the
        start for lead times). None: the intervals between frames.
    tolerance
        Tolerance of the times of frames at the ends of windows, microseconds (for runs with adaptive time steps).

    Returns
    -------
    xr.DataArray
        (Time, y, x), mm. Time is the end of each window, and the attribute ``window`` its length in hours. Windows that
        the frames do not fill completely are left out. A window is NaN where one of its amounts is NaN, as at a seam
        between two runs.

    Raises
    ------
    InputError
        There is no dimension Time, the units differ, the frames are not in order, no window is complete, or the amount
        of a single frame is not known.
    """
    _check_amounts(amounts)
    times = normalised(amounts["Time"].values)
    length = None if window is None else duration(window)
    if times.size < 2:
        if window is not None:
            raise InputError(
                f"one frame only ({stamp(times[0])}): windows of {window} need the frames between"
            )
        if not np.isfinite(amounts.values).any():
            raise InputError(
                f"one frame only ({stamp(times[0])}): the rain since the frame before is not known; give at least two "
                "frames"
            )
        return amounts.assign_attrs(window=0.0, units="mm")
    ends = microseconds(times)
    steps = np.diff(ends)
    if (steps <= 0).any():
        raise InputError(
            f"the frames are not in the order of time ({stamp(times[0])} to {stamp(times[-1])}): sort them by Time"
        )
    known = bool(np.isfinite(amounts.isel(Time=0).values).any())
    begins = ends - np.concatenate([steps[:1], steps])
    if not known:
        amounts, begins, ends = amounts.isel(Time=slice(1, None)), begins[1:], ends[1:]
    if length is not None:
        return _windowed(amounts, begins, ends, length, tolerance)
    usual = int(np.median(ends - begins))
    if (np.abs(ends - begins - usual) > 2 * tolerance).any():
        low, high = int((ends - begins).min()), int((ends - begins).max())
        raise InputError(f"the frames are {span(low)} to {span(high)} apart: give a window, such as 6h")
    return amounts.assign_attrs(window=usual / HOUR, units="mm")


def _windowed(amounts: xr.DataArray, begins: Array, ends: Array, length: int, tolerance: int) -> xr.DataArray:
    """Sum over windows that end at whole multiples of their length; incomplete windows are left out."""
    low, high = (_snapped(bounds, length, tolerance) for bounds in (begins, ends))
    of = -(-high // length) * length
    result, labels = [], []
    for end in np.unique(of):
        (at,) = np.nonzero(of == end)
        if low[at[0]] == end - length and high[at[-1]] == end:
            result.append(amounts.isel(Time=at).sum("Time", skipna=False))
            labels.append(end)
    times = normalised(amounts["Time"].values)
    if not result:
        apart = f"{len(ends)} frames {span(int(np.min(ends - begins)))} apart, {stamp(times[0])} to {stamp(times[-1])},"
        raise InputError(
            f"{apart} fill no window of {span(length)}: windows end at whole multiples of {span(length)} since "
            f"{'the start' if times.dtype.kind == 'm' else '0 UTC'}; give a window that is a multiple of the output "
            "interval and whose ends are output times, or more frames"
        )
    out = xr.concat(result, "Time", coords="minimal", compat="override")
    out = out.assign_coords(Time=("Time", like_times(np.array(labels), times)))
    other = [dim for dim in amounts.dims if dim != "Time"]
    return out.transpose(*["Time", *other]).assign_attrs(window=length / HOUR, units="mm")


def _snapped(micros: Array, length: int, tolerance: int) -> Array:
    """Round times to the nearest multiple of a length where it is within the tolerance."""
    near = (micros + length // 2) // length * length
    return np.where(np.abs(near - micros) <= tolerance, near, micros)


def _check_amounts(amounts: xr.DataArray) -> None:
    if "Time" not in amounts.dims or "Time" not in amounts.coords:
        raise InputError(
            f"rain with dims {tuple(map(str, amounts.dims))}: give (Time, y, x) with times in Time"
        )
    normalised(amounts["Time"].values)
    units = str(amounts.attrs.get("units", "mm"))
    if units not in ("mm", "kg m-2", "kg/m2", "kg m**-2"):
        raise InputError(f"rain in {units!r}: give amounts in mm (kg m-2) that fell since the time before")
    low = float(amounts.min())
    if low < -1e-3:
        raise InputError(f"a rain amount of {low:g} mm: give amounts since the time before, none negative")


def default_thresholds(hours: float) -> tuple[float, ...]:
    """Return usual thresholds (mm) for windows of this length (hours)."""
    return DAILY if hours >= 12 else HOURLY if hours >= 1 else SHORT


def compare_rain(
    reference: xr.DataArray,
    candidate: xr.DataArray,
    *,
    thresholds: Sequence[float] | None = None,
    scales: Sequence[int] | None = None,
    names: tuple[str, str] = ("reference", "candidate"),
    longitude: Array | None = None,
    clocks: tuple[float, float] | None = None,
    block: int | None = None,
    resamples: int = 1000,
    seed: int = 7,
    run: TaskRunner = ALONE,
) -> RainComparison:
    """Compute the scores of the rain of a candidate, compared with a reference.

    Parameters
    ----------
    reference, candidate
        Results of `accumulations` on the same grid, (Time, y, x), mm per window. Common times are compared. A window in
        which one of them is NaN everywhere is left out and counted in the summary. If the candidate has a dimension
        ``member``, the scores are those of its mean and of the ensemble.
    names
        Names of the reference and the candidate.
    thresholds
        Thresholds, mm; by default `default_thresholds` of the window.
    scales
        Sides of the squares of the FSS, cells; by default 1, 3, 5, 9, ... up to half the grid.
    longitude
        Longitude (y, x), degrees east, for the local hour; hours are UTC without it.
    clocks
        For lead times, the hours (UTC) at which the two start; there is no diurnal cycle without them.
    block, resamples, seed
        Settings of the bootstrap: number of windows in a block (see `sciml.verify.forecast.block_bootstrap.Blocks.of`),
        number of resamples, seed.
    run
        Carries out the tasks of the fractions skill score, in this process by default.

    Returns
    -------
    RainComparison
        Scores with intervals, fields and summary.

    Raises
    ------
    InputError
        The grids differ, there is no common time, thresholds are not positive and finite, or no amount is finite.
    SciMLError
        The package `scores` is not installed.
    """
    r, c, members, notes = _matched(reference, candidate)
    times = normalised(r["Time"].values)
    hours = float(r.attrs.get("window", 0.0))
    limits = tuple(thresholds if thresholds is not None else default_thresholds(hours))
    if not limits or not all(is_number(x) and x > 0 for x in limits):
        raise InputError(f"thresholds {list(limits)}: give amounts in mm above zero")
    rows, columns = r.shape[1:]
    sides = tuple(
        scales if scales is not None else (s for s in SCALES if s <= max(1, min(rows, columns) // 2))
    )
    if not sides or not all(is_whole(s, 1) and s <= min(rows, columns) for s in sides):
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
        parts.append(fractions(a, b, limits, sides, blocks, run))
    if members is not None:
        parts.append(ensemble(a, members, limits, blocks))
    left = f", {missing} cells without a value on one side left out: no FSS" if missing else ""
    window = span(round(hours * HOUR)) if hours else "a frame"
    ends = f"{stamp(times[0])} to {stamp(times[-1])}" if len(times) > 1 else stamp(times[0])
    count = f"{len(times)} window{'s' * (len(times) > 1)} of {window if hours else 'unknown length'}"
    notes = [f"{count}, ending {ends}, {rows} x {columns} cells{left}", *notes]
    fields = xr.merge(
        [
            xr.Dataset({"reference": (("y", "x"), _mean(a)), "candidate": (("y", "x"), _mean(b))}),
            hovmoeller(a, b, times),
            by_intensity(a, b),
            by_local_hour(a, b, times, hours, longitude, clocks),
        ]
    )
    history = f"{names[1]} compared with {names[0]}"
    scores = described(xr.merge(parts), SCORES, history)
    fields = described(fields, FIELDS, history)
    return RainComparison(names, scores, fields, hours, (*notes, blocks.describe(window)))


def _mean(values: Array) -> Array:
    known = np.isfinite(values)
    with np.errstate(all="ignore"):
        return np.asarray(np.where(known, values, 0).sum(0) / known.sum(0))


def _matched(
    reference: xr.DataArray, candidate: xr.DataArray
) -> tuple[xr.DataArray, xr.DataArray, Array | None, list[str]]:
    """Return both at their common times, the members if there are any, and notes for the report."""
    for rain in (reference, candidate):
        _check_amounts(rain)
    plain_dims = [dim for dim in candidate.dims if dim not in ("member", "Time")]
    shapes = [
        tuple(rain.sizes[d] for d in rain.dims if d not in ("member", "Time"))
        for rain in (reference, candidate)
    ]
    if "member" in reference.dims:
        raise InputError("the reference has members: give the ensemble as the candidate")
    if shapes[0] != shapes[1] or len(shapes[0]) != 2:
        raise InputError(
            f"grids of {shapes[0]} and {shapes[1]} cells: bring both to one grid first, for example with xesmf"
        )
    hours = [rain.attrs.get("window") for rain in (reference, candidate)]
    if None not in hours and hours[0] != hours[1]:
        raise InputError(
            f"windows of {hours[0]:g} and {hours[1]:g} hours: accumulate both over the same window"
        )
    frames, _ = common_frames([normalised(rain["Time"].values) for rain in (reference, candidate)], 0)
    if not frames[0].size:
        spans = [
            f"{stamp(rain['Time'].values[0])} to {stamp(rain['Time'].values[-1])}"
            for rain in (reference, candidate)
        ]
        raise InputError(
            f"no common time: {spans[0]} and {spans[1]}; compare by time since the start, or other files"
        )
    alone = [rain.sizes["Time"] - frames[0].size for rain in (reference, candidate)]
    notes = (
        [f"{alone[0]} windows of the reference and {alone[1]} of the candidate have no partner"]
        if any(alone)
        else []
    )
    r, c, lines = known_windows(reference.isel(Time=frames[0]), candidate.isel(Time=frames[1]))
    notes += lines
    r = r.transpose("Time", ...)
    r, c = (rain.assign_coords(Time=normalised(rain["Time"].values)) for rain in (r, c))
    if "member" not in candidate.dims:
        return r, c.transpose("Time", *plain_dims), None, notes
    if candidate.sizes["member"] < 2:
        raise InputError("an ensemble of one member: give at least two, or leave the dimension out")
    c = c.transpose("member", "Time", *plain_dims)
    notes.append(f"an ensemble of {c.sizes['member']} members: scores of its mean, and of the ensemble")
    return r, c.mean("member"), c.values.astype(np.float64), notes
