"""One word, one meaning: each public class and schema of the package has one definition."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache

import pytest

from tests.paths import REPO

WORDS = (
    *("Layout", "Cycle", "Source", "Precision", "Spectrum", "SCHEMA", "KIND", "Moments"),
    *("Architecture", "Objective", "Normalisation"),
)
"""Names that had two to five definitions; now at most one."""


@cache
def definitions() -> dict[str, list[str]]:
    """Files that define each public name at their top level, by class, assignment or type alias."""
    files: dict[str, list[str]] = defaultdict(list)
    for path in sorted((REPO / "sciml").rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                names = [node.name]
            elif isinstance(node, ast.Assign):
                names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names = [node.target.id]
            else:
                names = []
            for name in names:
                files[name].append(str(path.relative_to(REPO)))
    return files


@pytest.mark.parametrize("word", WORDS)
def test_a_word_has_one_definition(word: str) -> None:
    assert len(definitions()[word]) <= 1, definitions()[word]
