"""`sciml wrf compare` with unquoted patterns, windows without a unit, without the package scores, and with a floor."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from sciml.cli import app
from tests.paths import SAMPLE_WRFOUT

pytestmark = pytest.mark.skipif(not SAMPLE_WRFOUT.exists(), reason="no sample in data/")

runner = CliRunner()


def error_line(*words: str) -> str:
    shown = runner.invoke(app, ["wrf", "compare", *words])
    assert shown.exit_code == 2, shown.output
    (line,) = [line for line in shown.output.splitlines() if line.startswith("error:")]
    return line


@pytest.fixture(scope="module")
def perturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample as a run whose convective rain differs by up to 5 %."""
    path = tmp_path_factory.mktemp("perturbed") / "wrfout_d01_perturbed.nc"
    with xr.open_dataset(SAMPLE_WRFOUT, decode_times=False) as ds:
        other = ds[["Times", "XTIME", "RAINC", "RAINNC", "XLAT", "XLONG"]].load()
    other["RAINC"].values[:] *= (
        np.random.default_rng(43).uniform(0.95, 1.05, other["RAINC"].shape[1:]).astype("f4")
    )
    other.to_netcdf(path)
    return path


def test_a_pattern_without_quotes() -> None:
    """The shell expands `a/wrfout* b/wrfout*` to several words."""
    line = error_line("a/wrfout_1", "a/wrfout_2", "b/wrfout_1", "b/wrfout_2")
    assert "4 names are given (a/wrfout_1, a/wrfout_2, ...)" in line
    assert "quote the pattern" in line
    assert "give the two folders" in line
    assert "one side only (a)" in error_line("a")


@pytest.mark.parametrize("window", ["3", "24", "1.5"])
def test_a_window_without_a_unit(window: str) -> None:
    """The error comes before any file is read, so the files need not exist."""
    assert f"the window {window} has no unit: give {window}h" in error_line("a", "b", "--window", window)


def test_without_the_package_scores_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "scores" else there(name, *a)
    )
    monkeypatch.setattr("sciml.verify.forecast.run_source.open_wrfout", lambda *a, **k: pytest.fail("read"))
    line = error_line(str(SAMPLE_WRFOUT), str(SAMPLE_WRFOUT))
    assert line.endswith("pip install scores")


def test_a_floor(perturbed: Path, tmp_path: Path) -> None:
    pytest.importorskip("scores", reason="pip install scores")
    numbers = tmp_path / "numbers.json"
    words = ["wrf", "compare", str(SAMPLE_WRFOUT), str(perturbed), "--scale", "3", "--threshold", "0.1"]
    options = ["--resamples", "20", "--json", str(numbers), "--window", "10min"]
    shown = runner.invoke(app, [*words, *options, "--floor", str(perturbed)])
    assert shown.exit_code == 0, shown.output
    assert "above the floor" not in shown.output
    assert shown.output.count("within the floor") > 10
    chosen = json.loads(numbers.read_text())
    assert chosen["floor"]["runs"] == [f"floor 1: {perturbed.name}"]
    assert chosen["floor"]["within"]["rmse"] is True
    assert chosen["floor"]["scores"]["rmse"][0] == chosen["scores"]["rmse"]
    assert len(chosen["floor"]["scores"]["csi"][0]) == len(chosen["scores"]["csi"])
