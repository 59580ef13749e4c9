"""Options written once as dataclasses: the commands get one option for each field."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from sciml.cli import app, data_options, pde_verify
from sciml.cli.data_options import DataOptions
from sciml.cli.option_groups import expand_options
from tests.cli.test_every_command import EVERY, options

DATA = ("--inputs", "--target", "--layout", "--dims", "--stride", "--boundary", "--centring", "--dirichlet")
TRAINING = (
    *("--config", "--epochs", "--batch-size", "--learning-rate", "--seed", "--device", "--restart"),
    *("--hypercomplex", "--binary"),
)


@dataclass(frozen=True)
class Wind:
    speed: Annotated[float, typer.Option("--speed", help="Speed in m/s.")] = 3.5
    gusts: Annotated[list[int] | None, typer.Option("--gust", help="Gust.")] = None


def test_fields_become_options_and_are_collected() -> None:
    calls: list[tuple[str, Wind, bool]] = []
    group = typer.Typer()

    @group.command()
    @expand_options
    def blow(name: str, *, wind: Wind, dry: Annotated[bool, typer.Option("--dry")] = False) -> None:
        calls.append((name, wind, dry))

    run = CliRunner().invoke
    assert run(group, ["north", "--gust", "7", "--gust", "9", "--dry"]).exit_code == 0
    assert run(group, ["south", "--speed", "2"]).exit_code == 0
    assert calls == [("north", Wind(3.5, [7, 9]), True), ("south", Wind(2.0, None), False)]
    assert run(group, ["south", "--speed", "fast"]).exit_code == 2
    assert list(inspect.signature(blow).parameters) == ["name", "speed", "gusts", "dry"]


@pytest.mark.parametrize("name", ["pde info", "pde train", "pde verify", "pde solve"])
def test_the_data_options_are_the_same(name: str) -> None:
    given, others = options(EVERY[name]), options(EVERY["pde info"])
    for option in DATA:
        assert (given[option].help, given[option].default) == (others[option].help, others[option].default)


def test_the_data_options_are_declared_once() -> None:
    """Only `generate` has another --centring: that of the unknowns that it draws."""
    declared = [
        (path.name, node.args[0].value)
        for path in sorted(Path(data_options.__file__).parent.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "typer.Option"
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value in DATA
    ]
    assert declared == [*(("data_options.py", name) for name in DATA), ("pde.py", "--centring")]


def test_the_given_data_options_are_listed() -> None:
    every = DataOptions(["k"], "u", "mgno", ["y,x"], 2, "neumann", "cell", ["0"])
    assert every.given() == list(DATA)
    assert DataOptions().given() == DataOptions(inputs=[], stride=1).given() == []
    assert DataOptions(dirichlet=["0"]).given() == ["--dirichlet"]


def test_the_training_options_are_the_same() -> None:
    given, others = options(EVERY["convection train"]), options(EVERY["pde train"])
    for option in TRAINING:
        assert given[option].help == others[option].help


@pytest.mark.parametrize("function", [pde_verify.verify, pde_verify.solve])
def test_a_command_has_few_parameters(function: Any) -> None:
    assert len(inspect.signature(inspect.unwrap(function), follow_wrapped=False).parameters) <= 12


@pytest.mark.parametrize(
    ("command", "old"),
    [
        ("pde train mgno d.nc -o m.sciml", "--anew"),
        ("convection train c.zarr -o m.sciml", "--batch=8"),
        ("convection evaluate m.sciml c.zarr", "--also=n.sciml"),
        ("pde verify m.sciml d.nc", "--closely=3"),
        ("pde solve poisson", "--after=p.html"),
        ("wrf info w.nc", "--truth=t.nc"),
        ("coupling response m.sciml", "--picture=p.png"),
    ],
)
def test_earlier_names_of_options_are_errors(command: str, old: str) -> None:
    shown = CliRunner().invoke(app, [*command.split(), old])
    assert shown.exit_code == 2
    assert f"No such option: {old.partition('=')[0]}" in shown.stderr
