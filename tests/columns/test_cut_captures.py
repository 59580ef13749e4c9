"""Captures that were cut off: the whole columns are read, with a warning that counts the lost ones."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest
import xarray as xr

import sciml
from sciml.columns.open import open_columns
from sciml.columns.write import write_columns
from sciml.errors import InputError
from sciml.wrf.truncation import read_classic, whole_records
from tests.columns.mixed_runs import write_pairs
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a record for each column, as the library writes."""
    tmp_path = tmp_path_factory.mktemp("capture")
    columns = sciml.convection_columns(sciml.open_wrfout(str(SAMPLE_WRFOUT)), SAMPLE_OFFLINE, keep="all")
    drawn = write_pairs(tmp_path / "pairs.nc", columns.isel(column=slice(0, 40)), run=3)
    path = tmp_path / "sciml_mskf_capture_x.nc"
    with xr.open_dataset(drawn) as ds:
        ds.load().drop_encoding().to_netcdf(path, format="NETCDF3_64BIT", unlimited_dims=["column"])
    return path


@pytest.fixture
def capture(written: Path, tmp_path: Path) -> Path:
    """Copy the file."""
    return Path(shutil.copy(written, tmp_path))


@pytest.mark.parametrize(("whole", "more"), [(17, 5), (1, 0), (39, 100)])
def test_the_whole_columns_are_read(capture: Path, tmp_path: Path, whole: int, more: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        complete = open_columns(capture, keep="all").load()
    header = read_classic(capture)
    begin = min(variable.begin for variable in header.variables.values() if variable.is_record)
    cut = tmp_path / "sciml_mskf_capture_cut.nc"
    cut.write_bytes(capture.read_bytes()[: begin + whole * header.step + more])
    assert whole_records(cut) == (whole, 40)
    words = rf"{cut} was cut off: {40 - whole} of its 40 columns are lost, the {whole} before are used"
    with pytest.warns(UserWarning, match=words):
        columns = open_columns(cut, keep="all").load()
    assert columns.sizes["column"] == whole
    expected = complete.isel(column=slice(0, whole))
    assert columns.drop_attrs(deep=False).equals(expected.drop_attrs(deep=False))
    with pytest.warns(UserWarning, match=words):
        assert write_columns(cut, tmp_path / "cut.zarr", workers=1, keep="all").total == whole


def test_a_capture_without_a_whole_column_is_an_error(capture: Path) -> None:
    header = read_classic(capture)
    begin = min(variable.begin for variable in header.variables.values() if variable.is_record)
    capture.write_bytes(capture.read_bytes()[: begin + header.step - 1])
    assert whole_records(capture) is None
    with pytest.raises(InputError, match="was cut off"):
        open_columns(capture, keep="all")
