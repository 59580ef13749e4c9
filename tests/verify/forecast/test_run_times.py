"""Times of any year and calendar: numbers, text, durations, and frames that are nearly at the same time."""

from __future__ import annotations

from datetime import datetime

import cftime
import numpy as np
import pytest

from sciml.errors import InputError
from sciml.verify.forecast.run_times import (
    HOUR,
    MINUTE,
    SECOND,
    calendar_of,
    common_frames,
    duration,
    hours_of_day,
    like_times,
    microseconds,
    normalised,
    parsed,
    span,
    stamp,
    step_tolerance,
)

THIRTY = np.array([cftime.datetime(1, 2, 30, 23, 45, calendar="360_day")])
NOLEAP = np.array(
    [cftime.datetime(2000, 2, 28, 23, calendar="noleap"), cftime.datetime(2000, 3, 1, 1, calendar="noleap")]
)


@pytest.mark.parametrize("unit", ["s", "us"])
def test_year_one_is_preserved(unit: str) -> None:
    times = np.array(["0001-01-01T11:35:00"], f"datetime64[{unit}]")
    assert stamp(times[0]) == "0001-01-01 11:35:00"
    assert hours_of_day(times)[0] == pytest.approx(11 + 35 / 60)
    # Python's own calendar is the proleptic Gregorian one.
    elapsed = (datetime(1, 1, 1, 11, 35) - datetime(1970, 1, 1)).total_seconds()
    assert microseconds(times)[0] == round(elapsed) * SECOND
    assert like_times(microseconds(times), times)[0] == times[0]


def test_other_calendars_have_their_own_dates() -> None:
    assert stamp(THIRTY[0]) == "0001-02-30 23:45:00"
    assert hours_of_day(THIRTY)[0] == 23.75
    assert like_times(microseconds(THIRTY) + HOUR, THIRTY)[0] == cftime.datetime(
        1, 3, 1, 0, 45, calendar="360_day"
    )
    assert np.diff(microseconds(NOLEAP))[0] == 2 * HOUR, "2000-02-29 is no day of this calendar"
    assert stamp(parsed("2000-02-28_08:00:00", NOLEAP)) == "2000-02-28 08:00:00"
    assert parsed("no date", NOLEAP) is None


def test_gregorian_objects_become_datetime64() -> None:
    for kind in (cftime.DatetimeGregorian, cftime.DatetimeProlepticGregorian):
        result = normalised(np.array([kind(1, 1, 1, 11, 35)]))
        assert result.dtype == "datetime64[us]"
        assert stamp(result[0]) == "0001-01-01 11:35:00"
    assert calendar_of(normalised(THIRTY)) == "360_day"
    summer = np.array([cftime.datetime(2001, 6, k, calendar="noleap") for k in (1, 2, 30)])
    assert [stamp(time)[:10] for time in normalised(summer)] == ["2001-06-01", "2001-06-02", "2001-06-30"]
    assert calendar_of(normalised(summer)) == "gregorian"
    assert calendar_of(normalised(NOLEAP)) == "noleap"
    with pytest.raises(InputError, match="not times"):
        normalised(np.arange(3.0))


def test_lead_times() -> None:
    lead = np.array([0, 90, 180, -30]).astype("timedelta64[m]")
    assert [stamp(time) for time in lead] == ["+0 s", "+1 h 30 min", "+3 h", "-30 min"]
    assert span(25 * HOUR + 61 * SECOND) == "25 h 1 min 1 s"


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("3h", 3 * HOUR),
        ("10min", 10 * MINUTE),
        ("1h 30min", 90 * MINUTE),
        ("1d", 24 * HOUR),
        ("h", HOUR),
        ("90s", 90 * SECOND),
    ],
)
def test_durations(text: str, micros: int) -> None:
    assert duration(text) == micros


@pytest.mark.parametrize("text", ["3", "3.5", "1e3", " 24 ", "+6"])
def test_a_duration_needs_a_unit(text: str) -> None:
    with pytest.raises(InputError, match=r"has no unit: give \S+h, "):
        duration(text)


@pytest.mark.parametrize("text", ["soon", "-1h", "0h", "5ns", "3M", "NaT", "", "400d"])
def test_invalid_durations(text: str) -> None:
    with pytest.raises(InputError, match="with its unit"):
        duration(text)


def _at(*seconds: float) -> np.ndarray:
    return np.datetime64("0001-01-01T00:00:00", "us") + (np.array(seconds) * SECOND).astype("timedelta64[us]")


def test_frames_within_a_time_step_are_common() -> None:
    first, other = _at(0, 637, 1211, 1800, 2449), _at(12, 607, 1241, 2409)
    tolerance = step_tolerance([first, other], [50.0, 50.0])
    assert 50 * SECOND <= tolerance < 290 * SECOND
    (a, b), apart = common_frames([first, other], tolerance)
    assert a.tolist() == [0, 1, 2, 4]
    assert b.tolist() == [0, 1, 2, 3]
    assert apart == 40 * SECOND


def test_the_tolerance_is_less_than_half_the_smallest_interval() -> None:
    first = _at(*range(0, 600, 60))
    assert step_tolerance([first, first], [180.0, None]) < 30 * SECOND
    (a, _), apart = common_frames([first, first], step_tolerance([first, first], [180.0, None]))
    assert a.size == 10
    assert apart == 0
    hourly = _at(*range(0, 7200, 3600))
    assert step_tolerance([hourly], [None]) == 300 * SECOND


def test_calendars_are_not_mixed() -> None:
    with pytest.raises(InputError, match="calendars gregorian, noleap"):
        common_frames([_at(0, 60), NOLEAP], SECOND)
