"""Times of frames of any year and calendar, as integers and as text.

Times are datetime64 where the calendar is Gregorian (of any unit, so year 1 of an idealised run is valid), objects of
cftime in other calendars (noleap, 360_day), and timedelta64 where runs are compared by lead time.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sciml.errors import InputError

__all__ = [
    "calendar_of",
    "common_frames",
    "duration",
    "hours_of_day",
    "like_times",
    "microseconds",
    "normalised",
    "parsed",
    "smallest_step",
    "span",
    "stamp",
    "step_tolerance",
]

Array = NDArray[Any]

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
UNITS: Final = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), SECOND),
    **dict.fromkeys(("min", "minute", "minutes"), MINUTE),
    **dict.fromkeys(("h", "hr", "hour", "hours"), HOUR),
    **dict.fromkeys(("d", "day", "days"), 24 * HOUR),
}
"""Units of durations, microseconds. There is no m, which is ambiguous (minute or month)."""
LONGEST_STEP: Final = 300 * SECOND
"""Upper limit of time steps of WRF (6 s per km of grid spacing, at 50 km), used where DT is not known."""
EPOCH: Final = "microseconds since 1970-01-01"
GREGORIAN: Final = ("standard", "gregorian", "proleptic_gregorian")
LEAD: Final = "lead time"


def normalised(times: Any) -> Array:
    """Convert times to datetime64[us] or timedelta64[us]; times of other calendars remain objects of cftime.

    Dates of another calendar that are equally spaced in the Gregorian calendar (a summer of a noleap model) become
    datetime64 too.

    Raises
    ------
    InputError
        The values are not times.

    Examples
    --------
    >>> normalised(np.array(["2007-06-10T11:30"], "datetime64[ns]"))
    array(['2007-06-10T11:30:00.000000'], dtype='datetime64[us]')
    """
    values = np.atleast_1d(np.asarray(times))
    if values.dtype.kind == "M":
        return values.astype("datetime64[us]")
    if values.dtype.kind == "m":
        return values.astype("timedelta64[us]")
    if values.size and all(hasattr(time, "calendar") and hasattr(time, "isoformat") for time in values.flat):
        try:
            dates = np.array([time.isoformat() for time in values.flat], "datetime64[us]")
        except ValueError:  # such as 30 February
            return values
        if values.flat[0].calendar in GREGORIAN:
            return dates
        apart = _since_epoch(values)
        return dates if (np.diff(dates).astype(np.int64) == np.diff(apart)).all() else values
    raise InputError(f"Time contains {values.dtype} values, which are not times: decode the times first")


def _since_epoch(values: Array) -> NDArray[np.int64]:
    """Convert objects of cftime to microseconds since 1970-01-01 in their calendar."""
    cftime = importlib.import_module("cftime")
    return np.asarray(cftime.date2num(values, EPOCH, calendar_of(values)), np.int64)


def calendar_of(times: Array) -> str:
    """Return the calendar of `normalised` times: "gregorian", "lead time", or the name that cftime gives it."""
    if times.dtype.kind == "O":
        return str(times.flat[0].calendar)
    return LEAD if times.dtype.kind == "m" else "gregorian"


def microseconds(times: Any) -> NDArray[np.int64]:
    """Convert times to microseconds since 1970-01-01 in their calendar, or lead times to microseconds."""
    values = normalised(times)
    return np.asarray(values.astype(np.int64)) if values.dtype.kind in "mM" else _since_epoch(values)


def like_times(micros: Array, like: Array) -> Array:
    """Convert microseconds to times in the calendar of `like`; the inverse of `microseconds`."""
    whole = np.asarray(micros, np.int64)
    if like.dtype.kind in "mM":
        return whole.astype(f"{'datetime64' if like.dtype.kind == 'M' else 'timedelta64'}[us]")
    cftime = importlib.import_module("cftime")
    return np.asarray(cftime.num2date(whole, EPOCH, calendar_of(like)), object)


def hours_of_day(times: Any) -> NDArray[np.float64]:
    """Return the hours since 0 UTC of each time."""
    values = normalised(times)
    if values.dtype.kind == "O":
        return np.array([time.hour + time.minute / 60 + time.second / 3600 for time in values], np.float64)
    return np.asarray(microseconds(values) % (24 * HOUR) / HOUR, np.float64)


def parsed(text: str, like: Array) -> Any:
    """Parse a time stamp of WRF, such as 2007-06-10_08:00:00, in the calendar of `like`; None if it is invalid."""
    numbers = [int(digits) for digits in re.findall(r"\d+", text)[:6]]
    if len(numbers) < 3:
        return None
    year, month, day, *clock = numbers
    try:
        if like.dtype.kind == "O":
            cftime = importlib.import_module("cftime")
            return cftime.datetime(year, month, day, *clock, calendar=calendar_of(like))
        hour, minute, second = (*clock, 0, 0, 0)[:3]
        midnight = np.datetime64(f"{year:04d}-{month:02d}-{day:02d}", "us")
        return midnight + np.timedelta64((hour * 60 + minute) * MINUTE + second * SECOND, "us")
    except ValueError:
        return None


def stamp(time: Any) -> str:
    """Format a time: 0001-01-01 11:35:00, or +3 h for a lead time.

    Examples
    --------
    >>> stamp(np.datetime64("2007-06-10T11:35:00")), stamp(np.timedelta64(90, "m"))
    ('2007-06-10 11:35:00', '+1 h 30 min')
    """
    (value,) = normalised(time)
    if isinstance(value, np.timedelta64):
        micros = int(value.astype(np.int64))
        return f"{'-' if micros < 0 else '+'}{span(abs(micros))}"
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return text.replace("T", " ").removesuffix(".000000")


def span(micros: int) -> str:
    """Format a length of time with every unit that is not zero.

    Examples
    --------
    >>> span(3 * HOUR), span(90 * MINUTE), span(12_500_000)
    ('3 h', '1 h 30 min', '12.5 s')
    """
    hours, rest = divmod(int(micros), HOUR)
    minutes, rest = divmod(rest, MINUTE)
    parts = [f"{hours} h" if hours else "", f"{minutes} min" if minutes else ""]
    parts.append(f"{rest / SECOND:g} s" if rest or not any(parts) else "")
    return " ".join(part for part in parts if part)


def duration(given: str, name: str = "window") -> int:
    """Parse a length of time such as 10min, 3h, "1h 30min" or 1d to microseconds; a unit without a number counts once.

    Raises
    ------
    InputError
        There is no unit, the text is not a time, or the time is not from 1 s to 366 days.

    Examples
    --------
    >>> duration("3h") == 3 * HOUR, duration("h") == HOUR
    (True, True)
    """
    text = str(given).strip()
    if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", text, re.IGNORECASE):
        number = text.lstrip("+-")
        raise InputError(f"the {name} {text} has no unit: give {number}h, {number}min or {number}d")
    remedy = f"{given!r} is not a valid {name}: give a time with its unit, such as 10min, 1h, 3h or 1d"
    spelt = re.sub(r"\s+", "", f"1{text}" if text.isalpha() else text).lower()
    parts = re.findall(r"(\d+\.?\d*|\.\d+)([a-z]+)", spelt)
    if not parts or "".join(number + unit for number, unit in parts) != spelt:
        raise InputError(remedy)
    if any(unit not in UNITS for _, unit in parts):
        raise InputError(remedy)
    result = sum(float(number) * UNITS[unit] for number, unit in parts)
    if not SECOND <= result <= 366 * 24 * HOUR:
        raise InputError(remedy)
    return round(result)


def smallest_step(times: Sequence[Array]) -> int:
    """Return the smallest interval between two frames of any side (microseconds); 0 if all have one frame."""
    steps = [np.diff(np.sort(microseconds(frames))) for frames in times if frames.size > 1]
    return int(min((int(step[step > 0].min()) for step in steps if (step > 0).any()), default=0))


def step_tolerance(times: Sequence[Array], steps: Iterable[float | None]) -> int:
    """Compute the tolerance (microseconds) for frames of two runs at the same output time.

    Parameters
    ----------
    times
        Times of each side.
    steps
        Time step of each side (s); None where it is not known.

    Notes
    -----
    WRF writes at the first time step at or after an output time. With adaptive steps the frames of two runs therefore
    differ by up to a time step. The tolerance is the longest step (300 s, a step that WRF does not exceed, where none
    is known), or the unevenness of the output times if that is larger, and less than half the smallest interval.
    """
    known = [float(step) for step in steps if step is not None and np.isfinite(step) and step > 0]
    longest = round(max(known) * SECOND) if known else LONGEST_STEP
    smallest = smallest_step(times)
    if not smallest:
        return longest
    half = (smallest - 1) // 2
    for frames in times:
        if frames.size > 2:
            step = np.diff(microseconds(frames))
            uneven = np.abs(step - int(np.median(step)))
            longest = max(longest, int(uneven[uneven <= half].max(initial=0)))
    return min(longest, half)


def common_frames(times: Sequence[Array], tolerance: int) -> tuple[list[Array], int]:
    """Match the frames of the sides with the same times.

    Returns
    -------
    list
        Indices (common,) of each side.
    int
        Largest offset from the first side (microseconds).

    Raises
    ------
    InputError
        The calendars differ.
    """
    calendars = [calendar_of(side) for side in times]
    if len(set(calendars)) > 1:
        raise InputError(
            f"the times are of the calendars {', '.join(calendars)}: bring them to one calendar "
            "(convert_calendar of xarray)"
        )
    first, *others = (microseconds(side) for side in times)
    near = [_nearest(first, other) for other in others]
    chosen = np.arange(first.size)
    for other, index in zip(others, near, strict=True):
        chosen = chosen[np.abs(other[index[chosen]] - first[chosen]) <= tolerance]
    apart = max(
        (
            int(np.abs(other[index[chosen]] - first[chosen]).max(initial=0))
            for other, index in zip(others, near, strict=True)
        ),
        default=0,
    )
    return [chosen, *(index[chosen] for index in near)], apart


def _nearest(wanted: Array, there: Array) -> Array:
    """Return the index of the nearest of sorted numbers for each wanted number."""
    right = np.clip(np.searchsorted(there, wanted), 0, there.size - 1)
    left = np.maximum(right - 1, 0)
    return np.where(np.abs(there[left] - wanted) <= np.abs(there[right] - wanted), left, right)
