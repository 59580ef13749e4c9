"""Windows in which several sides are compared, and the parts of their periods that are left out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml.errors import InputError
from sciml.verify.forecast.rainfall import accumulations
from sciml.verify.forecast.run_source import RunSource
from sciml.verify.forecast.run_times import (
    HOUR,
    MINUTE,
    common_frames,
    duration,
    hours_of_day,
    like_times,
    microseconds,
    normalised,
    span,
    stamp,
    step_tolerance,
)

__all__ = ["Dropped", "Windows", "common_windows"]

Array = NDArray[Any]
Period = tuple[int, int]


@dataclass(frozen=True)
class Dropped:
    """A part of a side's period that is not compared.

    Parameters
    ----------
    source
        Name of the side.
    begin, end
        Dates or lead times as text.
    hours
        Length in hours.
    why
        Reason.
    """

    source: str
    begin: str
    end: str
    hours: float
    why: str


@dataclass(frozen=True, eq=False)
class Windows:
    """Amounts of all sides in common windows.

    Parameters
    ----------
    amounts
        (Time, y, x) of each side, mm, at the same times.
    frames
        Indices of the frames of each side that show common times.
    dropped
        Parts of the periods that are not compared.
    notes
        Notes for the report.
    clocks
        For lead times, the hour (UTC) at which each side starts.
    """

    amounts: list[xr.DataArray]
    frames: list[Array]
    dropped: tuple[Dropped, ...]
    notes: tuple[str, ...]
    clocks: tuple[float, ...] | None


def common_windows(
    sides: Sequence[RunSource], window: str | None, align: Literal["time", "start"]
) -> Windows:
    """Sum the rain of all sides over common windows.

    Parameters
    ----------
    sides
        Sides, the reference first.
    window
        Length of the windows, such as "3h"; None: from one common time to the next.
    align
        Match frames by date, or by the time since the start of each run.

    Raises
    ------
    InputError
        There is no common time, only one frame, no complete window, or the frames are unevenly spaced.
    """
    length = None if window is None else duration(window)
    times, starts, notes = _clock(sides, align)
    for side, at in zip(sides, times, strict=True):
        if (np.diff(microseconds(at)) <= 0).any():
            raise InputError(f"the frames of {side.name} are not in the order of time: sort them by Time")
    tolerance = step_tolerance(times, [side.step for side in sides])
    frames, apart = common_frames(times, tolerance)
    together = length is None and _together(starts, times, frames, tolerance)
    _require_increments(sides, times, together)
    if not frames[0].size:
        raise InputError(_no_common_time(sides, times, align, tolerance))
    if apart:
        notes.append(
            f"output times of the sides differ by up to {span(apart)}: matched within {span(tolerance)}"
        )
    dated = [side.amounts.assign_coords(Time=("Time", at)) for side, at in zip(sides, times, strict=True)]
    if length is None or window is None:
        result, periods, begun = _between_common(dated, starts, frames, tolerance, together)
        if begun:
            date = "" if align == "start" else f", {stamp(sides[0].start)}"
            notes.append(f"the first window begins at the start of the runs{date}")
    else:
        known = [_known(*each, tolerance) for each in zip(sides, dated, times, starts, strict=True)]
        result = [accumulations(rain, window, tolerance=tolerance) for rain in known]
        missed = max(_missed(at, length, tolerance) for at in times)
        if missed:
            notes.append(
                f"output times miss the ends of the windows by up to {span(missed)}, within a time step"
            )
        periods = [_period(rain, at) for rain, at in zip(known, times, strict=True)]
    _require_still(sides, result, times)
    amounts, dropped = _without_unknown(sides, result, periods, times[0], tolerance)
    clocks = None
    if align == "start":
        clocks = tuple(_hour(side, at) for side, at in zip(sides, starts, strict=True))
    return Windows(amounts, frames, dropped, tuple(notes), clocks)


def _clock(sides: Sequence[RunSource], align: str) -> tuple[list[Array], list[int | None], list[str]]:
    """Return times and start of each side, by date or since its start, and notes for the report."""
    dates = [normalised(side.amounts["Time"].values) for side in sides]
    begun = [None if side.start is None else int(microseconds(np.array([side.start]))[0]) for side in sides]
    if align == "time":
        return dates, begun, []
    notes = ["times are counted from the start of each run"]
    lead = []
    for side, at, start in zip(sides, dates, begun, strict=True):
        if start is None:
            notes.append(f"the start of {side.name} is not known: its times are counted from its first frame")
        since = microseconds(at) - (int(microseconds(at)[0]) if start is None else start)
        lead.append(since.astype("timedelta64[us]"))
    return lead, [None if start is None else 0 for start in begun], notes


def _no_common_time(sides: Sequence[RunSource], times: Sequence[Array], align: str, tolerance: int) -> str:
    """Describe why there is no common time, and the remedy."""
    spans = [f"{side.name} {stamp(at[0])} to {stamp(at[-1])}" for side, at in zip(sides, times, strict=True)]
    ends = [microseconds(at)[[0, -1]] for at in times]
    if max(pair[0] for pair in ends) <= min(pair[1] for pair in ends):
        why = f"no frames are within {span(tolerance)} of each other; give runs with the same output times"
    elif align == "start":
        why = "give files that cover the same time since the start"
    else:
        why = "compare them by the time since their starts (--align start)"
    return f"no common time: {', '.join(spans)}; {why}"


def _hour(side: RunSource, start: int | None) -> float:
    """Return the hour (UTC) at which the lead times of a side begin."""
    first = side.amounts["Time"].values[0] if start is None else side.start
    return float(hours_of_day(np.array([first]))[0])


def _together(
    starts: Sequence[int | None], times: Sequence[Array], frames: Sequence[Array], tolerance: int
) -> bool:
    """Return whether all sides started at the same time, before their first common frame."""
    known = [start for start in starts if start is not None]
    if len(known) < len(starts) or not frames[0].size or max(known) - min(known) > tolerance:
        return False
    return known[0] + tolerance < int(microseconds(times[0])[frames[0][0]])


def _require_increments(sides: Sequence[RunSource], times: Sequence[Array], together: bool) -> None:
    for side, at in zip(sides, times, strict=True):
        if at.size < 2 and not together:
            raise InputError(
                f"{side.name} contains one frame only ({stamp(at[0])}): the rain that fell between frames needs two or "
                "more; give all files of the run, as a folder or a pattern in quotes"
            )


def _between_common(
    amounts: Sequence[xr.DataArray],
    starts: Sequence[int | None],
    frames: Sequence[Array],
    tolerance: int,
    together: bool,
) -> tuple[list[xr.DataArray], list[Period], bool]:
    """Sum amounts from one common time to the next, the first since the start if all sides started together.

    Returns the amounts, the periods of the sides, and whether the first window begins at the start.
    """
    times = [normalised(rain["Time"].values) for rain in amounts]
    edges = microseconds(times[0])[frames[0]]
    bounds = list(frames)
    if together:
        edges = np.concatenate([[starts[0]], edges])
        bounds = [np.concatenate([[-1], bound]) for bound in bounds]
        length = np.diff(edges)
        if length.size > 1 and abs(length[0] - np.median(length[1:])) > 2 * tolerance:
            # The run began more than one interval before the first frame.
            edges, bounds, together = edges[1:], [bound[1:] for bound in bounds], False
    length = np.diff(edges)
    if not length.size:
        raise InputError(
            f"one common time ({stamp(times[0][frames[0][0]])}), and no common start: the rain until then is of "
            "different periods; give files with more common times"
        )
    usual = int(np.median(length))
    if (np.abs(length - usual) > 2 * tolerance).any():
        raise InputError(
            f"the common times are {span(length.min())} to {span(length.max())} apart: give a window, such as 6h"
        )
    if (length != usual).any() and usual > 2 * MINUTE:
        usual = round(usual / MINUTE) * MINUTE  # with adaptive steps the output interval is the nominal one
    labels = times[0][bounds[0][1:]]
    out, periods = [], []
    for rain, at, bound in zip(amounts, times, bounds, strict=True):
        parts = [
            rain.isel(Time=slice(low + 1, high + 1)).sum("Time", skipna=False)
            for low, high in itertools.pairwise(bound)
        ]
        joined = xr.concat(parts, "Time", coords="minimal", compat="override")
        joined = joined.assign_coords(Time=("Time", labels))
        out.append(joined.assign_attrs(units="mm", window=usual / HOUR))
        micros = microseconds(at)
        periods.append((int(edges[0]) if together else int(micros[0]), int(micros[-1])))
    return out, periods, together


def _known(
    side: RunSource, amounts: xr.DataArray, times: Array, start: int | None, tolerance: int
) -> xr.DataArray:
    """Return the amounts without the amount before the first frame of a run, whose period is not known."""
    if side.run is None:
        return amounts
    micros = microseconds(times)
    if start is not None and abs(int(micros[0]) - start - int(micros[1] - micros[0])) <= 2 * tolerance:
        return amounts
    return amounts.where(xr.DataArray(np.arange(times.size) > 0, dims="Time"))


def _missed(times: Array, length: int, tolerance: int) -> int:
    """Return the largest offset of frames from the ends of their windows."""
    micros = microseconds(times)
    off = np.abs((micros + length // 2) // length * length - micros)
    return int(off[off <= tolerance].max(initial=0))


def _period(amounts: xr.DataArray, times: Array) -> Period:
    """Return the period of known rain."""
    micros = microseconds(times)
    first = bool(np.isfinite(amounts.isel(Time=0).values).any())
    return int(micros[0] - (micros[1] - micros[0]) * first), int(micros[-1])


def _require_still(
    sides: Sequence[RunSource], amounts: Sequence[xr.DataArray], times: Sequence[Array]
) -> None:
    """Raise an error if frames of a moving nest would be summed: their cells are at different places."""
    for side, result, at in zip(sides, amounts, times, strict=True):
        if not side.moves or at.size < 2:
            continue
        interval = float(np.median(np.diff(microseconds(at))))
        if result.attrs["window"] * HOUR > 1.5 * interval:
            raise InputError(
                f"{side.name} is a moving nest: rain of its cells cannot be summed over windows of "
                f"{span(round(result.attrs['window'] * HOUR))}; compare frame by frame (without --window, the same "
                "output times on both sides), or compare the parent domain"
            )


def _without_unknown(
    sides: Sequence[RunSource],
    amounts: Sequence[xr.DataArray],
    periods: Sequence[Period],
    like: Array,
    tolerance: int,
) -> tuple[list[xr.DataArray], tuple[Dropped, ...]]:
    """Return the windows in which all sides have known rain, and the parts that are left out."""
    ends = [microseconds(rain["Time"].values) for rain in amounts]
    length = round(amounts[0].attrs["window"] * HOUR)
    common = ends[0]
    for end in ends[1:]:
        common = np.intersect1d(common, end)
    if not common.size:
        spans = [
            f"{side.name} {stamp(like_times(end[:1], like)[0])} to {stamp(like_times(end[-1:], like)[0])}"
            for side, end in zip(sides, ends, strict=True)
        ]
        raise InputError(
            f"no window of {span(length)} is complete on all sides; windows end at: {', '.join(spans)}"
        )
    chosen = [rain.isel(Time=np.searchsorted(end, common)) for rain, end in zip(amounts, ends, strict=True)]
    unknown, without = np.zeros(common.size, bool), []
    for rain, side in zip(chosen, sides, strict=True):
        empty = ~np.isfinite(rain.transpose("Time", ...).values).reshape(common.size, -1).any(1)
        unknown |= empty
        without += [side.name] * bool(empty.any())
    if unknown.all():
        raise InputError(
            f"{' and '.join(without)} has no known amount (NaN) in any common window: give files without a change of "
            "run, or observations with values"
        )
    reason = (
        f"{int(unknown.sum())} windows in which {' and '.join(without)} has no known amount (as at a seam"
    )
    gone = _windows(common[unknown], length)
    dropped: list[Dropped] = []
    for k, side in enumerate(sides):
        others = [period for j, period in enumerate(periods) if j != k]
        shared = max(low for low, _ in others), min(high for _, high in others)
        gaps = _minus([periods[k]], _windows(common[~unknown], length))
        outside = _minus(gaps, [shared])
        inside = _minus(gaps, outside)
        other = "the other side" if len(sides) == 2 else "another side"
        for parts, why in (
            (outside, f"{other} has no frames there"),
            (_within(inside, gone), f"{reason} between two runs)"),
            (_minus(inside, gone), f"no full window of {span(length)}"),
        ):
            dropped += _named(side.name, parts, why, like, tolerance)
    return [rain.isel(Time=~unknown) for rain in chosen], tuple(dropped)


def _named(source: str, periods: Iterable[Period], why: str, like: Array, tolerance: int) -> list[Dropped]:
    result = []
    for low, high in periods:
        if high - low > 2 * tolerance:
            begin, end = (stamp(time) for time in like_times(np.array([low, high]), like))
            result.append(Dropped(source, begin, end, (high - low) / HOUR, why))
    return result


def _windows(ends: Array, length: int) -> list[Period]:
    return [(int(end) - length, int(end)) for end in ends]


def _minus(periods: Iterable[Period], others: Iterable[Period]) -> list[Period]:
    """Return the parts of periods that are in none of the others."""
    left = list(periods)
    for low, high in others:
        parts = []
        for begin, end in left:
            parts += [(begin, min(end, low)), (max(begin, high), end)]
        left = [(begin, end) for begin, end in parts if begin < end]
    return left


def _within(periods: Iterable[Period], others: Iterable[Period]) -> list[Period]:
    """Return the parts of periods that are in one of the others, with neighbours joined."""
    result: list[Period] = []
    for begin, end in periods:
        for low, high in others:
            overlap = (max(begin, low), min(end, high))
            if overlap[0] >= overlap[1]:
                continue
            if result and result[-1][1] == overlap[0]:
                result[-1] = (result[-1][0], overlap[1])
            else:
                result.append(overlap)
    return result
