from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

from sciml.errors import InputError
from sciml.wrf import open_wrfout
from tests.paths import SAMPLE_WRFOUT

Writer = Callable[[xr.Dataset, str], Path]


def test_the_sample(sample: xr.Dataset) -> None:
    assert sample["Time"].dtype.kind == "M"
    assert sample["Time"].values[0] == np.datetime64("2007-06-10T11:30:00")
    assert sample["T"].chunks is not None
    assert sample["XLAT"].dims == ("south_north", "west_east")
    assert sample["XLAT"].attrs["standard_name"] == "latitude"
    assert sample["U"].attrs["units"] == "m s-1"
    assert "Times" not in sample.variables


def test_all_forms_of_input_give_the_same_dataset(frames: xr.Dataset, write: Writer, tmp_path: Path) -> None:
    files = [write(frames.isel(Time=[k]), f"wrfout_d01_2007-06-10_11:{30 + 5 * k}:00") for k in range(3)]
    whole = open_wrfout(frames)
    for result in (
        open_wrfout(files[::-1]),
        open_wrfout(str(tmp_path / "wrfout_d01*")),
        open_wrfout(tmp_path),
        open_wrfout([str(f) for f in files], chunks=None),
    ):
        assert result.sizes == whole.sizes
        xr.testing.assert_equal(result[["T", "U", "NCA"]].compute(), whole[["T", "U", "NCA"]])
    shutil.copy(files[0], tmp_path / "wrfout_d02_2007-06-10_11:30:00")
    with pytest.raises(InputError, match="2 domains"):
        open_wrfout(tmp_path)


def test_inputs_are_not_changed(frames: xr.Dataset) -> None:
    before = {k: copy.deepcopy(v.attrs) for k, v in frames.variables.items()}
    attrs, names = dict(frames.attrs), list(frames.variables)
    opened = open_wrfout(frames)
    opened["T"].attrs["units"] = "?"
    assert {k: v.attrs for k, v in frames.variables.items()} == before
    assert (dict(frames.attrs), list(frames.variables)) == (attrs, names)


def test_repeated_frames_are_used_once(frames: xr.Dataset, write: Writer) -> None:
    first, second = write(frames.isel(Time=[0, 1]), "a.nc"), write(frames.isel(Time=[1, 2]), "b.nc")
    with pytest.warns(UserWarning, match="repeats 1 frames"):
        joined = open_wrfout([first, second])
    assert joined.sizes["Time"] == 3
    assert (np.diff(joined["Time"].values) > np.timedelta64(0, "ns")).all()


def test_a_moving_nest_has_coordinates_by_time(frames: xr.Dataset) -> None:
    drift = xr.DataArray(np.arange(3, dtype="f4"), dims="Time")
    moved = frames.assign(XLAT=(frames["XLAT"] + drift).transpose(*frames["XLAT"].dims))
    opened = open_wrfout(moved)
    assert opened["XLAT"].dims == ("Time", "south_north", "west_east")
    np.testing.assert_array_equal(opened["XLAT"].values, moved["XLAT"].values)
    assert opened.sciml.u.dims == ("Time", "bottom_top", "south_north", "west_east")


@pytest.mark.parametrize("kind", ["netcdf", "zarr"])
def test_an_opened_dataset_can_be_saved(frames: xr.Dataset, tmp_path: Path, kind: str) -> None:
    opened = open_wrfout(frames).assign(RAIN=open_wrfout(frames).sciml.rain)
    if kind == "netcdf":
        opened.to_netcdf(tmp_path / "saved.nc")
        again = xr.open_dataset(tmp_path / "saved.nc").load()
    else:
        opened.to_zarr(tmp_path / "saved.zarr", consolidated=False)
        again = xr.open_zarr(tmp_path / "saved.zarr", consolidated=False).load()
    xr.testing.assert_equal(again, opened)
    assert again["T"].attrs["units"] == "K"


def test_not_netcdf(tmp_path: Path) -> None:
    path = tmp_path / "wrfout_d01_notes"
    path.write_text("these are my notes\n")
    with pytest.raises(InputError, match="cannot be opened as NetCDF"):
        open_wrfout(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_wrfout(tmp_path / "wrfout_d01_*")
    with pytest.raises(InputError, match="contains no wrfout"):
        open_wrfout(tmp_path)


def test_not_wrf(tmp_path: Path) -> None:
    xr.Dataset({"a": ("x", [1.0])}).to_netcdf(tmp_path / "other.nc")
    with pytest.raises(InputError, match="no dimension Time"):
        open_wrfout(tmp_path / "other.nc")


def test_a_truncated_hdf5_file(tmp_path: Path) -> None:
    path = tmp_path / "wrfout_d01_cut"
    path.write_bytes(SAMPLE_WRFOUT.read_bytes()[:-100_000])
    with pytest.raises(InputError, match="wrfout_d01_cut"):
        open_wrfout(path)


@pytest.mark.parametrize("form", ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"])
@pytest.mark.parametrize("variables", [1, 2])
def test_a_truncated_classic_file(tmp_path: Path, form: str, variables: int) -> None:
    path = tmp_path / "wrfout_d01_classic"
    with netCDF4.Dataset(path, "w", format=form) as nc:
        nc.createDimension("Time", None)
        nc.createDimension("west_east", 101)
        times = nc.createVariable("XTIME", "f4", ("Time",))
        times.units = "minutes since 2007-06-10 00:00:00"
        for k in range(variables):
            nc.createVariable(f"V{k}", "f4", ("Time", "west_east"))[:] = np.ones((3, 101), "f4")
        times[:] = [0, 5, 10]
    assert open_wrfout(path).sizes["Time"] == 3
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="cut off"):
        open_wrfout(path)


def test_grids_that_differ(frames: xr.Dataset, write: Writer) -> None:
    small = frames.isel(south_north=slice(0, 5), south_north_stag=slice(0, 6))
    with pytest.raises(InputError, match="south_north = "):
        open_wrfout([write(frames, "a.nc"), write(small, "b.nc")])
