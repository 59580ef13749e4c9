"""Headers of several files or datasets of a run, and the datasets from which their frames are joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml.wrf.headers import FileLayout, header_of
from sciml.wrf.one_file import Chunks, chunked, open_lazily, with_clock, with_times
from sciml.wrf.requirements import where
from sciml.wrf.stacks import Frames, stacked

__all__ = ["Part", "datasets_of", "parts_of"]


@dataclass(frozen=True, eq=False)
class Part:
    """A file or dataset among those that are opened together.

    Attributes
    ----------
    ds
        Dataset with the coordinate Time and the global attributes. If only the header of a file was read, these
        are its `FILE_ATTRIBUTES`, and the only values are those of time and position.
    path
        Path of the file; None if the part is a dataset.
    layout
        Layout of the file if only its header was read; else None.
    """

    ds: xr.Dataset
    path: Path | None = None
    layout: FileLayout | None = None


def parts_of(given: Sequence[xr.Dataset | Path]) -> list[Part]:
    """Read the times of each item; if there are several files, read their headers only.

    Raises
    ------
    InputError
        A file is damaged or not NetCDF, its faces do not fit the grid, or its times cannot be read.
    """
    known: dict[FileLayout, FileLayout] = {}
    out = []
    for item in given:
        if isinstance(item, xr.Dataset):
            out.append(Part(with_times(item)))
            continue
        header = header_of(item) if len(given) > 1 else None
        if header is None:
            out.append(Part(with_times(open_lazily(item, chunks=None)), item))
        else:
            # Equal layouts share an object, because there may be thousands of files.
            layout = known.setdefault(header.layout, header.layout)
            out.append(Part(with_times(header.summary), item, layout))
    return out


def datasets_of(parts: Sequence[Part], taken: Sequence[list[int]], chunks: Chunks) -> list[xr.Dataset]:
    """Return datasets with the selected frames of each part; successive files with the same layout share a dataset.

    Parameters
    ----------
    parts
        Files and datasets, sorted by their first times.
    taken
        Numbers of the selected frames of each part.
    chunks
        Dask chunks of values that are read from files; datasets keep their chunks.
    """
    used = [(part, frames) for part, frames in zip(parts, taken, strict=True) if frames]
    out: list[xr.Dataset] = []
    while used:
        part, frames = used[0]
        raw = None if part.path is None or part.layout is None else _stored(part.path)
        number = 0 if raw is None else _alike([part for part, _ in used], _time_axes(raw))
        if raw is not None and number:
            out.append(_stack(raw, used[:number], chunks))
        else:
            out.append(_whole(part, frames, chunks))
        used = used[max(1, number) :]
    return out


def _stored(path: Path) -> xr.Dataset:
    """Names, dimensions and attributes of the variables of a file, not decoded; the file is closed again."""
    with xr.open_dataset(path, engine="netcdf4", decode_cf=False, cache=False) as raw:
        return raw


def _time_axes(raw: xr.Dataset) -> dict[str, int]:
    return {str(k): v.dims.index("Time") for k, v in raw.variables.items() if "Time" in v.dims}


def _alike(parts: Sequence[Part], axes: dict[str, int]) -> int:
    """Number of leading parts with the layout of the first, and the same number of frames in all variables."""
    first = parts[0].layout
    for number, part in enumerate(parts):
        if (
            first is None
            or part.layout is None
            or not part.layout.is_like(first, axes)
            or part.layout.frames(axes) != {part.ds.sizes["Time"]}
        ):
            return number
    return len(parts)


def _whole(part: Part, frames: list[int], chunks: Chunks) -> xr.Dataset:
    """Some frames of a dataset, or of a file that xarray reads."""
    ds = part.ds
    if part.layout is not None and part.path is not None:
        ds = with_times(open_lazily(part.path, chunks=None))
    if part.path is not None:
        ds = chunked(ds, chunks)
    if len(frames) == ds.sizes["Time"]:
        return ds
    out = ds.isel(Time=frames)
    out.encoding = dict(ds.encoding)
    return out


def _stack(raw: xr.Dataset, used: Sequence[tuple[Part, list[int]]], chunks: Chunks) -> xr.Dataset:
    """Frames of files with the same layout, sorted by time."""
    parts = [part for part, _ in used]
    lengths = [len(frames) for _, frames in used]
    times = np.concatenate([part.ds["Time"].values[frames] for part, frames in used])
    file = np.repeat(np.arange(len(used)), lengths)
    frame = np.concatenate([frames for _, frames in used])
    order = np.arange(len(times))
    if (times[1:] < times[:-1]).any():
        order, lengths = np.argsort(times, kind="stable"), [len(times)]
    paths = [part.path for part in parts if part.path is not None]
    layouts = [part.layout for part in parts if part.layout is not None]
    known = {
        name: np.concatenate([part.ds[name].values[frames] for part, frames in used])[order]
        for name in ("XTIME", "ITIMESTEP")
        if all(name in part.ds.data_vars and part.ds[name].dims == ("Time",) for part in parts)
    }
    ds = stacked(raw, Frames.of(paths, file[order], frame[order], reader=layouts[0].reader), layouts, known)
    ds.encoding["source"] = where(parts[0].ds)
    ds = _with_coords(with_clock(ds, times[order]), used, order)
    return chunked(ds, chunks, tuple(lengths))


def _with_coords(
    ds: xr.Dataset, used: Sequence[tuple[Part, list[int]]], order: npt.NDArray[np.intp]
) -> xr.Dataset:
    """The dataset with the coordinates along Time, other than Time, that the parts have."""
    first = used[0][0].ds
    for name in [str(k) for k, v in first.coords.items() if v.dims == ("Time",) and k != "Time"]:
        values = np.concatenate([part.ds[name].values[frames] for part, frames in used])
        ds = ds.assign_coords({name: ("Time", values[order], first[name].attrs)})
        ds[name].encoding = dict(first[name].encoding)
    return ds
