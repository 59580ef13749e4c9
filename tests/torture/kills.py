"""Commands that are killed at random moments, then run to the end: their outputs must be those of whole runs."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from tests.torture.children import Ended, Kill, command, forked
from tests.torture.contents import digest, digests
from tests.torture.tasks import TASKS, Task

__all__ = ["Case", "Reference", "Result", "cases", "references", "run_case"]

FEW: Final = 48
"""Least number of kills for which the slow commands are among them."""
MOST: Final = 3
"""Most kills of a command, one after the other, before it may end."""


@dataclass(frozen=True)
class Reference:
    """What a command writes that nothing stops: digests by path, its time in seconds, and its file operations."""

    digests: dict[str, str]
    seconds: float
    operations: int
    old: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A command, and the draws of the moments at which it is killed: two numbers in [0, 1) and a choice each."""

    index: int
    name: str
    draws: tuple[tuple[float, float, int], ...]

    def kill(self, number: int, reference: Reference) -> Kill:
        """Return when the command is killed for the time of that number."""
        where, more, choice = self.draws[number]
        group = choice % 2 == 0
        if choice < 6:
            operation = 1 + int(where * max(reference.operations, 1))
            return Kill(operation, 0.0 if choice < 4 else 1e-4 + 0.02 * more**3, group)
        return Kill(None, where * reference.seconds, group)


@dataclass
class Result:
    """What came of a case: its kills (those that met a running command), and what was wrong."""

    index: int
    name: str
    kills: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)


def cases(seed: int, kills: int, chosen: str = "") -> list[Case]:
    """Draw cases until they have a number of kills together; few kills are those of the fast commands."""
    names = [name for name in TASKS if chosen in name and (chosen or kills >= FEW or TASKS[name].share >= 1)]
    shares = np.array([TASKS[name].share for name in names])
    drawn: list[Case] = []
    total = 0
    while total < kills:
        index = len(drawn)
        rng = np.random.default_rng([seed, index])
        number = min(int(rng.integers(1, MOST + 1)), kills - total)
        name = names[int(rng.choice(len(names), p=shares / shares.sum()))]
        draws = tuple(
            (float(rng.random()), float(rng.random()), int(rng.integers(0, 8))) for _ in range(number)
        )
        drawn.append(Case(index, name, draws))
        total += number
    return drawn


def references(names: set[str], inputs: Path, folder: Path) -> dict[str, Reference]:
    """Run each command once without a fault."""
    made = {}
    for name in sorted(names):
        task, where = TASKS[name], folder / f"reference-{name.replace(' ', '-')}"
        where.mkdir(parents=True)
        old: dict[str, str] = {}
        if task.old:
            _complete(task, inputs, where, old=True)
            old = digests(where)
            shutil.copytree(where, where.with_name(f"{where.name}-old"))
        ended = _complete(task, inputs, where)
        made[name] = Reference(digests(where), ended.seconds, ended.operations, old)
    return made


def _complete(task: Task, inputs: Path, where: Path, *, old: bool = False) -> Ended:
    ended = forked(command(task.command(inputs, old=old)), where, limit=600)
    if ended.status:
        raise RuntimeError(f"sciml {task.command(inputs, old=old)}: {ended.status}\n{ended.printed}")
    return ended


def run_case(case: Case, reference: Reference, inputs: Path, folder: Path) -> Result:
    """Kill a command, look at what it left, run it again, and compare its outputs with those of a whole run."""
    task, result = TASKS[case.name], Result(case.index, case.name)
    where = folder / f"case-{case.index}"
    if task.old:
        shutil.copytree(folder / f"reference-{case.name.replace(' ', '-')}-old", where)
    else:
        where.mkdir()
    words = task.command(inputs)
    seen = _Reader(where, reference, result)
    for number in range(len(case.draws)):
        kill = case.kill(number, reference)
        ended = forked(command(words), where, kill, watch=seen.look)
        result.kills += ended.status < 0
        seen.what = f"kill {number + 1} ({kill})"
        seen.look(again=True)
        if ended.status > 0:
            result.lost.append(f"{seen.what}: status {ended.status}: {ended.printed.strip()[-600:]}")
        _check_printed(ended, result)
    seen.what = "the last run"
    ended = forked(command(words), where, watch=seen.look)
    _check_printed(ended, result)
    if ended.status:
        result.lost.append(f"the last run: status {ended.status}: {ended.printed.strip()[-600:]}")
    else:
        _compare(where, reference, result)
    if not (result.lost or result.wrong or result.tracebacks):
        shutil.rmtree(where)
    return result


def _check_printed(ended: Ended, result: Result) -> None:
    if "Traceback" in ended.printed:
        result.tracebacks.append(ended.printed.strip()[-1500:])


def _compare(where: Path, reference: Reference, result: Result) -> None:
    there = digests(where)
    for name in sorted({*there, *reference.digests}):
        if name not in reference.digests:
            result.wrong.append(f"{name} is left over")
        elif there.get(name) != reference.digests[name]:
            result.wrong.append(f"{name} {'differs' if name in there else 'is missing'}")
    left = [str(path.relative_to(where)) for path in where.rglob(".*")]
    result.wrong += [f"{name} is left over" for name in left]


class _Reader:
    """Reads the outputs again and again while a command runs: each is absent, the old one, or the new one."""

    def __init__(self, where: Path, reference: Reference, result: Result) -> None:
        self.where, self.reference, self.result = where, reference, result
        self.known: dict[Path, tuple[int, int, int]] = {}
        self.what = "while it ran"

    def look(self, again: bool = False) -> None:
        """Read the outputs that changed since the last look."""
        for name, right in self.reference.digests.items():
            path = self.where / name
            before = _state(path)
            if before is None:
                if name in self.reference.old:
                    self._wrong(f"{self.what}: the old {name} is not there")
                continue
            if before == self.known.get(path) and not again:
                continue
            allowed = {right, self.reference.old.get(name)}
            problem = _read(path, allowed)
            if _state(path) != before:
                continue  # it was replaced while it was read
            self.known[path] = before
            if problem:
                self._wrong(f"{self.what}: {name} {problem}")

    def _wrong(self, text: str) -> None:
        if text not in self.result.wrong:
            self.result.wrong.append(text)


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        there = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return there.st_ino, there.st_size, there.st_mtime_ns


def _read(path: Path, allowed: set[str | None]) -> str:
    try:
        return "" if digest(path) in allowed else "is neither the old nor the new one"
    except Exception as error:
        return f"cannot be read ({type(error).__name__}: {error})"
