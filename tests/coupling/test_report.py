"""`sciml coupling report` on the files of the modes with the emulator."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sciml.cli import app
from sciml.verify.library.mode_statistics import read_statistics
from tests.coupling.conftest import Settings
from tests.coupling.standin import run

pytestmark = [pytest.mark.native, pytest.mark.xdist_group("standin")]


def test_classes_of_the_outputs(host: Path, state: Path, settings: Settings, tmp_path: Path) -> None:
    """Classes equal those of the host's fields after the first call, in which no column is held."""
    done = run(host, tmp_path, settings("emulate"), state=state, steps=1, history_interval=1)
    first = done.history.isel(Time=1)
    deep = int((first["PRATEC"] > 0).sum())
    shallow = int((first["CUTOP"] > 1).sum()) - deep
    sums = read_statistics(done.directory.glob("sciml_mskf_emulate_*.nc")).sums
    assert min(deep, shallow) > 10
    assert (sums["SHALLOW"], sums["DEEP"]) == (shallow, deep)
    assert sums["NONE"] == sums["COLUMNS"] - shallow - deep == first["PRATEC"].size - shallow - deep


@pytest.mark.parametrize("mode", ["shadow", "emulate", "guard"])
def test_the_report_prints_classes_and_time(
    host: Path, state: Path, settings: Settings, tmp_path: Path, mode: str
) -> None:
    run(host, tmp_path, settings(mode, interval=5), state=state)
    words = ["coupling", "report", str(tmp_path), "--json", str(tmp_path / "report.json")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    scores = json.loads((tmp_path / "report.json").read_text())
    answered, columns = scores["answered"], scores["columns"]
    assert sum(answered.values()) == columns["columns"] - columns["returned"] - (
        0 if columns["returned"] else columns["unsound"]
    )
    text = " ".join(done.output.split())
    for name, word in (
        ("none", "columns with no convection"),
        ("shallow", "with shallow"),
        ("deep", "with deep"),
    ):
        assert f"{answered[name]:,} {word}" in text
    assert (columns["returned"] > 0) == (mode == "guard")
    match = re.search(r"emulator \S+ s \((\S+) microseconds per column\)", text)
    assert match is not None
    each = 1e6 * scores["seconds"]["emulator"] / columns["columns"]
    assert float(match[1]) == pytest.approx(each, abs=0.06)
    assert ("scheme" in scores["microseconds_per_column"]) == (mode == "shadow")
    assert text.count("microseconds per column") == (2 if mode == "shadow" else 1)


def test_a_folder_without_files(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["coupling", "report", str(tmp_path)])
    assert done.exit_code == 2
    assert "cu_physics" in " ".join(done.output.split())
