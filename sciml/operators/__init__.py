"""Neural operators on multigrid hierarchies, and the algorithms they make."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciml.operators.aware import HierarchyNet
    from sciml.operators.losses import relative_h1

__all__ = [
    "Corrected",
    "FNO",
    "HierarchyNet",
    "MgNO",
    "Neural",
    "Stepper",
    "TrainedOperator",
    "preconditioner",
    "relative_h1",
    "train",
]

_ROOMS = {
    "Corrected": "corrected",
    "FNO": "fno",
    "HierarchyNet": "aware",
    "MgNO": "mgno",
    "Neural": "neural",
    "Stepper": "stepper",
    "TrainedOperator": "trained",
    "preconditioner": "preconditioner",
    "relative_h1": "losses",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    """Import what needs torch only when it is asked for."""
    if name in _ROOMS:
        return getattr(importlib.import_module(f"sciml.operators.{_ROOMS[name]}"), name)
    raise AttributeError(f"module 'sciml.operators' has no attribute {name!r}")
