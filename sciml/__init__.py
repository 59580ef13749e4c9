"""sciml: neural emulators and operators by one verb, ``solve(problem, algorithm)``.

The public names are loaded when they are first used: importing sciml imports neither torch nor xarray. It registers
the accessor ``ds.sciml`` of xarray's datasets, before or after xarray is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.accessor import register_accessor
from sciml.errors import SciMLError as SciMLError
from sciml.lazy import attach
from sciml.solve import Result as Result
from sciml.solve import init as init
from sciml.solve import solve as solve
from sciml.version import __version__ as __version__

if TYPE_CHECKING:
    from sciml import convection as convection
    from sciml import operators as operators
    from sciml import plot as plot
    from sciml import train as train
    from sciml import verify as verify
    from sciml.columns import columns_to_map as columns_to_map
    from sciml.columns import convection_columns as convection_columns
    from sciml.columns.open import open_columns as open_columns
    from sciml.columns.open import write_columns as write_columns
    from sciml.convection import Convection as Convection
    from sciml.convection import Emulator as Emulator
    from sciml.coupling import FortranEmulator as FortranEmulator
    from sciml.multigrid import AMG as AMG
    from sciml.multigrid import ShiftedLaplacian as ShiftedLaplacian
    from sciml.operators import FNO as FNO
    from sciml.operators import Corrected as Corrected
    from sciml.operators import HierarchyNet as HierarchyNet
    from sciml.operators import MgNO as MgNO
    from sciml.operators import Neural as Neural
    from sciml.operators import Stepper as Stepper
    from sciml.parallel.cluster import client as client
    from sciml.pde import AdvectionDiffusion as AdvectionDiffusion
    from sciml.pde import Boundary as Boundary
    from sciml.pde import Burgers as Burgers
    from sciml.pde import Darcy as Darcy
    from sciml.pde import Direct as Direct
    from sciml.pde import Helmholtz as Helmholtz
    from sciml.pde import Lognormal as Lognormal
    from sciml.pde import Multiscale as Multiscale
    from sciml.pde import NavierStokes as NavierStokes
    from sciml.pde import OpenHelmholtz as OpenHelmholtz
    from sciml.pde import PointSource as PointSource
    from sciml.pde import Poisson as Poisson
    from sciml.pde import PseudoSpectral as PseudoSpectral
    from sciml.pde import TwoPhase as TwoPhase
    from sciml.pde import discretize as discretize
    from sciml.pde import generate as generate
    from sciml.pde import open_dataset as open_dataset
    from sciml.pde import problem_of as problem_of
    from sciml.pde import write_dataset as write_dataset
    from sciml.storage.packaged import packaged as packaged
    from sciml.wrf import open_wrfout as open_wrfout

__getattr__, __dir__, __all__ = attach(__name__, __file__)

register_accessor()
