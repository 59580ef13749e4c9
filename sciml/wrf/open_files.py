"""Cache of open NetCDF files, and the lock of all reads."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

import netCDF4
from h5py import h5f, h5p
from xarray.backends.netCDF4_ import NETCDF4_PYTHON_LOCK

__all__ = [
    "LOCK",
    "FileCache",
    "close_files",
    "compressed_chunks",
    "hdf5_file",
    "netcdf_file",
    "variable_chunks",
]

LOCK: Final = NETCDF4_PYTHON_LOCK
"""Lock for every use of an open file, because HDF5 is not thread-safe; xarray uses the same lock."""
_CACHE: Final = 1 << 20


class FileCache:
    """NetCDF files that stay open between reads, because opening a file takes as long as reading a frame.

    The key of a file has its modification time and size, so that a file that was written again is opened again.

    Parameters
    ----------
    most
        Largest number of open files; the file that was used least recently is closed first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._files: OrderedDict[tuple[str, int, int, bool], Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._files)

    def open(self, path: str | Path, *, raw: bool = False) -> Any:
        """The file opened by netCDF4; see `netcdf_file`."""
        stat = os.stat(path)
        key = (str(path), stat.st_mtime_ns, stat.st_size, raw)
        if key not in self._files:
            while len(self._files) >= self._most:
                self._files.popitem(last=False)[1].close()
            self._files[key] = _open_netcdf(path, raw)
        self._files.move_to_end(key)
        return self._files[key]

    def close(self) -> None:
        """Close all files."""
        while self._files:
            self._files.popitem()[1].close()


_FILES: Final = FileCache(most=4)


def hdf5_file(path: str | Path) -> Any:
    """A file opened by HDF5. The caller closes it, which also closes every object opened in it.

    Opening takes a hundredth of the time that netCDF4 takes, which reads the metadata of all variables. Such files
    do not stay open, because an open file cannot be written.
    """
    access = h5p.create(h5p.FILE_ACCESS)
    # As in h5py.File: HDF5 cannot open a file twice with different degrees of closing.
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    return h5f.open(os.fsencode(path), h5f.ACC_RDONLY, fapl=access)


def netcdf_file(path: str | Path, *, raw: bool = False) -> Any:
    """The file opened by netCDF4; the four files used last stay open.

    Parameters
    ----------
    raw
        Whether values are returned as they are stored, without scale_factor and add_offset.
    """
    return _FILES.open(path, raw=raw)


def _open_netcdf(path: str | Path, raw: bool) -> Any:
    opened = netCDF4.Dataset(path)
    opened.set_auto_mask(False)
    if raw:
        opened.set_auto_maskandscale(False)
        opened.set_auto_chartostring(False)
    for variable in opened.variables.values():
        if variable_chunks(variable):
            # Slabs follow the chunks and read each once, so a large cache (16 MB a variable) is of no use.
            variable.set_var_chunk_cache(_CACHE)
    return opened


def variable_chunks(variable: Any) -> tuple[int, ...]:
    """Chunk lengths of a variable; empty if it is contiguous."""
    pieces = variable.chunking()
    return tuple(pieces) if isinstance(pieces, list) else ()


def compressed_chunks(variable: Any) -> tuple[int, ...]:
    """Chunk lengths of a compressed variable; empty if parts of a chunk can be read without the rest of it."""
    filters = variable.filters() or {}
    packed = any(filters.get(name) for name in ("zlib", "szip", "zstd", "bzip2", "blosc", "fletcher32"))
    return variable_chunks(variable) if packed else ()


def close_files() -> None:
    """Close the files in the cache, so that they can be written, moved and removed."""
    with LOCK:
        _FILES.close()
