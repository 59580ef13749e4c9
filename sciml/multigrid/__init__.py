"""Multigrid hierarchies of the discretised problems: pyamg's, and the same levels as tensors.

The public names are loaded when they are first used; only those of `tensors` and `structured` need torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciml.multigrid.amg import AMG
    from sciml.multigrid.bounds import Bounds, Contraction
    from sciml.multigrid.geometric import CoarseGrid, prolongation
    from sciml.multigrid.hierarchy import Hierarchy, Level
    from sciml.multigrid.iteration import Iteration

__all__ = [
    "AMG",
    "Bounds",
    "CoarseGrid",
    "Contraction",
    "Hierarchy",
    "Iteration",
    "Level",
    "prolongation",
]

_WHERE = {
    "AMG": "amg",
    "Bounds": "bounds",
    "CoarseGrid": "geometric",
    "Contraction": "bounds",
    "Hierarchy": "hierarchy",
    "Iteration": "iteration",
    "Level": "hierarchy",
    "prolongation": "geometric",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'sciml.multigrid' has no attribute {name!r}")
    return getattr(importlib.import_module(f"sciml.multigrid.{_WHERE[name]}"), name)
