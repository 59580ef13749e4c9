"""Some frames and rows of a file, read at once and into memory: what one task of the store works on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciml.errors import InputError
from sciml.wrf.moving_nest import CORNERS
from sciml.wrf.open_files import LOCK, close_files, netcdf_file, variable_chunks
from sciml.wrf.opening import require_whole
from sciml.wrf.runs import RUN_START
from sciml.wrf.variables import STATE, TABLE

__all__ = ["Slab", "close_files", "read_header", "read_slab"]


@dataclass(frozen=True)
class Slab:
    """Frames (or, of drawn pairs, columns) and rows of a grid; both half open."""

    start: int
    stop: int
    rows: tuple[int, int] | None = None


def read_slab(path: str | Path, names: tuple[str, ...], slab: Slab | None = None) -> xr.Dataset:
    """Read the named variables of a file, those it has, into memory, by netCDF4 alone.

    Parameters
    ----------
    path
        A NetCDF file.
    names
        Which variables; what is not there is left out.
    slab
        Which frames and rows; default: all.

    Returns
    -------
    xr.Dataset
        In memory, attributes included, nothing decoded. With the times of the frames (Time) where the file
        has them as a coordinate; and, beside NCA, with the place of the whole grid's first point by frame where
        the file has it so (the coordinates `CORNERS`): of a nest that moves, the NCA before is another
        cell's.

    Raises
    ------
    InputError
        The file is not there, not NetCDF, or ends before its data do.
    """
    path = Path(path)
    require_whole(path)
    name = "its header"
    try:
        with LOCK:
            nc = netcdf_file(path)
            found: dict[str, Any] = {}
            for name in names:
                if name in nc.variables:
                    variable = nc.variables[name]
                    key = tuple(_index(dim, slab) for dim in variable.dimensions)
                    values = np.asarray(variable[key])
                    if values.dtype.kind == "f" and values.dtype.itemsize > 4 and name in TABLE:
                        values = values.astype(np.float32)
                    attrs = {k: variable.getncattr(k) for k in variable.ncattrs()}
                    found[name] = (variable.dimensions, values, attrs)
            name = "where the grid lies"
            placed = _extra(nc, found, slab)
            out = xr.Dataset(found, placed, attrs={k: nc.getncattr(k) for k in nc.ncattrs()})
            # T is dry where THM stands beside it; an empty stand-in says so without being read.
            if "T" in found and "THM" in nc.variables:
                out["THM"] = xr.DataArray(np.float32(np.nan))
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{path} is damaged or not NetCDF: {name} cannot be read ({error}); copy it again, or leave it "
            "out"
        ) from error
    out.encoding = {"source": str(path), "piece": True}
    return out


def _extra(nc: Any, found: dict[str, Any], slab: Slab | None) -> dict[str, Any]:
    """The coordinates that a slab has beside what was asked for."""
    out: dict[str, Any] = {}
    if "Time" in nc.variables and nc["Time"].dimensions == ("Time",) and "Time" not in found:
        variable = nc["Time"]
        attrs = {k: variable.getncattr(k) for k in variable.ncattrs()}
        out["Time"] = (("Time",), np.asarray(variable[_index("Time", slab)]), attrs)
    if "NCA" in found:
        for short, name in zip(CORNERS, ("XLAT", "XLONG"), strict=True):
            if name in nc.variables and nc[name].dimensions == ("Time", "south_north", "west_east"):
                out[short] = (("Time",), np.asarray(nc[name][_index("Time", slab), 0, 0]))
    return out


def read_header(path: str | Path) -> xr.Dataset:
    """What a file holds, without its values: names, dimensions, attributes, and the times.

    Several times faster than opening it for reading by xarray, which matters where there are thousands of files. The
    values of all but Times, XTIME and RUN_START are one zero, repeated without memory.

    Raises
    ------
    InputError
        The file is not there, not NetCDF, or cut off.
    """
    path = Path(path)
    out = read_slab(path, ("Times", "XTIME", RUN_START))
    with LOCK:
        nc = netcdf_file(path)
        found: dict[str, xr.Variable] = {}
        for name, variable in nc.variables.items():
            if name not in out.variables:
                blank = np.broadcast_to(np.zeros((), np.int8), variable.shape)
                found[name] = xr.Variable(variable.dimensions, blank)
        for name in ("T", "THM", "T_PHY"):
            if name in found and variable_chunks(nc.variables[name]):
                found[name].encoding["chunksizes"] = variable_chunks(nc.variables[name])
        # Units that a tool changed, and the description of T, which may say that it is the moist one.
        for name in (name for name in (*STATE, "THM", "P_HYD") if name in found):
            variable = nc.variables[name]
            told = {"units", "description"}.intersection(variable.ncattrs())
            found[name].attrs = {key: variable.getncattr(key) for key in told}
        out = out.drop_vars("THM", errors="ignore").assign(found)
    out.encoding = {"source": str(path)}
    return out


def _index(dim: str, slab: Slab | None) -> slice:
    if slab is None:
        return slice(None)
    if dim in ("Time", "column"):
        return slice(slab.start, slab.stop)
    if slab.rows is not None and dim == "south_north":
        return slice(*slab.rows)
    if slab.rows is not None and dim == "south_north_stag":
        return slice(slab.rows[0], slab.rows[1] + 1)
    return slice(None)
