"""Neural operators on multigrid hierarchies, and the algorithms they make."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciml.operators.aware import HierarchyNet
    from sciml.operators.corrected import Corrected
    from sciml.operators.fno import FNO
    from sciml.operators.losses import relative_h1
    from sciml.operators.mgno import MgNO
    from sciml.operators.neural import Neural
    from sciml.operators.preconditioning import Preconditioned, preconditioner
    from sciml.operators.stepper import Stepper
    from sciml.operators.trained import TrainedOperator
    from sciml.operators.training import train

__all__ = [
    "Corrected",
    "FNO",
    "HierarchyNet",
    "MgNO",
    "Neural",
    "Preconditioned",
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
    "Preconditioned": "preconditioning",
    "Stepper": "stepper",
    "TrainedOperator": "trained",
    "preconditioner": "preconditioning",
    "relative_h1": "losses",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    """Import what needs torch only when it is asked for."""
    if name in _ROOMS:
        return getattr(importlib.import_module(f"sciml.operators.{_ROOMS[name]}"), name)
    raise AttributeError(f"module 'sciml.operators' has no attribute {name!r}")
