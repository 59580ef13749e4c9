"""Values that are read from a file when they are used: an error then names the file and the variable."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from sciml.storage.damage import reading_values

__all__ = ["named_errors"]


class _Values(BackendArray):
    """The values of a variable; an error while they are read is an InputError."""

    def __init__(self, variable: xr.Variable, path: Path, name: str) -> None:
        self.variable, self.path, self.name = variable, path, name
        self.shape, self.dtype = variable.shape, variable.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray[Any, Any]:
        with reading_values(self.path, self.name):
            return np.asarray(self.variable[key].values)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        try:
            status = os.stat(self.path)
            state = (status.st_size, status.st_mtime_ns)
        except OSError:
            state = (0, 0)
        return ("sciml-values", str(self.path), *state, self.name, self.shape, str(self.dtype))


def named_errors(dataset: xr.Dataset, path: str | Path) -> xr.Dataset:
    """Let errors while values are read name the file and the variable.

    Parameters
    ----------
    dataset
        Dataset of a file, opened without Dask. Variables in memory are not changed.
    path
        The file or store.

    Returns
    -------
    xr.Dataset
        The same dataset; reading its values raises `InputError` if the file is damaged.
    """
    changed: dict[Any, xr.Variable] = {}
    for name, variable in dataset.variables.items():
        data = variable._data
        if isinstance(data, np.ndarray) or name in dataset.indexes or variable.chunks is not None:
            continue
        lazy = indexing.LazilyIndexedArray(_Values(variable, Path(path), str(name)))
        changed[name] = xr.Variable(variable.dims, lazy, variable.attrs, variable.encoding, fastpath=True)
    coords = {name: value for name, value in changed.items() if name in dataset.coords}
    out = dataset.assign({name: value for name, value in changed.items() if name not in coords})
    out = out.assign_coords(coords)
    out.encoding = dict(dataset.encoding)
    out.set_close(dataset.close)
    return out
