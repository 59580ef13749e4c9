"""`--json -` prints only JSON to standard output, `--quiet` prints nothing, and files are written atomically."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sciml.cli import app
from sciml.cli.output import Output
from sciml.errors import SciMLError
from sciml.operators import MgNO
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT

SMALL = "[fit]\nthreads = 1\nbatch_size = 256\n[network]\nhidden = 4\npooled = 4\n"
NETWORK = "[fit]\nthreads = 1\n[network]\nchannels = 4\n"


def never(name: str) -> None:
    raise AssertionError(f"JSON has no {name}")


def run_json(*words: object, code: int = 0) -> Any:
    """Run a command with `--json -`: standard output must be JSON, and the text goes to standard error."""
    shown = CliRunner().invoke(app, [*map(str, words), "--json", "-"], prog_name="sciml")
    assert shown.exit_code == code, shown.output
    assert shown.stderr, "the text goes to standard error"
    result = json.loads(shown.stdout, parse_constant=never)
    assert isinstance(result, dict) and result
    return result


def run_quiet(*words: object) -> Any:
    shown = CliRunner().invoke(app, [*map(str, words), "--json", "-", "--quiet"], prog_name="sciml")
    assert (shown.exit_code, shown.stderr) == (0, ""), shown.output
    silent = CliRunner().invoke(app, [*map(str, words), "-q"], prog_name="sciml")
    assert (silent.exit_code, silent.output) == (0, ""), silent.output
    return json.loads(shown.stdout, parse_constant=never)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("output")
    (folder / "small.toml").write_text(SMALL)
    (folder / "network.toml").write_text(NETWORK)
    return folder


def content(numbers: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers without the record of the command."""
    assert numbers["sciml_provenance"]["command"]
    return {name: value for name, value in numbers.items() if name != "sciml_provenance"}


def test_wrf(folder: Path) -> None:
    reference = ("--reference", SAMPLE_OFFLINE)
    result = run_json("wrf", "info", SAMPLE_WRFOUT, *reference)
    assert result["total"] == result["files"][0]["found"]
    assert result["total"]["deep"] == 812
    assert (result["files"][0]["frames"], result["files"][0]["levels"]) == (7, 44)
    assert content(run_quiet("wrf", "info", SAMPLE_WRFOUT, *reference)) == content(result)
    store = folder / "c.zarr"
    result = run_json("wrf", "columns", SAMPLE_WRFOUT, *reference, "-o", store, "--workers", 1)
    assert (result["store"], result["columns"], result["found"]["pairs"]) == (str(store), 4032, 4032)
    again = run_quiet("wrf", "columns", SAMPLE_WRFOUT, *reference, "-o", store, "--workers", 1, "--overwrite")
    assert again["bytes"] == result["bytes"] > 0


def test_convection(folder: Path, short_sample: tuple[Path, Path]) -> None:
    wrfout, truth = short_sample
    files, model = (wrfout, "--reference", truth), folder / "m.sciml"
    settings = ("--config", folder / "small.toml", "--epochs", 1, "--device", "cpu", "--seed", 7)
    result = run_json("convection", "train", *files, "-o", model, *settings)
    assert (result["finished"], result["checkpoint"], result["bytes"]) == (
        True,
        str(model),
        model.stat().st_size,
    )
    assert result["parameters"] > 0 and result["seconds"] > 0
    cut = folder / "cut.sciml"
    result = run_json("convection", "train", *files, "-o", cut, *settings, "--time-limit", 1e-6)
    assert result["finished"] is False and result["bytes"] is None and not cut.exists()
    scores = run_quiet("convection", "evaluate", model, *files)
    assert scores["columns"]["evaluated"] == 1152


def test_export_and_flags(folder: Path) -> None:
    (folder / "libsciml_mskf.so").write_bytes(b"")
    result = run_json("coupling", "flags", folder)
    assert any(flag.startswith("-Wl,--wrap=") for flag in result["flags"])
    assert content(run_quiet("coupling", "flags", folder, "--only")) == content(result)
    weights = folder / "mskf.nc"
    result = run_quiet("coupling", "export", "mskf-convrad", "-o", weights, "--no-response")
    assert (result["weights"], result["bytes"]) == (str(weights), weights.stat().st_size)
    assert (result["below"], result["cloud"]) == (4, 20)


@pytest.mark.slow
def test_response(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    from sciml.cli import coupling

    monkeypatch.setattr(coupling, "QUICK", 24)
    assert run_json("coupling", "response", "mskf-convrad", "--columns", 24)["growing"] == []
    assert run_json("coupling", "export", "mskf-convrad", "-o", folder / "r.nc")["growing"] == []


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.usefixtures("plain_layout")
def test_a_library(tmp_path: Path, short_sample: tuple[Path, Path]) -> None:
    library = tmp_path / "build"
    result = run_json("coupling", "build", "-o", library, "mskf-convrad")
    assert {"libsciml_mskf.so", "mskf.nc", "sciml_mskf.f90"} <= result["files"].keys()
    assert (result["weights"]["below"], result["weights"]["cloud"]) == (4, 20)
    result = run_json("coupling", "check", library, "--columns", 20)
    assert result["ok"] and all(check["ok"] for check in result["checks"])
    result = run_quiet("coupling", "replay", library, short_sample[0], "--tile", "0x0", "--threads", 1)
    assert result["ok"] and result["parity"]["ok"] and len(result["runs"]) == 1
    assert run_json("coupling", "rce", library, "--days", 1, "--members", 2, "--threads", 1)["ok"]
    (library / "mskf.nc").write_bytes(b"spoilt")
    assert not run_json("coupling", "check", library, "--columns", 20, code=1)["ok"]


def test_the_report_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Statistics:
        def scores(self) -> dict[str, float]:
            return {"calls": 7, "r2": float("nan")}

    monkeypatch.setattr("sciml.verify.library.mode_statistics.read_statistics", lambda listed: Statistics())
    (tmp_path / "sciml_mskf_shadow_1.nc").touch()
    assert content(run_json("coupling", "report", tmp_path)) == {"calls": 7, "r2": None}


def test_pde(folder: Path) -> None:
    assert run_quiet("pde", "families")["darcy-rough"]["inputs"] == ["coefficient"]
    assert run_json("pde", "layouts")["fno-darcy"]["variables"]["u"]["name"] == "sol"
    data, model = folder / "d.nc", folder / "o.sciml"
    pose = ("pde", "generate", "darcy-smooth", "--resolution", 15, "--count", 6, "--seed", 11)
    result = run_json(*pose, "-o", data, "--workers", 1)
    assert (result["new"], result["samples"], result["sizes"]) == (True, 6, {"y": 15, "x": 15})
    assert run_quiet(*pose, "-o", data, "--workers", 1)["new"] is False
    result = run_json("pde", "info", data, "--check")
    assert (result["inputs"], result["target"], result["checked"]) == (["coefficient"], "u", True)
    assert result["grid"]["centring"] == "vertex"
    settings = ("--epochs", 1, "--device", "cpu", "--config", folder / "network.toml", "--restart")
    result = run_quiet("pde", "train", "mgno", data, "-o", model, *settings)
    assert (result["finished"], result["about"]["samples"]) == (True, 6)
    result = run_json("pde", "verify", model, data, "--multigrid-samples", 1, "--preconditioned", 0)
    assert result["samples"] == 6 and result["relative_l2"] > 0
    result = run_json("pde", "solve", f"{data}[2]", "--operator", model, "--check")
    assert result["true_error"] <= result["relative_bound"] <= 1e-6


@pytest.mark.slow
def test_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    from sciml.verify.operator import negative_results

    monkeypatch.setattr(negative_results, "reproduce", partial(negative_results.reproduce, steps=20))
    assert run_json("pde", "findings", "--resolution", 15, "--samples", 1)


@pytest.mark.parametrize("given", ["wrfout_d01_*", "."])
@pytest.mark.parametrize("command", [("wrf", "info"), ("wrf", "columns", "-o", "c.zarr")])
def test_no_input_is_overwritten(
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


def test_files_are_written_atomically(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.json"
    Output(path).write_json({"r2": float("nan"), "levels": (1, 2)})
    assert json.loads(path.read_text()) == {"r2": None, "levels": [1, 2]}
    with pytest.raises(TypeError):
        Output(path).write_json({"network": MgNO})
    assert json.loads(path.read_text()) == {"r2": None, "levels": [1, 2]}
    assert [file.name for file in path.parent.iterdir()] == ["a.json"]
    (tmp_path / "file").touch()
    with pytest.raises(SciMLError, match="is a file, not a folder"):
        Output(tmp_path / "file" / "a.json").write_json({})


@pytest.mark.parametrize("command", ["doctor", "pde families", "pde layouts", f"wrf info {SAMPLE_WRFOUT}"])
def test_an_invalid_target_is_reported_before_the_work(command: str, tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, [*command.split(), "--json", str(tmp_path)])
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert "is a folder: give the name of a file" in shown.stderr
