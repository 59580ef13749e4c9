"""The times of the frames in a file, however WRF wrote them."""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml.errors import InputError
from sciml.wrf.state import where

__all__ = ["decode_stamps", "frame_times", "run_minutes"]

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
        of a second (``2007-06-10_11:30:00.3333``), without seconds, and of year 1 (idealised runs).
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
            second = float(found[6] or 0)
            micro = (int(found[4] or 0) * 60 + int(found[5] or 0)) * 60_000_000 + round(second * 1e6)
            values[k] = midnight + np.timedelta64(micro, "us")
        except ValueError:
            raise InputError(
                f"{source} has the time stamp {text!r} in frame {k}, which is no date of the Gregorian "
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
    """The times of the frames: the coordinate Time if decoded, else Times, else XTIME with its units.

    Raises
    ------
    InputError
        There is no time in any of them.
    """
    if "Time" in ds.coords and ds["Time"].dtype.kind == "M":
        return np.atleast_1d(ds["Time"].values)
    if "Times" in ds.variables and ds["Times"].dtype.kind in "SUO":
        texts = _texts(np.asarray(ds["Times"].values))
        if any(t.strip("\x00 ") for t in texts):
            return decode_stamps(texts, where(ds))
    if "XTIME" in ds.variables:
        values = np.atleast_1d(ds["XTIME"].values)
        if values.dtype.kind == "M":
            return values
        found = _SINCE.match(str(ds["XTIME"].attrs.get("units", "")))
        if found:
            start = decode_stamps([found[2]], where(ds))[0]
            unit = {"second": 1e6, "minute": 6e7, "hour": 3.6e9, "day": 8.64e10}[found[1]]
            since = np.round(values.astype(float) * unit).astype("timedelta64[us]")
            return np.asarray(start + since, dtype=start.dtype)
    raise InputError(
        f"{where(ds)} tells no times: neither Times nor XTIME with units 'minutes since ...' is readable"
    )


def run_minutes(ds: xr.Dataset, times: npt.NDArray[np.datetime64]) -> npt.NDArray[np.float32]:
    """Minutes since the start of the run: XTIME, else from SIMULATION_START_DATE, else NaN."""
    if "XTIME" in ds.variables and ds["XTIME"].dtype.kind == "f":
        return np.atleast_1d(ds["XTIME"].values).astype(np.float32)
    text = str(ds.attrs.get("SIMULATION_START_DATE", ds.attrs.get("START_DATE", "")))
    if not _STAMP.fullmatch(text):
        return np.full(len(times), np.nan, dtype=np.float32)
    start = decode_stamps([text])[0]
    return np.asarray((times - start) / np.timedelta64(1, "s") / 60, dtype=np.float32)
