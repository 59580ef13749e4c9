"""Tables of groups of columns, and the commands and pages that show them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml.cli import convection as command
from sciml.cli import main
from sciml.columns import convection_columns
from sciml.columns.open import open_columns
from sciml.errors import InputError
from sciml.solve import Result
from sciml.verify.emulator.evaluate import assess
from sciml.verify.emulator.page import render_page
from sciml.wrf import open_wrfout
from tests.columns.mixed_runs import write_pairs
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT


class Echo:
    """Predicts the truth, but heats too much and takes every eighth deep column for a shallow one."""

    def __init__(self) -> None:
        self.about: dict[str, float] = {"usual_error": 1e-5}

    def init(self, problem: Any) -> None:
        return None

    def run(self, problem: Any, state: None) -> Any:
        columns = problem.columns
        kind = columns["KIND"].values.copy()
        deep = np.flatnonzero(kind == 2)
        kind[deep[::8]] = 1
        outputs = columns.assign(RTHCUTEN=columns["RTHCUTEN"] * 1.1).assign_coords(KIND=("column", kind))
        outputs["NOVELTY"] = "column", np.where(kind == 2, 1.5, 0.5) * (kind > 0)
        return SimpleNamespace(outputs=outputs, result=Result.SUCCESS, stats={})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    whole = convection_columns(open_wrfout(SAMPLE_WRFOUT), SAMPLE_OFFLINE).isel(column=slice(0, 700)).load()
    return [
        write_pairs(folder / "mskf_pairs_a.nc", whole.isel(column=slice(0, 400)), run=3),
        write_pairs(
            folder / "mskf_pairs_b.nc", whole.isel(column=slice(400, 700)), run=7, levels=41, DX=4500.5
        ),
    ]


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "load_algorithm", lambda model, weights: Echo())


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["convection", *map(str, arguments)])
    return int(ended.value.code or 0)


def test_a_row_for_each_group(files: list[Path]) -> None:
    columns = open_columns(files).load()
    evaluation = assess(columns, Echo(), by=[("run", "levels", "dx")])
    (table,) = evaluation.to_json()["groups"]
    assert [[row[key] for key in table["by"]] for row in table["rows"]] == [[3, 44, 10000], [7, 41, 4500.5]]
    kind = columns["KIND"].values
    for row, own in zip(table["rows"], (kind[:400], kind[400:]), strict=True):
        deep, missed = int((own == 2).sum()), -(-int((own == 2).sum()) // 8)
        assert (row["f1"], row["columns"]) == (1, len(own))
        assert row["f1_deep"] == pytest.approx(2 * (deep - missed) / (2 * deep - missed), abs=0.02)
        assert row["r2"]["RQVCUTEN"] == 1
        assert 0.97 < row["r2"]["RTHCUTEN"] < 1
        assert row["rain_ratio"] == 1
        seen = (own > 0).sum()
        assert row["novel"] == pytest.approx((deep - missed) / seen, abs=0.02)
        assert 0.2 < row["novelty_rank"] < 1
    head, *rows = evaluation.group_rows()[0]
    assert head[:7] == ["run", "levels", "dx", "columns", "F1", "shallow", "deep"]
    assert head[-4:] == ["rain", "novel", "rank", "usual"]
    assert "RQS" not in head  # numerically nil
    assert [row[:4] for row in rows] == [["3", "44", "10000", "400"], ["7", "41", "4500.5", "300"]]


def test_what_the_model_does_not_have_is_left_out(files: list[Path]) -> None:
    columns = open_columns(files).load()

    class Bare(Echo):
        def __init__(self) -> None:
            self.about = {}

        def run(self, problem: Any, state: None) -> Any:
            return SimpleNamespace(outputs=problem.columns, result=Result.SUCCESS, stats={})

    evaluation = assess(columns, Bare(), by=[("class",)])
    for row in evaluation.to_json()["groups"][0]["rows"]:
        assert not {"novel", "novelty_rank", "novelty_usual"} & set(row)
    assert evaluation.group_rows()[0][0][-1] == "rain"
    assert "groups" not in assess(columns, Bare()).to_json()


def test_weighted_groups(files: list[Path]) -> None:
    columns = open_columns(files).load()
    weight = np.where(np.arange(700) % 2, 3.0, 1.0).astype(np.float32)
    columns = columns.assign_coords(WEIGHT=("column", weight))
    (table,) = assess(columns, Echo(), weighted=True, by=[("run",)]).to_json()["groups"]
    part = columns.isel(column=slice(400, 700))
    alone = assess(part, Echo(), weighted=True).to_json()
    row = table["rows"][1]
    assert row["r2"]["RTHCUTEN"] == pytest.approx(alone["outputs"]["RTHCUTEN"]["r2"])


@pytest.mark.parametrize("by", [[("month",)], [()], ["run"], [("run", "run")], [("run", "")]])
def test_other_keys(files: list[Path], by: Any) -> None:
    with pytest.raises(
        InputError, match=r"groups by .* \(--by\): give some of run, dx, dt, cudt, levels, class"
    ):
        assess(xr.Dataset(), Echo(), by=by)


@pytest.mark.usefixtures("echo")
def test_the_command_prints_and_writes_the_tables(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sciml.verify.emulator.page.pictures", lambda evaluation: iter(()))
    made = ["--json", tmp_path / "a.json", "--html", tmp_path / "a.html"]
    assert run("evaluate", "m.sciml", *files, "--by", "run,dx", "--by", "class", *made) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "run dx columns F1 shallow deep RTH RQV" in printed
    assert "class columns F1 shallow deep RTH RQV" in printed
    content = json.loads((tmp_path / "a.json").read_text())
    assert [table["by"] for table in content["groups"]] == [["run", "dx"], ["class"]]
    page = (tmp_path / "a.html").read_text()
    assert "Scores by group" in page
    assert ">4500.5<" in page
    assert run("evaluate", "m.sciml", *files, "--by", "run,month") == 2
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1
    assert "give some of run, dx" in error


@pytest.mark.usefixtures("echo")
def test_one_run_of_a_mixture_is_scored_like_its_file(files: list[Path], tmp_path: Path) -> None:
    """Also the profiles by level, although the other run has more levels."""
    for name, what in (("a", [files[1]]), ("b", [*files, "--run", "7"])):
        assert run("evaluate", "m.sciml", *what, "--json", tmp_path / f"{name}.json") == 0
    alone, chosen = (json.loads((tmp_path / f"{name}.json").read_text()) for name in "ab")
    assert len(chosen["height_km"]) == 41
    for key in ("columns", "trigger", "outputs", "rain", "budgets", "height_km", "novelty"):
        assert alone[key] == chosen[key], key


@pytest.mark.usefixtures("plain_layout")
def test_the_page_of_a_mixture(files: list[Path]) -> None:
    """With all figures: profiles where only one run has the highest levels."""
    page = render_page([assess(open_columns(files).load(), Echo(), by=[("run",)])])
    assert page.count("<h3>Groups</h3>") == 1
    assert "Mean profiles of deep columns" in page


def test_a_balance_from_the_file_or_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []

    def learn(columns: Any, output: Path, **settings: Any) -> str:
        asked.append(settings["balance"])
        return "an emulator"

    monkeypatch.setattr("sciml.convection.training.train", learn)
    monkeypatch.setattr("sciml.columns.open.open_columns", lambda *_, **__: None)
    monkeypatch.setattr("sciml.cli.output.Output.report_training", lambda *_: None)
    config, output = tmp_path / "fit.toml", tmp_path / "m.sciml"
    config.write_text('[data]\nbalance = ["run", "class"]\n')
    assert run("train", "a.zarr", "-o", output) == 0
    assert run("train", "a.zarr", "-o", output, "--config", config) == 0
    assert run("train", "a.zarr", "-o", output, "--config", config, "--balance", "run") == 0
    assert [list(balance) for balance in asked] == [[], ["run", "class"], ["run"]]
    config.write_text("[data]\nseed = 3\n")
    assert run("train", "a.zarr", "-o", output, "--config", config) == 2
    assert "has [data] seed: it may have balance" in " ".join(capsys.readouterr().err.split())
