"""Frames are sorted by time, unique and of one domain; faces fit; saved datasets can be opened again."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml.columns import convection_columns
from sciml.columns.open import open_columns
from sciml.errors import InputError
from sciml.wrf import open_wrfout
from tests.paths import SAMPLE_WRFOUT

Writer = Callable[[xr.Dataset, str], Path]
FIELDS = ["T", "NCA", "RAINC"]


@pytest.fixture(scope="module")
def rain(sample: xr.Dataset) -> np.ndarray:
    return np.asarray(sample.sciml.rain.values)


@pytest.fixture(scope="module")
def raw() -> xr.Dataset:
    """All frames of the sample, as WRF wrote them."""
    return xr.open_dataset(SAMPLE_WRFOUT, decode_times=False, decode_coords=False).drop_encoding().load()


def test_frames_out_of_order_within_a_file(
    raw: xr.Dataset, sample: xr.Dataset, rain: np.ndarray, write: Writer
) -> None:
    mixed = raw.isel(Time=[3, 1, 0, 2, 4, 6, 5])
    for opened in (open_wrfout(write(mixed, "wrfout_d01_mixed")), open_wrfout(mixed)):
        np.testing.assert_array_equal(opened["Time"].values, sample["Time"].values)
        xr.testing.assert_equal(opened[FIELDS].compute(), sample[FIELDS].compute())
        np.testing.assert_array_equal(opened.sciml.rain.values, rain)
        np.testing.assert_array_equal(
            convection_columns(opened)["KIND"].values, convection_columns(sample)["KIND"].values
        )


def test_files_whose_times_interleave(
    raw: xr.Dataset, sample: xr.Dataset, rain: np.ndarray, write: Writer
) -> None:
    files = [write(raw.isel(Time=[0, 2, 4, 6]), "a.nc"), write(raw.isel(Time=[3, 1, 5]), "b.nc")]
    for given in (files, files[::-1]):
        opened = open_wrfout(given)
        assert opened["T"].chunks is not None
        np.testing.assert_array_equal(opened["Time"].values, sample["Time"].values)
        np.testing.assert_array_equal(opened.sciml.rain.values, rain)


def test_a_time_repeated_within_a_file(raw: xr.Dataset, rain: np.ndarray, write: Writer) -> None:
    twice = raw.isel(Time=[0, 1, 1, 2, 3])
    twice["RAINC"].values[2] += 7  # the first copy is used
    path = write(twice, "wrfout_d01_twice")
    with pytest.warns(UserWarning, match="wrfout_d01_twice repeats 1 frames of its own") as record:
        opened = open_wrfout(path)
    assert len(record) == 1
    assert opened.sizes["Time"] == 4
    np.testing.assert_array_equal(opened.sciml.rain.values, rain[:4])
    other = write(raw.isel(Time=[3, 4, 4]), "wrfout_d01_more")
    with pytest.warns(UserWarning, match="repeats 2 frames of the previous file and 1 of its own"):
        assert open_wrfout([write(raw.isel(Time=[2, 3]), "wrfout_d01_few"), other]).sizes["Time"] == 3


@pytest.mark.parametrize(
    ("name", "value"), [("DX", 3333.0), ("DY", 3333.0), ("GRID_ID", 2), ("MAP_PROJ", 1), ("DT", 16.7)]
)
def test_two_domains_of_equal_size(frames: xr.Dataset, write: Writer, name: str, value: float) -> None:
    first = write(frames.isel(Time=[0]), "wrfout_d01_a")
    other = frames.isel(Time=[1]).assign_attrs({name: np.asarray(value, frames.attrs[name].dtype)[()]})
    with pytest.raises(InputError, match=rf"d02_b has {name} = {value:g} but .*d01_a has .*at a time"):
        open_wrfout([first, write(other, "wrfout_d02_b")])


def test_attributes_that_may_differ_between_files_of_a_domain(frames: xr.Dataset, write: Writer) -> None:
    near = frames.isel(Time=[1]).assign_attrs(DT=np.float32(50.01), DX=np.float32(10000.001))
    del near.attrs["GRID_ID"]
    opened = open_wrfout([write(frames.isel(Time=[0]), "a.nc"), write(near, "b.nc")])
    assert opened.sizes["Time"] == 2


@pytest.mark.parametrize("dim", ["west_east", "south_north", "bottom_top"])
def test_a_crop_without_the_faces(frames: xr.Dataset, tmp_path: Path, dim: str) -> None:
    size, stag = 4, f"{dim}_stag"
    cropped = frames.isel({dim: slice(0, size)})
    message = (
        rf"{dim} = 4 but {stag} = {frames.sizes[stag]}, which must be 5: crop both alike.*"
        rf"isel\({dim}=slice\(0, 4\), {stag}=slice\(0, 5\)\)"
    )
    cropped.to_netcdf(tmp_path / "wrfout_d01_cropped.nc")
    with pytest.raises(InputError, match=message):
        open_wrfout(tmp_path / "wrfout_d01_cropped.nc")
    with pytest.raises(InputError, match=message):
        open_columns(tmp_path / "wrfout_d01_cropped.nc")
    late = open_wrfout(frames).isel({dim: slice(0, size)})
    with pytest.raises(InputError, match=message):
        getattr(late.sciml, {"west_east": "u", "south_north": "v", "bottom_top": "w"}[dim])
    with pytest.raises(InputError, match=message):
        convection_columns(late)
    fitting = frames.isel({dim: slice(0, size), stag: slice(0, size + 1)})
    assert open_wrfout(fitting).sciml.u.sizes[dim] == size


def _saved(opened: xr.Dataset, folder: Path, form: str) -> Any:
    """A saved dataset, in a form that `open_wrfout` accepts."""
    if form == "netcdf":
        opened.to_netcdf(folder / "saved.nc")
        return folder / "saved.nc"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zarr-python, on consolidated metadata
        opened.to_zarr(folder / "saved.zarr")
    return xr.open_zarr(folder / "saved.zarr")


@pytest.mark.parametrize("form", ["netcdf", "zarr"])
def test_saved_and_opened_again(sample: xr.Dataset, tmp_path: Path, form: str) -> None:
    sample = sample.isel(Time=slice(0, 3))
    again = open_wrfout(_saved(sample, tmp_path, form))
    np.testing.assert_array_equal(again["Time"].values, sample["Time"].values)
    for name in ("p", "t", "rain"):
        np.testing.assert_array_equal(getattr(again.sciml, name).values, getattr(sample.sciml, name).values)
    np.testing.assert_array_equal(again["XTIME"].values, sample["XTIME"].values)
    assert again["XTIME"].attrs["since"] == "minutes since 2007-06-10 08:00:00"
    np.testing.assert_array_equal(
        convection_columns(again)["KIND"].values, convection_columns(sample)["KIND"].values
    )
    third = tmp_path / "third"
    third.mkdir()
    assert open_wrfout(_saved(again, third, form)).sizes == sample.sizes


def test_columns_of_a_saved_file(sample: xr.Dataset, tmp_path: Path) -> None:
    saved = open_columns(_saved(sample, tmp_path, "netcdf"), keep="all")
    for name in ("Time", "KIND", "T_PHY"):
        np.testing.assert_array_equal(saved[name].values, convection_columns(sample)[name].values)


def test_a_zarr_store_given_as_a_folder_is_an_error(sample: xr.Dataset, tmp_path: Path) -> None:
    _saved(sample[["T"]], tmp_path, "zarr")
    with pytest.raises(InputError, match=r"give the dataset from xr\.open_zarr"):
        open_wrfout(tmp_path / "saved.zarr")


def test_times_that_xarray_decoded_can_be_saved(sample: xr.Dataset, tmp_path: Path) -> None:
    opened = open_wrfout(xr.open_dataset(SAMPLE_WRFOUT))
    assert opened["XTIME"].dtype.kind == "M"
    again = open_wrfout(_saved(opened, tmp_path, "netcdf"))
    np.testing.assert_array_equal(again["Time"].values, sample["Time"].values)
    np.testing.assert_array_equal(
        convection_columns(again)["KIND"].values, convection_columns(sample)["KIND"].values
    )


def test_one_frame_without_its_dimension(frames: xr.Dataset, tmp_path: Path) -> None:
    message = r"no dimension Time.*ds\.isel\(Time=\[0\]\)"
    bare = open_wrfout(frames).isel(Time=0)
    with pytest.raises(InputError, match=message):
        convection_columns(bare)
    with pytest.raises(InputError, match=message):
        _ = bare.sciml.rain
    bare.to_netcdf(tmp_path / "wrfout_d01_bare.nc")
    with pytest.raises(InputError, match=message):
        open_wrfout(tmp_path / "wrfout_d01_bare.nc")
    chosen = open_wrfout(frames).isel(Time=[0])
    assert convection_columns(chosen).sizes["column"] == 6 * 24
    assert chosen.sciml.rain.sizes["Time"] == 1
