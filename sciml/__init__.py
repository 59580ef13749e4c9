"""sciml: neural emulators and operators by one verb, ``solve(problem, algorithm)``.

The public names are loaded when they are first used: importing sciml imports neither torch nor xarray. It registers
the accessor ``ds.sciml`` of xarray's datasets, before or after xarray is imported.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sciml.accessor import register_accessor
from sciml.errors import SciMLError
from sciml.solve import Result, init, solve

if TYPE_CHECKING:
    from sciml.cluster import client
    from sciml.convection import Convection, Emulator
    from sciml.convection.store import open_columns, write_columns
    from sciml.coupling import FortranEmulator
    from sciml.multigrid import AMG
    from sciml.operators import FNO, Corrected, HierarchyNet, MgNO, Neural, Stepper
    from sciml.pde import (
        AdvectionDiffusion,
        Boundary,
        Burgers,
        Darcy,
        Direct,
        Helmholtz,
        Lognormal,
        Multiscale,
        NavierStokes,
        Poisson,
        PseudoSpectral,
        TwoPhase,
        discretize,
        generate,
        open_dataset,
        problem_of,
        write_dataset,
    )
    from sciml.wrf import columns_to_map, convection_columns, open_wrfout

__all__ = [
    "AMG",
    "AdvectionDiffusion",
    "Boundary",
    "Burgers",
    "Convection",
    "Corrected",
    "Darcy",
    "Direct",
    "Emulator",
    "FNO",
    "FortranEmulator",
    "Helmholtz",
    "HierarchyNet",
    "Lognormal",
    "MgNO",
    "Multiscale",
    "NavierStokes",
    "Neural",
    "Poisson",
    "PseudoSpectral",
    "Result",
    "SciMLError",
    "Stepper",
    "TwoPhase",
    "__version__",
    "client",
    "columns_to_map",
    "convection_columns",
    "discretize",
    "generate",
    "init",
    "open_columns",
    "open_dataset",
    "open_wrfout",
    "problem_of",
    "solve",
    "write_columns",
    "write_dataset",
]

__version__ = "0.1.0"

register_accessor()

_WHERE = {
    "AdvectionDiffusion": "sciml.pde",
    "AMG": "sciml.multigrid",
    "Boundary": "sciml.pde",
    "Burgers": "sciml.pde",
    "client": "sciml.cluster",
    "columns_to_map": "sciml.wrf",
    "Convection": "sciml.convection",
    "convection_columns": "sciml.wrf",
    "Corrected": "sciml.operators",
    "Darcy": "sciml.pde",
    "Direct": "sciml.pde",
    "discretize": "sciml.pde",
    "Emulator": "sciml.convection",
    "FNO": "sciml.operators",
    "FortranEmulator": "sciml.coupling",
    "generate": "sciml.pde",
    "Helmholtz": "sciml.pde",
    "HierarchyNet": "sciml.operators",
    "Lognormal": "sciml.pde",
    "MgNO": "sciml.operators",
    "Multiscale": "sciml.pde",
    "NavierStokes": "sciml.pde",
    "Neural": "sciml.operators",
    "open_columns": "sciml.convection.store",
    "open_dataset": "sciml.pde",
    "open_wrfout": "sciml.wrf",
    "Poisson": "sciml.pde",
    "problem_of": "sciml.pde",
    "PseudoSpectral": "sciml.pde",
    "Stepper": "sciml.operators",
    "TwoPhase": "sciml.pde",
    "write_columns": "sciml.convection.store",
    "write_dataset": "sciml.pde",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'sciml' has no attribute {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
