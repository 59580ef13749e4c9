"""No module of the package imports itself by way of others, not even for type checking or inside a function."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

from tests.paths import REPO

PACKAGE = REPO / "sciml"


def module_name(path: Path) -> str:
    """The dotted name of a module; that of a package for its ``__init__.py``."""
    parts = path.relative_to(REPO).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, modules: set[str]) -> set[str]:
    """The modules of the package that a file imports, at any depth."""
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports are not used"
            source = node.module or ""
            names = {f"{source}.{alias.name}" for alias in node.names}
            # `from package import name` is an import of the package only if the name is no module of it.
            imported |= (names & modules) | ({source} if names - modules else set())
    return imported & modules


def graph(folder: Path) -> dict[str, set[str]]:
    paths = {module_name(path): path for path in sorted(folder.rglob("*.py"))}
    return {name: imports_of(path, set(paths)) - {name} for name, path in paths.items()}


def circle_of(modules: dict[str, set[str]]) -> list[str]:
    """The modules of one circle of imports, none where there is none."""
    try:
        graphlib.TopologicalSorter(modules).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_no_circle_of_imports() -> None:
    modules = graph(PACKAGE)
    assert len(modules) > 200
    assert "sciml.multigrid.settings" in modules["sciml.multigrid.hierarchy"]
    assert circle_of(modules) == []


def test_a_circle_is_reported() -> None:
    assert set(circle_of({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}
