"""The few files that stay open between reads, and the lock of all reads."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

import netCDF4
from h5py import h5f, h5p
from xarray.backends.netCDF4_ import NETCDF4_PYTHON_LOCK

__all__ = ["LOCK", "close_files", "hdf5_file", "netcdf_file", "variable_chunks"]

LOCK: Final = NETCDF4_PYTHON_LOCK
"""Hold it while a file is open: HDF5 is not safe for threads; xarray's reads take the same lock."""
_MOST: Final = 4
_CACHE: Final = 1 << 20
_NETCDF: Final[OrderedDict[tuple[str, int, int, bool], Any]] = OrderedDict()


def hdf5_file(path: str | Path) -> Any:
    """A file opened by HDF5, which the caller closes; closing it closes all that was opened of it.

    It takes a hundredth of the time that netCDF4 takes, which reads the metadata of all variables. Such files do
    not stay open, because an open one cannot be written.
    """
    access = h5p.create(h5p.FILE_ACCESS)
    # As h5py.File does: HDF5 refuses to open a file twice with different rules of closing.
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    return h5f.open(os.fsencode(path), h5f.ACC_RDONLY, fapl=access)


def netcdf_file(path: str | Path, *, raw: bool = False) -> Any:
    """The file opened by netCDF4; the last four stay open, for opening one costs as much as reading a frame.

    Parameters
    ----------
    raw
        Give the values as they are stored, without scale_factor and add_offset.
    """
    stat = os.stat(path)
    key = (str(path), stat.st_mtime_ns, stat.st_size, raw)
    if key not in _NETCDF:
        while len(_NETCDF) >= _MOST:
            _NETCDF.popitem(last=False)[1].close()
        opened = netCDF4.Dataset(path)
        opened.set_auto_mask(False)
        if raw:
            opened.set_auto_maskandscale(False)
            opened.set_auto_chartostring(False)
        for variable in opened.variables.values():
            if variable_chunks(variable):
                # Slabs are cut along the chunks, each read once: a cache only holds memory (16 MB a variable).
                variable.set_var_chunk_cache(_CACHE)
        _NETCDF[key] = opened
    _NETCDF.move_to_end(key)
    return _NETCDF[key]


def variable_chunks(variable: Any) -> tuple[int, ...]:
    """The pieces in which a variable is compressed; empty for a contiguous one."""
    pieces = variable.chunking()
    return tuple(pieces) if isinstance(pieces, list) else ()


def close_files() -> None:
    """Close the files that are still open, so that they can be written, moved and removed."""
    with LOCK:
        while _NETCDF:
            _NETCDF.popitem()[1].close()
