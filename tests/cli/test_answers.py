"""`--json -` prints JSON and nothing else on standard output, `--quiet` nothing at all, and files are whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sciml.cli import app
from sciml.cli.output import Answer
from sciml.errors import SciMLError
from sciml.operators import MgNO
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT

SMALL = "[fit]\nthreads = 1\nbatch_size = 256\n[network]\nhidden = 4\npooled = 4\n"
NETWORK = "[fit]\nthreads = 1\n[network]\nchannels = 4\n"


def never(name: str) -> None:
    raise AssertionError(f"JSON has no {name}")


def told(*words: object, code: int = 0) -> Any:
    """What a command prints with `--json -`, which must be JSON; and with `--quiet` nothing else anywhere."""
    shown = CliRunner().invoke(app, [*map(str, words), "--json", "-"], prog_name="sciml")
    assert shown.exit_code == code, shown.output
    assert shown.stderr, "the text is not lost"
    found = json.loads(shown.stdout, parse_constant=never)
    assert isinstance(found, dict) and found
    return found


def quiet(*words: object) -> Any:
    shown = CliRunner().invoke(app, [*map(str, words), "--json", "-", "--quiet"], prog_name="sciml")
    assert (shown.exit_code, shown.stderr) == (0, ""), shown.output
    silent = CliRunner().invoke(app, [*map(str, words), "-q"], prog_name="sciml")
    assert (silent.exit_code, silent.output) == (0, ""), silent.output
    return json.loads(shown.stdout, parse_constant=never)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("answers")
    (home / "small.toml").write_text(SMALL)
    (home / "network.toml").write_text(NETWORK)
    return home


def test_wrf(folder: Path) -> None:
    truth = ("--truth", SAMPLE_OFFLINE)
    found = told("wrf", "info", SAMPLE_WRFOUT, *truth)
    assert found["total"] == found["files"][0]["found"]
    assert found["total"]["deep"] == 812
    assert (found["files"][0]["frames"], found["files"][0]["levels"]) == (7, 44)
    assert quiet("wrf", "info", SAMPLE_WRFOUT, *truth) == found
    store = folder / "c.zarr"
    found = told("wrf", "columns", SAMPLE_WRFOUT, *truth, "-o", store, "--workers", 1)
    assert (found["store"], found["columns"], found["found"]["pairs"]) == (str(store), 4032, 4032)
    again = quiet("wrf", "columns", SAMPLE_WRFOUT, *truth, "-o", store, "--workers", 1, "--overwrite")
    assert again["bytes"] == found["bytes"] > 0


def test_convection(folder: Path) -> None:
    files, model = (SAMPLE_WRFOUT, "--truth", SAMPLE_OFFLINE), folder / "m.sciml"
    settings = ("--config", folder / "small.toml", "--epochs", 1, "--device", "cpu", "--seed", 7)
    found = told("convection", "train", *files, "-o", model, *settings)
    assert (found["finished"], found["checkpoint"], found["bytes"]) == (
        True,
        str(model),
        model.stat().st_size,
    )
    assert found["parameters"] > 0 and found["seconds"] > 0
    cut = folder / "cut.sciml"
    found = told("convection", "train", *files, "-o", cut, *settings, "--time-limit", 1e-6)
    assert found["finished"] is False and found["bytes"] is None and not cut.exists()
    scores = quiet("convection", "evaluate", model, *files)
    assert scores["columns"]["evaluated"] == 4032


def test_export_and_flags(folder: Path) -> None:
    (folder / "libsciml_mskf.so").write_bytes(b"")
    found = told("coupling", "flags", folder)
    assert any(flag.startswith("-Wl,--wrap=") for flag in found["flags"])
    assert quiet("coupling", "flags", folder, "--only") == found
    weights = folder / "mskf.nc"
    found = quiet("coupling", "export", "mskf-convrad", "-o", weights, "--no-response")
    assert (found["weights"], found["bytes"], found["levels"]) == (str(weights), weights.stat().st_size, 44)


@pytest.mark.slow
def test_response(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    from sciml.cli import coupling

    monkeypatch.setattr(coupling, "QUICK", 24)
    assert told("coupling", "response", "mskf-convrad", "--columns", 24)["growing"] == []
    assert told("coupling", "export", "mskf-convrad", "-o", folder / "r.nc")["growing"] == []


@pytest.mark.slow
@pytest.mark.native
def test_a_library(tmp_path: Path) -> None:
    library = tmp_path / "build"
    found = told("coupling", "build", "-o", library, "mskf-convrad")
    assert {"libsciml_mskf.so", "mskf.nc", "sciml_mskf.f90"} <= found["files"].keys()
    assert found["weights"]["levels"] == 44
    found = told("coupling", "check", library, "--columns", 20)
    assert found["ok"] and all(one["ok"] for one in found["checks"])
    found = quiet("coupling", "replay", library, "--tile", "0x0", "--threads", 1)
    assert found["ok"] and found["parity"]["ok"] and len(found["runs"]) == 1
    assert told("coupling", "rce", library, "--days", 1, "--members", 2, "--threads", 1)["ok"]
    (library / "mskf.nc").write_bytes(b"spoilt")
    assert not told("coupling", "check", library, "--columns", 20, code=1)["ok"]


def test_the_report_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Statistics:
        def scores(self) -> dict[str, float]:
            return {"calls": 7, "r2": float("nan")}

    monkeypatch.setattr("sciml.verify.library.mode_statistics.read_statistics", lambda listed: Statistics())
    (tmp_path / "sciml_mskf_shadow_1.nc").touch()
    assert told("coupling", "report", tmp_path) == {"calls": 7, "r2": None}


def test_pde(folder: Path) -> None:
    assert quiet("pde", "families")["darcy-rough"]["inputs"] == ["coefficient"]
    assert told("pde", "layouts")["fno-darcy"]["variables"]["u"]["name"] == "sol"
    data, model = folder / "d.nc", folder / "o.sciml"
    pose = ("pde", "generate", "darcy-smooth", "--resolution", 15, "--count", 6, "--seed", 11)
    found = told(*pose, "-o", data, "--workers", 1)
    assert (found["new"], found["samples"], found["sizes"]) == (True, 6, {"y": 15, "x": 15})
    assert quiet(*pose, "-o", data, "--workers", 1)["new"] is False
    found = told("pde", "info", data, "--check")
    assert (found["inputs"], found["target"], found["checked"]) == (["coefficient"], "u", True)
    assert found["grid"]["centring"] == "vertex"
    settings = ("--epochs", 1, "--device", "cpu", "--config", folder / "network.toml", "--anew")
    found = quiet("pde", "train", "mgno", data, "-o", model, *settings)
    assert (found["finished"], found["about"]["samples"]) == (True, 6)
    found = told("pde", "verify", model, data, "--closely", 1, "--preconditioned", 0)
    assert found["samples"] == 6 and found["relative_l2"] > 0
    found = told("pde", "solve", f"{data}[2]", "--operator", model, "--check")
    assert found["true_error"] <= found["relative_bound"] <= 1e-6


@pytest.mark.slow
def test_findings() -> None:
    assert told("pde", "findings", "--resolution", 15, "--samples", 1)


@pytest.mark.parametrize("given", ["wrfout_d01_*", "."])
@pytest.mark.parametrize("command", [("wrf", "info"), ("wrf", "columns", "-o", "c.zarr")])
def test_no_input_is_written_over(
    given: str, command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wrfout_d01_x.nc").write_bytes(b"precious")
    shown = CliRunner().invoke(app, [*command, given, "--json", "wrfout_d01_x.nc"])
    assert shown.exit_code == 2
    assert "one of the inputs" in shown.stderr
    assert Path("wrfout_d01_x.nc").read_bytes() == b"precious"


def test_an_error_leaves_standard_output_empty(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["pde", "info", str(tmp_path / "no.nc"), "--json", "-", "-q"])
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert shown.stderr.startswith("error: ")


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.json"
    Answer(path).keep({"r2": float("nan"), "levels": (1, 2)})
    assert json.loads(path.read_text()) == {"r2": None, "levels": [1, 2]}
    with pytest.raises(TypeError):
        Answer(path).keep({"network": MgNO})
    assert json.loads(path.read_text()) == {"r2": None, "levels": [1, 2]}
    assert [one.name for one in path.parent.iterdir()] == ["a.json"]
    (tmp_path / "file").touch()
    with pytest.raises(SciMLError, match="is a file, not a folder"):
        Answer(tmp_path / "file" / "a.json").keep({})


@pytest.mark.parametrize("command", ["doctor", "pde families", "pde layouts", f"wrf info {SAMPLE_WRFOUT}"])
def test_a_target_that_cannot_be_is_told_before_the_work(command: str, tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, [*command.split(), "--json", str(tmp_path)])
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert "is a folder: give the name of a file" in shown.stderr
