"""`sciml coupling response`, and the report of `export` on growing modes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

from sciml.cli import app, coupling
from sciml.convection.emulator import Emulator, Physics
from sciml.convection.network import Closure
from sciml.coupling.weights_file import read_weights
from sciml.storage import packaged as data_files
from tests.coupling.weights_content import content
from tests.paths import SAMPLE_WRFOUT

runner = CliRunner()
STABLE = "no mode of the column alone grows faster than 1 per day"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coupling, "QUICK", 24)


@pytest.fixture
def backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulator with the opposite sign of heating and moistening."""
    right = Emulator.answer

    def wrong(self: Emulator, known: Physics, network: Closure) -> tuple[Tensor, dict[str, Tensor]]:
        kind, out = right(self, known, network)
        return kind, out | {name: -out[name] for name in ("RTHCUTEN", "RQVCUTEN")}

    monkeypatch.setattr(Emulator, "answer", wrong)


def export(path: Path, *words: str) -> list[str]:
    shown = runner.invoke(app, ["coupling", "export", "mskf-convrad", "-o", str(path), *words])
    assert shown.exit_code == 0, shown.output
    return shown.output.splitlines()


@pytest.mark.usefixtures("few")
def test_export_reports_stability(tmp_path: Path) -> None:
    assert export(tmp_path / "a.nc")[-1] == STABLE
    assert len(export(tmp_path / "b.nc", "--no-response")) == 1
    xr.testing.assert_identical(content(tmp_path / "a.nc"), content(tmp_path / "b.nc"))


@pytest.mark.usefixtures("few", "backwards")
def test_export_warns_of_growth(tmp_path: Path) -> None:
    lines = export(tmp_path / "a.nc")
    assert lines[1].split()[:2] == ["growth/day", "+-"]
    assert lines[-1].startswith("warning: ")
    assert sum(line.startswith("warning") for line in lines) == 1
    rates = [float(line.split()[0]) for line in lines[2:-1]]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 1
    read_weights(tmp_path / "a.nc")  # written all the same


def test_export_without_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = Emulator.load("mskf-convrad")
    model = emulator.save(tmp_path / "own.sciml")
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(data_files, "folder", lambda: tmp_path / "data")
    shown = runner.invoke(app, ["coupling", "export", str(model), "-o", str(tmp_path / "a.nc")])
    assert shown.exit_code == 0, shown.output
    wrote, report = shown.output.splitlines()
    assert wrote.startswith("wrote")
    assert report.startswith("growing modes were not computed: no data file")
    read_weights(tmp_path / "a.nc")


def test_response(tmp_path: Path) -> None:
    words = ["coupling", "response", "mskf-convrad", "--columns", "24", "--threshold", "2"]
    words += [
        "--file",
        str(SAMPLE_WRFOUT),
        "--json",
        str(tmp_path / "r.json"),
        "--figure",
        str(tmp_path / "r.png"),
    ]
    shown = runner.invoke(app, words)
    assert shown.exit_code == 0, shown.output
    assert "of 24 soundings" in shown.output
    assert shown.output.splitlines()[-1] == STABLE.replace("1 per", "2 per")
    response = json.loads((tmp_path / "r.json").read_text())
    assert np.array(response["matrix"]).shape == (88, 88)
    assert Image.open(tmp_path / "r.png").size[0] > 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no-such-model"], "no-such-model"),
        (["mskf-convrad", "--file", "{tmp}/nowhere.nc"], "nowhere.nc"),
        (["mskf-convrad", "--json", "{tmp}/a", "--figure", "{tmp}/a"], "--json and --figure both name"),
        (["mskf-convrad", "--json", "{tmp}"], "is a folder"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, words: list[str], message: str) -> None:
    shown = runner.invoke(app, ["coupling", "response", *(word.format(tmp=tmp_path) for word in words)])
    assert shown.exit_code == 2
    assert message in shown.stderr
    assert len(shown.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
