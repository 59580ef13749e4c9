"""The check of words in names and texts, `.ci/words.py`, on small files."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.paths import REPO


@pytest.fixture(scope="module")
def words() -> ModuleType:
    spec = importlib.util.spec_from_file_location("words_check", REPO / ".ci" / "words.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def uses(words: ModuleType, folder: Path, name: str, text: str) -> list[tuple[int, str, str]]:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return [(use.line, use.kind, use.word) for use in words.uses_in_file(folder, name)]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("found = 1", [(1, "name", "found")]),
        ("self.not_found = 1", [(1, "name", "found")]),
        ("def tellTold(): ...", [(1, "name", "told")]),
        ("class Ladder: ...", [(1, "name", "ladder")]),
        ("def f(a, *, kept=0): ...", [(1, "name", "kept")]),
        ("[x for one in y]", [(1, "name", "one")]),
        ("import numpy as road", [(1, "name", "road")]),
        ("try: ...\nexcept E as said: ...", [(2, "name", "said")]),
        ("match x:\n    case [*rooms]: ...", [(2, "name", "rooms")]),
        ("x = 1  # it lacks y", [(1, "text", "lacks")]),
        ("# one\n# is held\n# against another", [(2, "text", "held against")]),
        ('"""What it\n\ncosts."""', [(1, "text", "What it costs")]),
        ('x = "a " "very"\ny = f"the {x} the very"', [(2, "text", "the very")]),
        ('x = "tests/a.py::test_is_told"', [(1, "text", "told")]),
        ('"""First.\n\nThe road."""', [(3, "text", "road")]),
    ],
)
def test_a_word_in_python(
    words: ModuleType, tmp_path: Path, code: str, expected: list[tuple[int, str, str]]
) -> None:
    assert uses(words, tmp_path, "module.py", code) == expected


@pytest.mark.parametrize(
    "code",
    [
        "print(library.found)",
        "f(found=1)",
        'raise FileNotFoundError("missing")',
        "one_thread = 1  # one thread on a broad background",
        'x = f"{found}"',
        "# a very large profound threshold",
    ],
)
def test_other_words_are_allowed(words: ModuleType, tmp_path: Path, code: str) -> None:
    assert uses(words, tmp_path, "module.py", code) == []


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.c", "int kept; /* don't */\n// house\n", [(1, "name", "kept"), (2, "text", "house")]),
        ("a.h", 'char *m = "is \\"told\\"";\n', [(1, "text", "told")]),
        ("a.c", "/* held\n * against */ int x;\n", [(1, "text", "held against")]),
        ("a.f90", "integer :: found ! one's\nx = 'said'\n", [(1, "name", "found"), (2, "text", "said")]),
        ("a.md", "# Title\n\nWhat it costs.\n", [(3, "text", "What it costs")]),
        ("a.toml", 'title = "the shortest road"\n', [(1, "text", "road")]),
        ("Makefile", "stranger:\n\techo\n", [(1, "text", "stranger")]),
        ("climb.py", "", [(1, "name", "climb")]),
        ("rooms/a.json", '{"told": 1}', [(1, "name", "rooms")]),
    ],
)
def test_a_word_in_another_file(
    words: ModuleType, tmp_path: Path, name: str, text: str, expected: list[tuple[int, str, str]]
) -> None:
    assert uses(words, tmp_path, name, text) == expected


def repository(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    return folder


def test_the_allow_list_covers_a_use(words: ModuleType, tmp_path: Path) -> None:
    entry = '[[allowed]]\npath = "notes*"\nword = "room"\ncontext = "clean room"\nreason = "a term of the field"\n'
    root = repository(tmp_path, **{"notes.md": "A clean room.\nA room.\n"})
    (root / ".ci").mkdir()
    (root / words.ALLOWED).write_text(entry, encoding="utf-8")
    refused, unused = words.check(root, ["notes.md"])
    assert [(use.line, use.word) for use in refused] == [(2, "room")]
    assert unused == []


def test_an_entry_without_a_use_is_reported(words: ModuleType, tmp_path: Path) -> None:
    root = repository(tmp_path, **{"notes.md": "Nothing.\n"})
    (root / ".ci").mkdir()
    entry = '[[allowed]]\npath = "{}"\nword = "room"\nreason = "a term of the field"\n'
    (root / words.ALLOWED).write_text(
        entry.format("notes.md") + entry.format("elsewhere/*"), encoding="utf-8"
    )
    refused, unused = words.check(root, ["notes.md"])
    assert refused == []
    assert [permission.path for permission in unused] == ["notes.md"]


def test_an_entry_needs_a_reason(words: ModuleType, tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    (tmp_path / words.ALLOWED).write_text(
        '[[allowed]]\npath = "a"\nword = "room"\nreason = " "\n', encoding="utf-8"
    )
    with pytest.raises(SystemExit, match="needs a reason"):
        words.read_permissions(tmp_path)


def test_the_command_prints_the_place_and_a_suggestion(tmp_path: Path) -> None:
    root = repository(tmp_path, **{"bench__a.py": "x = 1\nkept = 2\n"})
    command = [sys.executable, str(REPO / ".ci" / "words.py"), "--root", str(root)]
    completed = subprocess.run([*command, "bench"], capture_output=True, text=True, check=False)
    assert completed.returncode == 1
    assert completed.stdout == "bench/a.py:2: 'kept' in the name 'kept': stored, retained, unchanged\n"
    completed = subprocess.run([*command, "--count"], capture_output=True, text=True, check=True)
    assert completed.stdout.splitlines()[1].split() == ["bench", "1", "0"]


def test_checked_paths_exist(words: ModuleType) -> None:
    assert [path for path in words.CHECKED if not (REPO / path).exists()] == []
