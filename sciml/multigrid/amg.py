"""Algebraic multigrid as an algorithm: ``solve(problem, AMG())``."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from sciml.errors import InputError
from sciml.multigrid.coarsening import build
from sciml.multigrid.hierarchy import Hierarchy, same_matrix, system_of
from sciml.multigrid.settings import Settings
from sciml.pde.elliptic import Elliptic
from sciml.pde.solution import FieldSolution, labelled
from sciml.pde.solvability import check_compatible
from sciml.pde.system import System

__all__ = ["AMG"]


@dataclass(frozen=True)
class AMG(Settings):
    """Algorithm: a multigrid hierarchy, built by pyamg or from the grid, as preconditioner of a Krylov method.

    The state is the `Hierarchy`, which can be reused for any right-hand side. For another matrix on the same grid the
    transfers are reused and the coarse matrices are computed again, see `Hierarchy.updated`.

    Parameters
    ----------
    method
        Coarsening. ``ruge_stuben`` and ``smoothed_aggregation`` coarsen by the matrix and are suited to large jumps of
        the coefficient. ``geometric`` coarsens the grid with bilinear interpolation, for any number of unknowns.
    rtol
        Tolerance of the residual relative to the right-hand side, in the 2-norm.
    max_cycles
        Largest number of cycles on the finest level.
    accelerate
        Krylov method. ``auto``: conjugate gradients if the cycle is symmetric, else GMRES. None: plain cycles.
    smoother, sweeps
        Smoother, and number of sweeps before and after the coarse correction. A Gauss-Seidel sweep is symmetric:
        forward, then backward.
    cycle
        Type of the cycle: V, W or F.
    scheme
        Discretisation, see `discretize`; None uses the default scheme of the problem.

    Raises
    ------
    InputError
        A setting does not exist, or settings do not fit together. Raised by `run`: the system is indefinite or has no
        solution, or the state belongs to another grid.

    Examples
    --------
    >>> from sciml.pde import Poisson
    >>> from sciml.solve import solve
    >>> solution = solve(Poisson(31), AMG())
    >>> solution.result.name, solution.stats["cycles"] < 10
    ('SUCCESS', True)
    """

    def init(self, problem: Elliptic | System) -> Hierarchy:
        """Build the hierarchy of a problem or a system."""
        system = system_of(problem, self)
        hierarchy = build(system, self)
        self.krylov(hierarchy.asymmetry)
        return hierarchy

    def run(self, problem: Elliptic | System, state: Hierarchy) -> FieldSolution:
        """Solve a problem with its hierarchy, or with the hierarchy of another problem on the same grid."""
        system = check_compatible(system_of(problem, self))
        built = state.algorithm
        for name in ("method", "smoother", "sweeps", "cycle"):
            if getattr(self, name) != getattr(built, name):
                raise InputError(
                    f"{name}={getattr(self, name)!r}, but the hierarchy was built with {getattr(built, name)!r}: "
                    "call init with this algorithm"
                )
        if self != built:
            state = replace(state, algorithm=self)
        if system.grid != state.system.grid or not same_matrix(system.matrix, state.system.matrix):
            state = state.updated(system)
        start = time.perf_counter()
        iteration = state.solve(system.rhs)
        stats: dict[str, float] = {
            "cycles": iteration.cycles,
            "relative_residual": iteration.relative_residual,
            "operator_complexity": state.operator_complexity,
            "seconds": time.perf_counter() - start,
            "seconds_setup": state.seconds,
        }
        return FieldSolution(labelled(iteration.x, system.grid), iteration.result, stats, iteration.residuals)
