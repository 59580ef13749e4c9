"""The notebooks: their two forms agree and contain no outputs. `make notebooks` runs them."""

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
    content: list[dict[str, object]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return content


def test_every_notebook_has_both_forms() -> None:
    assert TEXTS
    assert [path.stem for path in TEXTS] == [path.stem for path in sorted(FOLDER.glob("*.ipynb"))]


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)
def test_the_text_defines_no_function_or_class(text: Path) -> None:
    tree = ast.parse(text.read_text(encoding="utf-8"))
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    assert not [node for node in ast.walk(tree) if isinstance(node, definitions)], (
        "define functions and classes in sciml/"
    )


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)
def test_the_two_forms_agree(text: Path) -> None:
    jupytext = pytest.importorskip("jupytext", reason="pip install jupytext")
    from_text = [(cell.cell_type, cell.source) for cell in jupytext.read(text).cells]
    from_notebook = [
        (cell["cell_type"], "".join(cell["source"])) for cell in cells(text.with_suffix(".ipynb"))
    ]
    assert from_text == from_notebook, REMEDY


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)
def test_the_notebook_contains_no_outputs(text: Path) -> None:
    code = [cell for cell in cells(text.with_suffix(".ipynb")) if cell["cell_type"] == "code"]
    assert code
    assert not [cell for cell in code if cell["outputs"] or cell["execution_count"]], (
        "clear all outputs and save"
    )
