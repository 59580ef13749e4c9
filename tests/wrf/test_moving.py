"""Moving nests: rain and classes are compared at the same ground, not by array index."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sciml.columns import HELD, UNKNOWN, convection_columns
from sciml.columns.open import open_columns, write_columns
from sciml.wrf import open_wrfout
from sciml.wrf.moving_nest import lies_elsewhere, shifts
from tests.paths import SAMPLE_WRFOUT, SHARED

Writer = Callable[[xr.Dataset, str], Path]
ROWS, COLUMNS = 9, 12
CORNERS = [(20, 20), (20, 20), (22, 17), (22, 16), (21, 19)]


def _ground() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return totals of rain (time, y, x) on a wide grid, and its coordinates: a Mercator grid across 180 degrees."""
    noise = np.random.default_rng(17)
    totals = np.cumsum(noise.gamma(0.5, 2.0, (len(CORNERS), 60, 60)), axis=0) + 40
    latitude = np.rad2deg(np.arctan(np.sinh(np.deg2rad(20 + 0.09 * np.arange(60)))))
    longitude = (177 + 0.09 * np.arange(60) + 180) % 360 - 180
    return totals.astype("f4"), *np.meshgrid(latitude.astype("f4"), longitude.astype("f4"), indexing="ij")


def _nest(corners: list[tuple[int, int]], off: float = 0.0) -> xr.Dataset:
    totals, latitude, longitude = _ground()
    cut = [(slice(j, j + ROWS), slice(i, i + COLUMNS)) for j, i in corners]
    dims = ("Time", "south_north", "west_east")
    places = np.stack([latitude[c] for c in cut])
    places[-1] += np.float32(off)
    return xr.Dataset(
        {
            "RAINC": (dims, np.stack([totals[t][c] for t, c in enumerate(cut)])),
            "RAINNC": (dims, np.zeros((len(cut), ROWS, COLUMNS), "f4")),
            "XLAT": (dims, places),
            "XLONG": (dims, np.stack([longitude[c] for c in cut])),
            "Times": ("Time", [f"2005-08-28_{t:02d}:00:00".encode() for t in range(len(cut))]),
            "XTIME": ("Time", np.arange(len(cut), dtype="f4") * 60 + 60),
        }
    )


def test_rain_is_computed_at_the_same_ground(recwarn: pytest.WarningsRecorder) -> None:
    ds = open_wrfout(_nest(CORNERS)).chunk(Time=1)
    rain = ds.sciml.rain
    assert rain.chunks is not None
    totals = _ground()[0].astype("f8")
    wanted = np.full((len(CORNERS), 60, 60), np.nan)
    for t in range(1, len(CORNERS)):
        inside = np.zeros((60, 60), bool)
        inside[CORNERS[t - 1][0] :, CORNERS[t - 1][1] :][:ROWS, :COLUMNS] = True
        wanted[t][inside] = (totals[t] - totals[t - 1])[inside]
    for t, (j, i) in enumerate(CORNERS):
        np.testing.assert_allclose(
            rain.values[t], wanted[t][j : j + ROWS, i : i + COLUMNS], rtol=1e-4, atol=1e-5
        )
    assert np.isfinite(rain.values[2:]).mean() > 0.5
    assert not recwarn.list


def test_rain_is_nan_where_the_ground_is_not_known() -> None:
    with pytest.warns(UserWarning, match=r"in 1 of 5 frames \(the first is number 4\)") as record:
        rain = open_wrfout(_nest(CORNERS, off=0.04)).sciml.rain.values
    assert len(record) == 1
    assert np.isnan(rain[[0, 4]]).all()
    assert np.isfinite(rain[1]).all()
    far = [*CORNERS[:3], (45, 40), (45, 40)]
    with pytest.warns(UserWarning, match="cells do not coincide"):
        rain = open_wrfout(_nest(far)).sciml.rain.values
    assert np.isnan(rain[3]).all()
    assert np.isfinite(rain[4]).all()


def test_a_smaller_total_in_a_moved_frame_is_no_restart() -> None:
    nest = _nest(CORNERS)
    nest["RAINC"].values[2] *= 0.5
    rain = open_wrfout(nest).sciml.rain.values
    assert np.isnan(rain[2]).all()


@pytest.mark.shared
def test_rain_of_a_real_nest_that_moved() -> None:
    ds = open_wrfout(SHARED / "wrf" / "real" / "mercator_sample.nc")
    assert shifts(ds) == [(0, 0), (3, -6), (6, -3), (3, -6)]
    rain = ds.sciml.rain.values
    assert np.isnan(rain[0]).all()
    assert [int(np.isnan(frame).sum()) for frame in rain[1:]] == [48 * 48 - 45 * 42] * 3
    assert (rain[1:][np.isfinite(rain[1:])] >= 0).all()
    assert np.nanmax(rain) < 170  # the totals reach 350 mm


@pytest.mark.parametrize("axis", ["XLAT", "XLONG"])
@pytest.mark.parametrize("frame", [1, 2])
def test_movement_is_detected_along_both_axes_in_every_frame(
    frames: xr.Dataset, write: Writer, axis: str, frame: int
) -> None:
    drift = xr.DataArray(np.zeros(3, "f4"), dims="Time")
    drift[frame] = 0.3
    moved = frames.assign({axis: (frames[axis] + drift).transpose(*frames[axis].dims)})
    path = write(moved, "wrfout_d01_moved")
    for opened in (open_wrfout(path), open_wrfout(moved)):
        assert opened[axis].dims == ("Time", "south_north", "west_east")
        np.testing.assert_array_equal(opened[axis].values, moved[axis].values)
    still = open_wrfout(frames)
    assert still["XLONG"].dims == ("south_north", "west_east")


def _drifting(by: tuple[int, ...] = (0, 0, 3, 6, 9, 12, 12)) -> xr.Dataset:
    """Return the sample on a nest that moves three cells a frame from the third frame on."""
    ds = xr.open_dataset(SAMPLE_WRFOUT, decode_times=False, decode_coords=False).drop_encoding().load()
    for name, array in ds.items():
        for dim in ("west_east", "west_east_stag"):
            if dim in array.dims and "Time" in array.dims:
                axis = array.dims.index(dim)
                whole = np.take(array.values, range(24), axis=axis)
                rolled = np.stack([np.roll(whole[t], -by[t], axis=axis - 1) for t in range(7)])
                if dim.endswith("stag"):
                    rolled = np.concatenate([rolled, np.take(rolled, [0], axis=axis)], axis=axis)
                ds[name] = (array.dims, rolled, array.attrs)
    lon = 5 + 0.09 * (np.arange(24) + np.array(by)[:, None])
    ds["XLONG"] = (
        ds["XLONG"].dims,
        np.broadcast_to(lon[:, None], (7, 24, 24)).astype("f4"),
        ds["XLONG"].attrs,
    )
    return ds


def test_columns_of_moved_frames_are_unknown(write: Writer, tmp_path: Path) -> None:
    path = write(_drifting(), "wrfout_d02_drifting")
    still = convection_columns(open_wrfout(SAMPLE_WRFOUT))["KIND"].values.reshape(7, 24, 24)
    with pytest.warns(UserWarning, match="the nest moves") as record:
        columns = convection_columns(open_wrfout(path))
    assert len(record) == 1
    kind = columns["KIND"].values.reshape(7, 24, 24)
    np.testing.assert_array_equal(kind[:2], still[:2])
    assert (kind[2:6] == UNKNOWN).all()
    # The last frame has the position of the frame before.
    np.testing.assert_array_equal(kind[6], np.roll(still[6], -12, axis=1))
    assert (kind[6] == HELD).any()
    with pytest.warns(UserWarning, match="the nest moves"):
        direct = open_columns(path, keep="all")
    np.testing.assert_array_equal(direct["KIND"].values, kind.ravel())
    with pytest.warns(UserWarning, match="the nest moves"):
        write_columns(path, tmp_path / "s.zarr", keep="all", workers=1, block_bytes=600_000)
    np.testing.assert_array_equal(open_columns(tmp_path / "s.zarr", keep="all")["KIND"].values, kind.ravel())


def test_the_previous_file_is_at_another_position(write: Writer) -> None:
    drifting = _drifting((0, 0, 3, 3, 12, 12, 12))
    files = [
        write(drifting.isel(Time=[t]), f"wrfout_d02_2007-06-10_11:{30 + 5 * t}:00") for t in (1, 2, 4, 5)
    ]
    with pytest.warns(UserWarning, match="the nest moves"):
        kind = open_columns(files[:2], keep="all")["KIND"].values.reshape(2, -1)
    assert (kind[1] == UNKNOWN).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kind = open_columns(files[2:], keep="all")["KIND"].values.reshape(2, -1)
    assert (kind[1] == HELD).any()


def test_a_previous_frame_without_a_position() -> None:
    nest = open_wrfout(_nest(CORNERS))
    nca = nest["RAINC"].isel(Time=0)
    assert lies_elsewhere(nest, nca).tolist() == [False, False, True, True, True]
    assert lies_elsewhere(nest, nca.drop_vars(["XLAT", "XLONG"])).tolist() == [True, False, True, True, True]
