"""The times of the frames in a file, however WRF wrote them."""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml.errors import InputError
from sciml.wrf.state import where

__all__ = ["decode_stamps", "frame_times", "run_minutes", "since_units", "start_minutes"]

_STAMP: Final = re.compile(
    r"(\d{1,4})-(\d{1,2})-(\d{1,2})(?:[_T ](\d{1,2})[:_.-](\d{1,2})(?:[:_.-](\d{1,2}(?:\.\d+)?))?)?"
)
_SINCE: Final = re.compile(r"(second|minute|hour|day)s?\s+since\s+(.+)")


def decode_stamps(stamps: list[str], source: str = "the file") -> npt.NDArray[np.datetime64]:
    """Time stamps of WRF to datetime64.

    Parameters
    ----------
    stamps
        Such as ``2007-06-10_11:30:00``; also with ``_`` for ``:`` (files with ``nocolons``), with fractions
        of a second (``2007-06-10_11:30:00.3333``), without seconds, of year 1 (idealised runs), and with
        24:00:00 or a leap second 60, which is the next minute's 0.
    source
        For the message.

    Returns
    -------
    datetime64[ns] where the years allow it (1678 to 2262), else datetime64[us].

    Raises
    ------
    InputError
        A stamp that is no time.

    Examples
    --------
    >>> decode_stamps(["2007-06-10_11:30:00"])
    array(['2007-06-10T11:30:00.000000000'], dtype='datetime64[ns]')
    """
    values = np.empty(len(stamps), dtype="datetime64[us]")
    for k, stamp in enumerate(stamps):
        text = stamp.strip("\x00 ")
        found = _STAMP.fullmatch(text)
        try:
            if not found:
                raise ValueError(text)
            year, month, day = (int(found[n]) for n in (1, 2, 3))
            midnight = np.datetime64(f"{year:04d}-{month:02d}-{day:02d}", "us")
            hour, minute, second = int(found[4] or 0), int(found[5] or 0), float(found[6] or 0)
            if hour > 24 or minute > 59 or second >= 61 or (hour == 24 and (minute or second)):
                raise ValueError(text)
            micro = (hour * 60 + minute) * 60_000_000 + round(second * 1e6)
            values[k] = midnight + np.timedelta64(micro, "us")
        except ValueError:
            raise InputError(
                f"{source} has the time stamp {text!r} in frame {k}, which is no time of the Gregorian "
                "calendar: cut that frame off (ncks -d Time,...), or set Times right"
            ) from None
    years = values.astype("datetime64[Y]").astype(int) + 1970
    return (
        values.astype("datetime64[ns]")
        if not len(values) or (years.min() > 1678 and years.max() < 2262)
        else values
    )


def _texts(times: npt.NDArray[Any]) -> list[str]:
    if times.ndim == 2:
        times = np.array([b"".join(row.tolist()) for row in times.astype("S1")])
    return [t.decode("ascii", "replace") if isinstance(t, bytes) else str(t) for t in times.tolist()]


def frame_times(ds: xr.Dataset) -> npt.NDArray[np.datetime64]:
    """The times of the frames: the coordinate Time (decoded, or with units), else Times, else XTIME with its
    units.

    Raises
    ------
    InputError
        There is no time in any of them.
    """
    if "Time" in ds.variables:
        found = _since(ds, "Time")
        if found is not None:
            return found
    if "Times" in ds.variables and ds["Times"].dtype.kind in "SUO":
        texts = _texts(np.asarray(ds["Times"].values))
        if any(t.strip("\x00 ") for t in texts):
            return decode_stamps(texts, where(ds))
    if "XTIME" in ds.variables:
        found = _since(ds, "XTIME")
        if found is not None:
            return found
    raise InputError(
        f"{where(ds)} tells no times: neither Times nor XTIME with units 'minutes since ...' is readable"
    )


def _since(ds: xr.Dataset, name: str) -> npt.NDArray[np.datetime64] | None:
    """A variable decoded already, or by its units ``... since ...``; None where it has neither."""
    values = np.atleast_1d(ds[name].values)
    if values.dtype.kind == "M":
        return values
    units = since_units(ds[name])
    if units is None or values.dtype.kind not in "iuf":
        return None
    start = decode_stamps([units[1]], where(ds))[0]
    unit = units[0] / np.timedelta64(1, "us")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(
            f"{where(ds)} has {name} = NaN in frame {int(np.argmin(np.isfinite(values)))}: cut it off"
        )
    since = np.round(values.astype(float) * unit).astype("timedelta64[us]")
    return np.asarray(start + since, dtype=start.dtype)


def since_units(array: xr.DataArray) -> tuple[np.timedelta64, str] | None:
    """The unit of a variable and the date it counts from, of units ``... since ...``; None where it has no such."""
    # `open_wrfout` keeps the units of XTIME under the name `since`.
    found = _SINCE.match(str(array.attrs.get("since", array.attrs.get("units", ""))))
    if not found:
        return None
    unit = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}[found[1]]
    return np.timedelta64(unit, "s"), found[2]


def run_minutes(ds: xr.Dataset, times: npt.NDArray[np.datetime64]) -> npt.NDArray[np.float32]:
    """Minutes since the start of the run: XTIME, else from SIMULATION_START_DATE, else NaN."""
    if "XTIME" in ds.variables and ds["XTIME"].dtype.kind == "f":
        return np.atleast_1d(ds["XTIME"].values).astype(np.float32)
    return _minutes(ds, times, "SIMULATION_START_DATE", "START_DATE")


def start_minutes(ds: xr.Dataset, times: npt.NDArray[np.datetime64]) -> npt.NDArray[np.float32]:
    """Minutes since this domain (or this restart) started: from START_DATE, else NaN."""
    return _minutes(ds, times, "START_DATE")


def _minutes(ds: xr.Dataset, times: npt.NDArray[np.datetime64], *names: str) -> npt.NDArray[np.float32]:
    text = next((str(ds.attrs[name]) for name in names if name in ds.attrs), "")
    if not _STAMP.fullmatch(text):
        return np.full(len(times), np.nan, dtype=np.float32)
    start = decode_stamps([text])[0]
    return np.asarray((times - start) / np.timedelta64(1, "s") / 60, dtype=np.float32)
