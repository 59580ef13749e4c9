"""Several runs in one dataset: rain and classes are not computed across runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sciml.columns import UNKNOWN, convection_columns
from sciml.columns.open import open_columns, write_columns
from sciml.wrf import open_wrfout
from sciml.wrf.rain import rain_since_last, rain_total
from sciml.wrf.runs import RUN_START, new_runs, run_starts
from tests.paths import SAMPLE_WRFOUT

Writer = Callable[[xr.Dataset, str], Path]
DIMS = ("Time", "south_north", "west_east")
FIRST, SECOND = np.datetime64("2007-06-10T08:00"), np.datetime64("2007-06-10T00:00")
STEP = 300.0  # s, of the frames
DT = 50.0
ROWS = 6


def _fallen(frames: int, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).gamma(0.5, 2.0, (frames, 4, 6)).astype("f4")


def _run(
    start: np.datetime64, first: np.datetime64, fallen: np.ndarray, before: float = 30.0, **more: str
) -> xr.Dataset:
    """Frames of one run from `first` on, as WRF writes them; `before` is the earlier rain (mm) of that run."""
    times = first + np.arange(len(fallen)) * np.timedelta64(int(STEP), "s")
    minutes = (times - start) / np.timedelta64(1, "m")
    stamp = str(start.astype("datetime64[s]"))
    return xr.Dataset(
        {
            "RAINC": (DIMS, 0 * fallen),
            "RAINNC": (DIMS, np.float32(before) + np.cumsum(fallen, axis=0)),
            "Times": ("Time", [str(t.astype("datetime64[s]")).replace("T", "_").encode() for t in times]),
            "XTIME": (
                "Time",
                minutes.astype("f4"),
                {"units": f"minutes since {stamp.replace('T', ' ')}"},
            ),
            "ITIMESTEP": ("Time", np.round(minutes * 60 / DT).astype("i4")),
        },
        attrs={
            "SIMULATION_START_DATE": stamp.replace("T", "_"),
            "START_DATE": stamp.replace("T", "_"),
            "DT": np.float32(DT),
            "BUCKET_MM": np.float32(-1),
            **more,
        },
    )


@pytest.fixture
def fallen() -> np.ndarray:
    return _fallen(7)


@pytest.fixture
def two(fallen: np.ndarray) -> list[xr.Dataset]:
    """Four frames of a run, then three of one that started eight hours earlier and had twice the rain."""
    return [
        _run(FIRST, np.datetime64("2007-06-10T11:30"), fallen[:4]),
        _run(SECOND, np.datetime64("2007-06-10T11:50"), fallen[4:], before=61.0),
    ]


def _check(rain: xr.DataArray, fallen: np.ndarray, seams: tuple[int, ...] = (4,)) -> None:
    wanted = fallen.astype("f8")
    wanted[[0, *seams]] = np.nan
    np.testing.assert_allclose(rain.values, wanted, atol=2e-5)


def _joined(parts: list[xr.Dataset], how: str, write: Writer) -> xr.Dataset:
    files = [write(part, f"wrfout_d01_{k}") for k, part in enumerate(parts)]
    if how == "files":
        return open_wrfout(files)
    if how == "unchunked":
        return open_wrfout(files[::-1], chunks=None)
    if how == "accessor":  # never given to open_wrfout, times not decoded
        return xr.concat(parts, "Time", combine_attrs="override")
    if how == "opened and joined":
        return xr.concat([open_wrfout(file) for file in files], "Time")
    decoded = how == "decoded"
    opened = [xr.open_dataset(file, decode_times=decoded) for file in files]
    return open_wrfout(
        xr.concat(opened, "Time", combine_attrs="override", coords="different", compat="equals")
    )


WAYS = ["files", "unchunked", "accessor", "opened and joined", "decoded", "undecoded"]


@pytest.mark.parametrize("how", WAYS)
def test_rain_at_a_seam_is_not_known(
    two: list[xr.Dataset], fallen: np.ndarray, write: Writer, how: str
) -> None:
    ds = _joined(two, how, write)
    with pytest.warns(
        UserWarning, match="2007-06-10T00:00:00, the frame before of .* 2007-06-10T08:00:00"
    ) as seen:
        rain = rain_since_last(ds)
    assert len(seen) == 1
    _check(rain, fallen)
    assert new_runs(ds).tolist() == [False] * 4 + [True] + [False] * 2


@pytest.mark.parametrize("how", WAYS)
def test_the_seam_is_detected_in_parts_of_a_dataset(
    two: list[xr.Dataset], fallen: np.ndarray, write: Writer, how: str
) -> None:
    ds = _joined(two, how, write)
    chosen = [1, 3, 4, 6]
    with pytest.warns(UserWarning, match="started 2007-06-10T00:00:00") as seen:
        rain = ds.isel(Time=chosen).sciml.rain
    assert len(seen) == 1
    wanted = np.stack([fallen[0] * np.nan, fallen[2:4].sum(0), fallen[0] * np.nan, fallen[5:].sum(0)])
    np.testing.assert_allclose(rain.values, wanted, atol=2e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        later = ds.isel(Time=slice(4, None)).sciml.rain
    _check(later, fallen[4:], seams=())


@pytest.mark.parametrize("form", ["netcdf", "zarr"])
@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_the_seam_is_detected_in_a_saved_dataset(
    two: list[xr.Dataset], fallen: np.ndarray, write: Writer, tmp_path: Path, form: str
) -> None:
    ds = _joined(two, "files", write)
    if form == "zarr":
        ds.to_zarr(tmp_path / "saved.zarr")
        again = xr.open_zarr(tmp_path / "saved.zarr")
    else:
        ds.to_netcdf(tmp_path / "saved.nc")
        again = xr.open_dataset(tmp_path / "saved.nc")
    np.testing.assert_array_equal(again[RUN_START].values, ds[RUN_START].values)
    for opened in (
        again,
        open_wrfout(again),
        open_wrfout(tmp_path / "saved.nc") if form == "netcdf" else again,
    ):
        with pytest.warns(UserWarning, match="started 2007-06-10T00:00:00"):
            rain = opened.sciml.rain
        _check(rain, fallen)
    assert again[RUN_START].attrs["standard_name"] == "forecast_reference_time"


def test_totals_of_several_runs_cause_a_warning(two: list[xr.Dataset], write: Writer) -> None:
    ds = _joined(two, "files", write)
    with pytest.warns(UserWarning, match="since the start of the run of each frame") as seen:
        total = ds.sciml.rain_total
    assert len(seen) == 1
    np.testing.assert_allclose(total.values, np.concatenate([part["RAINNC"].values for part in two]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rain_total(ds.isel(Time=slice(0, 4)))


def test_many_runs_have_one_warning(write: Writer) -> None:
    """One frame of each of four runs, and two of a fifth."""
    fallen = _fallen(6, seed=9)
    hours = np.arange(5) * np.timedelta64(24, "h")
    parts = [
        _run(FIRST + hours[k], FIRST + hours[k] + np.timedelta64(9, "h"), fallen[k : k + 1]) for k in range(4)
    ]
    parts.append(_run(FIRST + hours[4], FIRST + hours[4] + np.timedelta64(9, "h"), fallen[4:]))
    with pytest.warns(UserWarning, match="; 3 more frames begin another run") as seen:
        rain = open_wrfout([write(part, f"wrfout_d01_{k}") for k, part in enumerate(parts)]).sciml.rain
    assert len(seen) == 1
    _check(rain, fallen, seams=(1, 2, 3, 4))


def test_a_restart_is_the_same_run(
    fallen: np.ndarray, write: Writer, recwarn: pytest.WarningsRecorder
) -> None:
    """A restart changes START_DATE alone; the totals continue, and the time step may differ."""
    first = _run(FIRST, np.datetime64("2007-06-10T11:30"), fallen[:4])
    second = _run(FIRST, np.datetime64("2007-06-10T11:50"), fallen[4:], START_DATE="2007-06-10_11:45:00")
    second["RAINNC"] += first["RAINNC"].isel(Time=-1) - 30
    second["ITIMESTEP"] = "Time", first["ITIMESTEP"].values[-1] + np.arange(12, 48, 12)  # at half of DT
    for how in WAYS:
        _check(rain_since_last(_joined([first, second], how, write)), fallen, seams=())
    assert not recwarn.list


def test_a_run_that_started_at_the_frame_before(fallen: np.ndarray, write: Writer) -> None:
    """If runs overlap by one output, the rain since the start of the second is the rain since that output."""
    first = _run(FIRST, np.datetime64("2007-06-10T11:30"), fallen[:4])
    start = np.datetime64("2007-06-10T11:45")
    second = _run(start, start, np.concatenate([0 * fallen[:1], fallen[4:]]), before=0.0)
    files = [write(part, f"wrfout_d01_{k}") for k, part in enumerate((first, second))]
    with pytest.warns(UserWarning, match="repeats 1 frames"):
        ds = open_wrfout(files)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rain = ds.sciml.rain
    _check(rain, fallen, seams=())


def test_a_run_that_starts_after_the_frame_before(fallen: np.ndarray, write: Writer) -> None:
    """Its total is 0 mm, but the rain since the last output of the other run is not known, so 0 would be wrong."""
    first = _run(FIRST, np.datetime64("2007-06-10T11:30"), fallen[:4])
    start = np.datetime64("2007-06-10T11:50")
    second = _run(start, start, np.concatenate([0 * fallen[:1], fallen[5:]]), before=0.0)
    ds = open_wrfout([write(part, f"wrfout_d01_{k}") for k, part in enumerate((first, second))])
    with pytest.warns(UserWarning, match="started 2007-06-10T11:50:00"):
        rain = ds.sciml.rain
    _check(rain, fallen)
    # Alone, its first frame has no frame before, so the amount is the rain since the start.
    assert (ds.isel(Time=slice(4, None)).sciml.rain.values[0] == 0).all()


@pytest.mark.filterwarnings("ignore:left out, because not all files have them")
def test_a_start_from_xtime_or_from_the_attribute_alone(
    two: list[xr.Dataset], fallen: np.ndarray, write: Writer
) -> None:
    bare = [part.drop_attrs(deep=False).drop_vars("ITIMESTEP") for part in two]
    dated = [part.drop_vars(["XTIME", "ITIMESTEP"]) for part in two]
    mixed = [two[0].drop_vars("XTIME"), bare[1]]
    for case, parts in enumerate((bare, dated, mixed)):
        ds = open_wrfout([write(part, f"wrfout_d0{case}_{k}") for k, part in enumerate(parts)])
        with pytest.warns(UserWarning, match="started 2007-06-10T00:00:00"):
            rain = ds.sciml.rain
        _check(rain, fallen)


def test_files_without_a_start() -> None:
    run = _run(FIRST, np.datetime64("2007-06-10T11:30"), _fallen(3))
    none = run.drop_vars(["XTIME", "ITIMESTEP"]).drop_attrs(deep=False)
    opened = open_wrfout(none)
    assert np.isnat(opened[RUN_START].values).all()
    assert not new_runs(opened).any()
    assert np.isnan(opened.sciml.rain.values[0]).all()


def test_xtime_of_a_long_run_is_rounded() -> None:
    """In float32 the minutes of ten years are multiples of half a minute, which does not mean another run."""
    start = np.datetime64("1991-03-01T00:00")
    run = _run(start, np.datetime64("2001-03-07T00:05"), _fallen(4))
    assert float(np.spacing(run["XTIME"].values[-1])) == 0.5
    assert (run_starts(run) == start).all()
    assert (run_starts(run.drop_attrs(deep=False)) == start).all()
    assert not new_runs(run.assign(XTIME=run["XTIME"].assign_attrs(units=""))).any()


def test_xtime_that_was_saved_again() -> None:
    """xarray saves decoded minutes as minutes since the first frame if they have no units."""
    run = _run(FIRST, np.datetime64("2007-06-10T11:30"), _fallen(4))
    run["XTIME"] = ("Time", np.arange(4, dtype="f4") * 5, {"units": "minutes since 2007-06-10 11:30:00"})
    assert (run_starts(run) == FIRST).all()
    assert np.isnan(open_wrfout(run).sciml.rain.values[0]).all()


def test_adaptive_time_steps_are_one_run() -> None:
    """If XTIME is decoded, only ITIMESTEP shows a seam, unless the time step is adaptive."""
    run = _run(FIRST, np.datetime64("2007-06-10T11:30"), _fallen(6))
    adaptive = run.drop_vars("XTIME").assign(ITIMESTEP=("Time", np.array([300, 309, 322, 340, 345, 360])))
    assert not new_runs(adaptive).any()
    again = run.drop_vars("XTIME").assign(ITIMESTEP=("Time", np.array([300, 309, 322, 12, 20, 31])))
    assert np.flatnonzero(new_runs(again)).tolist() == [3]


def _classes_of_two_runs() -> tuple[xr.Dataset, xr.Dataset]:
    ds = xr.open_dataset(SAMPLE_WRFOUT, decode_times=False, decode_coords=False)
    ds = ds.isel(south_north=slice(0, ROWS), south_north_stag=slice(0, ROWS + 1)).drop_encoding().load()
    first, second = ds.isel(Time=slice(0, 4)), ds.isel(Time=slice(4, 7)).copy()
    second = second.assign_attrs(
        START_DATE="2007-06-10_00:00:00", SIMULATION_START_DATE="2007-06-10_00:00:00"
    )
    second["XTIME"] = (second["XTIME"] + 480).assign_attrs(units="minutes since 2007-06-10 00:00:00")
    second["ITIMESTEP"] = second["ITIMESTEP"] + 576
    return first, second


def test_classes_at_a_seam_are_unknown(write: Writer, tmp_path: Path) -> None:
    parts = _classes_of_two_runs()
    sample = open_wrfout(SAMPLE_WRFOUT).isel(south_north=slice(0, ROWS), south_north_stag=slice(0, ROWS + 1))
    whole = convection_columns(sample)["KIND"].values.reshape(7, -1)
    assert (whole[4] != UNKNOWN).any()
    files = [write(part, f"wrfout_d01_{k}") for k, part in enumerate(parts)]
    ds = open_wrfout(files)
    with pytest.warns(UserWarning, match="started 2007-06-10T08:00:00: KIND is unknown there") as seen:
        columns = convection_columns(ds)
    assert len(seen) == 1
    kind = columns["KIND"].values.reshape(7, -1)
    assert (kind[4] == UNKNOWN).all()
    rest = [0, 1, 2, 3, 5, 6]
    np.testing.assert_array_equal(kind[rest], whole[rest])
    assert "another" not in columns["KIND"].attrs["long_name"]
    assert "2007-06-10T00:00:00" in columns["KIND"].attrs["comment"]
    # The given frame before is of the other run.
    with pytest.warns(UserWarning, match="KIND is unknown there"):
        later = convection_columns(ds.isel(Time=slice(4, None)), before=ds["NCA"].isel(Time=3))
    np.testing.assert_array_equal(later["KIND"].values, kind[4:].ravel())


def test_classes_of_a_file_with_a_seam(write: Writer, tmp_path: Path) -> None:
    """A file joined by another tool has the attributes of its first run; it is read whole and in parts."""
    path = write(xr.concat(_classes_of_two_runs(), "Time", combine_attrs="override"), "wrfout_d01_both")
    with pytest.warns(UserWarning, match="KIND is unknown there"):
        kind = convection_columns(open_wrfout(path))["KIND"].values
    assert (kind.reshape(7, -1)[4] == UNKNOWN).all()
    with pytest.warns(UserWarning, match="KIND is unknown there"):
        write_columns(path, tmp_path / "s.zarr", keep="all", workers=1, block_bytes=150_000)
    np.testing.assert_array_equal(open_columns(tmp_path / "s.zarr", keep="all")["KIND"].values, kind)


def test_files_of_two_runs_without_their_attribute_are_not_chained(write: Writer) -> None:
    """In the store the first frame of each run has no frame before."""
    parts = [part.copy() for part in _classes_of_two_runs()]
    for part in parts:
        del part.attrs["SIMULATION_START_DATE"]
    files = [write(part, f"wrfout_d01_2007-06-10_11:{30 + 20 * k}:00") for k, part in enumerate(parts)]
    alone = convection_columns(open_wrfout(files[1]))["KIND"].values
    kind = open_columns(files, keep="all")["KIND"].values
    np.testing.assert_array_equal(kind[4 * ROWS * 24 :], alone)


@pytest.mark.parametrize("form", ["netcdf", "zarr"])
@pytest.mark.filterwarnings("ignore:Unable to decode time axis", "ignore:Consolidated metadata")
def test_a_run_of_year_one(tmp_path: Path, form: str) -> None:
    """Idealised runs start in year 1, which is outside datetime64[ns]; xarray reads it as cftime."""
    start = np.datetime64("0001-01-01T08:00")
    ds = open_wrfout(_run(start, start + np.timedelta64(5, "m"), _fallen(3)))
    assert (ds[RUN_START].values == start).all()
    if form == "zarr":
        ds.to_zarr(tmp_path / "saved.zarr", consolidated=False)
        again = xr.open_zarr(tmp_path / "saved.zarr", consolidated=False)
    else:
        ds.to_netcdf(tmp_path / "saved.nc")
        again = xr.open_dataset(tmp_path / "saved.nc")
        assert (run_starts(xr.open_dataset(tmp_path / "saved.nc", decode_times=False)) == start).all()
    assert (run_starts(again) == start).all()
    assert not new_runs(again).any()
