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

import xarray as xr

from sciml.errors import InputError
from sciml.wrf.classic import missing_bytes
from sciml.wrf.frames import each_once, in_order, one_domain
from sciml.wrf.lossy import PACKING
from sciml.wrf.moving import corners, moves
from sciml.wrf.runs import RUN_START, with_run_starts
from sciml.wrf.state import require_faces, require_frames, where
from sciml.wrf.table import TABLE
from sciml.wrf.times import frame_times
from sciml.wrf.units import contradicts

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
                stored = any((path / name).exists() for name in ("zarr.json", ".zgroup"))
                hint = ": it is a zarr store, give what xr.open_zarr makes of it" if stored else ""
                raise InputError(f"{path} holds no wrfout_d0* files{hint}")
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
    ds.encoding["source"] = str(path)
    return _chunked(ds, chunks)


def _chunked(ds: xr.Dataset, chunks: Chunks) -> xr.Dataset:
    if chunks is None:
        return ds
    out = ds.chunk({k: v for k, v in chunks.items() if k in ds.dims})
    if RUN_START in ds.coords:
        out = out.assign_coords({RUN_START: ds.variables[RUN_START]})
    out.encoding = dict(ds.encoding)
    return out


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
        Frames are put in the order of their times; of a time that is there twice, in two files (restarts) or
        in one, the first copy is taken, of the file that begins earliest. A dataset is not changed; what is
        returned is another.
    chunks
        How dask cuts it, by default one frame a chunk. None: not at all, for small files.

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
        (cropped alone); times that are none.
    """
    if isinstance(paths, xr.Dataset):
        return _finish([paths])
    return _finish([open_lazily(path, chunks=None) for path in expand(paths)], chunks)


def _finish(parts: Sequence[xr.Dataset], chunks: Chunks = None) -> xr.Dataset:
    timed = [_with_times(ds) for ds in parts]
    if len(timed) > 1:
        timed.sort(key=lambda ds: ds["Time"].values.min())
        one_domain(timed)
    places = [corners(ds) for ds in timed]
    moving = moves([place for place in places if place is not None])
    # Only now: what was read until here, times and corners, is read faster without dask.
    timed = each_once([_chunked(ds, chunks) for ds in timed])
    joined = in_order(timed[0] if len(timed) == 1 else _joined(timed))
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


def _with_times(ds: xr.Dataset) -> xr.Dataset:
    require_frames(ds)
    if ds.sizes["Time"] == 0:
        raise InputError(f"{where(ds)} holds no frame: Time has length 0")
    require_faces(ds)
    times = frame_times(ds)
    out = ds.drop_vars([n for n in ("Times",) if n in ds.variables])
    out = out.assign_coords(Time=("Time", times, {"standard_name": "time", "axis": "T"}))
    out["Time"].encoding = {"units": f"seconds since {str(times[0])[:10]}", "dtype": "float64"}
    out = with_run_starts(out, times)
    out[RUN_START].encoding = dict(out["Time"].encoding)
    if "XTIME" in out.coords:
        out = out.reset_coords("XTIME")
    out.encoding = {k: v for k, v in ds.encoding.items() if k == "source"}
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
        if name in ("Time", RUN_START):
            continue
        # A shallow copy: the caller's variable keeps its attributes.
        variable = ds.variables[name].copy(deep=False)
        attrs = {k: v for k, v in variable.attrs.items() if k not in ("coordinates", "grid_mapping")}
        row = TABLE.get(str(name))
        if row is not None:
            since = str(attrs.get("units", ""))
            # Units that a tool changed stay: `sciml.wrf.state.require` refuses them where they are used.
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
