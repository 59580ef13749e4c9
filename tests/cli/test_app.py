"""The command `sciml` itself: help, version, and errors as one line."""

from __future__ import annotations

import errno
import sys
import types
import warnings

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
    """Run such a command as the group `wrf`; return the exit code and standard error."""
    monkeypatch.setitem(sys.modules, "sciml.cli.wrf", types.SimpleNamespace(app=raising(error)))
    outcome = runner.invoke(app, ["wrf", "fail"])
    assert outcome.stdout == ""
    return outcome.exit_code, outcome.stderr


def test_help_lists_the_groups_and_their_commands() -> None:
    shown = runner.invoke(app, ["--help"], env={"COLUMNS": "150"})
    assert shown.exit_code == 0
    for name, text in GROUPS.items():
        assert name in shown.stdout
        assert text in shown.stdout
    for name in ("doctor", "demo"):
        assert name in shown.stdout


@pytest.mark.parametrize("name", GROUPS)
def test_the_help_of_a_group(name: str) -> None:
    shown = runner.invoke(app, [name, "--help"])
    assert shown.exit_code == 0, shown.output
    assert name in shown.stdout


def test_version() -> None:
    shown = runner.invoke(app, ["--version"])
    assert (shown.exit_code, shown.stdout.strip()) == (0, f"sciml {sciml.__version__}")


def test_an_unknown_command_is_a_usage_error() -> None:
    assert runner.invoke(app, ["nonsense"]).exit_code == 2


def test_errors_of_sciml_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    code, message = run_failing(monkeypatch, InputError("3 levels:\n  the emulator wants 44"))
    assert (code, message) == (2, "error: 3 levels: the emulator wants 44\n")


@pytest.mark.parametrize(
    ("interrupt", "message"),
    [
        (KeyboardInterrupt(), "interrupted; run the same command again to resume\n"),
        (KeyboardInterrupt("epoch 3 is saved"), "interrupted; epoch 3 is saved\n"),
    ],
)
def test_ctrl_c(monkeypatch: pytest.MonkeyPatch, interrupt: BaseException, message: str) -> None:
    assert run_failing(monkeypatch, interrupt) == (130, message)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "columns.zarr"),
            "the disk is full while writing columns.zarr",
        ),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "a.nc"),
            "No such file or directory: a.nc; check the path with ls",
        ),
        (TimeoutError("no answer"), "no answer"),
    ],
)
def test_errors_of_the_operating_system(
    monkeypatch: pytest.MonkeyPatch, error: OSError, message: str
) -> None:
    code, line = run_failing(monkeypatch, error)
    assert code == 2
    assert line.startswith(f"error: {message}")
    assert line.count("\n") == 1


def test_a_traceback_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIML_TRACEBACK", "yes")
    error = InputError("a bad argument")
    monkeypatch.setitem(sys.modules, "sciml.cli.wrf", types.SimpleNamespace(app=raising(error)))
    with pytest.raises(InputError, match="a bad argument"):
        main(["wrf", "fail"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "nonsense",
            "No such command 'nonsense': there are doctor, demo, compress, info, reproduce, wrf, convection, coupling, "
            "scheme, pde.",
        ),
        ("dcotor", "No such command 'dcotor'. Did you mean 'doctor'?"),
        ("verify", "No such command 'verify'. Did you mean 'sciml pde verify'?"),
        ("train", "Did you mean 'sciml convection train' or 'sciml scheme train' or 'sciml pde train'?"),
        ("pde trian", "No such command 'trian'. Did you mean 'train'? See 'sciml pde --help'"),
        ("pde nonsense", "there are families, generate, layouts, info, train"),
        ("--vresion", "No such option: --vresion. Did you mean --version? See 'sciml --help'"),
        ("doctor --colour", "No such option: --colour. See 'sciml doctor --help'"),
        ("doctor --json", "Option '--json' requires an argument: give a file, or - for standard output."),
        ("doctor now", "extra argument"),
        ("pde train mgno", "Missing argument 'data'. See 'sciml pde train --help'"),
        (
            "pde train d.zarr mgno -o m",
            "'d.zarr' is not one of 'mgno', 'hierarchy', 'fno', 'nonexpansive'. See",
        ),
        (
            "pde generate poisson --count 3",
            "Missing option '--output' / '-o'. See 'sciml pde generate --help'",
        ),
        ("pde generate poisson -o d.zarr --count few", "Invalid value for '--count': "),
        ("pde generate poisson -o d.zarr --count 0", "Invalid value for '--count': "),
    ],
)
def test_a_usage_error_is_one_line(line: str, message: str) -> None:
    shown = runner.invoke(app, line.split(), prog_name="sciml")
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert message in shown.stderr
    assert shown.stderr.startswith("error: ")
    assert shown.stderr.count("\n") == 1


@pytest.mark.parametrize("group", ["", *GROUPS])
def test_without_a_command_there_is_help(group: str) -> None:
    shown = runner.invoke(app, group.split(), prog_name="sciml")
    assert shown.exit_code == 2
    assert shown.stderr == ""
    assert "Usage: sciml" in shown.stdout


def test_a_warning_is_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    group = typer.Typer()

    @group.command()
    def warn() -> None:
        warnings.warn("an adaptive time step:\n  give the truth", UserWarning, stacklevel=1)

    group.command("other")(warn)  # a group of two is a group
    monkeypatch.setitem(sys.modules, "sciml.cli.wrf", types.SimpleNamespace(app=group))
    with warnings.catch_warnings():  # as at the start of a process, without a test runner
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", usual_showwarning)
        with pytest.raises(SystemExit):
            main(["wrf", "warn"])
    assert capsys.readouterr().err == "warning: an adaptive time step: give the truth\n"


def usual_showwarning(
    message: Warning, category: type[Warning], filename: str, lineno: int, *_: object
) -> None:
    """As Python's, which pytest has replaced."""
    sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))
