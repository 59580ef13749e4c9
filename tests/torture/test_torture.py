"""A slice of `make torture`, and the parts that it is made of."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.paths import REPO
from tests.torture.children import Kill, forked
from tests.torture.kills import cases


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_is_lost_wrong_or_a_traceback(tmp_path: Path) -> None:
    words = ["--seconds", "30", "--seed", "11", "--jobs", "1", "--folder", str(tmp_path / "torture")]
    done = subprocess.run(
        [sys.executable, "-m", "tests.torture", *words, "--json", str(tmp_path / "t.json")],
        cwd=REPO,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    counts = json.loads((tmp_path / "t.json").read_text())
    assert counts["kills"]["kills"] >= 5
    assert counts["files"]["files"] == 105 and counts["files"]["refused"] > 20
    for part in ("kills", "files"):
        assert all(counts[part][kind] == 0 for kind in ("lost", "wrong", "tracebacks"))


def test_a_process_is_killed_at_its_nth_file_operation(tmp_path: Path) -> None:
    where = tmp_path / "there"
    where.mkdir()

    def work() -> None:
        for name in "abcd":
            (where / name).write_text(name)

    assert forked(work, where).operations == 4
    for path in where.iterdir():
        path.unlink()
    ended = forked(work, where, Kill(3))
    assert ended.status == -signal.SIGKILL
    assert sorted(path.name for path in where.iterdir()) == ["a", "b"]


def test_a_process_that_hangs_or_raises(tmp_path: Path) -> None:
    where = tmp_path / "there"
    where.mkdir()
    assert forked(lambda: time.sleep(60), where, limit=0.05).status == -signal.SIGALRM
    assert forked(lambda: time.sleep(60), where, Kill(None, 0.05)).status == -signal.SIGKILL
    ended = forked(lambda: print(1 / 0), where)
    assert ended.status == 70 and "Traceback" in ended.printed and "ZeroDivisionError" in ended.printed


def test_the_cases_depend_on_seed_and_index_alone() -> None:
    first, more = cases(11, 50), cases(11, 60)
    assert more[: len(first) - 1] == first[:-1]
    assert sum(len(case.draws) for case in more) == 60
    assert cases(13, 50) != first
