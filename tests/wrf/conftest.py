"""A small modified wrfout, for cases that the sample does not contain."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

from sciml.wrf import open_wrfout
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT


@pytest.fixture(scope="session")
def sample() -> xr.Dataset:
    return open_wrfout(SAMPLE_WRFOUT)


@pytest.fixture(scope="session")
def frames() -> xr.Dataset:
    """Three frames and six rows of the sample, in memory, as WRF wrote them; they are fast to write."""
    ds = xr.open_dataset(SAMPLE_WRFOUT, decode_times=False, decode_coords=False)
    cut = {"Time": slice(0, 3), "south_north": slice(0, 6), "south_north_stag": slice(0, 7)}
    return ds.isel(cut).drop_encoding().load()


@pytest.fixture(scope="session")
def answers() -> xr.Dataset:
    """The truth that belongs to `frames`."""
    ds = xr.open_dataset(SAMPLE_OFFLINE, decode_times=False)
    return ds.isel(Time=slice(0, 3), south_north=slice(0, 6)).drop_encoding().load()


Writer = Callable[[xr.Dataset, str], Path]


def _digest(ds: xr.Dataset) -> str:
    """Hash what `_write` writes of a dataset."""
    digest = hashlib.sha256(repr((dict(ds.sizes), ds.attrs)).encode())
    for name, variable in ds.variables.items():
        digest.update(repr((name, variable.dims, variable.dtype, variable.attrs)).encode())
        digest.update(np.ascontiguousarray(variable.values).tobytes())
    return digest.hexdigest()


def _write(ds: xr.Dataset, path: Path) -> None:
    with netCDF4.Dataset(path, "w") as nc:
        sizes = {**ds.sizes, "DateStrLen": 19}
        for dim, length in sizes.items():
            nc.createDimension(str(dim), None if dim == "Time" else length)
        nc.setncatts({str(k): v for k, v in ds.attrs.items()})
        for key, variable in ds.variables.items():
            if key == "Times":
                times = nc.createVariable("Times", "S1", ("Time", "DateStrLen"))
                times[:] = netCDF4.stringtochar(np.asarray(variable.values, dtype="S19"))
                continue
            pieces = None
            if variable.ndim == 4:
                pieces = (1, variable.shape[1], min(3, variable.shape[2]), variable.shape[3])
            made = nc.createVariable(
                str(key), variable.dtype, variable.dims, zlib=True, complevel=1, chunksizes=pieces
            )
            made.setncatts({str(k): v for k, v in variable.attrs.items() if k != "_FillValue"})
            made[:] = variable.values


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the files of `write`, by their content: many tests write the same."""
    return tmp_path_factory.mktemp("written")


@pytest.fixture
def write(tmp_path: Path, written: Path) -> Writer:
    """Write a dataset as WRF does: Times as characters, Time unlimited."""

    def writing(ds: xr.Dataset, name: str) -> Path:
        file = written / _digest(ds)
        if not file.exists():
            _write(ds, file)
        return Path(shutil.copyfile(file, tmp_path / name))

    return writing
