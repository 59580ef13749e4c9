from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from sciml.cli import app
from sciml.cli.demo import PRETRAINED, Step, demo_steps, run_steps, summary
from sciml.train.settings import RESTART
from tests.paths import DATA

runner = CliRunner()


def test_the_summary_has_the_numbers_of_the_evaluation(tmp_path: Path) -> None:
    def scores(model: str, f1: float) -> dict[str, object]:
        outputs = {"RTHCUTEN": {"r2": 0.5}, "PRATEC": {"r2": 0.25}}
        return {"model": model, "trigger": {"f1": f1}, "outputs": outputs}

    path = tmp_path / "scores.json"
    path.write_text(json.dumps({**scores("demo", 0.875), "also": [scores(PRETRAINED, 0.9375)]}))
    lines = summary(path).splitlines()
    assert lines[1].split() == ["demo", "0.875", "0.500", "0.250"]
    assert lines[2].split() == [PRETRAINED, "0.938", "0.500", "0.250"]


def test_a_step_is_shown_as_it_is_typed() -> None:
    assert (
        str(Step("", ("wrf", "columns", "a b.nc", "-o", "c.zarr"))) == "sciml wrf columns 'a b.nc' -o c.zarr"
    )


def test_the_first_failure_ends_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    steps = [Step("fails", ("wrf", "info", "no-such-file.nc")), Step("is not reached", ("--version",))]
    with pytest.raises(typer.Exit) as end:
        run_steps(steps)
    assert end.value.exit_code == 2
    assert "is not reached" not in capsys.readouterr().out


def test_the_output_is_not_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    shown = runner.invoke(app, ["demo", "-o", str(tmp_path / "file")])
    assert shown.exit_code == 2
    assert shown.stderr.startswith("error: ")


def test_the_demo_uses_only_packaged_data(tmp_path: Path) -> None:
    words = [word for step in demo_steps(tmp_path, 3) for word in step.arguments]
    paths = [Path(word) for word in words if "/" in word]
    assert paths
    assert all(path.is_relative_to(DATA) or path.is_relative_to(tmp_path) for path in paths)


def test_steps_may_be_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    (completed,) = run_steps([Step("lists", ("pde", "layouts"))], quiet=True)
    assert (completed["purpose"], completed["command"]) == ("lists", "sciml pde layouts")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_the_remedy_of_an_interrupted_demo_exists(tmp_path: Path) -> None:
    """The message about a state of other settings names --restart; the demo passes it to both trainings."""
    assert "--restart" in RESTART
    steps = [step.arguments for step in demo_steps(tmp_path, restart=True) if step.arguments[1] == "train"]
    assert len(steps) == 2
    assert all("--restart" in words and "--time-budget" in words for words in steps)
    names = {
        name for parameter in typer.main.get_command(app).commands["demo"].params for name in parameter.opts
    }
    assert {"--restart", "--time-budget"} <= names


@pytest.mark.parametrize("quiet", [False, True])
def test_the_demo_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet: bool) -> None:
    module = importlib.import_module("sciml.cli.demo")
    monkeypatch.setattr(module, "demo_steps", lambda *_: [Step("lists", ("pde", "layouts"))])
    for text in ("summary", "operator_summary"):
        monkeypatch.setattr(module, text, lambda *_: "the summary")
    for name in ("scores", "operator", "certified"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"of": name}))
    shown = runner.invoke(app, ["demo", "-o", str(tmp_path), "--json", "-", *(["-q"] if quiet else [])])
    assert shown.exit_code == 0, shown.output
    content = json.loads(shown.stdout)
    assert content["operator"] == {"of": "operator"}
    assert content["report"] == str(tmp_path / "report.html")
    assert [step["command"] for step in content["steps"]] == ["sciml pde layouts"]
    assert ("the summary" in shown.stderr) is not quiet
    assert bool(shown.stderr) is not quiet


def missing() -> list[str]:
    """Return the commands of the demo that do not exist."""
    wanted = {step.arguments[:2] for step in demo_steps(Path("demo-output"), 1)}
    there = {
        (group, name)
        for group in {group for group, _ in wanted}
        for name in typer.main.get_group(importlib.import_module(f"sciml.cli.{group}").app).commands
    }
    return sorted(" ".join(pair) for pair in wanted - there)


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.usefixtures("plain_layout")
@pytest.mark.skipif(bool(missing()), reason=f"missing: {', '.join(missing())}")
@pytest.mark.skipif(not (DATA / f"{PRETRAINED}.sciml").exists(), reason=f"{PRETRAINED} is not in data/ yet")
def test_the_whole_demo(
    tmp_path: Path, short_sample: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step, with fewer frames, and fewer flows on a coarser grid; `make demo` runs it at its size."""
    module = importlib.import_module("sciml.cli.demo")
    short = {path.name: path for path in short_sample}
    storage = importlib.import_module("sciml.storage.packaged")
    whole = storage.packaged
    monkeypatch.setattr(storage, "packaged", lambda name: short.get(name) or whole(name))
    monkeypatch.setattr(module, "RESOLUTION", "31")
    monkeypatch.setattr(module, "SAMPLES", "32")
    shown = runner.invoke(
        app, ["demo", "-o", str(tmp_path / "demo"), "--epochs", "1", "--operator-epochs", "1"]
    )
    assert shown.exit_code == 0, shown.output
    assert PRETRAINED in shown.output
    assert shown.output.splitlines()[-1] == f"The report is {tmp_path / 'demo' / 'report.html'}"
    assert (tmp_path / "demo" / "report.html").stat().st_size > 10_000
