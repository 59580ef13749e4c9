"""The README and docs/: the code runs and prints what the text shows, commands parse, links resolve, numbers agree."""

from __future__ import annotations

import contextlib
import io
import json
import math
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import DATA, REPO

README = REPO / "README.md"
DOCS = REPO / "docs"
GENERATED = {"api", "commands", "gallery"}
"""Written by the build of the site."""
PAGES = [README, *sorted(p for p in DOCS.rglob("*.md") if p.relative_to(DOCS).parts[0] not in GENERATED)]
TUTORIAL = DOCS / "tutorial.md"
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
MOST_WORDS = 1200
MEASURED = "seconds"  # the lines whose numbers depend on the machine


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def numbers(text: str) -> list[float]:
    return [float(match.replace(",", "")) for match in NUMBER.findall(text)]


def words(text: str) -> list[str]:
    return NUMBER.sub("#", text).split()


def agree(shown: float, computed: float) -> bool:
    """Compare two numbers to two significant digits; where rounding would split near ones, to a thousandth."""
    return f"{shown:.1e}" == f"{computed:.1e}" or math.isclose(shown, computed, rel_tol=1e-3)


def differences(shown: str, computed: str) -> list[str]:
    """List the lines of two texts whose words differ, or whose numbers differ in the first two digits."""
    different = []
    for left, right in zip(shown.strip().splitlines(), computed.strip().splitlines(), strict=True):
        same = words(left) == words(right)
        if same and not left.strip().startswith(MEASURED):
            same = all(agree(a, b) for a, b in zip(numbers(left), numbers(right), strict=True))
        if not same:
            different.append(f"{left.strip()!r}: {right.strip()!r}")
    return different


@pytest.mark.parametrize(
    ("shown", "computed"), [("0.02652", "0.02629"), ("3.1e-08", "3.0e-8"), ("-12", "12")]
)
def test_other_digits_are_a_difference(shown: str, computed: str) -> None:
    assert differences(f"error {shown}", f"error {computed}")


@pytest.mark.parametrize(
    ("shown", "computed"), [("0.0266", "0.02655"), ("4.0501", "4.0499"), ("4,032", "4032"), ("0", "0")]
)
def test_later_digits_are_no_difference(shown: str, computed: str) -> None:
    assert differences(f"error {shown}", f"error  {computed}") == []


def test_another_word_is_a_difference() -> None:
    assert differences("error 1", "bound 1") == ["'error 1': 'bound 1'"]


@pytest.mark.slow
@pytest.mark.parametrize("example", range(2), ids=["weather", "operators"])
def test_the_code_of_the_readme_runs(example: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.chdir(REPO)
    pyplot.switch_backend("agg")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(blocks(README, "python")[example], "README.md", "exec"), {"__name__": "readme"})
    drawn = pyplot.gcf()
    assert drawn.axes[0].has_data()
    pyplot.close(drawn)
    assert printed.getvalue()


@pytest.mark.parametrize(("code", "text"), [(0, 0), (2, 1)], ids=["weather", "operators"])
def test_the_tutorial_shows_what_its_code_prints(
    code: int, text: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPO)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(blocks(TUTORIAL, "python")[code], "tutorial.md", "exec"), {"__name__": "tutorial"})
    assert differences(blocks(TUTORIAL, "text")[text], printed.getvalue()) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_all_code_is_python(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block, page.name, "exec")


def test_the_readme_is_short() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.split()) <= MOST_WORDS
    assert "not run" not in text
    examples = [block.strip().splitlines() for block in blocks(README, "python")]
    assert [len([line for line in lines if line]) for lines in examples] == [10, 6]
    assert [lines[-1].endswith(".plot()") for lines in examples] == [True, True]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_have_targets(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = [name for name in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in name]
    missing = [name for name in targets if not exists(page.parent / name)]
    cards = re.findall(r"^:link: (\S+)$", text, flags=re.MULTILINE)
    missing += [name for name in cards if not exists(page.parent / f"{name}.md")]
    assert missing == []


def exists(path: Path) -> bool:
    """Return whether a target exists, or is a page that the build writes."""
    relative = path.resolve().relative_to(REPO)
    if relative.parts[0] == "docs" and relative.parts[1] in GENERATED:
        kind, name = relative.parts[1:3]
        return Path(name).stem == "index" or (kind == "gallery" and (REPO / "notebooks" / name).exists())
    return path.resolve().exists()


def test_every_page_is_in_a_table_of_contents() -> None:
    for folder in (DOCS, DOCS / "guides"):
        trees = blocks(folder / "index.md", "{toctree}")
        listed = {line for tree in trees for line in tree.split() if not line.startswith(":")}
        assert {page.stem for page in folder.glob("*.md")} - {"index"} <= listed


def test_results_agree_with_the_records() -> None:
    completed = subprocess.run(
        [sys.executable, ".ci/results.py", "--check"], cwd=REPO, capture_output=True, text=True
    )
    assert completed.returncode == 0, completed.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_numbers_of_parameters_agree_with_the_records(page: Path) -> None:
    records = json.loads((DATA / "results.json").read_text())
    known = [*records["start"]["numbers"]["parameters"].values()]
    known += [network["parameters"] for network in records["compress"]["numbers"]["emulators"].values()]
    text = page.read_text(encoding="utf-8")
    assert {int(number.replace(",", "")) for number in re.findall(r"([\d,]+) parameters", text)} <= set(known)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_named_modules_and_objects_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    names = set(re.findall(r"`(sciml(?:\.[A-Za-z_]\w*)+)", text))
    names |= {
        f"{module}.{name}" for module, name in re.findall(r"^from (sciml[\w.]*) import (\w+)", text, re.M)
    }
    assert [name for name in sorted(names) if pydoc.locate(name) is None] == []
