"""Completion of commands, also of lazily loaded groups, and of options."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from sciml.cli import app
from tests.paths import REPO


def completed(line: str, shell: str = "bash") -> list[str]:
    """Return the suggestions for the end of a line."""
    words = line.split(" ")
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_TYPER_COMPLETE_ARGS": line}
    done = subprocess.run(
        [sys.executable, "-m", "sciml"],
        env={**os.environ, "PYTHONPATH": str(REPO), "_SCIML_COMPLETE": f"complete_{shell}", **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.split("\n")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("sciml ", {"doctor", "demo", "wrf", "convection", "coupling", "scheme", "pde"}),
        ("sciml co", {"compress", "convection", "coupling"}),
        ("sciml pde ", {"families", "generate", "info", "train", "verify", "solve", "findings"}),
        ("sciml pde tr", {"train"}),
        ("sciml wrf in", {"info"}),
        ("sciml pde train ", {"mgno", "hierarchy", "fno"}),
        ("sciml pde train mgno d.zarr --lo", {"--loss"}),
        ("sciml pde train mgno d.zarr --loss h1-", {"h1-truncated", "h1-fft", "h1-helmholtz"}),
        ("sciml coupling check --q", {"--quiet"}),
        ("sciml pde generate darcy-s", {"darcy-smooth"}),
        ("sciml pde info d.mat --layout fno-d", {"fno-darcy"}),
    ],
)
def test_bash(line: str, offered: set[str]) -> None:
    suggestions = {word for word in completed(line) if word}
    assert suggestions >= offered
    assert line.endswith(" ") or suggestions == offered


def test_zsh_gets_the_help_of_each_command() -> None:
    script = "".join(completed("sciml pde fam", "zsh"))
    assert '"families":"List the families of problems and their parameters."' in script


def test_the_script_for_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell is named, so that the test does not depend on the shell that runs it."""
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    shown = CliRunner().invoke(app, ["--show-completion", "bash"], prog_name="sciml")
    assert "_SCIML_COMPLETE=complete_bash" in shown.stdout, shown.output
