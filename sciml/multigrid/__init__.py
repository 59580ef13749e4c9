"""Multigrid hierarchies of the discretised problems, built by pyamg or from the grid.

The public names are loaded when they are first used, and do not need torch. `sciml.multigrid.torch` has the same levels
as tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.lazy import attach

if TYPE_CHECKING:
    from sciml.multigrid.amg import AMG as AMG
    from sciml.multigrid.bounds import Bounds as Bounds
    from sciml.multigrid.bounds import Contraction as Contraction
    from sciml.multigrid.hierarchy import Hierarchy as Hierarchy
    from sciml.multigrid.hierarchy import Level as Level
    from sciml.multigrid.interpolation import CoarseGrid as CoarseGrid
    from sciml.multigrid.interpolation import prolongation as prolongation
    from sciml.multigrid.krylov import Iteration as Iteration
    from sciml.multigrid.shifted_laplacian import ShiftedLaplacian as ShiftedLaplacian

__getattr__, __dir__, __all__ = attach(__name__, __file__)
