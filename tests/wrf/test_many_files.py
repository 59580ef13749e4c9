"""Many files opened by their headers have the same values as with xarray, and files that differ are named."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

from sciml.errors import InputError
from sciml.wrf import many_files, open_wrfout
from sciml.wrf.headers import header_of
from sciml.wrf.open_files import close_files
from sciml.wrf.truncation import read_classic

Writer = Callable[[xr.Dataset, str], Path]
FORMS = ["NETCDF4", "NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"]
TUNED: dict[str, Any] = {
    "combine": "nested",
    "concat_dim": "Time",
    "data_vars": "minimal",
    "coords": "minimal",
    "compat": "override",
    "decode_times": False,
}


def _name(k: int) -> str:
    return f"wrfout_d01_2007-06-10_11:{30 + 5 * k}:00"


@pytest.fixture
def files(frames: xr.Dataset, write: Writer) -> list[Path]:
    return [write(frames.isel(Time=[k]), _name(k)) for k in range(3)]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that are opened whole by xarray."""
    paths: list[Path] = []
    whole = many_files.open_lazily

    def counting(path: Path, **options: Any) -> xr.Dataset:
        paths.append(path)
        return whole(path, **options)

    monkeypatch.setattr(many_files, "open_lazily", counting)
    return paths


@pytest.mark.parametrize("form", FORMS)
def test_values_are_those_of_xarray(
    frames: xr.Dataset, tmp_path: Path, form: str, opened: list[Path]
) -> None:
    names = ["Times", "XTIME", "ITIMESTEP", "XLAT", "XLONG", "T", "U", "RAINC", "RAINNC", "ZNU"]
    small = frames[[name for name in names if name in frames]]
    files = [tmp_path / _name(k) for k in range(3)]
    for k, path in enumerate(files):
        small.isel(Time=[k]).to_netcdf(path, format=form, engine="netcdf4", unlimited_dims=["Time"])
    ours = open_wrfout(files)
    theirs = xr.open_mfdataset(files, engine="netcdf4", **TUNED)
    assert not opened
    for name in set(theirs.variables) - {"Times", "XLAT", "XLONG"}:
        assert ours[name].dims == theirs[name].dims
        assert ours[name].values.tobytes() == theirs[name].values.tobytes(), name
        assert ours[name].chunks is not None
    np.testing.assert_array_equal(ours["XLAT"], theirs["XLAT"].isel(Time=0))
    assert ours.attrs.keys() == theirs.attrs.keys()


def test_the_dataset_equals_files_opened_one_by_one(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = open_wrfout(files)
    monkeypatch.setattr(many_files, "header_of", lambda path: None)
    slow = open_wrfout(files)
    assert repr(quick) == repr(slow)
    assert quick.encoding == slow.encoding
    for name, array in slow.variables.items():
        assert (quick[name].chunks, quick[name].encoding) == (array.chunks, array.encoding)
        assert quick[name].attrs.keys() == array.attrs.keys()
    xr.testing.assert_identical(quick.load(), slow.load())


@pytest.mark.parametrize(
    "key",
    [
        {"Time": -1},
        {"Time": [2, 0, 0]},
        {"Time": slice(None, None, -1), "west_east": [3, 1, 2]},
        {"Time": slice(0, 0)},
        {"bottom_top": -1, "south_north": slice(4, None, -2)},
        {"bottom_top": [], "Time": 1},
        {"south_north": slice(1, 5, 3), "west_east": 7},
    ],
)
def test_any_selection(files: list[Path], frames: xr.Dataset, key: dict[str, Any]) -> None:
    lazy = open_wrfout(files, chunks=None)["T"]
    assert lazy.chunks is None
    assert not lazy.variable._in_memory
    wanted = frames["T"].isel(key)
    got = lazy.isel(key)
    assert (got.dims, got.shape) == (wanted.dims, wanted.shape)
    np.testing.assert_array_equal(got.values, wanted.values)


def test_several_frames_a_file_and_files_that_interleave(
    frames: xr.Dataset, write: Writer, opened: list[Path]
) -> None:
    files = [write(frames.isel(Time=[0, 2]), "a.nc"), write(frames.isel(Time=[1]), "b.nc")]
    ds = open_wrfout(files)
    assert not opened
    np.testing.assert_array_equal(ds["T"].values, frames["T"].values)
    np.testing.assert_array_equal(ds["XTIME"].values, frames["XTIME"].values)
    assert ds["T"].chunks is not None
    assert ds["T"].chunks[0] == (1, 1, 1)


def test_only_selected_values_are_read(files: list[Path]) -> None:
    ds = open_wrfout(files)
    close_files()
    files[2].unlink()
    assert np.isfinite(ds["T2"].isel(Time=1).values).all()
    with pytest.raises(InputError, match=r"11:40:00: T2 cannot be read"):
        ds["T2"].values  # noqa: B018


def test_the_dataset_can_be_pickled(files: list[Path], frames: xr.Dataset) -> None:
    again = pickle.loads(pickle.dumps(open_wrfout(files)))
    np.testing.assert_array_equal(again["T"].isel(Time=2).values, frames["T"].isel(Time=2).values)


def test_a_rewritten_file_is_read_again(files: list[Path], frames: xr.Dataset, write: Writer) -> None:
    before = open_wrfout(files)["RAINC"]
    before.values  # noqa: B018
    write(frames.isel(Time=[1]).assign(RAINC=frames["RAINC"].isel(Time=[1]) + 1), _name(1))
    after = open_wrfout(files)["RAINC"]
    assert before.data.name != after.data.name
    np.testing.assert_array_equal(after.values[1], frames["RAINC"].values[1] + 1)


def test_a_variable_that_is_missing_in_one_file(frames: xr.Dataset, write: Writer, files: list[Path]) -> None:
    write(frames.isel(Time=[1]).drop_vars("T2"), _name(1))
    with pytest.warns(UserWarning, match="not all files have them: T2"):
        ds = open_wrfout(files)
    assert "T2" not in ds
    np.testing.assert_array_equal(ds["T"].values, frames["T"].values)


def test_an_additional_variable_in_one_file(frames: xr.Dataset, write: Writer, files: list[Path]) -> None:
    write(frames.isel(Time=[2]).assign(EXTRA=frames["T2"].isel(Time=[2])), _name(2))
    with pytest.warns(UserWarning, match="not all files have them: EXTRA"):
        ds = open_wrfout(files)
    np.testing.assert_array_equal(ds["T2"].values, frames["T2"].values)


@pytest.mark.parametrize("form", ["NETCDF4", "NETCDF3_64BIT_OFFSET"])
def test_packing_and_types_that_differ_between_files(frames: xr.Dataset, tmp_path: Path, form: str) -> None:
    small = frames[["Times", "XTIME", "T2", "Q2"]] if "Q2" in frames else frames[["Times", "XTIME", "T2"]]
    files = [tmp_path / _name(k) for k in range(3)]
    steps = [None, 0.01, 0.25]
    for path, k, step in zip(files, range(3), steps, strict=True):
        packed = {"dtype": "i2", "scale_factor": step, "add_offset": 290.0, "_FillValue": -32768}
        encoding = {} if step is None else {"T2": packed}
        small.isel(Time=[k]).to_netcdf(
            path, format=form, engine="netcdf4", encoding=encoding, unlimited_dims=["Time"]
        )
    ds = open_wrfout(files)["T2"].values
    for k, step in enumerate(steps):
        wanted = xr.open_dataset(files[k], decode_times=False)["T2"].values[0]
        np.testing.assert_array_equal(ds[k], wanted.astype(ds.dtype))
        assert np.abs(ds[k] - frames["T2"].values[k]).max() <= (step or 0) / 2 + 1e-4


def test_files_with_different_compression_are_alike(
    files: list[Path], frames: xr.Dataset, opened: list[Path]
) -> None:
    plain = {str(name): {"zlib": False} for name in frames.data_vars}
    frames.isel(Time=[1]).to_netcdf(files[1], engine="netcdf4", encoding=plain, unlimited_dims=["Time"])
    np.testing.assert_array_equal(open_wrfout(files)["T"].values, frames["T"].values)


@pytest.mark.skipif(not netCDF4.__has_zstandard_support__, reason="netCDF4 without zstandard")
def test_a_filter_that_h5py_does_not_have(files: list[Path], frames: xr.Dataset, opened: list[Path]) -> None:
    for k, path in enumerate(files):
        frame = frames.isel(Time=[k])
        packed = {str(name): {"compression": "zstd"} for name in frame.data_vars if frame[name].ndim > 2}
        frame.to_netcdf(path, engine="netcdf4", encoding=packed, unlimited_dims=["Time"])
    ds = open_wrfout(files)
    assert not opened
    np.testing.assert_array_equal(ds["T"].values, frames["T"].values)
    np.testing.assert_array_equal(ds["T2"].values, frames["T2"].values)


def test_dimensions_in_another_order(frames: xr.Dataset, write: Writer, files: list[Path]) -> None:
    square = frames.isel(west_east=slice(0, 6), west_east_stag=slice(0, 7))
    for k in range(3):
        frame = square.isel(Time=[k])
        if k == 1:
            frame = frame.transpose("Time", "bottom_top", "west_east", "south_north", ...)
        write(frame, _name(k))
    ds = open_wrfout(files)
    np.testing.assert_array_equal(ds["T"].values, square["T"].values)


def test_a_broken_file_among_many_is_named(files: list[Path]) -> None:
    whole = files[1].read_bytes()
    files[1].write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"11:35:00 cannot be opened as NetCDF"):
        open_wrfout(files)
    files[1].write_bytes(b"")
    with pytest.raises(InputError, match=r"11:35:00 cannot be opened as NetCDF.*0 bytes"):
        open_wrfout(files)


def test_a_truncated_classic_file_among_many_is_named(frames: xr.Dataset, tmp_path: Path) -> None:
    files = [tmp_path / _name(k) for k in range(3)]
    for k, path in enumerate(files):
        frames[["Times", "XTIME", "T", "T2"]].isel(Time=[k]).to_netcdf(
            path, format="NETCDF3_CLASSIC", engine="netcdf4", unlimited_dims=["Time"]
        )
    files[2].write_bytes(files[2].read_bytes()[:-100])
    with pytest.raises(InputError, match=r"11:40:00 was cut off"):
        open_wrfout(files)


def test_values_damaged_within_a_file_are_named(files: list[Path]) -> None:
    ds = open_wrfout(files)
    content = bytearray(files[1].read_bytes())
    # The metadata between the values are unchanged.
    with h5py.File(files[1]) as file:
        piece = file["T"].id.get_chunk_info(0)
    content[piece.byte_offset : piece.byte_offset + piece.size] = bytes(piece.size)
    files[1].write_bytes(bytes(content))
    np.testing.assert_array_equal(ds["T"].isel(Time=0).shape, (44, 6, 24))
    with pytest.raises(InputError, match=r"11:35:00: T cannot be read"):
        ds["T"].load()


def test_repeated_frames_of_restarts(frames: xr.Dataset, write: Writer) -> None:
    later = frames.isel(Time=[1, 2]).assign(T2=frames["T2"].isel(Time=[1, 2]) + 5)
    files = [write(frames.isel(Time=[0, 1]), _name(0)), write(later, _name(1))]
    with pytest.warns(UserWarning, match="11:35:00 repeats 1 frames of the previous file") as caught:
        ds = open_wrfout(files)
    assert len(caught) == 1
    wanted = frames["T2"].values + np.array([0, 0, 5], "f4")[:, None, None]
    np.testing.assert_array_equal(ds["T2"].values, wanted)


def test_the_run_of_each_frame(frames: xr.Dataset, write: Writer, opened: list[Path]) -> None:
    parts = [frames.isel(Time=[k]) for k in range(3)]
    parts[2] = parts[2].assign(XTIME=parts[2]["XTIME"] * 0 + 20)
    parts[2].attrs["SIMULATION_START_DATE"] = "2007-06-10_11:20:00"
    ds = open_wrfout([write(part, _name(k)) for k, part in enumerate(parts)])
    assert not opened
    starts = np.array(["2007-06-10T08:00", "2007-06-10T08:00", "2007-06-10T11:20"], "M8[ns]")
    np.testing.assert_array_equal(ds["RUN_START"].values, starts)
    np.testing.assert_array_equal(ds["XTIME"].values, [210, 215, 20])


def test_saved_files_opened_together(files: list[Path], tmp_path: Path, opened: list[Path]) -> None:
    whole = open_wrfout(files)
    saved = [tmp_path / f"saved{k}.nc" for k in range(3)]
    for k, path in enumerate(saved):
        whole.isel(Time=[k]).to_netcdf(path)
    again = open_wrfout(saved)
    assert not opened
    xr.testing.assert_equal(again.load(), whole.load())


def test_a_clock_with_missing_values_is_decoded(frames: xr.Dataset, tmp_path: Path) -> None:
    files = [tmp_path / _name(k) for k in range(2)]
    for k, path in enumerate(files):
        frame = frames[["XTIME", "T2"]].isel(Time=[k])
        packed = {"XTIME": {"dtype": "i2", "scale_factor": 5.0, "_FillValue": -1}}
        frame.to_netcdf(path, engine="netcdf4", encoding=packed, unlimited_dims=["Time"])
    np.testing.assert_array_equal(
        open_wrfout(files)["Time"].values, np.array(["2007-06-10T11:30", "2007-06-10T11:35"], "M8[ns]")
    )


def test_header_of_a_file(files: list[Path], tmp_path: Path) -> None:
    header = header_of(files[0])
    assert header is not None
    with netCDF4.Dataset(files[0]) as nc:
        for name, value in header.summary.attrs.items():
            assert value == nc.getncattr(name)
            assert type(value) is type(nc.getncattr(name))
        assert {"DX", "DT", "SIMULATION_START_DATE", "BUCKET_MM"} <= header.summary.attrs.keys()
        for dim in ("south_north", "west_east_stag", "bottom_top"):
            assert header.summary.sizes[dim] == len(nc.dimensions[dim])
        assert float(header.summary["corner_latitude"][0]) == float(nc["XLAT"][0, 0, 0])
    (tmp_path / "notes").write_text("no netCDF")
    assert header_of(tmp_path / "notes") is None
    assert header_of(tmp_path / "nothing") is None


@pytest.mark.parametrize("form", FORMS[1:])
def test_header_of_a_classic_file(frames: xr.Dataset, tmp_path: Path, form: str) -> None:
    path = tmp_path / "classic"
    frames[["Times", "XTIME", "T", "ZNU"]].to_netcdf(
        path, format=form, engine="netcdf4", unlimited_dims=["Time"]
    )
    whole = read_classic(path)
    with netCDF4.Dataset(path) as nc:
        assert list(whole.variables) == list(nc.variables)
        for name, variable in whole.variables.items():
            assert variable.shape == nc[name].shape
            assert variable.dims == nc[name].dimensions
            assert {k: str(v) for k, v in variable.attrs.items()} == {
                k: str(nc[name].getncattr(k)) for k in nc[name].ncattrs()
            }
    assert 0 <= whole.end - path.stat().st_size + 3 <= 3


def test_a_moving_nest_over_files(frames: xr.Dataset, write: Writer, files: list[Path]) -> None:
    moved = frames.isel(Time=[2]).assign(XLONG=frames["XLONG"].isel(Time=[2]) + np.float32(0.5))
    write(moved, _name(2))
    ds = open_wrfout(files)
    assert ds["XLONG"].dims == ("Time", "south_north", "west_east")
    np.testing.assert_array_equal(ds["XLONG"].values[2], moved["XLONG"].values[0])


def test_threads_read_the_same_values(files: list[Path], frames: xr.Dataset) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ds = open_wrfout(files)
    read = ds[["T", "U", "QVAPOR", "PH"]].compute(scheduler="threads", num_workers=8)
    for name in read.data_vars:
        np.testing.assert_array_equal(read[name].values, frames[name].values)
