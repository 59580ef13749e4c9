"""The windows in which several sides are compared, and which parts of their periods are left out."""

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
from sciml.verify.forecast.run_source import Source
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
        As text: dates, or lead times.
    hours
        How long it is.
    why
        The reason.
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
        What else the reader must know.
    clocks
        Of lead times: the hour (UTC) at which each side starts.
    """

    amounts: list[xr.DataArray]
    frames: list[Array]
    dropped: tuple[Dropped, ...]
    notes: tuple[str, ...]
    clocks: tuple[float, ...] | None


def common_windows(sides: Sequence[Source], window: str | None, align: Literal["time", "start"]) -> Windows:
    """Add the rain of all sides up to common windows.

    Parameters
    ----------
    sides
        The reference first.
    window
        Such as "3h"; None: from one common time to the next.
    align
        By date, or by the time since the start of each run.

    Raises
    ------
    InputError
        No common time, one frame only, no full window, or frames that are unevenly apart.
    """
    length = None if window is None else duration(window)
    times, starts, notes = _clock(sides, align)
    for one, at in zip(sides, times, strict=True):
        if (np.diff(microseconds(at)) <= 0).any():
            raise InputError(f"the frames of {one.name} are not in the order of time: sort them by Time")
    tolerance = step_tolerance(times, [one.step for one in sides])
    frames, apart = common_frames(times, tolerance)
    together = length is None and _together(starts, times, frames, tolerance)
    _require_increments(sides, times, together)
    if not frames[0].size:
        raise InputError(_no_common_time(sides, times, align, tolerance))
    if apart:
        notes.append(
            f"output times of the sides differ by up to {span(apart)}: matched within {span(tolerance)}"
        )
    dated = [one.amounts.assign_coords(Time=("Time", at)) for one, at in zip(sides, times, strict=True)]
    if length is None or window is None:
        result, periods, begun = _between_common(dated, starts, frames, tolerance, together)
        if begun:
            date = "" if align == "start" else f", {stamp(sides[0].start)}"
            notes.append(f"the first window begins at the start of the runs{date}")
    else:
        known = [_known(*each, tolerance) for each in zip(sides, dated, times, starts, strict=True)]
        result = [accumulations(one, window, tolerance=tolerance) for one in known]
        missed = max(_missed(at, length, tolerance) for at in times)
        if missed:
            notes.append(
                f"output times miss the ends of the windows by up to {span(missed)}, within a time step"
            )
        periods = [_period(one, at) for one, at in zip(known, times, strict=True)]
    _require_still(sides, result, times)
    amounts, dropped = _without_unknown(sides, result, periods, times[0], tolerance)
    clocks = None
    if align == "start":
        clocks = tuple(_hour(one, at) for one, at in zip(sides, starts, strict=True))
    return Windows(amounts, frames, dropped, tuple(notes), clocks)


def _clock(sides: Sequence[Source], align: str) -> tuple[list[Array], list[int | None], list[str]]:
    """Times of each side, by date or since its start; its start on the same axis; what to say of them."""
    dates = [normalised(one.amounts["Time"].values) for one in sides]
    begun = [None if one.start is None else int(microseconds(np.array([one.start]))[0]) for one in sides]
    if align == "time":
        return dates, begun, []
    notes = ["times are counted from the start of each run"]
    lead = []
    for one, at, start in zip(sides, dates, begun, strict=True):
        if start is None:
            notes.append(f"when {one.name} started is not known: its times are counted from its first frame")
        since = microseconds(at) - (int(microseconds(at)[0]) if start is None else start)
        lead.append(since.astype("timedelta64[us]"))
    return lead, [None if start is None else 0 for start in begun], notes


def _no_common_time(sides: Sequence[Source], times: Sequence[Array], align: str, tolerance: int) -> str:
    """Why there is none, and what to do."""
    spans = [f"{one.name} {stamp(at[0])} to {stamp(at[-1])}" for one, at in zip(sides, times, strict=True)]
    ends = [microseconds(at)[[0, -1]] for at in times]
    if max(one[0] for one in ends) <= min(one[1] for one in ends):
        why = f"no frames are within {span(tolerance)} of each other; give runs with the same output times"
    elif align == "start":
        why = "give files that cover the same time since the start"
    else:
        why = "compare them by the time since their starts (--align start)"
    return f"no common time: {', '.join(spans)}; {why}"


def _hour(side: Source, start: int | None) -> float:
    """The hour (UTC) from which the lead times of a side count."""
    first = side.amounts["Time"].values[0] if start is None else side.start
    return float(hours_of_day(np.array([first]))[0])


def _together(
    starts: Sequence[int | None], times: Sequence[Array], frames: Sequence[Array], tolerance: int
) -> bool:
    """Whether all sides started at one time, before their first common frame."""
    known = [one for one in starts if one is not None]
    if len(known) < len(starts) or not frames[0].size or max(known) - min(known) > tolerance:
        return False
    return known[0] + tolerance < int(microseconds(times[0])[frames[0][0]])


def _require_increments(sides: Sequence[Source], times: Sequence[Array], together: bool) -> None:
    for one, at in zip(sides, times, strict=True):
        if at.size < 2 and not together:
            raise InputError(
                f"{one.name} holds one frame only ({stamp(at[0])}): the rain that fell between frames needs two or "
                "more; give all files of the run, as a folder or a pattern in quotes"
            )


def _between_common(
    amounts: Sequence[xr.DataArray],
    starts: Sequence[int | None],
    frames: Sequence[Array],
    tolerance: int,
    together: bool,
) -> tuple[list[xr.DataArray], list[Period], bool]:
    """Amounts from one common time to the next, the first since the start where all sides began together.

    Returns the amounts, the periods of the sides, and whether the first window begins at the start.
    """
    times = [normalised(one["Time"].values) for one in amounts]
    edges = microseconds(times[0])[frames[0]]
    bounds = list(frames)
    if together:
        edges = np.concatenate([[starts[0]], edges])
        bounds = [np.concatenate([[-1], one]) for one in bounds]
        length = np.diff(edges)
        if length.size > 1 and abs(length[0] - np.median(length[1:])) > 2 * tolerance:
            # The first frame comes after the run has been going for longer.
            edges, bounds, together = edges[1:], [one[1:] for one in bounds], False
    length = np.diff(edges)
    if not length.size:
        raise InputError(
            f"one common time ({stamp(times[0][frames[0][0]])}), and no common start: the rain until then began to "
            "fall at different times; give files with more common times"
        )
    usual = int(np.median(length))
    if (np.abs(length - usual) > 2 * tolerance).any():
        raise InputError(
            f"the common times are {span(length.min())} to {span(length.max())} apart: give a window, such as 6h"
        )
    if (length != usual).any() and usual > 2 * MINUTE:
        usual = round(usual / MINUTE) * MINUTE  # adaptive steps: the output interval is what was asked for
    labels = times[0][bounds[0][1:]]
    out, periods = [], []
    for one, at, bound in zip(amounts, times, bounds, strict=True):
        parts = [
            one.isel(Time=slice(low + 1, high + 1)).sum("Time", skipna=False)
            for low, high in itertools.pairwise(bound)
        ]
        joined = xr.concat(parts, "Time", coords="minimal", compat="override")
        joined = joined.assign_coords(Time=("Time", labels))
        out.append(joined.assign_attrs(units="mm", window=usual / HOUR))
        micros = microseconds(at)
        periods.append((int(edges[0]) if together else int(micros[0]), int(micros[-1])))
    return out, periods, together


def _known(
    side: Source, amounts: xr.DataArray, times: Array, start: int | None, tolerance: int
) -> xr.DataArray:
    """Amounts of which it is known when they fell: without what fell before the first frame of a run."""
    if side.run is None:
        return amounts
    micros = microseconds(times)
    if start is not None and abs(int(micros[0]) - start - int(micros[1] - micros[0])) <= 2 * tolerance:
        return amounts
    return amounts.where(xr.DataArray(np.arange(times.size) > 0, dims="Time"))


def _missed(times: Array, length: int, tolerance: int) -> int:
    """By how much frames miss the ends of windows that they are taken for."""
    micros = microseconds(times)
    off = np.abs((micros + length // 2) // length * length - micros)
    return int(off[off <= tolerance].max(initial=0))


def _period(amounts: xr.DataArray, times: Array) -> Period:
    """From when to when rain is known."""
    micros = microseconds(times)
    first = bool(np.isfinite(amounts.isel(Time=0).values).any())
    return int(micros[0] - (micros[1] - micros[0]) * first), int(micros[-1])


def _require_still(sides: Sequence[Source], amounts: Sequence[xr.DataArray], times: Sequence[Array]) -> None:
    """Refuse to add up frames of a nest that moves: their cells lie on other ground."""
    for one, result, at in zip(sides, amounts, times, strict=True):
        if not one.moves or at.size < 2:
            continue
        interval = float(np.median(np.diff(microseconds(at))))
        if result.attrs["window"] * HOUR > 1.5 * interval:
            raise InputError(
                f"{one.name} is a nest that moves: rain of its cells cannot be added up over windows of "
                f"{span(round(result.attrs['window'] * HOUR))}; compare frame by frame (without --window, the same "
                "output times on both sides), or compare the parent domain"
            )


def _without_unknown(
    sides: Sequence[Source],
    amounts: Sequence[xr.DataArray],
    periods: Sequence[Period],
    like: Array,
    tolerance: int,
) -> tuple[list[xr.DataArray], tuple[Dropped, ...]]:
    """The windows that all sides have and in which all know some rain; and what is left out by that."""
    ends = [microseconds(one["Time"].values) for one in amounts]
    length = round(amounts[0].attrs["window"] * HOUR)
    common = ends[0]
    for end in ends[1:]:
        common = np.intersect1d(common, end)
    if not common.size:
        spans = [
            f"{one.name} {stamp(like_times(end[:1], like)[0])} to {stamp(like_times(end[-1:], like)[0])}"
            for one, end in zip(sides, ends, strict=True)
        ]
        raise InputError(f"no window of {span(length)} that all fill; windows end at: {', '.join(spans)}")
    chosen = [one.isel(Time=np.searchsorted(end, common)) for one, end in zip(amounts, ends, strict=True)]
    unknown, without = np.zeros(common.size, bool), []
    for one, side in zip(chosen, sides, strict=True):
        empty = ~np.isfinite(one.transpose("Time", ...).values).reshape(common.size, -1).any(1)
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
    return [one.isel(Time=~unknown) for one in chosen], tuple(dropped)


def _named(source: str, periods: Iterable[Period], why: str, like: Array, tolerance: int) -> list[Dropped]:
    result = []
    for low, high in periods:
        if high - low > 2 * tolerance:
            begin, end = (stamp(one) for one in like_times(np.array([low, high]), like))
            result.append(Dropped(source, begin, end, (high - low) / HOUR, why))
    return result


def _windows(ends: Array, length: int) -> list[Period]:
    return [(int(end) - length, int(end)) for end in ends]


def _minus(periods: Iterable[Period], others: Iterable[Period]) -> list[Period]:
    """Parts of periods that lie in none of the others."""
    left = list(periods)
    for low, high in others:
        parts = []
        for begin, end in left:
            parts += [(begin, min(end, low)), (max(begin, high), end)]
        left = [(begin, end) for begin, end in parts if begin < end]
    return left


def _within(periods: Iterable[Period], others: Iterable[Period]) -> list[Period]:
    """Parts of periods that lie in one of the others; neighbours are joined."""
    result: list[Period] = []
    for begin, end in periods:
        for low, high in others:
            one = (max(begin, low), min(end, high))
            if one[0] >= one[1]:
                continue
            if result and result[-1][1] == one[0]:
                result[-1] = (result[-1][0], one[1])
            else:
                result.append(one)
    return result
