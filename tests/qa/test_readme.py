"""The README tells the truth: its code runs, prints what it says, and its links lead somewhere."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import DATA, REPO

TEXT = (REPO / "README.md").read_text()
PRETRAINED = DATA / "mskf-convrad.sciml"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


def shape(printed: str) -> list[str]:
    """Take the numbers and the spacing out: what remains is the same on every machine."""
    return [
        re.sub(r"[-+]?\d[\d.,e+-]*", "#", " ".join(line.split())) for line in printed.strip().splitlines()
    ]


@pytest.mark.skipif(
    not PRETRAINED.exists(), reason=f"no pretrained emulator: {PRETRAINED.name} is not in data/"
)
@pytest.mark.parametrize("example", range(2), ids=["operators", "weather"])
def test_the_code_prints_what_the_readme_says(example: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPO)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(blocks("python")[example], "README.md", "exec"), {"__name__": "readme"})
    assert shape(printed.getvalue()) == shape(blocks("text")[example])


def test_all_of_it_is_python() -> None:
    for block in blocks("python"):
        compile(block, "README.md", "exec")


def test_links_lead_somewhere() -> None:
    targets = [name for name in re.findall(r"\]\(([^)#]+)\)", TEXT) if "://" not in name]
    missing = [name for name in targets if not (REPO / name).exists()]
    # The picture is made with the pretrained emulator.
    allowed = set() if PRETRAINED.exists() else {"data/readme.png"}
    assert set(missing) <= allowed


def test_the_house_is_told_as_it_stands() -> None:
    told = TEXT.split("## How to contribute")[1].split("## ")[0]
    rooms = {path.parent.name for path in (REPO / "sciml").glob("*/__init__.py")}
    assert not [room for room in rooms if f"sciml/{room}/" not in told]
    named = [Path(name) for name in re.findall(r"\bsciml/\w+/|\bsciml/\w+\.py", told)]
    assert not [str(path) for path in named if not (REPO / path).exists()]


def test_the_results_are_those_on_record() -> None:
    done = subprocess.run(
        [sys.executable, ".ci/results.py", "--check"], cwd=REPO, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
