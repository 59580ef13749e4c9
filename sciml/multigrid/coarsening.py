"""How the levels below the finest are found: by strength of connection, by aggregates, or by the grid."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import scipy.sparse as sp

from sciml.multigrid.hierarchy import Hierarchy, assemble
from sciml.multigrid.interpolation import prolongations
from sciml.pde.system import System

if TYPE_CHECKING:
    from sciml.multigrid.amg import AMG

__all__ = ["build"]


def build(system: System, algorithm: AMG) -> Hierarchy:
    """Build the hierarchy of a system, reproducibly: no method draws random numbers."""
    start = time.perf_counter()
    if algorithm.method == "geometric":
        # One unknown would be nothing but the kernel of a semidefinite matrix.
        found, grids = prolongations(system.grid, least=2 if system.kind == "semidefinite" else 1)
        pairs = [(p, sp.csr_matrix(p.T)) for p in found]
        return assemble(system, algorithm, pairs, [grid.shape for grid in grids], start=start)
    made = _classical(system) if algorithm.method == "ruge_stuben" else _aggregated(system)
    pairs = [(sp.csr_matrix(level.P), sp.csr_matrix(level.R)) for level in made.levels[:-1]]
    shapes = [system.grid.shape] + [None] * len(pairs)
    matrices = [level.A for level in made.levels]
    return assemble(system, algorithm, pairs, shapes, matrices=matrices, start=start)


def _classical(system: System) -> Any:
    """Ruge and Stuben 1987: interpolation along strong connections."""
    from pyamg import ruge_stuben_solver

    return ruge_stuben_solver(_own(system), presmoother=None, postsmoother=None)


def _aggregated(system: System) -> Any:
    """Vanek, Mandel and Brezina 1996: aggregates with the constant as near-nullspace, smoothed."""
    from pyamg import smoothed_aggregation_solver

    return smoothed_aggregation_solver(
        _own(system),
        symmetry="nonsymmetric" if system.kind == "nonsymmetric" else "hermitian",
        strength=("symmetric", {"theta": 0.08}),  # aggregates end where the coefficient jumps
        smooth=("jacobi", {"omega": 4.0 / 3.0, "weighting": "local"}),  # 'spectral' draws random numbers
        presmoother=None,
        postsmoother=None,
    )


def _own(system: System) -> Any:
    """A copy that pyamg may sort and attach things to."""
    return sp.csr_matrix(system.matrix, copy=True)
