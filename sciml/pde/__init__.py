"""PDE problems, their coefficients, grids and sparse systems, and datasets of their solutions.

The public names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciml.pde.advection import AdvectionDiffusion
    from sciml.pde.burgers import Burgers
    from sciml.pde.compatibility import check_compatible
    from sciml.pde.dataset import family_of, grid_of_dataset, inputs_of, problem_of, target_of
    from sciml.pde.direct import Direct
    from sciml.pde.elliptic import Darcy, Elliptic, Poisson, discretize
    from sciml.pde.families import FAMILIES, Family
    from sciml.pde.fields import (
        AnyMedium,
        GaussianField,
        Lognormal,
        Multiscale,
        PeriodicField,
        TwoPhase,
        WaveSpeed,
    )
    from sciml.pde.generation import generate
    from sciml.pde.grid import Boundary, Grid
    from sciml.pde.helmholtz import Helmholtz
    from sciml.pde.navier_stokes import NavierStokes
    from sciml.pde.reading import open_dataset
    from sciml.pde.solution import FieldSolution, labelled
    from sciml.pde.spectral import PseudoSpectral, trajectories
    from sciml.pde.store import write_dataset
    from sciml.pde.system import System
    from sciml.pde.terms import Terms

__all__ = [
    "PeriodicField",
    "trajectories",
    "PseudoSpectral",
    "NavierStokes",
    "Burgers",
    "WaveSpeed",
    "GaussianField",
    "Helmholtz",
    "AdvectionDiffusion",
    "AnyMedium",
    "Boundary",
    "Darcy",
    "Direct",
    "Elliptic",
    "FAMILIES",
    "Family",
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
    "family_of",
    "generate",
    "grid_of_dataset",
    "inputs_of",
    "labelled",
    "open_dataset",
    "problem_of",
    "target_of",
    "write_dataset",
]

_WHERE = {
    "PeriodicField": "fields",
    "trajectories": "spectral",
    "PseudoSpectral": "spectral",
    "NavierStokes": "navier_stokes",
    "Burgers": "burgers",
    "FAMILIES": "families",
    "Family": "families",
    "family_of": "dataset",
    "generate": "generation",
    "grid_of_dataset": "dataset",
    "inputs_of": "dataset",
    "open_dataset": "reading",
    "problem_of": "dataset",
    "target_of": "dataset",
    "write_dataset": "store",
    "WaveSpeed": "fields",
    "AnyMedium": "fields",
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
