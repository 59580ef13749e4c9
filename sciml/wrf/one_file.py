"""A single file or dataset of WRF output: opened lazily, divided into Dask chunks, with its times."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy.typing as npt
import xarray as xr

from sciml.checks import is_whole
from sciml.errors import InputError
from sciml.storage.containment import check_hdf5
from sciml.storage.damage import DAMAGE, reason_of
from sciml.storage.lazy_values import named_errors
from sciml.wrf.requirements import require_faces, require_frames, where
from sciml.wrf.runs import RUN_START, with_run_starts
from sciml.wrf.times import frame_times
from sciml.wrf.truncation import missing_bytes, whole_records

__all__ = ["ONE_FRAME", "Chunks", "chunked", "open_lazily", "require_whole", "with_clock", "with_times"]

Chunks = Mapping[Any, int | Literal["auto"] | tuple[int, ...] | None] | int | Literal["auto"] | None
ONE_FRAME: Final[Mapping[Any, int]] = {"Time": 1}


def open_lazily(path: Path, *, chunks: Chunks = ONE_FRAME, like: xr.Dataset | None = None) -> xr.Dataset:
    """Open a file lazily, without decoding its times.

    Parameters
    ----------
    path
        A NetCDF file.
    chunks
        Dask chunks; None reads without Dask.
    like
        Dataset that decides whether Dask is used: no chunks are made if it has none.

    Raises
    ------
    InputError
        The file does not exist, is not NetCDF, or is damaged.
    """
    if like is not None and not like.chunks:
        chunks = None
    records = require_whole(path)
    try:
        ds = xr.open_dataset(
            path,
            engine="netcdf4",
            decode_times=False,
            decode_coords=False,
            concat_characters=True,
            cache=False,
        )
    except DAMAGE as error:
        raise InputError(
            f"{path} cannot be opened as NetCDF ({reason_of(error)}): {_size(path)}; "
            "copy it again, or examine it with 'ncdump -h'"
        ) from error
    ds = named_errors(ds if records is None else ds.isel(column=slice(0, records)), path)
    ds.encoding["source"] = str(path)
    return chunked(ds, chunks)


def require_whole(path: Path) -> int | None:
    """Check that a file exists, and that a classic NetCDF file is complete.

    Of a capture that was cut off, the whole columns are used, with a warning.

    Returns
    -------
    int or None
        Number of columns of a capture that was cut off; None if everything in the header is there.

    Raises
    ------
    InputError
        The file does not exist, or is truncated. The message has the number of missing bytes.
    """
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    check_hdf5(path)
    absent = missing_bytes(path)
    if absent and (records := whole_records(path)):
        whole, announced = records
        warnings.warn(
            f"{path} was cut off: {announced - whole} of its {announced} columns are lost, the {whole} before are used",
            stacklevel=3,
        )
        return whole
    if absent:
        raise InputError(
            f"{path} was cut off: its header requires {absent} bytes more than its {path.stat().st_size}; copy it "
            "again, or leave it out"
        )
    return None


def _size(path: Path) -> str:
    number = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(4)
    return f"it has {number} bytes and begins with {head!r}"


def chunked(ds: xr.Dataset, chunks: Chunks, frames: tuple[int, ...] = ()) -> xr.Dataset:
    """Divide a dataset into Dask chunks.

    Parameters
    ----------
    chunks
        Chunks as in `xr.Dataset.chunk`; None leaves the dataset unchanged.
    frames
        Lengths of the chunks along Time if `chunks` does not have them; default: a single chunk.

    Raises
    ------
    InputError
        Dask does not support the chunks, or the dataset does not have a dimension of theirs.
    """
    if chunks is None:
        return ds
    wanted: Any = chunks
    if chunks is ONE_FRAME:  # the default; files of drawn columns do not have the dimension Time
        wanted = {k: v for k, v in ONE_FRAME.items() if k in ds.dims}
    elif isinstance(chunks, Mapping):
        absent = [str(name) for name in chunks if name not in ds.dims]
        if absent:
            raise _unfit(chunks, f"{where(ds)} has no dimension {', '.join(absent)}: it has {_dims(ds)}")
        wanted = dict(chunks)
        if frames and "Time" not in wanted:
            wanted["Time"] = frames
    elif not isinstance(chunks, (int, str)):
        raise _unfit(chunks, f"it is of type {type(chunks).__name__}")
    lengths = list(wanted.values()) if isinstance(wanted, dict) else [wanted]
    for length in lengths:
        if isinstance(length, bool) or (is_whole(length) and (length == 0 or length < -1)):
            raise _unfit(chunks, f"{length} is not a length of a chunk")
    try:
        out = ds.chunk(wanted)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise _unfit(chunks, " ".join(str(error).split())) from error
    if RUN_START in ds.coords:
        out = out.assign_coords({RUN_START: ds.variables[RUN_START]})
    out.encoding = dict(ds.encoding)
    return out


def _dims(ds: xr.Dataset) -> str:
    return ", ".join(map(str, ds.dims)) or "none"


def _unfit(chunks: object, why: str) -> InputError:
    return InputError(
        f"chunks={chunks!r} cannot be used ({why}): give lengths by dimension such as {{'Time': 1}}, -1 for one "
        "chunk, 'auto', or None to read without dask"
    )


def with_times(ds: xr.Dataset) -> xr.Dataset:
    """The dataset with the times of its frames as its coordinate Time.

    Raises
    ------
    InputError
        The dimension Time is missing or has length 0, the faces do not fit the grid, or the times cannot be read.
    """
    require_frames(ds)
    if ds.sizes["Time"] == 0:
        raise InputError(f"{where(ds)} contains no frame: Time has length 0")
    require_faces(ds)
    times = frame_times(ds)
    out = with_run_starts(with_clock(ds, times), times)
    out[RUN_START].encoding = dict(out["Time"].encoding)
    return out


def with_clock(ds: xr.Dataset, times: npt.NDArray[Any]) -> xr.Dataset:
    """The dataset with these times as its coordinate Time, instead of the times in the file."""
    out = ds.drop_vars([n for n in ("Times",) if n in ds.variables])
    out = out.assign_coords(Time=("Time", times, {"standard_name": "time", "long_name": "time", "axis": "T"}))
    out["Time"].encoding = {"units": f"seconds since {str(times[0])[:10]}", "dtype": "float64"}
    if "XTIME" in out.coords:
        out = out.reset_coords("XTIME")
    out.encoding = {k: v for k, v in ds.encoding.items() if k == "source"}
    return out
