"""Files that are damaged at random, and read in processes with limits of time and memory."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.torture.children import forked
from tests.torture.damage import damage
from tests.torture.readers import READERS

__all__ = ["BATCH", "Batch", "batches", "read_batch"]

BATCH: Final = 20
"""Number of files that a process reads, one after the other."""
MEMORY: Final = 2 << 30
SECONDS: Final = 60.0


@dataclass(frozen=True)
class Batch:
    """Indices of damaged files, and the kind of each."""

    items: tuple[tuple[int, str], ...]


@dataclass
class Counted:
    """What came of a batch: numbers of files, of errors of sciml and of files that were read; and what was wrong."""

    files: int = 0
    refused: int = 0
    read: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def batches(seed: int, number: int, chosen: str = "", index: int | None = None) -> list[Batch]:
    """Draw the kinds of a number of files."""
    names = [name for name in READERS if chosen in name]
    shares = np.array([READERS[name].share for name in names])
    rng = np.random.default_rng([seed, 2**20])
    drawn = rng.choice(len(names), number, p=shares / shares.sum())
    items = [(each, names[int(kind)]) for each, kind in enumerate(drawn)]
    if index is not None:
        items = [item for item in items if item[0] == index]
    return [Batch(tuple(items[first : first + BATCH])) for first in range(0, len(items), BATCH)]


def read_batch(batch: Batch, seed: int, examples: Path, folder: Path) -> Counted:
    """Damage and read the files of a batch; after a crash another process continues behind the file."""
    counted, left = Counted(), list(batch.items)
    where = folder / f"files-{batch.items[0][0]}"
    where.mkdir()
    log = where / "log"
    while left:
        log.write_text("")
        for whole in where.glob("whole-*"):
            shutil.rmtree(whole)
        ended = forked(
            partial(_read_all, tuple(left), seed, examples, where, log),
            where,
            limit=SECONDS + 5 * len(left),
            memory=MEMORY,
        )
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        for line in lines:
            _count(counted, line)
        left = left[len(lines) :]
        if ended.status and left:
            index, name = left.pop(0)
            counted.files += 1
            what = "hangs" if ended.status == -14 else f"ends with status {ended.status}"
            counted.tracebacks.append(f"--index {index}: {name} {what}: {ended.printed.strip()[-1500:]}")
        elif left:
            counted.tracebacks.append(f"the process ended before {left}: {ended.printed.strip()[-600:]}")
            left = []
    shutil.rmtree(where)
    return counted


def _count(counted: Counted, line: dict[str, Any]) -> None:
    counted.files += 1
    counted.kinds[line["name"]] = counted.kinds.get(line["name"], 0) + 1
    where = f"--index {line['index']}: {line['name']}, {line['how']}"
    if line["outcome"] == "refused":
        counted.refused += 1
    elif line["outcome"] == "read":
        counted.read += 1
    elif line["outcome"] == "wrong":
        counted.wrong.append(f"{where}: other values than those of the whole file, without an error")
    else:
        counted.tracebacks.append(f"{where}: {line['outcome']}")


def _read_all(items: Sequence[tuple[int, str]], seed: int, examples: Path, where: Path, log: Path) -> None:
    """Read the files of a batch in this process."""
    import faulthandler

    faulthandler.enable()
    warnings.simplefilter("ignore")
    others = [
        examples / name for name in ("wrfout_d01_4.nc", "m.sciml", "kessler.toml", "d.npz", "w.nc", "d.pt")
    ]
    right: dict[str, Any] = {}
    for index, name in items:
        reader = READERS[name]
        copy = shutil.copytree if (examples / reader.name).is_dir() else shutil.copyfile
        if name not in right:
            whole = where / f"whole-{len(right)}" / reader.name
            whole.parent.mkdir()
            copy(examples / reader.name, whole)
            right[name] = reader.read(whole)
        rng = np.random.default_rng([seed, 2**20, index])
        target = where / "there"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        path = target / reader.name
        copy(examples / reader.name, path)
        damaged = path
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.is_file())
            described = [file for file in inside if file.suffix == ".json"]
            chosen = described if described and rng.random() < 0.5 else inside
            damaged = chosen[int(rng.integers(len(chosen)))]
        how = f"{damage(damaged, rng, others)} in {damaged.relative_to(target)}"
        print(f"{index}: {name}, {how}", flush=True)
        line = {"index": index, "name": name, "how": how, "outcome": _outcome(name, path, right[name])}
        with log.open("a") as file:
            file.write(json.dumps(line) + "\n")


def _outcome(name: str, path: Path, right: Any) -> str:
    import traceback

    from sciml.errors import SciMLError

    try:
        made = READERS[name].read(path)
    except SciMLError as error:
        text = str(error)
        return (
            "refused" if text and "\n" not in text else f"an error of {text.count(chr(10)) + 1} lines: {text}"
        )
    except Exception:
        return f"a traceback:\n{traceback.format_exc()}"
    return "read" if right is None or made == right else "wrong"
