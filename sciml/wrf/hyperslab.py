"""Hyperslabs: some frames and rows of a file, read into memory at once by one task of the store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciml.errors import InputError
from sciml.storage.damage import DAMAGE, reason_of
from sciml.wrf.moving_nest import CORNERS
from sciml.wrf.open_files import LOCK, close_files, compressed_chunks, netcdf_file
from sciml.wrf.opening import require_whole
from sciml.wrf.runs import RUN_START
from sciml.wrf.variables import TABLE

__all__ = ["Slab", "close_files", "read_header", "read_slab"]


@dataclass(frozen=True)
class Slab:
    """Range of frames (of columns, in a file of drawn pairs) and range of rows of a grid; both half open."""

    start: int
    stop: int
    rows: tuple[int, int] | None = None


def read_slab(path: str | Path, names: tuple[str, ...], slab: Slab | None = None) -> xr.Dataset:
    """Read the named variables of a file into memory, with netCDF4 alone.

    Parameters
    ----------
    path
        A NetCDF file.
    names
        Names of the variables; names that the file does not have are left out.
    slab
        Range of frames and rows; default: all.

    Returns
    -------
    xr.Dataset
        In memory, with attributes, not decoded. It has the times of the frames (Time) if the file has them as a
        coordinate. With NCA it also has the position of the first point of the whole grid for each frame (the
        coordinates `CORNERS`), because in a nest that moves the NCA of the frame before belongs to another cell.

    Raises
    ------
    InputError
        The file does not exist, is not NetCDF, or is truncated.
    """
    path = Path(path)
    records = require_whole(path)
    if records is not None and slab is None:
        slab = Slab(0, records)
    name = "its header"
    try:
        with LOCK:
            nc = netcdf_file(path)
            arrays: dict[str, Any] = {}
            for name in names:
                if name in nc.variables:
                    variable = nc.variables[name]
                    key = tuple(_index(dim, slab) for dim in variable.dimensions)
                    values = np.asarray(variable[key])
                    if values.dtype.kind == "f" and values.dtype.itemsize > 4 and name in TABLE:
                        values = values.astype(np.float32)
                    attrs = {k: variable.getncattr(k) for k in variable.ncattrs()}
                    arrays[name] = (variable.dimensions, values, attrs)
            name = "where the grid lies"
            placed = _extra(nc, arrays, slab)
            out = xr.Dataset(arrays, placed, attrs={k: nc.getncattr(k) for k in nc.ncattrs()})
            # Only the presence of THM matters: T is then dry.
            if "T" in arrays and "THM" in nc.variables:
                out["THM"] = xr.DataArray(np.float32(np.nan))
    except DAMAGE as error:
        raise InputError(
            f"{path} is damaged or not NetCDF: {name} cannot be read ({reason_of(error)}); copy it again, or leave it "
            "out"
        ) from error
    out.encoding = {"source": str(path), "piece": True}
    return out


def _extra(nc: Any, arrays: dict[str, Any], slab: Slab | None) -> dict[str, Any]:
    """Coordinates that a slab has in addition to the named variables."""
    out: dict[str, Any] = {}
    if "Time" in nc.variables and nc["Time"].dimensions == ("Time",) and "Time" not in arrays:
        variable = nc["Time"]
        attrs = {k: variable.getncattr(k) for k in variable.ncattrs()}
        out["Time"] = (("Time",), np.asarray(variable[_index("Time", slab)]), attrs)
    if "NCA" in arrays:
        for short, name in zip(CORNERS, ("XLAT", "XLONG"), strict=True):
            if name in nc.variables and nc[name].dimensions == ("Time", "south_north", "west_east"):
                out[short] = (("Time",), np.asarray(nc[name][_index("Time", slab), 0, 0]))
    return out


def read_header(path: str | Path, described: tuple[str, ...] = ()) -> xr.Dataset:
    """Read the header of a file: names, dimensions, global attributes, and the times.

    This is several times faster than opening the file with xarray, which matters for thousands of files. The values
    of all variables except Times, XTIME and RUN_START are a single zero, broadcast without memory.

    Parameters
    ----------
    path
        A NetCDF file.
    described
        Variables whose attributes units and description are read too. A tool may have changed the units, and the
        description of T states whether T is the moist potential temperature.

    Raises
    ------
    InputError
        The file does not exist, is not NetCDF, or is truncated.
    """
    path = Path(path)
    out = read_slab(path, ("Times", "XTIME", RUN_START))
    with LOCK:
        nc = netcdf_file(path)
        variables: dict[str, xr.Variable] = {}
        for name, variable in nc.variables.items():
            if name not in out.variables:
                shape = [
                    out.sizes.get(d, n) for d, n in zip(variable.dimensions, variable.shape, strict=True)
                ]
                blank = np.broadcast_to(np.zeros((), np.int8), shape)
                variables[name] = xr.Variable(variable.dimensions, blank)
        for name in ("T", "THM", "T_PHY"):
            if name in variables and compressed_chunks(nc.variables[name]):
                variables[name].encoding["chunksizes"] = compressed_chunks(nc.variables[name])
        for name in (name for name in described if name in variables):
            variable = nc.variables[name]
            present = {"units", "description"}.intersection(variable.ncattrs())
            variables[name].attrs = {key: variable.getncattr(key) for key in present}
        out = out.drop_vars("THM", errors="ignore").assign(variables)
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
