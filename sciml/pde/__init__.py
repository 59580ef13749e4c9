"""PDE problems, their coefficients, grids and sparse systems, and datasets of their solutions.

The public names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciml.pde.advection import AdvectionDiffusion
    from sciml.pde.compatibility import check_compatible
    from sciml.pde.direct import Direct
    from sciml.pde.elliptic import Darcy, Elliptic, Poisson, discretize
    from sciml.pde.fields import GaussianField, Lognormal, Multiscale, TwoPhase, WaveSpeed
    from sciml.pde.grid import Boundary, Grid
    from sciml.pde.helmholtz import Helmholtz
    from sciml.pde.solution import FieldSolution, labelled
    from sciml.pde.system import System
    from sciml.pde.terms import Terms

__all__ = [
    "WaveSpeed",
    "GaussianField",
    "Helmholtz",
    "AdvectionDiffusion",
    "Boundary",
    "Darcy",
    "Direct",
    "Elliptic",
    "FieldSolution",
    "Grid",
    "Lognormal",
    "Multiscale",
    "Poisson",
    "System",
    "Terms",
    "TwoPhase",
    "check_compatible",
    "discretize",
    "labelled",
]

_WHERE = {
    "WaveSpeed": "fields",
    "GaussianField": "fields",
    "Helmholtz": "helmholtz",
    "AdvectionDiffusion": "advection",
    "Boundary": "grid",
    "Darcy": "elliptic",
    "Direct": "direct",
    "Elliptic": "elliptic",
    "FieldSolution": "solution",
    "Grid": "grid",
    "Lognormal": "fields",
    "Multiscale": "fields",
    "Poisson": "elliptic",
    "System": "system",
    "Terms": "terms",
    "TwoPhase": "fields",
    "check_compatible": "compatibility",
    "discretize": "elliptic",
    "labelled": "solution",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'sciml.pde' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"sciml.pde.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
