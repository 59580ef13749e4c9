"""Windows of a comparison: left-out parts, lead times, adaptive steps, year 1, seams, one frame, RAINSH."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import cftime
import numpy as np
import pytest
import xarray as xr

from sciml.errors import InputError
from sciml.verify.forecast.compare import RunComparison, RunSource, compare_runs, open_source
from sciml.verify.forecast.run_times import hours_of_day, stamp
from sciml.wrf.opening import open_wrfout

pytest.importorskip("scores", reason="pip install scores")

CELLS = 8
HOUR = np.timedelta64(3600, "s")
AMOUNTS = np.random.default_rng(31).gamma(0.4, 2.0, (24, CELLS, CELLS))
"""Rain (mm) of each hour since the start."""


def run(
    folder: Path,
    name: str,
    hours: Any,
    *,
    start: str = "2007-06-10T00:00:00",
    late: Any = 0,
    scale: float = 1.0,
    shallow: float | None = None,
    **attrs: Any,
) -> RunSource:
    """A run with rain `AMOUNTS` since its start, and frames `late` seconds after these hours."""
    hours = np.asarray(hours, float)
    begun = np.datetime64(start, "s")
    times = begun + np.round(hours * 3600 + np.asarray(late)).astype("timedelta64[s]")
    total = np.concatenate([np.zeros((1, CELLS, CELLS)), np.cumsum(AMOUNTS, 0)])
    whole = np.floor(hours).astype(int)
    part = (hours - whole)[:, None, None]
    fallen = total[whole] + part * (total[np.minimum(whole + 1, 24)] - total[whole])
    dims = ("Time", "south_north", "west_east")
    fields = {
        "Times": ("Time", np.array([str(time).replace("T", "_") for time in times], "S19")),
        "RAINC": (dims, (0.75 * scale * fallen).astype("f4")),
        "RAINNC": (dims, (0.25 * scale * fallen).astype("f4")),
        "XTIME": ("Time", (hours * 60).astype("f4")),
    }
    if shallow is not None:
        fields["RAINSH"] = (dims, (shallow * fallen).astype("f4"))
    text = start.replace("T", "_")
    ds = xr.Dataset(
        fields,
        attrs={
            "DT": np.float32(50),
            "DX": np.float32(10000),
            "START_DATE": text,
            "SIMULATION_START_DATE": text,
            **attrs,
        },
    )
    path = folder / f"wrfout_d01_{name}.nc"
    ds.to_netcdf(path)
    return open_source(path, name)


def compared(*sides: RunSource, **options: Any) -> RunComparison:
    return compare_runs(*sides, resamples=0, thresholds=[0.5], scales=[1], **options)


def value(result: RunComparison, score: str) -> float:
    return float(result.rain.scores[score].sel(estimate="value"))


def mean(low: int, high: int) -> float:
    """Mean amount of the hours between these."""
    return float(AMOUNTS[low:high].sum(0).mean())


def test_left_out_parts_are_named(tmp_path: Path) -> None:
    """Of nine hours in windows of 6 h, the last three are in no window."""
    first, other = (run(tmp_path, name, range(10)) for name in ("control", "other"))
    result = compared(first, other, window="6h")
    assert value(result, "mean_reference") == pytest.approx(mean(0, 6), rel=1e-5)
    parts = [(part.source, part.begin, part.end, part.hours) for part in result.dropped]
    last = ("2007-06-10 06:00:00", "2007-06-10 09:00:00", 3.0)
    assert parts == [("control", *last), ("other", *last)]
    line = "left out of both sides: 2007-06-10 06:00:00 to 2007-06-10 09:00:00 (3 h): no full window of 6 h"
    assert line in str(result)
    assert result.to_json()["dropped"][0]["begin"] == last[0]
    assert line in result.to_json()["said"]


def test_periods_of_one_side_alone_are_left_out(tmp_path: Path) -> None:
    result = compared(run(tmp_path, "control", range(13)), run(tmp_path, "other", range(4, 11)))
    assert [(part.source, part.begin[-8:], part.end[-8:]) for part in result.dropped] == [
        ("control", "00:00:00", "04:00:00"),
        ("control", "10:00:00", "12:00:00"),
    ]
    assert {part.why for part in result.dropped} == {"the other side has no frames there"}
    nothing = compared(run(tmp_path, "a", range(5)), run(tmp_path, "b", range(5)))
    assert nothing.dropped == ()
    assert "left out" not in str(nothing)


def test_a_window_begins_and_ends_at_frames(tmp_path: Path) -> None:
    """Three frames at half past the hour last 3 h, but do not fill a window from 0 to 3 UTC."""
    half = run(tmp_path, "half", np.arange(0.5, 10))
    with pytest.raises(InputError, match="fill no window of 3 h"):
        compared(half, half, window="3h")


def test_hours_of_year_one(tmp_path: Path) -> None:
    first = run(tmp_path, "ideal", range(7), start="0001-01-01T08:00:00")
    result = compared(first, first)
    assert "ending 0001-01-01 09:00:00 to 0001-01-01 14:00:00" in result.rain.summary[0]
    assert result.to_json()["times"][0] == "0001-01-01 09:00:00"
    rate = result.rain.fields["diurnal"].values[0]
    assert np.flatnonzero(np.isfinite(rate)).tolist() == list(range(8, 14))
    assert rate[8] == pytest.approx(mean(0, 1), rel=1e-5)
    three = compared(first, first, window="3h")
    assert [stamp(t)[11:13] for t in three.rain.fields["Time"].values] == ["12"]


def test_other_calendars() -> None:
    """Two years of a model of 360 days a year have a 30 February."""
    times = np.array([cftime.datetime(1, 2, 29 + k // 24, k % 24, calendar="360_day") for k in range(1, 48)])
    rain = xr.DataArray(
        np.resize(AMOUNTS, (47, CELLS, CELLS)),
        dims=("Time", "y", "x"),
        coords={"Time": times},
        attrs={"units": "mm"},
    )
    result = compared(RunSource("one", rain), RunSource("other", rain), window="12h")
    ends = [stamp(t) for t in result.rain.fields["Time"].values]
    assert ends == ["0001-02-29 12:00:00", "0001-02-30 00:00:00", "0001-02-30 12:00:00"]
    hourly = compared(RunSource("one", rain), RunSource("other", rain))
    assert np.isfinite(hourly.rain.fields["diurnal"].values).all()
    assert [(part.begin, part.hours) for part in result.dropped] == [("0001-02-30 12:00:00", 11.0)] * 2
    dates = np.array([cftime.datetime(1, 3, 1, k % 24, calendar="noleap") for k in range(1, 20)])
    with pytest.raises(InputError, match="calendars 360_day, gregorian"):
        compared(RunSource("one", rain), RunSource("other", rain[:19].assign_coords(Time=dates)))


@pytest.mark.parametrize(("calendar", "year"), [("noleap", 2007), ("standard", 1), ("360_day", 2007)])
def test_observations_of_a_calendar_in_a_file(tmp_path: Path, calendar: str, year: int) -> None:
    """Rain of a noleap model and of WRF on 10 June is compared, because the calendars agree on that day."""
    control = run(tmp_path, "control", range(10), start=f"{year:04d}-06-10T00:00:00")
    dates = [cftime.datetime(year, 6, 10, k, calendar=calendar) for k in range(1, 10)]
    radar = xr.DataArray(AMOUNTS[:9], dims=("time", "y", "x"), coords={"time": dates}, name="RR")
    radar.to_netcdf(tmp_path / "radar.nc")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        observed = open_source(tmp_path / "radar.nc", "radar", "RR")
        result = compared(observed, control, window="3h")
    assert value(result, "rmse") == pytest.approx(0, abs=1e-5)
    assert result.to_json()["times"] == [f"{year:04d}-06-10 {k:02d}:00:00" for k in (3, 6, 9)]


@pytest.mark.parametrize("window", [None, "2h"])
def test_adaptive_steps(tmp_path: Path, window: str | None) -> None:
    """Frames are up to a time step late, by different amounts in the two runs."""
    late = np.random.default_rng(37).integers(0, 50, (2, 9))
    late[:, 3] = 12, 47
    first = run(tmp_path, "control", range(9), late=late[0])
    other = run(tmp_path, "other", range(9), late=late[1])
    result = compared(first, other, window=window)
    assert value(result, "rmse") == pytest.approx(0, abs=1e-6)
    assert result.rain.window == (2 if window else 1)
    assert result.rain.fields.sizes["Time"] == (4 if window else 8)
    assert f"differ by up to {np.abs(late[0] - late[1]).max()} s" in str(result)
    assert ("miss the ends of the windows" in str(result)) == (window is not None)
    assert result.dropped == ()
    exact = compared(run(tmp_path, "a", range(5)), run(tmp_path, "b", range(5)), window=window)
    assert "differ by" not in str(exact)


def test_output_times_without_a_common_time(tmp_path: Path) -> None:
    first, other = run(tmp_path, "control", range(9)), run(tmp_path, "other", np.arange(9) + 0.25)
    with pytest.raises(InputError, match="no frames are within 50 s of each other"):
        compared(first, other)


def test_lead_times_are_not_dates(tmp_path: Path) -> None:
    """Runs that start at 18 and 6 UTC are compared by hours since the start; their clocks differ."""
    first = run(tmp_path, "june", range(3, 10), start="2007-06-10T18:00:00")
    other = run(tmp_path, "january", range(3, 10), start="0001-01-03T06:00:00", scale=2.0)
    result = compared(first, other, align="start")
    assert value(result, "ratio") == pytest.approx(2, rel=1e-5)
    assert result.rain.summary[0].startswith("6 windows of 1 h, ending +4 h to +9 h,")
    text = str(result)
    assert not any(year in text for year in ("2000", "1970", "0001"))
    assert result.to_json()["times"] == [f"+{k} h" for k in range(4, 10)]
    rates = result.rain.fields["diurnal"].values
    assert [sorted(np.flatnonzero(np.isfinite(rate))) for rate in rates] == [
        [0, 1, 2, 21, 22, 23],
        list(range(9, 15)),
    ]
    assert rates[1][9] == pytest.approx(2 * mean(3, 4), rel=1e-5)
    windows = compared(first, other, align="start", window="3h")
    assert windows.to_json()["times"] == ["+6 h", "+9 h"]
    six = compared(first, other, align="start", window="4h")
    assert [(part.begin, part.end) for part in six.dropped if part.source == "june"] == [
        ("+3 h", "+4 h"),
        ("+8 h", "+9 h"),
    ]


def test_one_frame_has_no_increment(tmp_path: Path) -> None:
    first, many = run(tmp_path, "single", [6]), run(tmp_path, "control", range(10))
    later = run(tmp_path, "later", range(10), start="2007-06-09T23:00:00")
    for sides, window in (
        ((first, many), "3h"),
        ((many, first), "3h"),
        ((first, later), None),
        ((later, first), None),
    ):
        with pytest.raises(InputError, match=r"single contains one frame only .* needs two or more"):
            compared(*sides, window=window)
    # With a common start, the rain since the start is known.
    result = compared(first, many)
    assert value(result, "mean_candidate") == pytest.approx(mean(0, 6), rel=1e-5)
    assert "the first window begins at the start of the runs, 2007-06-10 00:00:00" in str(result)


def test_unknown_windows_are_left_out_and_counted(tmp_path: Path) -> None:
    first, other = (run(tmp_path, name, range(10)) for name in ("control", "joined"))
    gap = other.amounts.copy(deep=True)
    gap[4] = np.nan
    joined = RunSource("joined", gap, other.run, other.start)
    hourly = compared(first, joined)
    assert hourly.rain.fields.sizes["Time"] == 8
    assert "fss" in hourly.rain.scores, "the remaining windows have no gap"
    (line,) = {line for line in hourly.rain.summary if "no known amount" in line}
    assert line.startswith(
        "left out of both sides: 2007-06-10 03:00:00 to 2007-06-10 04:00:00 (1 h): 1 window"
    )
    three = compared(first, joined, window="3h")
    assert three.rain.fields.sizes["Time"] == 2
    assert value(three, "bias") == pytest.approx(0, abs=1e-6)


def test_rain_of_both_sides_has_the_same_parts(tmp_path: Path) -> None:
    first, other = run(tmp_path, "control", range(6)), run(tmp_path, "other", range(6), shallow=0.1)
    for sides in ((first, other), (other, first)):
        with pytest.warns(UserWarning, match=r"RAINSH .* is in other only, not in control"):
            result = compared(*sides)
        assert value(result, "bias") == pytest.approx(0, abs=1e-6)
        assert "RAINC + RAINNC are compared on both sides" in str(result)
    both = compared(other, other)
    assert value(both, "mean_reference") == pytest.approx(1.1 * AMOUNTS[:5].mean(), rel=1e-5)
    assert "RAINSH" not in str(both)


def test_the_floor_of_runs(tmp_path: Path) -> None:
    control = run(tmp_path, "control", range(10))
    near, nearer, far = (
        run(tmp_path, name, range(10), scale=scale)
        for name, scale in (("p1", 1.02), ("p2", 0.99), ("emulated", 1.5))
    )
    result = compared(control, far, floor=[near, nearer])
    assert result.rain.floor is not None
    assert result.rain.floor.names == ("p1", "p2")
    assert result.rain.floor.values("ratio", {}) == pytest.approx([1.02, 0.99], rel=1e-4)
    assert result.rain.floor.verdict("rmse", {}) == "above the floor"
    assert "floor (2 runs: p1, p2)" in str(result)
    assert compared(control, nearer, floor=[near]).rain.floor.verdict("ratio", {}) == "within the floor"
    short = run(tmp_path, "short", range(6), scale=1.02)
    part = compared(control, far, floor=[short])
    assert part.rain.fields.sizes["Time"] == 5, "only windows that the floor run has too"
    assert {entry.source for entry in part.dropped} == {"control", "emulated"}
    assert compared(control, far).to_json()["floor"] is None


def test_hours_of_day_of_a_real_opening(tmp_path: Path) -> None:
    first = run(tmp_path, "ideal", [0.5, 1.5], start="0001-01-01T08:00:00")
    assert first.run is not None
    assert hours_of_day(first.run["Time"].values).tolist() == [8.5, 9.5]
    assert stamp(open_wrfout(tmp_path / "wrfout_d01_ideal.nc")["Time"].values[1]) == "0001-01-01 09:30:00"
