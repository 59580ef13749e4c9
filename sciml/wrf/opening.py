"""Opening of WRF history files with times, coordinates and CF attributes."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import xarray as xr

from sciml.wrf.concatenation import in_order, new_frames, one_domain
from sciml.wrf.many_files import datasets_of, parts_of
from sciml.wrf.moving_nest import corners, moves
from sciml.wrf.one_file import ONE_FRAME, Chunks, open_lazily, require_whole
from sciml.wrf.paths import PathLike, expand
from sciml.wrf.precision import PACKING
from sciml.wrf.requirements import where
from sciml.wrf.runs import RUN_START
from sciml.wrf.units import contradicts
from sciml.wrf.variables import STANDARD_NAMES, TABLE

__all__ = ["expand", "open_lazily", "open_wrfout", "require_whole"]

_HORIZONTAL: Final = ("XLAT", "XLONG", "XLAT_U", "XLONG_U", "XLAT_V", "XLONG_V")
_UNITS: Final = {
    "": "1",
    "-": "1",
    "dimensionless": "1",
    "degree_north": "degrees_north",
    "degree_east": "degrees_east",
    "degk": "K",
}


def open_wrfout(
    paths: PathLike | xr.Dataset | Iterable[PathLike | xr.Dataset],
    *,
    chunks: Chunks = ONE_FRAME,
) -> xr.Dataset:
    """Open WRF output: a file, several files, a glob, a directory of a single domain, or open datasets.

    Parameters
    ----------
    paths
        Files or datasets. Frames are sorted by time. If a time occurs twice, in two files (restarts) or in the same
        file, the copy in the file that begins earliest is taken. A dataset is not changed; the result is a new one.
    chunks
        Dask chunks of values that are read from files; default: a chunk for each frame. As in xarray: lengths by
        dimension, -1 or "auto" for one or for all dimensions; {} for a chunk for each file; None to read without
        Dask. Datasets keep their chunks.

    Returns
    -------
    xr.Dataset
        Lazy dataset with the variables and dimensions of WRF and CF attributes. Time is a datetime64 coordinate. XLAT
        and XLONG (and those of the faces) are coordinates, (south_north, west_east), or with Time if the nest moves.
        The accessor ``.sciml`` has derived fields. The dataset can be saved (``to_netcdf``, ``to_zarr``) and opened
        again. The units of XTIME are minutes; its attribute ``since`` has the reference date. The coordinate RUN_START
        (Time) is the start of the run of each frame, NaT where it is not known. Several runs may be joined; rain and
        KIND are then not known in the first frame of each run that follows another.

    Raises
    ------
    InputError
        A file does not exist, is not NetCDF or is damaged; domains or time steps differ; faces do not fit the grid
        (only mass points or faces were cropped); times are missing or invalid; the chunks are not possible.

    Notes
    -----
    For several files, all metadata are read from the first file. From each other file the times and some attributes
    are read, and its variables, their shapes, types and packing are compared with those of the first file; it is
    opened again when its values are read. Files that differ are opened separately.
    """
    listed: Any = [paths] if isinstance(paths, (xr.Dataset, str, bytes, os.PathLike)) else paths
    if not isinstance(listed, Iterable):
        listed = expand(listed)  # raises an error, because it is not a path
    given: list[xr.Dataset | Path] = []
    for item in listed:
        given += [item] if isinstance(item, xr.Dataset) else expand([item])
    return _finish(given or list(expand([])), chunks)


def _finish(given: Sequence[xr.Dataset | Path], chunks: Chunks) -> xr.Dataset:
    parts = parts_of(given)
    if len(parts) > 1:
        parts.sort(key=lambda part: part.ds["Time"].values.min())
        one_domain([part.ds for part in parts])
    places = [corners(part.ds) for part in parts]
    moving = moves([place for place in places if place is not None])
    # Chunks are made last, because times and corners are read faster without Dask.
    datasets = datasets_of(parts, new_frames([part.ds for part in parts]), chunks)
    joined = in_order(datasets[0] if len(datasets) == 1 else _joined(datasets))
    return _with_attributes(_with_places(joined, moving))


def _joined(timed: list[xr.Dataset]) -> xr.Dataset:
    shared = set.intersection(*({str(n) for n in ds.variables} for ds in timed))
    dropped = sorted({str(n) for ds in timed for n in ds.variables} - shared)
    if dropped:
        warnings.warn(f"left out, because not all files have them: {', '.join(dropped)}", stacklevel=4)
    joined = xr.concat(
        [ds.drop_vars(dropped, errors="ignore") for ds in timed],
        dim="Time",
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
    )
    joined.encoding["source"] = where(timed[0])
    return joined


def _with_places(ds: xr.Dataset, moving: bool) -> xr.Dataset:
    out = ds
    for name in _HORIZONTAL:
        if name in out.variables:
            place = out[name]
            if "Time" in place.dims and not moving:
                place = place.isel(Time=0, drop=True)
            out = out.drop_vars(name).assign_coords(
                {name: place.drop_vars([c for c in place.coords if c != "Time"], errors="ignore")}
            )
    return out


def _with_attributes(ds: xr.Dataset) -> xr.Dataset:
    """CF attributes from the table, and an encoding with which the dataset can be saved in any format."""
    changed: dict[Hashable, xr.Variable] = {}
    for name in ds.variables:
        if name in ("Time", RUN_START):
            continue
        # A shallow copy: the caller's variable keeps its attributes.
        variable = ds.variables[name].copy(deep=False)
        attrs = {k: v for k, v in variable.attrs.items() if k not in ("coordinates", "grid_mapping")}
        row = TABLE.get(str(name))
        if row is not None:
            since = str(attrs.get("units", ""))
            # Units that a tool changed stay: `sciml.wrf.requirements.require` raises where they are used.
            changed_units = contradicts(str(name), since)
            attrs |= {"units": since if changed_units else row.units, "long_name": row.long_name}
            if row.standard_name:
                attrs["standard_name"] = row.standard_name
            if variable.dtype.kind in "mM":
                del attrs["units"]  # decoded: xarray chooses the units for saving
            elif " since " in since:
                attrs["since"] = since
        else:
            if isinstance(attrs.get("units"), str):
                attrs["units"] = _units(str(attrs["units"]))
            if isinstance(attrs.get("description"), str):
                text = str(attrs["description"])
                attrs.setdefault("long_name", text.lower() if text.isupper() else text)
            if str(name) in STANDARD_NAMES:
                attrs.setdefault("standard_name", STANDARD_NAMES[str(name)])
        marks = [k for k in variable.encoding if k in PACKING and variable.encoding[k] is not None]
        if marks:
            # Recorded as text, so that saving does not pack the values again.
            attrs["read_with"] = ", ".join(marks)
        variable.attrs = attrs
        variable.encoding = {}
        changed[name] = variable
    out = ds.assign({k: v for k, v in changed.items() if k not in ds.coords})
    out = out.assign_coords({k: v for k, v in changed.items() if k in ds.coords})
    out.encoding = dict(ds.encoding)
    return out


def _units(text: str) -> str:
    """Units in CF notation: ``m/s`` and ``m s{-1}`` become ``m s-1``; an empty text and ``-`` become 1."""
    text = text.strip()
    if text.lower() in _UNITS:
        return _UNITS[text.lower()]
    text = re.sub(r"\^?\{?\(?(-?\d)\)?\}?", r"\1", text)
    if re.fullmatch(r"[A-Za-z]+\d?/[A-Za-z]+\d?", text):
        top, bottom = text.split("/")
        power = re.fullmatch(r"([A-Za-z]+)(\d?)", bottom)
        if power:
            text = f"{top} {power[1]}-{power[2] or 1}"
    return text
