"""Every command has examples that parse, `--json` and `--quiet`, and a help that fits 80 columns."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from sciml.cli import GROUPS, app
from sciml.cli.demo import demo_steps
from tests.paths import REPO

ROOT: Any = typer.main.get_command(app)


def commands() -> dict[str, Any]:
    """Return all commands by the words after `sciml`."""
    alone = {name: command for name, command in ROOT.commands.items() if name not in GROUPS}
    grouped = {
        f"{group} {name}": command for group in GROUPS for name, command in ROOT.load(group).commands.items()
    }
    return alone | grouped


EVERY = commands()


def options(command: Any) -> dict[str, Any]:
    return {name: param for param in command.params for name in param.opts}


def examples(command: Any) -> list[str]:
    _, heading, lines = (command.epilog or "").partition("Examples:\n")
    assert heading, "no examples"
    return [line.strip() for line in lines.splitlines()]


def parse(line: str) -> None:
    """Parse a command line with the parser of its command, without running it."""
    program, *words = shlex.split(line, comments=True)
    assert program == "sciml"
    path = " ".join(words[:2]) if words[0] in GROUPS else words[0]
    assert path in EVERY, f"{line}: no such command"
    EVERY[path].make_context(path, words[len(path.split()) :])


@pytest.mark.parametrize("name", EVERY)
def test_the_examples_parse(name: str) -> None:
    lines = examples(EVERY[name])
    assert 1 <= len(lines) <= 3
    for line in lines:
        assert line.startswith(f"sciml {name}")
        assert len(line) <= 76, "wrapped at 80 columns"
        parse(line)


@pytest.mark.parametrize("name", EVERY)
def test_json_and_quiet_are_the_same_everywhere(name: str) -> None:
    there, elsewhere = options(EVERY[name]), options(EVERY["doctor"])
    for option in ("--json", "--quiet", "-q"):
        assert there[option].help == elsewhere[option].help
        assert there[option].metavar == elsewhere[option].metavar


@pytest.mark.parametrize("name", EVERY)
def test_the_help_fits_80_columns(name: str) -> None:
    shown = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"})
    assert shown.exit_code == 0
    assert max(map(len, shown.output.splitlines())) <= 80
    assert "bool" not in shown.output
    for line in examples(EVERY[name]):
        assert f"   {line}" in shown.output


@pytest.mark.parametrize("name", EVERY)
def test_the_summary_is_one_line(name: str) -> None:
    summary = EVERY[name].help.strip().split("\n\n")[0]
    assert summary.endswith(".")
    assert len(summary) <= 66, "two lines in the help of its group"


def test_without_rich_the_help_has_the_same_lines() -> None:
    """TYPER_USE_RICH=0 is read when typer is imported."""
    done = subprocess.run(
        [sys.executable, "-m", "sciml", "pde", "solve", "--help"],
        env={"TYPER_USE_RICH": "0", "COLUMNS": "80", "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        check=True,
    )
    for line in examples(EVERY["pde solve"]):
        assert f"\n   {line}\n" in done.stdout
    assert "─" not in done.stdout


def test_the_help_lists_all_commands() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80"})
    words = shown.stdout.split()
    for name in EVERY:
        assert {word.strip(",") for word in words} >= set(name.split())
    chapters = [line.split(" ─")[0].strip("╭─ ") for line in shown.stdout.splitlines() if "╭" in line]
    assert [title.split(":")[0] for title in chapters] == ["Start", "Weather", "Operators"]
    assert len(shown.stdout.splitlines()) <= 32


def test_commands_in_the_readme_the_docs_and_the_demo_parse(tmp_path: Any) -> None:
    pages = [REPO / "README.md", *(REPO / "docs").glob("*.md"), *(REPO / "docs" / "guides").glob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    lines = [line.strip() for line in text.splitlines() if line.startswith("    sciml ")]
    assert len(lines) > 40
    for line in [*lines, *map(str, demo_steps(tmp_path, 3))]:
        parse(line)
