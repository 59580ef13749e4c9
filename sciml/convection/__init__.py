"""The convection problem: columns, features, networks, constraints, the emulator.

Names are loaded when they are first used: what only reads or writes the store needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciml.convection.emulator import Emulator
    from sciml.convection.network import Architecture, BiLSTM
    from sciml.convection.problem import Convection, ConvectionSolution

__all__ = ["Architecture", "BiLSTM", "Convection", "ConvectionSolution", "Emulator"]

_WHERE = {
    "Architecture": "network",
    "BiLSTM": "network",
    "Convection": "problem",
    "ConvectionSolution": "problem",
    "Emulator": "emulator",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'sciml.convection' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"sciml.convection.{_WHERE[name]}"), name)
    globals()[name] = value
    return value
