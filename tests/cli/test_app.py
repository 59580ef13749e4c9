"""The frame of the command: help, version, and one line for each way of going wrong."""

from __future__ import annotations

import errno
import sys
import types

import pytest
import typer
from typer.testing import CliRunner

import sciml
from sciml.cli import GROUPS, app, main
from sciml.errors import InputError

runner = CliRunner()


def raising(error: BaseException) -> typer.Typer:
    """Make a group with one command, which raises."""
    group = typer.Typer()

    @group.command()
    def fail() -> None:
        raise error

    return group


def run_failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> tuple[int, str]:
    """Run such a command in the place of the group `wrf`; return the exit code and what was said."""
    monkeypatch.setitem(sys.modules, "sciml.cli.wrf", types.SimpleNamespace(app=raising(error)))
    outcome = runner.invoke(app, ["wrf", "fail"])
    assert outcome.stdout == ""
    return outcome.exit_code, outcome.stderr


def test_help_lists_the_groups_and_what_they_do() -> None:
    shown = runner.invoke(app, ["--help"], env={"COLUMNS": "150"})
    assert shown.exit_code == 0
    for name, text in GROUPS.items():
        assert name in shown.stdout
        assert text in shown.stdout
    for name in ("doctor", "demo"):
        assert name in shown.stdout


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_helps(name: str) -> None:
    shown = runner.invoke(app, [name, "--help"])
    assert shown.exit_code == 0, shown.output
    assert name in shown.stdout


def test_version() -> None:
    shown = runner.invoke(app, ["--version"])
    assert (shown.exit_code, shown.stdout.strip()) == (0, f"sciml {sciml.__version__}")


def test_an_unknown_command_is_a_usage_error() -> None:
    assert runner.invoke(app, ["nonsense"]).exit_code == 2


def test_our_errors_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = run_failing(monkeypatch, InputError("3 levels:\n  the emulator wants 44"))
    assert (code, said) == (2, "error: 3 levels: the emulator wants 44\n")


@pytest.mark.parametrize(
    ("interrupt", "said"),
    [
        (KeyboardInterrupt(), "interrupted; run the same command again to go on where it stopped\n"),
        (KeyboardInterrupt("epoch 3 is saved"), "interrupted; epoch 3 is saved\n"),
    ],
)
def test_ctrl_c(monkeypatch: pytest.MonkeyPatch, interrupt: BaseException, said: str) -> None:
    assert run_failing(monkeypatch, interrupt) == (130, said)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "columns.zarr"),
            "the disk is full while writing columns.zarr",
        ),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "a.nc"),
            "No such file or directory: a.nc",
        ),
        (TimeoutError("no answer"), "no answer"),
    ],
)
def test_the_system_says_no(monkeypatch: pytest.MonkeyPatch, error: OSError, said: str) -> None:
    code, line = run_failing(monkeypatch, error)
    assert code == 2
    assert line.startswith(f"error: {said}")
    assert line.count("\n") == 1


def test_a_traceback_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIML_TRACEBACK", "yes")
    error = InputError("a bad argument")
    monkeypatch.setitem(sys.modules, "sciml.cli.wrf", types.SimpleNamespace(app=raising(error)))
    with pytest.raises(InputError, match="a bad argument"):
        main(["wrf", "fail"])
