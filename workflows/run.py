"""Run a workflow: the commands that a TOML file lists, one after the other: `sciml`, or a module of Python.

    python workflows/run.py workflows/01_sample.toml [--smoke] [--from 2] [--set NAME=VALUE]...

A workflow has a title, variables and steps. If a variable is a list, a word of a command that names it becomes as many
words. With --smoke the variables of [smoke] take precedence, and the workflow takes about a minute. Each path in a
variable listed in [absent] must exist; otherwise the text there is printed as the remedy. After an interruption, run
the workflow again: each command resumes; --from skips the steps before. A step is not finished while
the file in its resume_file exists: the workflow stops there, and the next run goes on.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import typer

from sciml.cli.demo import Step, run_steps
from sciml.errors import InputError, SciMLError

REPO = Path(__file__).resolve().parent.parent


def read_workflow(
    path: Path, smoke: bool, given: list[str]
) -> tuple[dict[str, list[str]], list[dict[str, Any]]]:
    """Read a workflow; return its variables, as lists of words, and its steps."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not a TOML file: {error}") from error
    values = dict(content.get("variables", {}))
    if smoke:
        values |= content.get("smoke", {})
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or name not in values:
            raise InputError(f"--set {pair}: give NAME=VALUE with a name out of {', '.join(values)}")
        values[name] = value
    shared = os.environ.get("SCIML_SHARED") or str(REPO.parent / "shared")
    words = {"shared": [shared], "repo": [str(REPO)]}
    for name, value in values.items():
        parts = [str(part) for part in value] if isinstance(value, list) else [str(value)]
        words[name] = [word for part in parts for word in substitute(part, words)]
    for name, remedy in content.get("absent", {}).items():
        for word in words[name]:
            if not word.startswith("-") and not Path(word).exists():
                raise InputError(f"{word} is not there: {remedy}")
    return words, content.get("step", [])


def substitute(word: str, words: dict[str, list[str]]) -> list[str]:
    """Replace the variables in a word of a command; a word that is only a variable may become several words."""
    variable = re.fullmatch(r"\{(\w+)\}", word)
    try:
        if variable:
            return words[variable[1]]
        return [re.sub(r"\{(\w+)\}", lambda match: " ".join(words[match[1]]), word)]
    except KeyError as missing:
        raise InputError(f"{word!r} names {missing}, which is not among {', '.join(words)}") from None


def run_workflow(path: Path, *, smoke: bool = False, first: int = 1, given: list[str] | None = None) -> None:
    """Run the steps of a workflow, beginning with step number ``first``."""
    words, listed = read_workflow(path, smoke, given or [])
    steps = []
    for step in listed:
        command = [part for word in step["command"] for part in substitute(word, words)]
        resume_file = Path(*substitute(step["resume_file"], words)) if "resume_file" in step else None
        steps.append(Step(str(step["purpose"]), tuple(command), resume_file, step.get("module", "")))
    # modules of this repository
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(REPO), os.environ.get("PYTHONPATH")]))
    if "output" in words:
        Path(words["output"][0]).mkdir(parents=True, exist_ok=True)
    run_steps(steps[first - 1 :])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workflow", type=Path, help="TOML file of the workflow")
    parser.add_argument(
        "--smoke", action="store_true", help="use the small variables of [smoke], about a minute"
    )
    parser.add_argument("--from", dest="first", type=int, default=1, help="number of the step to begin with")
    parser.add_argument(
        "--set", dest="given", action="append", metavar="NAME=VALUE", help="set a variable; may be repeated"
    )
    arguments = parser.parse_args()
    try:
        run_workflow(arguments.workflow, smoke=arguments.smoke, first=arguments.first, given=arguments.given)
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except (SciMLError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
