"""Comparison of identical runs, of a run with displaced rain, and of observations; budgets, the command, its page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from sciml.cli import app
from sciml.errors import InputError
from sciml.verify.forecast.compare import compare_runs, open_source
from sciml.verify.forecast.mean_state import budgets
from sciml.verify.forecast.page import pictures
from sciml.wrf.opening import open_wrfout
from tests.paths import SAMPLE_WRFOUT, SHARED

pytest.importorskip("scores", reason="pip install scores")
pytestmark = pytest.mark.skipif(not SAMPLE_WRFOUT.exists(), reason="no sample in data/")

runner = CliRunner()
TRAIN = SHARED / "wrf" / "train" / "wrfout_d01_convrad_train1.nc"
FULL = SHARED / "wrf" / "sample" / "wrfout_d01_convrad_full.nc"


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample with its rain moved two cells to the east and increased by a tenth, and a warmer layer."""
    path = tmp_path_factory.mktemp("moved") / "wrfout_d01_moved.nc"
    with xr.open_dataset(SAMPLE_WRFOUT, decode_times=False) as ds:
        other = ds.load()
    for name in ("RAINC", "RAINNC"):
        other[name].values[:] = np.roll(other[name].values, 2, -1) * 1.1
    other["T"].values[:, 10:20] += 0.5
    other.to_netcdf(path)
    return path


def test_a_run_against_itself_is_perfect() -> None:
    source = open_source(SAMPLE_WRFOUT)
    result = compare_runs(source, source, resamples=50, thresholds=[0.02, 0.25])
    value = result.rain.scores.sel(estimate="value")
    assert float(value["rmse"]) == 0
    assert (value["csi"].values == 1).all()
    assert (value["fss"].values == 1).all()
    assert all(
        (result.profiles[f"{name} rmse"].values == 0).all() for name in ("temperature", "vapour", "wind, u")
    )
    assert result.rain.window == pytest.approx(1 / 12)
    assert result.rain.fields.sizes["Time"] == 6


def test_displaced_rain_is_measured(moved: Path) -> None:
    result = compare_runs(open_source(SAMPLE_WRFOUT), open_source(moved), resamples=50, thresholds=[0.02])
    value = result.rain.scores.sel(estimate="value")
    assert float(value["ratio"]) == pytest.approx(1.1, abs=1e-3)
    by_scale = value["fss"].sel(threshold=0.02).values
    assert (np.diff(by_scale) > 0).all()
    assert by_scale[0] < 0.8 < by_scale[-1]
    warmer = result.profiles["temperature bias"].values
    assert warmer[12:18] == pytest.approx(0.45, abs=0.1)
    assert warmer[25:] == pytest.approx(0, abs=1e-3)
    names = [figure.name for figure in pictures(result)]
    assert {"maps", "performance", "fss", "intensity", "taylor", "hovmoeller_x", "profiles"} <= set(names)


def test_the_water_budget_of_a_steady_column_closes() -> None:
    """The added vapour equals the evaporation, so the residual is rounding."""
    run = open_wrfout(SAMPLE_WRFOUT).isel(Time=[0, 1, 2]).load()
    still = xr.concat([run.isel(Time=0).assign_coords(Time=t) for t in run["Time"].values], "Time")
    mass = (still.sciml.rho * still.sciml.dz8w).isel(Time=0)
    rate = 2e-5  # kg m-2 s-1
    seconds = (still["Time"] - still["Time"][0]) / np.timedelta64(1, "s")
    even = rate * seconds / mass.isel(bottom_top=0)
    vapour = still["QVAPOR"].astype("float64")
    bottom = xr.DataArray(np.arange(vapour.sizes["bottom_top"]) == 0, dims="bottom_top")
    wetter = still.assign(
        QVAPOR=(vapour + even * bottom).transpose(*vapour.dims), QFX=xr.full_like(still["QFX"], rate)
    )
    result, _ = budgets(wetter, rain=0.0)
    total = rate * float(seconds[-1])
    assert result["water: evaporation (kg m-2)"] == pytest.approx(total)
    # Moister air is lighter: the mass of the layer falls by 0.6 of the share.
    assert result["water: residual (kg m-2)"] == pytest.approx(0, abs=0.05 * total)


@pytest.mark.shared
@pytest.mark.skipif(not TRAIN.exists(), reason="the shared WRF data are missing")
def test_two_files_of_a_real_run_with_one_common_time() -> None:
    """Hourly and two-hourly output of one run have the same rain until 14 UTC."""
    result = compare_runs(open_source(FULL), open_source(TRAIN), resamples=20)
    assert result.rain.window == 14
    assert float(result.rain.scores["rmse"].sel(estimate="value")) < 1e-6
    content, _ = budgets(open_wrfout(TRAIN), float(open_source(TRAIN).amounts[1:].sum("Time").mean()))
    assert (
        abs(content["water: residual (kg m-2)"]) < 0.1 * content["water: rain (kg m-2)"]
    )  # fluxes two hours apart


def test_observations_on_the_grid(tmp_path: Path) -> None:
    source = open_source(SAMPLE_WRFOUT)
    radar = tmp_path / "radar.nc"
    source.amounts[1:].rename({"Time": "time"}).rename("RR").to_netcdf(radar)
    result = compare_runs(open_source(radar, variable="RR"), source, resamples=10, thresholds=[0.1])
    assert float(result.rain.scores["rmse"].sel(estimate="value")) == 0
    assert result.profiles is None
    assert "not a run" in result.absent["profiles and budgets"]
    with pytest.raises(InputError, match="has no PRECIP: it has RR"):
        open_source(radar, variable="PRECIP")
    with pytest.raises(InputError, match="--variable"):
        open_source(_without_rain(tmp_path))


def _without_rain(folder: Path) -> Path:
    path = folder / "wrfout_d01_dry.nc"
    with xr.open_dataset(SAMPLE_WRFOUT, decode_times=False) as ds:
        ds.drop_vars(["RAINC", "RAINNC"]).to_netcdf(path)
    return path


def test_runs_with_different_starts(tmp_path: Path) -> None:
    later = tmp_path / "wrfout_d01_later.nc"
    with xr.open_dataset(SAMPLE_WRFOUT, decode_times=False) as ds:
        other = ds.load()
    stamps = [bytes(t).decode().replace("2007-06-10", "2008-01-03") for t in other["Times"].values]
    other["Times"] = "Time", np.array(stamps, "S19")
    for name in ("START_DATE", "SIMULATION_START_DATE"):
        other.attrs[name] = str(other.attrs[name]).replace("2007-06-10", "2008-01-03")
    other.to_netcdf(later)
    sides = open_source(SAMPLE_WRFOUT), open_source(later)
    with pytest.raises(InputError, match="--align start"):
        compare_runs(*sides)
    result = compare_runs(*sides, align="start", resamples=10)
    assert float(result.rain.scores["rmse"].sel(estimate="value")) == 0


@pytest.mark.usefixtures("plain_layout")
def test_the_command_and_its_page(moved: Path, tmp_path: Path) -> None:
    page, numbers, maps = (tmp_path / name for name in ("page.html", "numbers.json", "maps.png"))
    words = ["wrf", "compare", str(SAMPLE_WRFOUT), str(moved), "--window", "10min", "--threshold", "0.1"]
    outputs = ["--html", str(page), "--json", str(numbers), "--figure", str(maps), "--resamples", "50"]
    names = ["--name", "control", "--name", "moved"]
    shown = runner.invoke(app, [*words, *outputs, *names, "--floor", str(SAMPLE_WRFOUT)])
    assert shown.exit_code == 0, shown.output
    assert "moved against control" in shown.output
    text = page.read_text()
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert text.count('<div class="wide stacked"') == 4, (
        "tables whose cells have lines, so that they fit a page"
    )
    assert "above the floor" in text
    assert "<dt>floor</dt>" in text
    headings = (
        "Skill",
        "Distribution in time and intensity",
        "Profiles",
        "Budgets",
        "Comparison with the floor",
        "Definitions: scores of rain",
    )
    for heading in headings:
        assert f"<h2>{heading}</h2>" in text
    content = json.loads(numbers.read_text())
    assert content["window_hours"] == pytest.approx(1 / 6)
    assert content["candidate"] == "moved"
    assert maps.read_bytes()[:4] == b"\x89PNG"


def test_errors_of_the_command_are_one_line(tmp_path: Path, moved: Path) -> None:
    cropped = tmp_path / "wrfout_d01_cropped.nc"
    with xr.open_dataset(SAMPLE_WRFOUT, decode_times=False) as ds:
        ds.isel(south_north=slice(0, 20), south_north_stag=slice(0, 21)).to_netcdf(cropped)
    for words, text in (
        ([str(SAMPLE_WRFOUT), str(cropped)], "one grid"),
        ([str(SAMPLE_WRFOUT), str(tmp_path / "none.nc")], "none.nc"),
        ([str(SAMPLE_WRFOUT), str(moved), "--name", "one"], "give it twice"),
        ([str(SAMPLE_WRFOUT), str(moved), "--window", "7min"], "no window of 7 min"),
        ([str(SAMPLE_WRFOUT), str(moved), "--json", str(moved)], "wrfout_d01_moved.nc"),
    ):
        shown = runner.invoke(app, ["wrf", "compare", *words])
        assert shown.exit_code == 2, shown.output
        (line,) = [line for line in shown.output.splitlines() if line.startswith("error:")]
        assert text in line
    assert moved.stat().st_size > 1e6
