"""Coarsening: the levels below the finest, by strength of connection, by aggregates, or by the grid."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import scipy.sparse as sp

from sciml.errors import InputError
from sciml.multigrid.hierarchy import Hierarchy, assemble
from sciml.multigrid.interpolation import prolongations
from sciml.multigrid.settings import Settings
from sciml.pde.system import System

__all__ = ["build"]

STRONG = 0.08
"""A connection is strong if it is at least this fraction of the geometric mean of the two diagonal entries."""
MANY = 500
"""Number of unknowns on the coarsest level above which coarsening continues along weak connections."""


def build(system: System, algorithm: Settings) -> Hierarchy:
    """Build the hierarchy of a system, without random numbers, so that it is reproducible."""
    start = time.perf_counter()
    if algorithm.method == "geometric":
        # A semidefinite matrix with one unknown is zero.
        transfers, grids = prolongations(system.on_grid, least=2 if system.kind == "semidefinite" else 1)
        pairs = [(p, sp.csr_matrix(p.T)) for p in transfers]
        return assemble(system, algorithm, pairs, [grid.shape for grid in grids], start=start)
    if algorithm.method == "ruge_stuben" and system.near_nullspace is not None:
        raise InputError(
            "near_nullspace is used by smoothed aggregation only: give AMG('smoothed_aggregation'), or leave it out"
        )
    levels = _classical(system) if algorithm.method == "ruge_stuben" else _aggregated(system)
    pairs = [(sp.csr_matrix(level.P), sp.csr_matrix(level.R)) for level in levels[:-1]]
    shapes: list[Any] = [None if system.grid is None else system.grid.shape] + [None] * len(pairs)
    matrices = [level.A for level in levels]
    return assemble(system, algorithm, pairs, shapes, matrices=matrices, start=start)


def _classical(system: System) -> list[Any]:
    """Coarsen by Ruge and Stuben (1987): interpolation along strong connections."""
    from pyamg import ruge_stuben_solver

    return _useful(ruge_stuben_solver(_own(system), presmoother=None, postsmoother=None).levels)


def _aggregated(system: System) -> list[Any]:
    """Coarsen by smoothed aggregates (Vanek, Mandel and Brezina 1996), with constants or the given near-nullspace."""
    # Aggregates end where the coefficient jumps.
    levels = _useful(_aggregates(system, [STRONG]))
    if levels[-1].A.shape[0] > MANY:
        # No connection is strong on that level (a stretched grid): all connections count there and below.
        levels = _useful(_aggregates(system, [STRONG] * (len(levels) - 1) + [0.0]))
    return levels


def _aggregates(system: System, strong: list[float]) -> list[Any]:
    """Return the levels for a threshold of strong connections on each; the last applies to all coarser levels."""
    from pyamg import smoothed_aggregation_solver

    matrix, modes = _own(system), system.near_nullspace
    if system.block_size > 1:
        matrix = sp.bsr_matrix(matrix, blocksize=(system.block_size, system.block_size))
    made = smoothed_aggregation_solver(
        matrix,
        B=None if modes is None else modes.copy(),
        symmetry="nonsymmetric" if system.kind == "nonsymmetric" else "hermitian",
        strength=[("symmetric", {"theta": theta}) for theta in strong],
        smooth=("jacobi", {"omega": 4.0 / 3.0, "weighting": "local"}),  # 'spectral' draws random numbers
        presmoother=None,
        postsmoother=None,
    )
    return list(made.levels)


def _useful(levels: list[Any]) -> list[Any]:
    """Drop the levels below a prolongation with an empty column.

    If no connection is strong, pyamg makes a level with a single zero.
    """
    for k, level in enumerate(levels[:-1]):
        reached = np.asarray(abs(sp.csr_matrix(level.P)).sum(axis=0)).ravel()
        if reached.size == 0 or not reached.min() > 0:
            return levels[: k + 1]
    return levels


def _own(system: System) -> Any:
    """Copy the matrix, which pyamg sorts and adds attributes to."""
    return sp.csr_matrix(system.matrix, copy=True)
