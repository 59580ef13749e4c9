"""The few files that are kept open between reads, and the lock of all reads."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

import netCDF4
from h5py import h5d, h5f, h5p
from xarray.backends.netCDF4_ import NETCDF4_PYTHON_LOCK

__all__ = ["LOCK", "close_files", "hdf5_file", "hdf5_variable", "netcdf_file", "variable_chunks"]

LOCK: Final = NETCDF4_PYTHON_LOCK
"""Hold it while a file is open: HDF5 is not safe for threads; xarray's reads take the same lock."""
_MOST: Final = 4
_CACHE: Final = 1 << 20
_HDF5_CACHE: Final = 16 << 20
_NETCDF: Final[OrderedDict[tuple[Any, ...], Any]] = OrderedDict()
_HDF5: Final[OrderedDict[tuple[Any, ...], _Hdf5File]] = OrderedDict()


def hdf5_file(path: str | Path, *, cache: int = 1 << 20) -> Any:
    """A file opened by HDF5, which the caller closes; closing it closes all that was opened of it.

    Parameters
    ----------
    cache
        Bytes of decompressed chunks that each dataset holds.
    """
    access = h5p.create(h5p.FILE_ACCESS)
    # As h5py.File does: HDF5 refuses to open a file twice with different rules of closing.
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    access.set_cache(0, 521, cache, 0.75)
    return h5f.open(os.fsencode(path), h5f.ACC_RDONLY, fapl=access)


class _Hdf5File:
    """An HDF5 file and its dataset that was read last, which holds the chunk decompressed last."""

    def __init__(self, path: str) -> None:
        self._file = hdf5_file(path, cache=_HDF5_CACHE)
        self._name = ""
        self._variable: Any = None

    def variable(self, name: str) -> Any:
        if self._variable is None or name != self._name:
            self._variable = None  # its cache is freed before the next is opened
            self._variable = h5d.open(self._file, name.encode())
            self._name = name
        return self._variable

    def close(self) -> None:
        self._variable = None
        self._file.close()


def _key(path: str | Path, *more: object) -> tuple[Any, ...]:
    """A file that was written anew is another one."""
    stat = os.stat(path)
    return (str(path), stat.st_mtime_ns, stat.st_size, *more)


def _make_place(files: OrderedDict[tuple[Any, ...], Any]) -> None:
    while len(files) >= _MOST:
        files.popitem(last=False)[1].close()


def netcdf_file(path: str | Path, *, raw: bool = False) -> Any:
    """The file opened by netCDF4; the last four stay open, for opening one costs as much as reading a frame.

    Parameters
    ----------
    raw
        Give the values as they are stored, without scale_factor and add_offset.
    """
    key = _key(path, raw)
    if key not in _NETCDF:
        _make_place(_NETCDF)
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


def hdf5_variable(path: str | Path, name: str) -> Any:
    """A variable of a netCDF-4 file, opened by HDF5 alone: no other variable's metadata are read."""
    key = _key(path)
    if key not in _HDF5:
        _make_place(_HDF5)
        _HDF5[key] = _Hdf5File(str(path))
    _HDF5.move_to_end(key)
    return _HDF5[key].variable(name)


def variable_chunks(variable: Any) -> tuple[int, ...]:
    """The pieces in which a variable is compressed; empty for a contiguous one."""
    pieces = variable.chunking()
    return tuple(pieces) if isinstance(pieces, list) else ()


def close_files() -> None:
    """Close the files that are still open, so that they can be written, moved and removed."""
    with LOCK:
        for files in (_NETCDF, _HDF5):
            while files:
                files.popitem()[1].close()
