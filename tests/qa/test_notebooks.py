"""The notebooks' two forms agree, hold no outputs, and are Python; `make notebooks` runs them."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from tests.paths import REPO

FOLDER = REPO / "notebooks"
TEXTS = sorted(FOLDER.glob("*.py"))
REMEDY = "jupytext --update --to ipynb notebooks/*.py"


def cells(path: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return found


def test_every_notebook_has_both_forms() -> None:
    assert TEXTS
    assert [path.stem for path in TEXTS] == [path.stem for path in sorted(FOLDER.glob("*.ipynb"))]


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)
def test_its_text_is_python_and_defines_nothing(text: Path) -> None:
    tree = ast.parse(text.read_text(encoding="utf-8"))
    made = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    assert not [node for node in ast.walk(tree) if isinstance(node, made)], (
        "what has a name belongs into sciml/"
    )


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)
def test_its_two_forms_agree(text: Path) -> None:
    jupytext = pytest.importorskip("jupytext", reason="pip install jupytext")
    told = [(one.cell_type, one.source) for one in jupytext.read(text).cells]
    held = [(one["cell_type"], "".join(one["source"])) for one in cells(text.with_suffix(".ipynb"))]
    assert told == held, REMEDY


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)
def test_it_holds_no_outputs(text: Path) -> None:
    code = [one for one in cells(text.with_suffix(".ipynb")) if one["cell_type"] == "code"]
    assert code
    assert not [one for one in code if one["outputs"] or one["execution_count"]], (
        "clear all outputs, and save"
    )
