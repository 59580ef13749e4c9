"""Rain windows over a seam between two runs are left out and reported."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from sciml.cli import app
from sciml.errors import InputError
from sciml.verify.forecast.compare import compare_runs, open_source
from sciml.verify.forecast.mean_state import budgets
from sciml.verify.forecast.rainfall import accumulations, compare_rain
from sciml.wrf import open_wrfout
from tests.paths import SAMPLE_WRFOUT

pytest.importorskip("scores", reason="pip install '.[verify]'")
pytestmark = pytest.mark.skipif(not SAMPLE_WRFOUT.exists(), reason="no sample in data/")


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample as two files, the second of a run that started eight hours earlier, with 100 mm more of rain."""
    folder = tmp_path_factory.mktemp("joined")
    with xr.open_dataset(SAMPLE_WRFOUT, decode_times=False) as ds:
        whole = ds.load()
    second = whole.isel(Time=slice(4, 7)).assign_attrs(SIMULATION_START_DATE="2007-06-10_00:00:00")
    second["XTIME"] = (second["XTIME"] + 480).assign_attrs(units="minutes since 2007-06-10 00:00:00")
    second["RAINNC"] = second["RAINNC"] + 100
    whole.isel(Time=slice(0, 4)).to_netcdf(folder / "wrfout_d01_2007-06-10_11:30:00")
    second.to_netcdf(folder / "wrfout_d01_2007-06-10_11:50:00")
    return folder


def _rain(values: np.ndarray) -> xr.DataArray:
    times = np.datetime64("2019-05-02T01", "ns") + np.arange(len(values)) * np.timedelta64(1, "h")
    return xr.DataArray(values, dims=("Time", "y", "x"), coords={"Time": times}, attrs={"units": "mm"})


def test_windows_that_contain_an_unknown_amount() -> None:
    values = np.random.default_rng(8).gamma(0.5, 3.0, (12, 8, 8))
    known, gap = _rain(values), _rain(values.copy())
    gap[4] = np.nan  # 05 UTC
    threes = accumulations(gap, "3h")
    assert threes.isnull().all(["y", "x"]).values.tolist() == [False, True, False, False]
    result = compare_rain(accumulations(known, "3h"), threes, thresholds=[1.0], scales=[1], resamples=10)
    assert (
        "1 windows left out, the first until 2019-05-02 06:00:00: the candidate has no known amount"
        in str(result)
    )
    assert "3 windows of 3 h" in str(result)
    assert float(result.scores["mean_reference"].sel(estimate="value")) == pytest.approx(
        (values.sum() - values[3:6].sum()) / 3 / 64
    )
    assert "fss" in result.scores
    both = compare_rain(threes, threes, thresholds=[1.0], resamples=10)
    assert "the reference has no known amount" in str(both)
    with pytest.raises(InputError, match="no finite amount at the same place and time"):
        compare_rain(known.isel(Time=[4]), gap.isel(Time=[4]), thresholds=[1.0])


def test_one_frame_without_a_frame_before() -> None:
    lone = _rain(np.full((1, 4, 4), np.nan))
    with pytest.raises(InputError, match=r"one frame only .*give at least two frames"):
        accumulations(lone)
    with pytest.raises(InputError, match="windows of 3h"):
        accumulations(lone, "3h")


@pytest.mark.parametrize("window", [None, "10min"])
def test_joined_runs(joined: Path, window: str | None) -> None:
    with pytest.warns(
        UserWarning, match="2007-06-10T00:00:00, the frame before .* 2007-06-10T08:00:00"
    ) as seen:
        both = open_source(joined)
    assert len(seen) == 1
    result = compare_runs(open_source(SAMPLE_WRFOUT), both, window=window, resamples=10, thresholds=[0.1])
    begin, length = ("11:45", "5 min") if window is None else ("11:40", "10 min")
    part = f"2007-06-10 {begin}:00 to 2007-06-10 11:50:00 ({length}): 1 windows in which {both.name} has no known"
    assert f"left out of both sides: {part}" in str(result)
    assert float(result.rain.scores["rmse"].sel(estimate="value")) < 1e-5
    assert result.rain.fields.sizes["Time"] == (5 if window is None else 2)


def test_several_runs_have_no_budget(joined: Path) -> None:
    run = open_wrfout(joined)
    assert budgets(run, rain=1.0) == (
        {},
        {"budgets": "the frames are of several runs; compare one run at a time"},
    )
    assert budgets(run.isel(Time=slice(0, 4)), rain=1.0)[0]


def test_one_frame_files(tmp_path: Path) -> None:
    """They are compared if both runs have the same start; otherwise the error has the remedy."""
    with xr.open_dataset(SAMPLE_WRFOUT, decode_times=False) as ds:
        first = ds.isel(Time=[3]).load()
    other = first.assign_attrs(SIMULATION_START_DATE="2007-06-10_00:00:00")
    other["XTIME"] = (first["XTIME"] + 480).assign_attrs(units="minutes since 2007-06-10 00:00:00")
    paths = {}
    for name, each in {"one": first, "other": other}.items():
        paths[name] = str(tmp_path / f"wrfout_d01_{name}.nc")
        each.to_netcdf(paths[name])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = compare_runs(open_source(paths["one"]), open_source(paths["one"]), resamples=5)
    assert result.rain.window == 3.75
    for words, error in (
        (["other"], "one frame only"),
        (["one", "--window", "1h"], "one frame only"),
    ):
        call = ["wrf", "compare", paths["one"], paths[words[0]], *words[1:]]
        shown = CliRunner().invoke(app, call)
        assert shown.exit_code == 2, shown.output
        (line,) = [line for line in shown.output.splitlines() if line.startswith("error:")]
        assert error in line
