from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from sciml.errors import InputError
from sciml.wrf.missing import missing
from sciml.wrf.times import decode_stamps, frame_times, run_minutes
from sciml.wrf.variables import TABLE


def test_rows_of_the_table_have_units_and_bounds() -> None:
    assert all(row.bounds[0] < row.bounds[1] and row.units for row in TABLE.values())


def test_a_missing_variable_is_named_with_its_line() -> None:
    text = str(missing("W0AVG", "wrfout_d01"))
    assert "+:h:0:W0AVG" in text
    assert "m s-1" in text
    assert "wrfout_d01" in text


@given(st.datetimes(min_value=datetime(1700, 1, 1), max_value=datetime(2200, 1, 1)))
def test_stamps_are_decoded_exactly(moment: datetime) -> None:
    whole = np.datetime64(moment, "s")
    stamp = str(whole).replace("T", "_")
    assert decode_stamps([stamp])[0] == whole
    assert decode_stamps([stamp.replace(":", "_")])[0] == whole


@pytest.mark.parametrize(
    ("stamp", "value"),
    [
        ("0001-01-01_06:00:00", "0001-01-01T06:00:00"),
        ("2007-06-10_11:30:00.2500", "2007-06-10T11:30:00.25"),
        ("2007-06-10_11:30", "2007-06-10T11:30:00"),
        ("2007-06-10", "2007-06-10T00:00:00"),
        ("2007-06-10_24:00:00", "2007-06-11T00:00:00"),
        ("2016-12-31_23:59:60", "2017-01-01T00:00:00"),
    ],
)
def test_odd_stamps(stamp: str, value: str) -> None:
    assert decode_stamps([stamp])[0] == np.datetime64(value)


@pytest.mark.parametrize(
    "stamp",
    [
        "",
        "\x00" * 19,
        "2007-02-30_00:00:00",
        "noon",
        "2007-13-01_00:00:00",
        "2007-06-10_99:99:99",
        "2007-06-10_25:00:00",
        "2007-06-10_24:00:01",
        "2007-06-10_11:60:00",
        "2007-06-10_11:30:61",
    ],
)
def test_invalid_stamps(stamp: str) -> None:
    with pytest.raises(InputError, match="frame 0"):
        decode_stamps([stamp])


def test_times_from_xtime_where_times_are_empty() -> None:
    ds = xr.Dataset(
        {
            "Times": ("Time", np.array([b"", b""])),
            "XTIME": ("Time", np.array([0.0, 7.5], "f4"), {"units": "minutes since 2005-08-28 00:00:00"}),
        }
    )
    assert frame_times(ds)[1] == np.datetime64("2005-08-28T00:07:30")
    with pytest.raises(InputError, match="has no times"):
        frame_times(ds.drop_vars("XTIME"))


def test_times_from_a_coordinate_with_units() -> None:
    hours = xr.Dataset(coords={"Time": ("Time", [0, 6], {"units": "hours since 2007-06-10 12:00:00"})})
    assert frame_times(hours)[1] == np.datetime64("2007-06-10T18:00:00")
    lost = xr.Dataset(coords={"Time": ("Time", [0.0, np.nan], {"units": "hours since 2007-06-10"})})
    with pytest.raises(InputError, match="Time = NaN in frame 1"):
        frame_times(lost)


def test_minutes_from_the_start_date() -> None:
    ds = xr.Dataset(attrs={"SIMULATION_START_DATE": "2005-09-20_12:00:00"})
    assert run_minutes(ds, np.array(["2005-09-20T13:30:00"], "datetime64[ns]"))[0] == 90
