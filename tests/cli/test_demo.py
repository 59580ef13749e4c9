from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from sciml.cli import app
from sciml.cli.demo import PRETRAINED, Step, road, summary, walk
from sciml.train.settings import ANEW
from tests.paths import DATA

runner = CliRunner()


def test_the_summary_has_the_numbers_of_the_evaluation(tmp_path: Path) -> None:
    def told(model: str, f1: float) -> dict[str, object]:
        outputs = {"RTHCUTEN": {"r2": 0.5}, "PRATEC": {"r2": 0.25}}
        return {"model": model, "trigger": {"f1": f1}, "outputs": outputs}

    path = tmp_path / "scores.json"
    path.write_text(json.dumps({**told("demo", 0.875), "also": [told(PRETRAINED, 0.9375)]}))
    lines = summary(path).splitlines()
    assert lines[1].split() == ["demo", "0.875", "0.500", "0.250"]
    assert lines[2].split() == [PRETRAINED, "0.938", "0.500", "0.250"]


def test_a_step_can_be_typed_as_it_is_shown() -> None:
    assert (
        str(Step("", ("wrf", "columns", "a b.nc", "-o", "c.zarr"))) == "sciml wrf columns 'a b.nc' -o c.zarr"
    )


def test_the_first_failure_ends_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    steps = [Step("fails", ("wrf", "info", "no-such-file.nc")), Step("is not reached", ("--version",))]
    with pytest.raises(typer.Exit) as end:
        walk(steps)
    assert end.value.exit_code == 2
    assert "is not reached" not in capsys.readouterr().out


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    shown = runner.invoke(app, ["demo", "-o", str(tmp_path / "file")])
    assert shown.exit_code == 2
    assert shown.stderr.startswith("error: ")


def test_the_road_uses_the_packaged_data_only(tmp_path: Path) -> None:
    words = [word for step in road(tmp_path, 3) for word in step.arguments]
    paths = [Path(word) for word in words if "/" in word]
    assert paths
    assert all(path.is_relative_to(DATA) or path.is_relative_to(tmp_path) for path in paths)


def test_a_walk_may_be_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    (gone,) = walk([Step("lists", ("pde", "layouts"))], quiet=True)
    assert (gone["purpose"], gone["command"]) == ("lists", "sciml pde layouts")
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "")


def test_what_an_interrupted_demo_suggests_exists(tmp_path: Path) -> None:
    """The message of a state of other settings names --anew; the demo takes it and hands it to both trainings."""
    assert "--anew" in ANEW
    steps = [step.arguments for step in road(tmp_path, anew=True) if step.arguments[1] == "train"]
    assert len(steps) == 2
    assert all("--anew" in words and "--time-budget" in words for words in steps)
    names = {
        name for parameter in typer.main.get_command(app).commands["demo"].params for name in parameter.opts
    }
    assert {"--anew", "--time-budget"} <= names


@pytest.mark.parametrize("quiet", [False, True])
def test_the_demo_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet: bool) -> None:
    module = importlib.import_module("sciml.cli.demo")
    monkeypatch.setattr(module, "road", lambda *_: [Step("lists", ("pde", "layouts"))])
    for text in ("summary", "operator_summary"):
        monkeypatch.setattr(module, text, lambda *_: "how it went")
    for name in ("scores", "operator", "certified"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"of": name}))
    shown = runner.invoke(app, ["demo", "-o", str(tmp_path), "--json", "-", *(["-q"] if quiet else [])])
    assert shown.exit_code == 0, shown.output
    told = json.loads(shown.stdout)
    assert told["operator"] == {"of": "operator"}
    assert told["report"] == str(tmp_path / "report.html")
    assert [step["command"] for step in told["steps"]] == ["sciml pde layouts"]
    assert ("how it went" in shown.stderr) is not quiet
    assert bool(shown.stderr) is not quiet


def missing() -> list[str]:
    """Name the commands of the road that are not there."""
    wanted = {step.arguments[:2] for step in road(Path("demo-output"), 1)}
    there = {
        (group, name)
        for group in {group for group, _ in wanted}
        for name in typer.main.get_group(importlib.import_module(f"sciml.cli.{group}").app).commands
    }
    return sorted(" ".join(pair) for pair in wanted - there)


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.skipif(bool(missing()), reason=f"not there yet: {', '.join(missing())}")
@pytest.mark.skipif(not (DATA / f"{PRETRAINED}.sciml").exists(), reason=f"{PRETRAINED} is not in data/ yet")
def test_the_whole_demo(tmp_path: Path) -> None:
    shown = runner.invoke(
        app, ["demo", "-o", str(tmp_path / "demo"), "--epochs", "1", "--operator-epochs", "1"]
    )
    assert shown.exit_code == 0, shown.output
    assert PRETRAINED in shown.output
    assert shown.output.splitlines()[-1] == f"The report is {tmp_path / 'demo' / 'report.html'}"
    assert (tmp_path / "demo" / "report.html").stat().st_size > 10_000
