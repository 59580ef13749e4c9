"""`sciml pde train`: from a dataset to a checkpoint, and errors as one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sciml.cli import main
from sciml.operators.trained_operator import TrainedOperator
from sciml.pde.grid import Boundary, Grid
from sciml.train.state import resume_path
from tests.operators.conftest import dataset

CONFIG = """
[fit]
batch_size = 4
threads = 1
device = "cpu"
[network]
modes = 3
width = 4
layers = 1
projection = 4
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pde")
    made = dataset(Grid((9, 9)), 12)
    made.to_netcdf(folder / "d.nc")
    made.drop_attrs().rename(coefficient="k", u="p").to_netcdf(folder / "own.nc")
    (folder / "fno.toml").write_text(CONFIG)
    return folder


def run(*arguments: Any) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["pde", "train", *map(str, arguments)])
    code = ended.value.code
    return code if isinstance(code, int) else 0


def test_training_writes_a_checkpoint(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "fno.sciml"
    settings = [
        "--config",
        folder / "fno.toml",
        "--epochs",
        3,
        "--batch-size",
        8,
        "--seed",
        3,
        "--hold-out",
        4,
        "-q",
    ]
    assert run("fno", folder / "d.nc", "-o", output, *settings, "--time-limit", 1e-6) == 0
    assert "run the same command again" in capsys.readouterr().err  # printed even with --quiet
    assert resume_path(output).exists()
    assert run("fno", folder / "d.nc", "-o", output, *settings) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert (
        run("fno", folder / "d.nc", "-o", output, *settings[:-1], "--json", tmp_path / "t.json", "--restart")
        == 0
    )
    captured = capsys.readouterr()
    assert captured.out.startswith("TrainedOperator of darcy-smooth")
    assert f"saved: {output}" in captured.out
    content = json.loads((tmp_path / "t.json").read_text())
    assert (content["finished"], content["about"]["samples"], content["bytes"]) == (
        True,
        8,
        output.stat().st_size,
    )
    operator = TrainedOperator.load(output)
    assert (operator.about["batch_size"], operator.about["seed"], len(operator.about["held_out"])) == (
        8,
        3,
        4,
    )
    assert type(operator.network).__name__ == "FNO"
    assert not resume_path(output).exists()


def test_own_data_with_own_names(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "own.sciml"
    settings = ["--config", folder / "fno.toml", "--epochs", 1, "--loss", "l2", "-q"]
    named = ["--inputs", "k", "--target", "p", "--centring", "cell"]
    sides = ["--boundary", "neumann,neumann,dirichlet,dirichlet"]
    assert run("fno", folder / "own.nc", "-o", output, *settings, *named, *sides) == 0
    operator = TrainedOperator.load(output)
    assert operator.grid == Grid((9, 9), "cell", Boundary(west="neumann", east="neumann"))
    assert (operator.inputs, operator.target, operator.about["loss"]) == (("k",), "p", "l2")
    ours = ["--inputs", "coefficient=k", "--target", "u=p", "--boundary", "dirichlet", "--centring", "vertex"]
    assert run("fno", folder / "own.nc", "-o", output, *settings, *ours, "--stride", 2, "--restart") == 0
    operator = TrainedOperator.load(output)
    assert (operator.inputs, operator.target, operator.grid) == (("coefficient",), "u", Grid((4, 4)))


def test_verify_accepts_the_names_of_train(tmp_path: Path) -> None:
    data, output = tmp_path / "own.nc", tmp_path / "own.sciml"
    dataset(Grid((15, 15)), 4).drop_attrs().rename(coefficient="k", u="p").to_netcdf(data)
    named = ["--inputs", "coefficient=k", "--target", "u=p"]
    place = ["--boundary", "dirichlet", "--centring", "vertex"]
    with pytest.raises(SystemExit) as stop:
        main(["pde", "train", "mgno", str(data), "-o", str(output), *named, *place, "--epochs", "1", "-q"])
    assert stop.value.code == 0
    with pytest.raises(SystemExit) as stop:
        main(["pde", "verify", str(output), str(data), *named, "--json", str(tmp_path / "v.json"), "-q"])
    assert stop.value.code == 0
    assert json.loads((tmp_path / "v.json").read_text())["relative_l2"] > 0


def test_errors_are_one_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.toml").write_text("[fit\n")
    (tmp_path / "odd.toml").write_text("[fits]\nepochs = 3\n")
    (tmp_path / "unknown.toml").write_text("[network]\ndepth = 3\n")
    (tmp_path / "notes.sciml").write_text("other content")
    output = tmp_path / "m.sciml"
    good = ["fno", folder / "d.nc", "-o", output, "-q"]
    for arguments, match in [
        (["fno", tmp_path / "none.nc", "-o", output], "none.nc"),
        (["fno", folder / "fno.toml", "-o", output], "fno.toml"),
        (["fno", folder / "own.nc", "-o", output], "coefficient"),
        (
            ["fno", folder / "own.nc", "-o", output, "--inputs", "k", "--target", "p"],
            "--boundary and --centring",
        ),
        ([*good, "--config", tmp_path / "bad.toml"], "not a TOML file"),
        ([*good, "--config", tmp_path / "odd.toml"], "[fits]: it may have the tables fit, network"),
        ([*good, "--config", tmp_path / "unknown.toml"], "depth"),
        ([*good, "--published", "darcy-rough"], "give mgno, not fno"),
        (
            ["mgno", *good[1:], "--published", "darcy-rough", "--norm", "evonorm-s0"],
            "--norm evonorm-s0 is for other",
        ),
        (["mgno", *good[1:], "--published", "darcy"], "give one of darcy-smooth"),
        ([*good, "--hold-out", 3, "--validation", folder / "d.nc"], "one of the two"),
        ([*good, "--hold-out", 12], "leaves 0 to train on"),
        ([*good, "--boundary", "open"], "give one of dirichlet"),
        ([*good, "--boundary", "neumann,neumann"], "west,east,south,north"),
        ([*good, "--centring", "corner"], "'corner'"),
        ([*good, "--epochs", 0], "epochs=0"),
        (["fno", folder / "d.nc", "-o", folder / "d.nc"], "one of the inputs"),
        (["fno", folder / "d.nc", "-o", tmp_path / "notes.sciml"], "no checkpoint"),
    ]:
        assert run(*arguments) == 2, arguments
        captured = capsys.readouterr()
        assert match in captured.err
        assert captured.err.startswith("error: ")
        assert captured.err.count("\n") == 1
        assert captured.out == ""
    assert not output.exists()
    assert (tmp_path / "notes.sciml").read_text() == "other content"


@pytest.mark.parametrize("name", ["mgno", "hierarchy"])
def test_the_other_networks_train_too(folder: Path, tmp_path: Path, name: str) -> None:
    output = tmp_path / "m.sciml"
    (tmp_path / "c.toml").write_text("[fit]\nthreads = 1\n[network]\nchannels = 4\n")
    settings = ["--epochs", 1, "--batch-size", 6, "--device", "cpu", "--config", tmp_path / "c.toml", "-q"]
    assert run(name, folder / "d.nc", "-o", output, *settings) == 0
    operator = TrainedOperator.load(output)
    assert operator.predict({"coefficient": torch.ones(2, 9, 9)}).shape == (2, 9, 9)
