"""Zarr stores and netCDF files, opened lazily in blocks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sciml.errors import InputError
from sciml.storage.containment import check_hdf5, check_store
from sciml.storage.damage import DAMAGE, reason_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["open_lazily"]

BLOCK_BYTES: Final = 4 << 20


def open_lazily(path: Path, form: str) -> xr.Dataset:
    """Open a zarr store or a netCDF file; its values are read in blocks.

    Raises
    ------
    InputError
        It cannot be opened, could run code or reads other files.
    """
    zarr = form == "zarr"
    (check_store if zarr else check_hdf5)(path)
    try:
        return _zarr(path) if zarr else _netcdf(path)
    except DAMAGE as error:
        raise InputError(f"{path} cannot be opened as {form} ({reason_of(error)}): is it whole?") from error


def _zarr(path: Path) -> xr.Dataset:
    """Open a zarr store lazily, in the chunks of each variable."""
    import xarray as xr

    from sciml.storage.lazy_values import named_errors

    opened = named_errors(xr.open_zarr(path, chunks=None, consolidated=False), path)
    for name, value in opened.variables.items():
        if name not in opened.indexes and value.encoding.get("chunks"):
            lengths = dict(zip(value.dims, value.encoding["chunks"], strict=True))
            opened[name] = opened[name].chunk(lengths)
    return opened


def _netcdf(path: Path) -> xr.Dataset:
    """Open a netCDF file lazily, in blocks of samples that are whole chunks of the file."""
    import xarray as xr

    from sciml.storage.lazy_values import named_errors

    with xr.open_dataset(path) as head:
        samples, value, least = head.sizes.get("sample", 0), 1, 1
        for variable in head.data_vars.values():
            if samples and "sample" in variable.dims:
                value = max(value, variable.nbytes // samples)
                stored = variable.encoding.get("chunksizes")
                least = stored[variable.dims.index("sample")] if stored else least
    whole = named_errors(xr.open_dataset(path, cache=False), path)
    # The names of the dask arrays do not change between calls.
    return whole.chunk({"sample": least * max(1, BLOCK_BYTES // (value * least))} if samples else {})
