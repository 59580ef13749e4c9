"""Public names of a package that are loaded when they are first used."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["attach"]


def attach(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make ``__getattr__``, ``__dir__`` and ``__all__`` of a package from the imports in its own source.

    Each public name is written once, as ``from module import name as name``: names imported under
    ``if TYPE_CHECKING:`` are loaded when they are first used, the others are there already. Type checkers read the
    same lines.

    Parameters
    ----------
    package, file
        ``__name__`` and ``__file__`` of the package.
    """
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    lazy: dict[str, str] = {}
    public: list[str] = []
    blocks = [node.body for node in tree.body if isinstance(node, ast.If)]
    for body, is_lazy in ((tree.body, False), *((block, True) for block in blocks)):
        for node in body:
            if not isinstance(node, ast.ImportFrom):
                continue
            names = [alias.name for alias in node.names if alias.asname == alias.name]
            public += names
            lazy |= dict.fromkeys(names, node.module or package) if is_lazy else {}

    def load(name: str) -> Any:
        if name not in lazy:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if lazy[name] == package:  # a module of the package itself
            return importlib.import_module(f"{package}.{name}")
        value = getattr(importlib.import_module(lazy[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    public.sort()
    return load, lambda: list(public), public
