"""`sciml scheme` checks a declaration, and trains, scores and exports an emulator of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sciml.cli import app, main
from sciml.coupling.weights_file import read_weights
from tests.paths import REPO
from workflows.kessler.soundings import SCHEME, pairs

MODEL = REPO / "data" / "mskf-convrad.sciml"


def run(*words: object) -> str:
    result = CliRunner().invoke(app, ["scheme", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def message_of_main(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the line that a command with wrong input prints."""
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_the_commands_make_a_weights_file(tmp_path: Path) -> None:
    pairs(40, 20, seed=3).to_netcdf(tmp_path / "pairs.nc")
    settings = tmp_path / "fit.toml"
    settings.write_text("[fit]\nepochs = 1\nbatch_size = 20\n[network]\nhidden = 4\nlayers = 1\n")
    model, weights, file = tmp_path / "k.sciml", tmp_path / "k.nc", tmp_path / "pairs.nc"
    run("train", SCHEME, file, "-o", model, "--config", settings, "--validation", file, "--quiet")
    scores = json.loads(run("evaluate", model, file, "--json", "-"))
    assert scores["columns"] == 40 and scores["closure"]["water"] < 1e-14
    assert "sciml_column_run of kessler" in run("export", model, "-o", weights)
    assert read_weights(weights).attributes["scheme"] == "kessler"


def test_a_declaration_is_listed() -> None:
    shown = run("check", SCHEME)
    assert "rain            output  scalar   kg m-2 s-1   0 to 1" in shown
    assert "closure water: qv_tendency, qc_tendency, qr_tendency, rain" in shown
    assert json.loads(run("check", SCHEME, "--json", "-"))["name"] == "kessler"


def test_a_wrong_declaration_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(SCHEME.read_text().replace('mass = "layer_mass"', 'mass = "thickness"'))
    monkeypatch.setattr("sys.argv", ["sciml", "scheme", "check", str(wrong)])
    error = message_of_main(capsys)
    assert "the closure water of the scheme kessler cannot hold" in error


@pytest.mark.parametrize("words", [("scheme", "evaluate"), ("scheme", "export"), ("scheme", "train")])
def test_an_emulator_of_another_scheme_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, str],
) -> None:
    """A checkpoint of the convection emulator, and pairs of another scheme."""
    file = tmp_path / "pairs.nc"
    pairs(3, 20, seed=3).assign_attrs(scheme="thompson").to_netcdf(file)
    output = ["-o", str(tmp_path / "out")]
    arguments = {
        "evaluate": [str(MODEL), str(file)],
        "export": [str(MODEL), *output],
        "train": [str(SCHEME), str(file), *output],
    }[words[1]]
    monkeypatch.setattr("sys.argv", ["sciml", *words, *arguments])
    error = message_of_main(capsys)
    wanted = "pairs of the scheme thompson" if words[1] == "train" else "a checkpoint of kind 'convection"
    assert wanted in error and "give " in error
    assert list(tmp_path.iterdir()) == [file]
