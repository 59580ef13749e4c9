"""Times as objects of cftime: year 1 of idealised runs and calendars without leap years, compared with cftime."""

from __future__ import annotations

import datetime
from pathlib import Path

import cftime
import numpy as np
import pytest
import xarray as xr

from sciml.columns import columns_to_map, convection_columns
from sciml.columns.open import open_columns, write_columns
from sciml.errors import InputError
from sciml.wrf import open_wrfout
from sciml.wrf.runs import new_runs, run_starts
from sciml.wrf.times import elapsed_seconds, frame_times, gregorian, run_minutes, run_start

STEP = datetime.timedelta(minutes=5)


def _ideal(ds: xr.Dataset) -> xr.Dataset:
    """The same run in year 1."""
    stamps = np.array([stamp.replace(b"2007-06-10", b"0001-01-01") for stamp in ds["Times"].values])
    attrs = dict.fromkeys(("SIMULATION_START_DATE", "START_DATE"), "0001-01-01_08:00:00")
    minutes = ds["XTIME"].assign_attrs(units="minutes since 0001-01-01 08:00:00")
    return ds.assign(Times=("Time", stamps), XTIME=minutes).assign_attrs(attrs)


@pytest.fixture(params=["raw", "netcdf", "netcdf undecoded", "zarr", "opened", "XTIME alone"])
def ideal(request: pytest.FixtureRequest, frames: xr.Dataset, tmp_path: Path) -> xr.Dataset:
    ds = _ideal(frames)
    if request.param == "raw":
        return ds
    if request.param == "XTIME alone":
        return xr.decode_cf(ds.drop_vars("Times"))
    opened = open_wrfout(ds)
    if request.param == "zarr":
        opened.to_zarr(tmp_path / "a.zarr", consolidated=False)
        return xr.open_zarr(tmp_path / "a.zarr", consolidated=False)
    if request.param == "opened":
        return opened
    opened.to_netcdf(tmp_path / "a.nc")
    return xr.open_dataset(tmp_path / "a.nc", decode_times=request.param == "netcdf")


def test_year_1_in_every_way_of_opening(ideal: xr.Dataset, frames: xr.Dataset) -> None:
    right = convection_columns(open_wrfout(frames))
    opened = open_wrfout(ideal)
    expected = np.datetime64("0001-01-01T11:30:00") + np.arange(3) * np.timedelta64(5, "m")
    np.testing.assert_array_equal(opened["Time"], expected)
    result = convection_columns(opened)
    for name in ("KIND", "NCA", "XTIME", "T_PHY"):
        np.testing.assert_array_equal(result[name], right[name], err_msg=name)
    np.testing.assert_array_equal(opened.sciml.rain, open_wrfout(frames).sciml.rain)


def test_a_store_of_year_1(frames: xr.Dataset, tmp_path: Path) -> None:
    _ideal(frames).to_netcdf(tmp_path / "wrfout_d01_ideal.nc")
    write_columns(tmp_path / "wrfout_d01_ideal.nc", tmp_path / "c.zarr", workers=1, keep="all")
    columns = open_columns(tmp_path / "c.zarr", keep="all")
    assert str(columns["Time"].values[0])[:16].replace(" ", "T") == "0001-01-01T11:30"
    assert columns_to_map(columns).sizes["Time"] == 3


@pytest.mark.parametrize(
    ("calendar", "saved"),
    [(name, False) for name in ("noleap", "all_leap", "360_day", "julian")]
    + [(name, True) for name in ("noleap", "360_day", "standard")],
)
def test_other_calendars(frames: xr.Dataset, tmp_path: Path, calendar: str, saved: bool) -> None:
    first = cftime.datetime(4, 2, 28, 23, 55, calendar=calendar)
    times = np.array([first + k * STEP for k in range(3)], dtype=object)
    begun = {"SIMULATION_START_DATE": "0004-02-28_20:25:00", "START_DATE": "0004-02-28_20:25:00"}
    ds = frames.drop_vars(["Times", "XTIME"]).assign_coords(Time=("Time", times)).assign_attrs(begun)
    if saved:
        open_wrfout(ds).to_zarr(tmp_path / "a.zarr", consolidated=False)
        ds = xr.open_zarr(tmp_path / "a.zarr", consolidated=False, decode_times=False)
    opened = open_wrfout(ds)
    for single, other in zip(opened["Time"].values, times, strict=True):
        assert str(single)[:19].replace("T", " ") == other.isoformat(" ")
    np.testing.assert_array_equal(
        elapsed_seconds(opened["Time"].values, opened["Time"].values[0]), [0, 300, 600]
    )
    np.testing.assert_array_equal(opened.sciml.rain, open_wrfout(frames).sciml.rain)
    if not saved:
        result, right = convection_columns(opened), convection_columns(open_wrfout(frames))
        np.testing.assert_array_equal(result["KIND"], right["KIND"])
        np.testing.assert_array_equal(result["XTIME"], right["XTIME"])


def test_a_leap_day_in_a_calendar_without_leap_days(frames: xr.Dataset) -> None:
    first = cftime.datetime(2004, 2, 28, 23, 55, calendar="noleap")
    times = np.array([first + k * STEP for k in range(3)], dtype=object)
    begun = {"SIMULATION_START_DATE": "2004-02-28_20:25:00"}
    ds = frames.drop_vars("Times").assign_coords(Time=("Time", times)).assign_attrs(begun)
    ds = ds.assign(XTIME=ds["XTIME"].assign_attrs(units="minutes since 2004-02-28 20:25:00"))
    opened = open_wrfout(ds)
    assert not new_runs(opened).any()
    assert (run_starts(opened) == np.datetime64("2004-02-28T20:25:00")).all()


@pytest.mark.parametrize("units", ["minutes", "hours", "days", "s", "h"])
@pytest.mark.parametrize("calendar", ["noleap", "standard"])
def test_units_and_calendars_as_cftime_decodes_them(units: str, calendar: str) -> None:
    since = f"{units} since 2004-02-28 18:00:00"
    values = np.array([0.0, 0.25, 12.0, 36.0])
    ds = xr.Dataset(coords={"Time": ("Time", values, {"units": since, "calendar": calendar})})
    result = frame_times(ds)
    oracle = cftime.num2date(values, since, calendar)
    assert [str(t)[:19].replace("T", " ") for t in result] == [t.isoformat(" ")[:19] for t in oracle]


def test_the_absolute_time_of_cdo() -> None:
    ds = xr.Dataset(coords={"Time": ("Time", [20070610.5, 20070610.75], {"units": "day as %Y%m%d.%f"})})
    np.testing.assert_array_equal(frame_times(ds), np.array(["2007-06-10T12", "2007-06-10T18"], "M8[ns]"))


@pytest.mark.parametrize(
    "times",
    [
        np.array([datetime.datetime(2007, 6, 10, 6), datetime.datetime(2007, 6, 10, 7)], dtype=object),
        np.array(["2007-06-10T06:00:00", "2007-06-10T07:00:00"]),
        np.array([b"2007-06-10_06:00:00", b"2007-06-10_07:00:00"]),
        np.array(["2007-06-10T06", "2007-06-10T07"], "M8[s]"),
    ],
)
def test_other_forms_of_a_time(times: np.ndarray) -> None:
    result = frame_times(xr.Dataset(coords={"Time": ("Time", times)}))
    np.testing.assert_array_equal(result, np.array(["2007-06-10T06", "2007-06-10T07"], "M8[ns]"))


@pytest.mark.parametrize(
    "times",
    [
        np.array(["2007-06-10", "NaT"], "M8[ns]"),
        np.array([cftime.DatetimeNoLeap(1, 1, 1), None], dtype=object),
    ],
)
def test_a_frame_without_a_time(times: np.ndarray) -> None:
    with pytest.raises(InputError, match="frame 1"):
        frame_times(xr.Dataset(coords={"Time": ("Time", times)}))


def test_a_date_outside_the_gregorian_calendar() -> None:
    with pytest.raises(InputError, match="360_day"):
        gregorian(np.array([cftime.Datetime360Day(1, 2, 30)]))


def test_the_start_of_a_run_from_xtime(frames: xr.Dataset) -> None:
    bare = frames.copy()
    bare.attrs = {k: v for k, v in bare.attrs.items() if k != "SIMULATION_START_DATE"}
    for ds in (bare, open_wrfout(bare), xr.decode_cf(bare)):
        assert run_start(ds) == np.datetime64("2007-06-10T08:00:00")
        np.testing.assert_array_equal(run_minutes(ds, frame_times(ds)), [210, 215, 220])
    none = bare.drop_vars("XTIME").assign_attrs(START_DATE="2007-06-10_11:00:00")  # of a restart
    assert run_start(none) is None
    assert np.isnan(run_minutes(none, frame_times(none))).all()


def test_classes_without_a_start_are_unknown_with_a_reason(frames: xr.Dataset) -> None:
    bare = open_wrfout(frames.drop_vars(["XTIME", "ITIMESTEP"]))
    bare.attrs = {k: v for k, v in bare.attrs.items() if k != "SIMULATION_START_DATE"}
    with pytest.warns(UserWarning, match="SIMULATION_START_DATE"):
        columns = convection_columns(bare)
    assert (columns["KIND"] == -1).all()


def test_xtime_in_other_units_is_converted_to_minutes() -> None:
    hours = xr.Dataset({"XTIME": ("Time", [1.5, 2.0], {"units": "hours since 2007-06-10 08:00:00"})})
    np.testing.assert_array_equal(run_minutes(hours, frame_times(hours)), [90, 120])
