"""Opening WRF's history files: one, many, a glob, a directory; lazily, with times, coordinates and CF
attributes.
"""

from __future__ import annotations

import glob
import re
import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from sciml.errors import InputError
from sciml.wrf.classic import missing_bytes
from sciml.wrf.lossy import PACKING
from sciml.wrf.state import where
from sciml.wrf.table import TABLE
from sciml.wrf.times import frame_times

__all__ = ["expand", "open_lazily", "open_wrfout", "require_whole"]

Chunks = Mapping[Any, int] | None
_ONE_FRAME: Final[Mapping[Any, int]] = {"Time": 1}
_HORIZONTAL: Final = ("XLAT", "XLONG", "XLAT_U", "XLONG_U", "XLAT_V", "XLONG_V")
_UNITS: Final = {
    "": "1",
    "-": "1",
    "dimensionless": "1",
    "degree_north": "degrees_north",
    "degree_east": "degrees_east",
    "degk": "K",
}


def expand(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """The files meant by a path, a glob, a directory, or several of them, sorted by name within each.

    Raises
    ------
    InputError
        Nothing is there, or a directory holds several domains.
    """
    if isinstance(paths, (str, Path)):
        paths = [paths]
    found: list[Path] = []
    for item in paths:
        path = Path(item)
        if path.is_dir():
            inside = sorted(p for p in path.glob("wrfout_d0*") if p.is_file())
            domains = sorted({p.name[:10] for p in inside})
            if len(domains) > 1:
                raise InputError(
                    f"{path} holds {len(domains)} domains ({', '.join(domains)}): "
                    f"choose one, '{path}/{domains[0]}_*'"
                )
            if not inside:
                raise InputError(f"{path} holds no wrfout_d0* files")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            matched = sorted(Path(p) for p in glob.glob(str(item)) if Path(p).is_file())
            if not matched:
                raise InputError(f"no such file: {item}")
            found += matched
    if not found:
        raise InputError("no files were given")
    return found


def open_lazily(path: Path, *, chunks: Chunks = _ONE_FRAME, like: xr.Dataset | None = None) -> xr.Dataset:
    """Open one file as it is: no times decoded, nothing read.

    Parameters
    ----------
    path
        A NetCDF file.
    chunks
        Dask's chunks; None reads without dask.
    like
        Take chunks from this dataset instead: none if it has none.

    Raises
    ------
    InputError
        The file is not there, not NetCDF, or damaged.
    """
    if like is not None and not like.chunks:
        chunks = None
    require_whole(path)
    try:
        ds = xr.open_dataset(
            path,
            engine="netcdf4",
            decode_times=False,
            decode_coords=False,
            concat_characters=True,
            cache=False,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{path} cannot be opened as NetCDF ({error}): {_size(path)}; "
            "copy it again, or see what 'ncdump -h' says"
        ) from error
    if chunks is not None:
        ds = ds.chunk({k: v for k, v in chunks.items() if k in ds.dims})
    ds.encoding["source"] = str(path)
    return ds


def require_whole(path: Path) -> None:
    """Refuse a file that is not there, or a classic NetCDF file that was cut off.

    Raises
    ------
    InputError
        With the number of bytes it lacks.
    """
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    lacking = missing_bytes(path)
    if lacking:
        raise InputError(
            f"{path} was cut off: its header tells of {lacking} bytes more than its {path.stat().st_size}; copy it "
            "again, or leave it out"
        )


def _size(path: Path) -> str:
    number = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(4)
    return f"it has {number} bytes and begins with {head!r}"


def open_wrfout(
    paths: str | Path | xr.Dataset | Iterable[str | Path],
    *,
    chunks: Chunks = _ONE_FRAME,
) -> xr.Dataset:
    """Open WRF output: one file, several, a glob, a directory of one domain, or a dataset opened already.

    Parameters
    ----------
    paths
        Files are put in the order of their times; a frame that two files share (restarts) is taken from the
        first. A dataset is not changed; what is returned is another.
    chunks
        How dask cuts it, by default one frame a chunk. None: not at all, for small files.

    Returns
    -------
    xr.Dataset
        Lazy. The variables and dimensions of WRF with CF attributes; Time is a datetime64 coordinate; XLAT
        and XLONG (and those of the faces) are coordinates, (south_north, west_east), or with Time where the
        nest moves. Derived fields: the accessor ``.sciml``. It can be saved (``to_netcdf``, ``to_zarr``).

    Raises
    ------
    InputError
        No such file, not NetCDF, damaged; grids that differ; times that are none.
    """
    if isinstance(paths, xr.Dataset):
        return _finish([paths])
    opened = [open_lazily(path, chunks=chunks) for path in expand(paths)]
    return _finish(opened)


def _finish(parts: Sequence[xr.Dataset]) -> xr.Dataset:
    timed = [_with_times(ds) for ds in parts]
    if len(timed) == 1:
        joined = timed[0]
        moving = _moves(timed)
    else:
        timed.sort(key=lambda ds: ds["Time"].values[0])
        first = timed[0]
        for ds in timed[1:]:
            for dim in ("bottom_top", "south_north", "west_east"):
                if ds.sizes.get(dim) != first.sizes.get(dim):
                    raise InputError(
                        f"{where(ds)} has {dim} = {ds.sizes.get(dim)} but {where(first)} has "
                        f"{first.sizes.get(dim)}: "
                        "open one domain at a time"
                    )
        moving = _moves(timed)
        timed = _without_repeats(timed)
        shared = set.intersection(*({str(n) for n in ds.variables} for ds in timed))
        dropped = sorted({str(n) for ds in timed for n in ds.variables} - shared)
        if dropped:
            warnings.warn(f"left out, for not all files have them: {', '.join(dropped)}", stacklevel=3)
        timed = [ds.drop_vars(dropped, errors="ignore") for ds in timed]
        joined = xr.concat(
            timed,
            dim="Time",
            data_vars="minimal",
            coords="minimal",
            compat="override",
            join="override",
            combine_attrs="override",
        )
        joined.encoding["source"] = where(first)
    return _with_attributes(_with_places(joined, moving))


def _with_times(ds: xr.Dataset) -> xr.Dataset:
    if "Time" not in ds.dims:
        raise InputError(
            f"{where(ds)} has no dimension Time: it is no WRF output "
            f"(dimensions: {', '.join(map(str, ds.dims))})"
        )
    if ds.sizes["Time"] == 0:
        raise InputError(f"{where(ds)} holds no frame: Time has length 0")
    times = frame_times(ds)
    out = ds.drop_vars([n for n in ("Times",) if n in ds.variables])
    out = out.assign_coords(Time=("Time", times, {"standard_name": "time", "axis": "T"}))
    out["Time"].encoding = {"units": f"seconds since {str(times[0])[:10]}", "dtype": "float64"}
    if "XTIME" in out.coords:
        out = out.reset_coords("XTIME")
    out.encoding = {k: v for k, v in ds.encoding.items() if k == "source"}
    return out


def _moves(parts: Sequence[xr.Dataset]) -> bool:
    """Whether the nest moves: the first and the last frame of each file are compared with the first of
    all.
    """
    place = parts[0].get("XLAT")
    if place is None or "Time" not in place.dims:
        return False
    start = place.isel(Time=0).values
    for ds in parts:
        for t in {0, ds.sizes["Time"] // 2, ds.sizes["Time"] - 1}:
            if not np.array_equal(ds["XLAT"].isel(Time=t).values, start):
                return True
    return False


def _without_repeats(parts: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    out: list[xr.Dataset] = []
    seen: set[Any] = set()
    for ds in parts:
        times = ds["Time"].values
        new = [k for k, stamp in enumerate(times) if stamp not in seen]
        seen.update(times)
        if len(new) < len(times):
            warnings.warn(
                f"{where(ds)} repeats {len(times) - len(new)} frames of the file before: left out",
                stacklevel=4,
            )
        if new:
            out.append(ds if len(new) == len(times) else ds.isel(Time=new))
    return out


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
        if name == "Time":
            continue
        # A shallow copy: the caller's variable keeps its attributes.
        variable = ds.variables[name].copy(deep=False)
        attrs = {k: v for k, v in variable.attrs.items() if k not in ("coordinates", "grid_mapping")}
        row = TABLE.get(str(name))
        if row is not None:
            attrs |= {"units": row.units, "long_name": row.long_name}
            if row.standard_name:
                attrs["standard_name"] = row.standard_name
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
