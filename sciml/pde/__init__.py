"""PDE problems, their coefficients, grids and sparse systems, and datasets of their solutions.

The public names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.lazy import attach

if TYPE_CHECKING:
    from sciml.pde.advection import AdvectionDiffusion as AdvectionDiffusion
    from sciml.pde.burgers import Burgers as Burgers
    from sciml.pde.complex_system import ComplexSystem as ComplexSystem
    from sciml.pde.dataset import family_of as family_of
    from sciml.pde.dataset import grid_of_dataset as grid_of_dataset
    from sciml.pde.dataset import inputs_of as inputs_of
    from sciml.pde.dataset import problem_of as problem_of
    from sciml.pde.dataset import target_of as target_of
    from sciml.pde.direct import Direct as Direct
    from sciml.pde.elliptic import Darcy as Darcy
    from sciml.pde.elliptic import Elliptic as Elliptic
    from sciml.pde.elliptic import Poisson as Poisson
    from sciml.pde.elliptic import discretize as discretize
    from sciml.pde.families import FAMILIES as FAMILIES
    from sciml.pde.families import Family as Family
    from sciml.pde.families import register as register
    from sciml.pde.generation import generate as generate
    from sciml.pde.grid import Boundary as Boundary
    from sciml.pde.grid import Grid as Grid
    from sciml.pde.helmholtz import Helmholtz as Helmholtz
    from sciml.pde.media import AnySpeed as AnySpeed
    from sciml.pde.media import InclusionSpeed as InclusionSpeed
    from sciml.pde.media import LayeredSpeed as LayeredSpeed
    from sciml.pde.media import SmoothSpeed as SmoothSpeed
    from sciml.pde.navier_stokes import NavierStokes as NavierStokes
    from sciml.pde.open_helmholtz import OpenHelmholtz as OpenHelmholtz
    from sciml.pde.open_helmholtz import PointSource as PointSource
    from sciml.pde.random_fields import AnyMedium as AnyMedium
    from sciml.pde.random_fields import GaussianField as GaussianField
    from sciml.pde.random_fields import Lognormal as Lognormal
    from sciml.pde.random_fields import Multiscale as Multiscale
    from sciml.pde.random_fields import PeriodicField as PeriodicField
    from sciml.pde.random_fields import TwoPhase as TwoPhase
    from sciml.pde.random_fields import WaveSpeed as WaveSpeed
    from sciml.pde.reading import open_dataset as open_dataset
    from sciml.pde.solution import FieldSolution as FieldSolution
    from sciml.pde.solution import labelled as labelled
    from sciml.pde.solvability import check_compatible as check_compatible
    from sciml.pde.spectral import PseudoSpectral as PseudoSpectral
    from sciml.pde.spectral import trajectories as trajectories
    from sciml.pde.system import System as System
    from sciml.pde.terms import Terms as Terms
    from sciml.pde.writing import write_dataset as write_dataset

__getattr__, __dir__, __all__ = attach(__name__, __file__)
