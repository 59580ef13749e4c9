"""Times of the frames in a file, in all forms that WRF and tools write."""

from __future__ import annotations

import datetime
import re
from typing import Any, Final

import cftime  # type: ignore[import-untyped]  # it has no stubs
import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml.constants import DAY
from sciml.errors import InputError
from sciml.wrf.requirements import where

__all__ = [
    "decode_stamps",
    "elapsed_seconds",
    "frame_times",
    "gregorian",
    "run_minutes",
    "run_start",
    "since_units",
    "start_minutes",
]

_STAMP: Final = re.compile(
    r"(\d{1,4})-(\d{1,2})-(\d{1,2})(?:[_T ](\d{1,2})[:_.-](\d{1,2})(?:[:_.-](\d{1,2}(?:\.\d+)?))?)?"
)
_SINCE: Final = re.compile(r"(s|sec|second|min|minute|h|hr|hour|d|day)s?\s+since\s+(.+)", re.IGNORECASE)
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY}
# Absolute time axis of CDO: a number whose digits are the date.
_ABSOLUTE: Final = re.compile(r"day\s+as\s+%Y%m%d\.%f")
# Dates in these calendars are converted to datetime64, because no run of WRF includes the change of 1582.
_STANDARD: Final = ("standard", "gregorian", "proleptic_gregorian", "julian", "")

Times = npt.NDArray[np.datetime64]


def decode_stamps(stamps: list[str], source: str = "the file") -> npt.NDArray[np.datetime64]:
    """Convert time stamps of WRF to datetime64.

    Parameters
    ----------
    stamps
        Time stamps such as ``2007-06-10_11:30:00``; also with ``_`` for ``:`` (files with ``nocolons``), with
        fractions of a second (``2007-06-10_11:30:00.3333``), without seconds, in year 1 (idealised runs), and with
        24:00:00 or a leap second 60, which counts as second 0 of the next minute.
    source
        Name of the file, for the error message.

    Returns
    -------
    datetime64[ns] if the years allow it (1678 to 2262), else datetime64[us].

    Raises
    ------
    InputError
        A stamp is not a time.

    Examples
    --------
    >>> decode_stamps(["2007-06-10_11:30:00"])
    array(['2007-06-10T11:30:00.000000000'], dtype='datetime64[ns]')
    """
    values = np.empty(len(stamps), dtype="datetime64[us]")
    for k, stamp in enumerate(stamps):
        text = stamp.strip("\x00 ")
        match = _STAMP.fullmatch(text)
        try:
            if not match:
                raise ValueError(text)
            year, month, day = (int(match[n]) for n in (1, 2, 3))
            midnight = np.datetime64(f"{year:04d}-{month:02d}-{day:02d}", "us")
            hour, minute, second = int(match[4] or 0), int(match[5] or 0), float(match[6] or 0)
            if hour > 24 or minute > 59 or second >= 61 or (hour == 24 and (minute or second)):
                raise ValueError(text)
            micro = (hour * 60 + minute) * 60_000_000 + round(second * 1e6)
            values[k] = midnight + np.timedelta64(micro, "us")
        except ValueError:
            raise InputError(
                f"{source} has the time stamp {text!r} in frame {k}, which is not a time of the Gregorian "
                "calendar: cut that frame off (ncks -d Time,...), or correct Times"
            ) from None
    return _finest(values)


def _finest(values: npt.NDArray[Any]) -> Times:
    """datetime64[us] as datetime64[ns] if the years allow it."""
    years = values.astype("datetime64[Y]").astype(int) + 1970
    fits = not len(values) or (years.min() > 1678 and years.max() < 2262)
    return values.astype("datetime64[ns]") if fits else values


def _texts(times: npt.NDArray[Any]) -> list[str]:
    if times.ndim == 1 and times.dtype == np.dtype("S1") and times.size > 1:
        times = times[None]  # the characters of a single stamp, in a file whose dimension Time was removed
    if times.ndim == 2:
        times = np.array([b"".join(row.tolist()) for row in times.astype("S1")])
    return [t.decode("ascii", "replace") if isinstance(t, bytes) else str(t) for t in times.ravel().tolist()]


def frame_times(ds: xr.Dataset) -> Times:
    """Times of the frames, from the coordinate Time (decoded, or with units), else Times, else XTIME with units.

    Returns
    -------
    datetime64[ns] if the years allow it, else datetime64[us]; objects of cftime in other calendars, such as those
    without leap years or of 360 days (`gregorian` converts them, `elapsed_seconds` subtracts them).

    Raises
    ------
    InputError
        The dataset has no times, or a frame has no time.
    """
    if "Time" in ds.variables:
        times = _decoded(ds, "Time")
        if times is not None:
            return times
    if "Times" in ds.variables and ds["Times"].dtype.kind in "SUO":
        texts = _texts(np.asarray(ds["Times"].values))
        if any(t.strip("\x00 ") for t in texts):
            return decode_stamps(texts, where(ds))
    if "XTIME" in ds.variables:
        times = _decoded(ds, "XTIME")
        if times is not None:
            return times
    raise InputError(
        f"{where(ds)} has no times: neither Times nor XTIME with units 'minutes since ...' is readable; set "
        "them, ds = ds.assign_coords(Time=...), or use the file as WRF wrote it"
    )


def _decoded(ds: xr.Dataset, name: str) -> Times | None:
    """Times from a variable that is decoded already, text, or numbers with units; else None."""
    values = np.atleast_1d(ds[name].values)
    if values.ndim != 1:
        return None
    if values.dtype.kind == "M":
        return _checked(ds, name, values, np.isnat(values))
    if values.dtype.kind == "O" and len(values) and isinstance(values[0], (str, bytes)):
        return decode_stamps(_texts(values), where(ds))
    if values.dtype.kind == "O":
        return _of_objects(ds, name, values)
    if values.dtype.kind in "SU":
        return decode_stamps(_texts(values), where(ds))
    return _of_numbers(ds, name, values)


def _checked(ds: xr.Dataset, name: str, values: npt.NDArray[Any], absent: npt.NDArray[np.bool_]) -> Times:
    if absent.any():
        raise InputError(
            f"{where(ds)} has {name} = NaN in frame {int(np.argmax(absent))}: remove that frame, "
            "ds.isel(Time=[...]), or with ncks -d Time,..."
        )
    return values


def _of_objects(ds: xr.Dataset, name: str, values: npt.NDArray[Any]) -> Times | None:
    """Times that xarray stores as objects of cftime or of Python's datetime."""
    absent = np.array([value is None or value != value for value in values], bool)
    _checked(ds, name, values, absent)
    if not all(isinstance(value, (cftime.datetime, datetime.datetime)) for value in values):
        return None
    if any(getattr(value, "calendar", "") not in _STANDARD for value in values):
        return values
    return _finest(gregorian(values))


def gregorian(times: npt.NDArray[Any]) -> Times:
    """Convert times to datetime64; times in another calendar by their date and time of day.

    Raises
    ------
    InputError
        The Gregorian calendar does not have a date, such as 30 February in a calendar of 360 days.

    Examples
    --------
    >>> gregorian(np.array([cftime.DatetimeNoLeap(1, 3, 1, 6)]))
    array(['0001-03-01T06:00:00.000000'], dtype='datetime64[us]')
    """
    if times.dtype.kind != "O":
        return times
    out = np.empty(times.shape, dtype="datetime64[us]")
    for k, time in enumerate(times):
        try:
            day = np.datetime64(f"{time.year:04d}-{time.month:02d}-{time.day:02d}", "us")
        except ValueError:
            raise InputError(
                f"{time} is a date of the calendar '{time.calendar}' that the Gregorian calendar does not have: "
                "remove that frame, ds.isel(Time=[...])"
            ) from None
        second = (time.hour * 60 + time.minute) * 60 + time.second
        out[k] = day + np.timedelta64(second * 1_000_000 + time.microsecond, "us")
    return out


def elapsed_seconds(times: Any, start: Any) -> npt.NDArray[np.float64]:
    """Seconds from a start to times of the same type: datetime64, or objects of cftime.

    Examples
    --------
    >>> elapsed_seconds(np.array(["0001-01-02"], "datetime64[us]"), np.datetime64("0001-01-01"))
    array([86400.])
    """
    passed = np.asarray(times) - (start[()] if isinstance(start, np.ndarray) else start)
    if np.asarray(passed).dtype.kind == "m":
        return np.asarray(passed / np.timedelta64(1, "us") / 1e6, dtype=np.float64)
    passed = np.asarray(passed, dtype=object)
    flat = [interval.total_seconds() for interval in passed.ravel()]
    return np.array(flat, dtype=np.float64).reshape(passed.shape)


def _units(ds: xr.Dataset, name: str) -> str:
    """Units of a time: `open_wrfout` stores those of XTIME as `since`, xarray those of decoded times as encoding."""
    array = ds[name]
    return str(array.attrs.get("since", array.attrs.get("units", array.encoding.get("units", ""))))


def _of_numbers(ds: xr.Dataset, name: str, values: npt.NDArray[Any]) -> Times | None:
    """Times from numbers with units ``... since ...``, in the calendar of the variable; None without such units."""
    text = _units(ds, name)
    if values.dtype.kind == "f" and (" since " in text or _ABSOLUTE.fullmatch(text)):
        _checked(ds, name, values, ~np.isfinite(values))
    if _ABSOLUTE.fullmatch(text) and values.dtype.kind in "iuf":
        days = np.floor(values.astype(np.float64))
        stamps = [f"{int(day) // 10000:04d}-{int(day) // 100 % 100:02d}-{int(day) % 100:02d}" for day in days]
        # The number has 8 digits before the point, so its fraction resolves about 0.3 ms.
        part = np.round((values - days) * DAY).astype("timedelta64[s]")
        return _finest(decode_stamps(stamps, where(ds)).astype("datetime64[us]") + part)
    match = _SINCE.fullmatch(text.strip())
    if not match or values.dtype.kind not in "iufm":
        return None
    micro = _microseconds(values, match[1])
    calendar = str(ds[name].attrs.get("calendar", ds[name].encoding.get("calendar", ""))).lower()
    if calendar not in _STANDARD:
        return _in_calendar(micro, match[2], calendar)
    start = decode_stamps([_plain(match[2])], where(ds)).astype("datetime64[us]")
    return _finest(np.asarray(start + micro))


def _plain(stamp: str) -> str:
    """A start date without its time zone, which is always UTC in WRF output."""
    return re.sub(r"\s*(Z|UTC|[+]0?0:?00)$", "", stamp.strip())


def _microseconds(values: npt.NDArray[Any], unit: str) -> npt.NDArray[np.timedelta64]:
    if values.dtype.kind == "m":
        return values.astype("timedelta64[us]")
    per = _SECONDS[unit[0].lower()]
    return np.round(values.astype(np.float64) * per * 1e6).astype("timedelta64[us]")


def _in_calendar(passed: npt.NDArray[np.timedelta64], start: str, calendar: str) -> Times:
    match = _STAMP.fullmatch(_plain(start))
    if not match:
        raise InputError(f"the time units 'since {start}' are not a date: correct them")
    parts = [int(float(match[n] or 0)) for n in range(1, 7)]
    try:
        first = cftime.datetime(*parts, calendar=calendar)
    except ValueError as error:
        raise InputError(f"the time units 'since {start}' in the calendar '{calendar}': {error}") from error
    out = np.empty(len(passed), dtype=object)
    out[:] = [
        first + datetime.timedelta(microseconds=int(microseconds)) for microseconds in passed.astype(np.int64)
    ]
    return out


def since_units(array: xr.DataArray) -> tuple[np.timedelta64, str] | None:
    """Unit and reference date of a variable with units ``... since ...``; None without such units."""
    attrs = array.attrs
    match = _SINCE.fullmatch(
        str(attrs.get("since", attrs.get("units", array.encoding.get("units", "")))).strip()
    )
    if not match:
        return None
    return np.timedelta64(round(_SECONDS[match[1][0].lower()]), "s"), _plain(match[2])


def run_start(ds: xr.Dataset) -> Any | None:
    """Return the start of the run: SIMULATION_START_DATE, else the reference date of XTIME, else None."""
    text = str(ds.attrs.get("SIMULATION_START_DATE", ""))
    if _STAMP.fullmatch(text):
        return decode_stamps([text], where(ds))[0]
    match = _SINCE.fullmatch(_units(ds, "XTIME").strip()) if "XTIME" in ds.variables else None
    if not match or not _STAMP.fullmatch(_plain(match[2])):
        return None
    return decode_stamps([_plain(match[2])], where(ds))[0]


def run_minutes(ds: xr.Dataset, times: Times) -> npt.NDArray[np.float32]:
    """Minutes since the start of the run: XTIME, else from SIMULATION_START_DATE, else NaN.

    START_DATE is not used: in a restart it is the start of the restart.
    """
    if "XTIME" in ds.variables and ds["XTIME"].dtype.kind in "iufm":
        values = np.atleast_1d(ds["XTIME"].values)
        match = _SINCE.fullmatch(_units(ds, "XTIME").strip())
        if values.dtype.kind == "m" or (match and match[1][0].lower() != "m"):
            return np.asarray(
                _microseconds(values, match[1] if match else "m") / np.timedelta64(60, "s"), "f4"
            )
        return values.astype(np.float32)
    return _minutes(times, run_start(ds))


def start_minutes(ds: xr.Dataset, times: Times) -> npt.NDArray[np.float32]:
    """Minutes since this domain (or this restart) started: from START_DATE, else NaN."""
    text = str(ds.attrs.get("START_DATE", ""))
    return _minutes(times, decode_stamps([text], where(ds))[0] if _STAMP.fullmatch(text) else None)


def _minutes(times: Times, start: Any | None) -> npt.NDArray[np.float32]:
    if start is None:
        return np.full(len(times), np.nan, dtype=np.float32)
    # A start is written without its calendar, so it is read in the calendar of the times.
    if times.dtype.kind == "O" and len(times):
        date = start.astype("datetime64[us]").item()
        start = cftime.datetime(*date.timetuple()[:6], calendar=times[0].calendar)
    return np.asarray(elapsed_seconds(times, start) / 60, dtype=np.float32)
