"""Climb a ladder: run the `sciml` commands that a TOML file lists, one after the other.

    python workflows/climb.py workflows/01_sample.toml [--smoke] [--from 2] [--set NAME=VALUE]...

A ladder has a title, variables, and steps. A word of a command that is a list in [variables] becomes as many words.
With --smoke the variables of [smoke] win, and the ladder takes about a minute. Of a variable in [absent] every
path must exist; otherwise the text there says what would make it. A step that was cut off goes on
where it stopped when the ladder is climbed again; --from leaves out the steps before. While the file that a step
names in until_gone is there, it is not done: the climb ends, and the next one goes on.
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

from sciml.cli.demo import Step, walk
from sciml.errors import InputError, SciMLError

REPO = Path(__file__).resolve().parent.parent


def rungs(ladder: Path, smoke: bool, given: list[str]) -> tuple[dict[str, list[str]], list[dict[str, Any]]]:
    """Read a ladder: its variables, as words, and its steps."""
    try:
        read = tomllib.loads(ladder.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{ladder} is not a TOML file: {error}") from error
    values = dict(read.get("variables", {}))
    if smoke:
        values |= read.get("smoke", {})
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or name not in values:
            raise InputError(f"--set {pair}: give NAME=VALUE with a name out of {', '.join(values)}")
        values[name] = value
    shared = os.environ.get("SCIML_SHARED") or str(REPO.parent / "shared")
    words = {"shared": [shared], "repo": [str(REPO)]}
    for name, value in values.items():
        parts = [str(part) for part in value] if isinstance(value, list) else [str(value)]
        words[name] = [word for part in parts for word in filled(part, words)]
    for name, remedy in read.get("absent", {}).items():
        for word in words[name]:
            if not word.startswith("-") and not Path(word).exists():
                raise InputError(f"{word} is not there: {remedy}")
    return words, read.get("step", [])


def filled(word: str, words: dict[str, list[str]]) -> list[str]:
    """Put the variables into a word of a command; a word that is a variable alone may become several."""
    alone = re.fullmatch(r"\{(\w+)\}", word)
    try:
        if alone:
            return words[alone[1]]
        return [re.sub(r"\{(\w+)\}", lambda found: " ".join(words[found[1]]), word)]
    except KeyError as missing:
        raise InputError(f"{word!r} names {missing}, which is not among {', '.join(words)}") from None


def climb(ladder: Path, *, smoke: bool = False, first: int = 1, given: list[str] | None = None) -> None:
    """Run the steps of a ladder, from the `first` on."""
    words, listed = rungs(ladder, smoke, given or [])
    steps = []
    for step in listed:
        command = [part for word in step["command"] for part in filled(word, words)]
        left = Path(*filled(step["until_gone"], words)) if "until_gone" in step else None
        steps.append(Step(str(step["purpose"]), tuple(command), left))
    if "output" in words:
        Path(words["output"][0]).mkdir(parents=True, exist_ok=True)
    walk(steps[first - 1 :])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ladder", type=Path)
    parser.add_argument("--smoke", action="store_true", help="a minute's trial on the sample in data/")
    parser.add_argument("--from", dest="first", type=int, default=1, help="the step to begin with")
    parser.add_argument("--set", dest="given", action="append", metavar="NAME=VALUE", help="another variable")
    asked = parser.parse_args()
    try:
        climb(asked.ladder, smoke=asked.smoke, first=asked.first, given=asked.given)
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except (SciMLError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
