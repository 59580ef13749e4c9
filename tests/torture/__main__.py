"""Kill commands at random moments and damage files at random: nothing may be lost, wrong, or end in a traceback.

    python -m tests.torture [--seconds 600] [--seed 7] [--only kills|files] [--index N] [--jobs 2] [--json FILE]

The number of cases is a function of `--seconds`, so that a seed and an index name a case on any machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tests.torture import files, kills
from tests.torture.children import forked, preload
from tests.torture.readers import make_examples
from tests.torture.tasks import make_inputs

KILLS_A_SECOND: Final = 0.4
FILES_A_SECOND: Final = 3.5


def shared_out(
    jobs: int, items: Sequence[Any], work: Callable[[Any], dict[str, Any]], folder: Path
) -> Iterator[dict[str, Any]]:
    """Do the work of the items in forked processes, and yield the results as they come."""
    children = []
    for job in range(jobs):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with (folder / f"results-{job}").open("w") as file:
                    for item in items[job::jobs]:
                        file.write(json.dumps(work(item)) + "\n")
                        file.flush()
                status = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                os._exit(status)
        children.append(child)
    read = [0] * jobs
    running = set(children)
    while True:
        for child in list(running):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                running.discard(child)
                if status:
                    raise SystemExit(
                        f"a process of the test itself ended with {os.waitstatus_to_exitcode(status)}"
                    )
        ended = not running
        for job in range(jobs):
            path = folder / f"results-{job}"
            lines = path.read_text().splitlines(keepends=True) if path.exists() else []
            whole = [line for line in lines if line.endswith("\n")]
            for line in whole[read[job] :]:
                yield json.loads(line)
            read[job] = len(whole)
        if ended:
            return
        time.sleep(0.1)


def torture_kills(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Kill commands, and return the counts."""
    drawn = kills.cases(given.seed, round(KILLS_A_SECOND * given.seconds), given.task)
    if given.index is not None:
        drawn = [case for case in drawn if case.index == given.index]
    inputs = folder / "inputs"
    folder.mkdir(parents=True)
    make_inputs(inputs)
    known = kills.references({case.name for case in drawn}, inputs, folder)
    total: dict[str, Any] = {"kills": 0, "lost": 0, "wrong": 0, "tracebacks": 0, "commands": {}}

    def work(case: kills.Case) -> dict[str, Any]:
        return asdict(kills.run_case(case, known[case.name], inputs, folder))

    for result in shared_out(given.jobs, drawn, work, folder):
        total["kills"] += result["kills"]
        total["commands"][result["name"]] = total["commands"].get(result["name"], 0) + result["kills"]
        for kind in ("lost", "wrong", "tracebacks"):
            total[kind] += bool(result[kind])
            for text in result[kind]:
                print(
                    f"{kind}: {result['name']}, --seed {given.seed} --index {result['index']}: {text}",
                    flush=True,
                )
    return total


def torture_files(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Damage files and read them, and return the counts."""
    examples = folder / "examples"
    examples.mkdir(parents=True)
    made = forked(lambda: make_examples(examples), examples, limit=600)
    if made.status:
        raise RuntimeError(made.printed)
    drawn = files.batches(given.seed, round(FILES_A_SECOND * given.seconds), given.task, given.index)
    total: dict[str, Any] = {
        "files": 0,
        "refused": 0,
        "read": 0,
        "lost": 0,
        "wrong": 0,
        "tracebacks": 0,
        "kinds": {},
    }

    def work(batch: files.Batch) -> dict[str, Any]:
        return asdict(files.read_batch(batch, given.seed, examples, folder))

    for counted in shared_out(given.jobs, drawn, work, folder):
        for kind in ("files", "refused", "read"):
            total[kind] += counted[kind]
        for name, count in counted["kinds"].items():
            total["kinds"][name] = total["kinds"].get(name, 0) + count
        for kind in ("wrong", "tracebacks"):
            total[kind] += len(counted[kind])
            for text in counted[kind]:
                shown = (
                    text
                    if given.index is not None
                    else f"{text.splitlines()[0]} {text.splitlines()[-1][:300]}"
                )
                print(f"{kind}: --only files --seed {given.seed} {shown}", flush=True)
    return total


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both parts, print the counts, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600, help="approximate time on two free processors")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", choices=("kills", "files"))
    parser.add_argument("--index", type=int, help="run this case alone, and leave its folder")
    parser.add_argument("--task", default="", help="part of the names of the commands to kill")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="folder for all files, which then stays")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    begun = time.monotonic()
    preload()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="sciml-torture-"))
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, Any] = {}
    if given.only != "files":
        made["kills"] = torture_kills(given, folder / "kills")
    if given.only != "kills":
        made["files"] = torture_files(given, folder / "files")
    seconds = time.monotonic() - begun
    lost, wrong, tracebacks = (
        sum(part[kind] for part in made.values()) for kind in ("lost", "wrong", "tracebacks")
    )
    bad = lost + wrong + tracebacks
    number = [
        f"{made[part][part]} {name}"
        for part, name in (("kills", "kills"), ("files", "corrupted files"))
        if part in made
    ]
    print(
        f"{', '.join(number)}: {lost} lost, {wrong} wrong, {tracebacks} tracebacks (seed {given.seed}, {seconds:.0f} s)"
    )
    if given.json:
        given.json.write_text(json.dumps({"seed": given.seed, "seconds": seconds, **made}, indent=1) + "\n")
    if bad:
        print(f"the folders of these cases: {folder}")
    elif given.folder is None:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
