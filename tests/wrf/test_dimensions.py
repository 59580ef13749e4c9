"""Renamed, transposed and removed dimensions: the error contains code that restores them."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sciml.columns.plan import describe_sources
from sciml.errors import InputError
from sciml.wrf import open_wrfout
from sciml.wrf.dimensions import renamed

CDO = {
    "Time": "time",
    "bottom_top": "lev",
    "south_north": "y",
    "west_east": "x",
    "bottom_top_stag": "lev_2",
    "south_north_stag": "y_2",
    "west_east_stag": "x_2",
}
XWRF = {
    "bottom_top": "z",
    "south_north": "y",
    "west_east": "x",
    "bottom_top_stag": "z_stag",
    "south_north_stag": "y_stag",
    "west_east_stag": "x_stag",
}
LATLON = {"Time": "valid_time", "bottom_top": "level", "south_north": "lat", "west_east": "lon"}
ROTATED = {"Time": "t", "south_north": "rlat", "west_east": "rlon"}
NUMBERED = {"Time": "dim_0", "bottom_top": "dim_1", "south_north": "dim_2", "west_east": "dim_3"}


@pytest.mark.parametrize(
    "names", [{"Time": "time"}, {"west_east_stag": "x_stag"}, CDO, XWRF, LATLON, ROTATED, NUMBERED]
)
def test_the_line_of_the_message_renames_back(frames: xr.Dataset, names: dict[str, str]) -> None:
    ds = frames.rename(names)
    assert renamed(ds) == {new: old for old, new in names.items()}
    with pytest.raises(InputError, match="renamed dimensions") as caught:
        open_wrfout(ds)
    line = re.findall(r"ds = (ds.*?\}\))", str(caught.value))[0]
    back = open_wrfout(eval(line, {"ds": ds}))
    xr.testing.assert_equal(back.sciml.rho, open_wrfout(frames).sciml.rho)
    for field in ("u", "z", "rain_total", "p_hyd"):
        if set(names) & {"Time", "bottom_top"}:
            with pytest.raises(InputError, match="renamed dimensions"):
                getattr(ds.sciml, field)


def test_renamed_and_transposed_dimensions(frames: xr.Dataset) -> None:
    ds = frames.rename(LATLON).transpose("lon", "lat", "level", "valid_time", ...)
    assert renamed(ds) == {new: old for old, new in LATLON.items()}


def test_transposed_dimensions_give_the_same_values(frames: xr.Dataset) -> None:
    right = open_wrfout(frames)
    turned = open_wrfout(frames.transpose("west_east", "bottom_top", "south_north", "Time", ...))
    xr.testing.assert_equal(turned.sciml.columns(), right.sciml.columns())
    for field in ("rho", "p_hyd", "dz8w", "u", "wind_east", "rain"):
        first, second = getattr(turned.sciml, field), getattr(right.sciml, field)
        xr.testing.assert_equal(first.transpose(*second.dims), second)


def test_time_swapped_for_xtime(frames: xr.Dataset) -> None:
    decoded = xr.decode_cf(frames).set_coords("XTIME").swap_dims(Time="XTIME")
    with pytest.raises(InputError, match="Time is named XTIME") as caught:
        open_wrfout(decoded)
    line = re.findall(r"ds = (ds.*?\}\))", str(caught.value))[0]
    back = open_wrfout(eval(line, {"ds": decoded}))
    np.testing.assert_array_equal(back["Time"], open_wrfout(frames)["Time"])


def test_a_removed_time(frames: xr.Dataset) -> None:
    frame = frames.isel(Time=1)
    with pytest.raises(InputError, match=r"no dimension Time.*ds = ds.expand_dims\('Time'\)"):
        open_wrfout(frame)
    back = open_wrfout(frame.expand_dims("Time"))
    xr.testing.assert_equal(back.sciml.rho, open_wrfout(frames).isel(Time=[1]).sciml.rho)


def test_a_variable_named_time_is_dropped(frames: xr.Dataset) -> None:
    ds = frames.rename(Time="time").assign(Time=("time", [0.0, 1.0, 2.0]))
    with pytest.raises(InputError, match="drop_vars") as caught:
        open_wrfout(ds)
    line = re.findall(r"ds = (ds.*?\}\))", str(caught.value))[0]
    np.testing.assert_array_equal(open_wrfout(eval(line, {"ds": ds}))["Time"], open_wrfout(frames)["Time"])


def test_a_file_of_renamed_dimensions_in_a_store(frames: xr.Dataset, tmp_path: Path) -> None:
    frames.isel(Time=[0]).rename(CDO).to_netcdf(tmp_path / "cdo.nc")
    with pytest.raises(InputError, match=r"cdo.nc has renamed dimensions.*ncrename -d time,Time"):
        describe_sources(tmp_path / "cdo.nc", None, None)


def test_dimensions_of_wrf_are_not_reported_as_renamed(frames: xr.Dataset) -> None:
    assert renamed(frames) == {}
    assert renamed(frames.isel(Time=0)) == {}
    assert renamed(frames.isel(south_north=2, south_north_stag=2)) == {}
    assert renamed(frames.expand_dims(member=2)) == {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert renamed(open_wrfout(frames).sciml.columns()) == {}
