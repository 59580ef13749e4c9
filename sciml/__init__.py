"""sciml: neural emulators and operators by one verb, ``solve(problem, algorithm)``.

The public names are loaded when they are first used: importing sciml imports neither torch nor xarray.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sciml.errors import SciMLError
from sciml.solve import Result, init, solve

if TYPE_CHECKING:
    from sciml.cluster import client
    from sciml.convection import Convection, Emulator
    from sciml.convection.store import open_columns, write_columns
    from sciml.coupling import FortranEmulator
    from sciml.wrf import columns_to_map, convection_columns, open_wrfout

__all__ = [
    "Convection",
    "Emulator",
    "FortranEmulator",
    "Result",
    "SciMLError",
    "__version__",
    "client",
    "columns_to_map",
    "convection_columns",
    "init",
    "open_columns",
    "open_wrfout",
    "solve",
    "write_columns",
]

__version__ = "0.1.0"

_WHERE = {
    "Convection": "sciml.convection",
    "Emulator": "sciml.convection",
    "FortranEmulator": "sciml.coupling",
    "client": "sciml.cluster",
    "columns_to_map": "sciml.wrf",
    "convection_columns": "sciml.wrf",
    "open_columns": "sciml.convection.store",
    "open_wrfout": "sciml.wrf",
    "write_columns": "sciml.convection.store",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'sciml' has no attribute {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
