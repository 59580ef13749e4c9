"""Opening WRF's history files: one, many, a glob, a directory; lazily, with times, coordinates and CF
attributes.
"""

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
from sciml.wrf.variables import TABLE

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
    """Open WRF output: one file, several, a glob, a directory of one domain, or datasets opened already.

    Parameters
    ----------
    paths
        Frames are put in the order of their times; of a time that is there twice, in two files (restarts) or
        in one, the first copy is taken, of the file that begins earliest. A dataset is not changed; what is
        returned is another.
    chunks
        How dask cuts what is read from files, by default one frame a chunk. As in xarray: lengths by
        dimension, -1 or "auto" for one or for all; {} for one chunk a file. None: without dask. Datasets
        keep the chunks that they have.

    Returns
    -------
    xr.Dataset
        Lazy. The variables and dimensions of WRF with CF attributes; Time is a datetime64 coordinate; XLAT
        and XLONG (and those of the faces) are coordinates, (south_north, west_east), or with Time where the
        nest moves. Derived fields: the accessor ``.sciml``. It can be saved (``to_netcdf``, ``to_zarr``) and
        what was saved opened again. The units of XTIME are minutes; its attribute ``since`` says since when.
        The coordinate RUN_START (Time) is the start of the run of each frame, NaT where it is not known. Several
        runs may be joined; rain and KIND are then not known in the first frame of each run that follows another.

    Raises
    ------
    InputError
        No such file, not NetCDF, damaged; domains or time steps that differ; faces that do not fit the grid
        (cropped alone); times that are none; chunks that cannot be made.

    Notes
    -----
    Of several files the metadata of the first are read. Of each other file the times and some attributes are
    read, and its variables, their shapes, types and packing are compared with those of the first; it is
    opened again when its values are read. Files that differ are opened one by one.
    """
    listed: Any = [paths] if isinstance(paths, (xr.Dataset, str, bytes, os.PathLike)) else paths
    if not isinstance(listed, Iterable):
        listed = expand(listed)  # no path: refused there
    given: list[xr.Dataset | Path] = []
    for one in listed:
        given += [one] if isinstance(one, xr.Dataset) else expand([one])
    return _finish(given or list(expand([])), chunks)


def _finish(given: Sequence[xr.Dataset | Path], chunks: Chunks) -> xr.Dataset:
    parts = parts_of(given)
    if len(parts) > 1:
        parts.sort(key=lambda part: part.ds["Time"].values.min())
        one_domain([part.ds for part in parts])
    places = [corners(part.ds) for part in parts]
    moving = moves([place for place in places if place is not None])
    # Chunks are made only now: times and corners are read faster without dask.
    datasets = datasets_of(parts, new_frames([part.ds for part in parts]), chunks)
    joined = in_order(datasets[0] if len(datasets) == 1 else _joined(datasets))
    return _with_attributes(_with_places(joined, moving))


def _joined(timed: list[xr.Dataset]) -> xr.Dataset:
    shared = set.intersection(*({str(n) for n in ds.variables} for ds in timed))
    dropped = sorted({str(n) for ds in timed for n in ds.variables} - shared)
    if dropped:
        warnings.warn(f"left out, for not all files have them: {', '.join(dropped)}", stacklevel=4)
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
    """CF attributes from the table; and an encoding with which the dataset can be saved anywhere."""
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
            # Units that a tool changed stay: `sciml.wrf.diagnostics.require` refuses them where they are used.
            changed_units = contradicts(str(name), since)
            attrs |= {"units": since if changed_units else row.units, "long_name": row.long_name}
            if row.standard_name:
                attrs["standard_name"] = row.standard_name
            if variable.dtype.kind in "mM":
                del attrs["units"]  # decoded: what it is saved with is xarray's to say
            elif " since " in since:
                attrs["since"] = since
        elif isinstance(attrs.get("units"), str):
            attrs["units"] = _units(str(attrs["units"]))
        marks = [k for k in variable.encoding if k in PACKING and variable.encoding[k] is not None]
        if marks:
            # What the reader took out of the attributes; kept as words, so that saving does not pack again.
            attrs["read_with"] = ", ".join(marks)
        variable.attrs = attrs
        variable.encoding = {}
        changed[name] = variable
    out = ds.assign({k: v for k, v in changed.items() if k not in ds.coords})
    out = out.assign_coords({k: v for k, v in changed.items() if k in ds.coords})
    out.encoding = dict(ds.encoding)
    return out


def _units(text: str) -> str:
    """Units as CF writes them: ``m/s`` and ``m s{-1}`` to ``m s-1``; nothing and ``-`` to 1."""
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
