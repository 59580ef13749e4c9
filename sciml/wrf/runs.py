"""Detection of the start of the run of each frame, and of the frames that are the first of another run.

WRF's totals (RAINC, RAINNC) and hold times (NCA) belong to a single run, so a difference between frames of two runs
has no meaning.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml.errors import InputError
from sciml.wrf.requirements import where
from sciml.wrf.times import decode_stamps, elapsed_seconds, frame_times, since_units

__all__ = ["RUN_START", "describe_seam", "known_times", "new_runs", "run_starts", "with_run_starts"]

RUN_START: Final = "RUN_START"
"""Name of the coordinate (Time) of `open_wrfout` with the start of the run of each frame."""

Times = npt.NDArray[np.datetime64]
Flags = npt.NDArray[np.bool_]

_SECOND: Final = np.timedelta64(1_000_000, "us")
# XTIME is a float32 of minutes, and Times has whole seconds.
_NEAR: Final = 60 * _SECOND
# More than the error of two starts, less than the time between two analyses.
_APART: Final = 180 * _SECOND
_UNKNOWN: Final = np.datetime64("NaT", "us")


def with_run_starts(ds: xr.Dataset, times: Times) -> xr.Dataset:
    """The dataset with the coordinate `RUN_START` (Time), datetime64, NaT where it is not known.

    Parameters
    ----------
    ds
        A wrfout.
    times
        Times of its frames.
    """
    starts = run_starts(ds, times)
    if times.dtype.kind == "M":
        years = starts.astype("datetime64[Y]").astype(int) + 1970
        fits = (years > 1678) & (years < 2262) if np.datetime_data(times.dtype)[0] == "ns" else years > 0
        starts = np.where(fits, starts, _UNKNOWN).astype(times.dtype)
    attrs = {
        "standard_name": "forecast_reference_time",
        "long_name": "start of the run of the frame (SIMULATION_START_DATE)",
    }
    return ds.drop_vars(RUN_START, errors="ignore").assign_coords({RUN_START: ("Time", starts, attrs)})


def run_starts(ds: xr.Dataset, times: Times | None = None) -> Times:
    """Start of the run of each frame, datetime64[us]; NaT where it is not known.

    Parameters
    ----------
    ds
        A wrfout as WRF wrote it, joined by another tool, or from `open_wrfout`.
    times
        Times of its frames; default: read from the dataset.

    Notes
    -----
    The sources, in this order, are: the coordinate `RUN_START`; the time minus XTIME for each frame (a file that was
    joined by another tool has the attributes of the first file only); if XTIME is not in minutes, a jump of ITIMESTEP;
    SIMULATION_START_DATE. A restart, which changes START_DATE alone, belongs to the same run.
    """
    if RUN_START in ds.variables:
        stored = _stored(ds)
        if not np.isnat(stored).all():
            return stored
    raw = _known(ds) if times is None else times
    header = _stamp(ds.attrs.get("SIMULATION_START_DATE"))
    if raw is None:
        return np.full(ds.sizes["Time"], header)
    minutes = _minutes(ds)
    if minutes is None:
        return _by_steps(ds, _evenly(raw), header)
    return _by_minutes(ds, raw, header, minutes)


def known_times(ds: xr.Dataset) -> Times | None:
    """Times of the frames, datetime64[us]; None if the dataset has none."""
    raw = _known(ds)
    return None if raw is None else _as_datetimes(raw)


def _known(ds: xr.Dataset) -> npt.NDArray[Any] | None:
    """Times of the frames, not converted: datetime64, or cftime in another calendar."""
    try:
        return frame_times(ds)
    except InputError:
        return None


def _evenly(raw: npt.NDArray[Any]) -> Times:
    """Times with the differences of their calendar, counted from the date of the first."""
    if raw.dtype.kind == "M" or not len(raw):
        return _as_datetimes(raw)
    passed = np.round(elapsed_seconds(raw, raw[0]) * 1e6).astype("timedelta64[us]")
    return np.asarray(_as_datetimes(raw[:1])[0] + passed)


def new_runs(ds: xr.Dataset, before: xr.DataArray | None = None) -> Flags:
    """Flags of the frames that belong to another run than the frame before.

    Parameters
    ----------
    ds
        Dataset with the dimension Time.
    before
        Field of the frame before the first, with the scalar coordinate `RUN_START`. Without that coordinate it counts
        as a field of the same run.
    """
    starts = run_starts(ds)
    out = np.zeros(len(starts), bool)
    last = _start_of(before)
    minutes = _minutes(ds) if np.isnat(starts).all() else None
    if minutes is not None:
        out[1:] = minutes[1:] < minutes[:-1]
    for k, start in enumerate(starts):
        if not np.isnat(start):
            out[k] |= not np.isnat(last) and abs(start - last) > _APART
            last = start
    return out


def describe_seam(ds: xr.Dataset, new: Flags, before: xr.DataArray | None = None) -> str:
    """Name the first frame of another run, and both runs.

    Parameters
    ----------
    ds, before
        As for `new_runs`.
    new
        Result of `new_runs`; at least one flag is set.
    """
    k, number = int(np.argmax(new)), int(np.count_nonzero(new))
    starts, times = run_starts(ds), known_times(ds)
    # The time, because the number of the frame may be that within a part of a file.
    frame = f"{where(ds)}: frame {k}" if times is None else f"{where(ds)}: the frame of {_date(times[k])}"
    if np.isnat(starts[k]):
        text = f"{frame} is of another run than the frame before, because XTIME falls"
    else:
        known = starts[:k][~np.isnat(starts[:k])]
        last = known[-1] if len(known) else _start_of(before)
        text = (
            f"{frame} is of the run that started {_date(starts[k])}, the frame before of the run that started "
            f"{_date(last)}"
        )
    return text + (f"; {number - 1} more frames begin another run" if number > 1 else "")


def _date(time: np.datetime64) -> str:
    return str(time.astype("datetime64[s]"))


def _start_of(before: xr.DataArray | None) -> np.datetime64:
    if before is None or RUN_START not in before.coords:
        return _UNKNOWN
    return np.datetime64(_as_datetimes(np.atleast_1d(before[RUN_START].values))[0])


def _as_datetimes(values: npt.NDArray[Any]) -> Times:
    """datetime64[us] of datetime64 or cftime; NaT for a date that the Gregorian calendar does not have."""
    if values.dtype.kind == "M":
        return values.astype("datetime64[us]")
    out = np.full(values.shape, _UNKNOWN)
    for k, value in enumerate(values):
        try:
            out[k] = np.datetime64(value.isoformat(), "us")
        except (AttributeError, ValueError):
            continue
    return out


def _stored(ds: xr.Dataset) -> Times:
    """The coordinate as it is, or decoded from numbers with units if the file was opened without decoding."""
    values = np.atleast_1d(ds[RUN_START].values)
    units = since_units(ds[RUN_START])
    if values.dtype.kind in "iuf" and units is not None:
        passed = np.where(np.isfinite(values), values, 0) * (units[0] / _SECOND)
        whole = _stamp(units[1]) + np.round(passed).astype("timedelta64[s]")
        starts = np.where(np.isfinite(values), whole, _UNKNOWN)
    else:
        starts = _as_datetimes(values) if values.dtype.kind in "MO" else np.full(1, _UNKNOWN)
    return np.broadcast_to(starts, (ds.sizes["Time"],))


def _stamp(text: Any) -> np.datetime64:
    try:
        return np.datetime64(decode_stamps([str(text)])[0], "us")
    except InputError:
        return _UNKNOWN


def _minutes(ds: xr.Dataset) -> npt.NDArray[np.float64] | None:
    """XTIME in minutes; None if it is missing, decoded to dates, or not finite."""
    if "XTIME" not in ds.variables or ds["XTIME"].dtype.kind not in "iuf":
        return None
    values = np.atleast_1d(ds["XTIME"].values).astype(np.float64)
    if values.shape != (ds.sizes["Time"],) or not np.isfinite(values).all():
        return None
    units = since_units(ds["XTIME"])
    return values if units is None else values * (units[0] / np.timedelta64(1, "m"))


def _by_minutes(
    ds: xr.Dataset, times: npt.NDArray[Any], header: np.datetime64, minutes: npt.NDArray[np.float64]
) -> Times:
    """The times minus XTIME; if the start in the header differs only by rounding, that start."""
    ran = np.round(minutes * 60).astype("timedelta64[s]")
    # Subtracted in the calendar of the times, in which XTIME was counted.
    starts = _as_datetimes(times - (ran.astype(object) if times.dtype.kind == "O" else ran))
    units = since_units(ds["XTIME"])
    since = _UNKNOWN if units is None else _stamp(units[1])
    named = header if not np.isnat(header) else since
    if np.isnat(named):
        return starts
    near = _NEAR + (120 * np.spacing(minutes.astype(np.float32))).astype("timedelta64[s]")
    same = np.zeros(len(times), bool)
    # In a saved copy, XTIME may count from its first frame; in a restart of an old WRF, without units, from START_DATE.
    other = since if units is not None else _stamp(ds.attrs.get("START_DATE"))
    for start in (header, other):
        if not np.isnat(start):
            same |= abs(starts - start) <= near
    return np.asarray(np.where(same, named, starts))


def _by_steps(ds: xr.Dataset, times: Times, header: np.datetime64) -> Times:
    """The start in the header, and another start after a jump of ITIMESTEP."""
    out = np.full(len(times), header)
    if "ITIMESTEP" not in ds.variables or not float(ds.attrs.get("DT", 0)) > 0 or len(times) < 2:
        return out
    steps = np.atleast_1d(ds["ITIMESTEP"].values).astype(np.float64)
    if steps.shape != times.shape or not np.isfinite(steps).all():
        return out
    order = np.argsort(times, kind="stable")
    begun = (times - np.round(steps * float(ds.attrs["DT"])).astype("timedelta64[s]"))[order]
    off, passed = abs(np.diff(begun)), np.diff(times[order])
    jump = off > _APART
    # A seam is isolated between intervals of whole steps; an adaptive time step has no such intervals.
    alone = jump & ~np.append(False, jump[:-1]) & ~np.append(jump[1:], False)
    alone &= len(jump) > 1 and bool((off <= 2 * _SECOND + passed // 1000)[~jump].all())
    seams = np.flatnonzero(alone | (np.diff(steps[order]) < 0)) + 1
    first = begun[0] if np.isnat(header) and len(seams) else header
    for low, high in zip([0, *seams], [*seams, len(times)], strict=True):
        out[order[low:high]] = begun[low] if low else first
    return out
