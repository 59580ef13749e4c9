"""Multigrid as an algorithm: ``solve(problem, AMG())``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Literal, get_args

from sciml.errors import InputError
from sciml.multigrid.coarsening import build
from sciml.multigrid.hierarchy import Hierarchy, same_matrix, system_of
from sciml.multigrid.smoothing import Smoother
from sciml.pde.elliptic import Elliptic, Scheme
from sciml.pde.grid import is_number
from sciml.pde.solution import FieldSolution, labelled
from sciml.pde.solvability import check_compatible
from sciml.pde.system import System

__all__ = ["AMG", "Accelerator", "Cycle", "Method"]

Method = Literal["ruge_stuben", "smoothed_aggregation", "geometric"]
Accelerator = Literal["auto", "cg", "gmres", "bicgstab"]
Cycle = Literal["V", "W", "F"]


def _whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


@dataclass(frozen=True)
class AMG:
    """Algorithm: multigrid on a hierarchy that pyamg finds (or that the grid gives), inside a Krylov method.

    Its state is the `Hierarchy`, reused for any right-hand side. For a problem whose matrix differs the transfers
    are kept and the coarse matrices renewed, see `Hierarchy.updated`.

    Parameters
    ----------
    method
        ``ruge_stuben`` and ``smoothed_aggregation`` follow the matrix, also through large jumps of the coefficient;
        ``geometric`` follows the grid with bilinear interpolation, for any number of unknowns.
    rtol
        Of the residual, relative to the right-hand side, in the 2-norm.
    max_cycles
        On the finest level.
    accelerate
        ``auto``: conjugate gradients where the cycle is symmetric, else GMRES. None: plain cycles.
    smoother, sweeps
        Before and after the coarse correction. Gauss-Seidel goes forth and back in each sweep.
    cycle
        Its form.
    scheme
        See `discretize`; None takes the problem's own.

    Raises
    ------
    InputError
        Settings that do not exist or do not go together; when run: an indefinite system, one without a solution,
        a state of another grid.

    Examples
    --------
    >>> from sciml.pde import Poisson
    >>> from sciml.solve import solve
    >>> solution = solve(Poisson(31), AMG())
    >>> solution.result.name, solution.stats["cycles"] < 10
    ('SUCCESS', True)
    """

    method: Method = "ruge_stuben"
    rtol: float = 1e-8
    max_cycles: int = 100
    accelerate: Accelerator | None = "auto"
    smoother: Smoother = "gauss_seidel"
    sweeps: tuple[int, int] = (1, 1)
    cycle: Cycle = "V"
    scheme: Scheme | None = None

    def __post_init__(self) -> None:
        for name, kinds in (("method", Method), ("smoother", Smoother), ("cycle", Cycle)):
            if getattr(self, name) not in get_args(kinds):
                raise InputError(f"{name}={getattr(self, name)!r}: give one of {', '.join(get_args(kinds))}")
        if self.accelerate is not None and self.accelerate not in get_args(Accelerator):
            raise InputError(
                f"accelerate={self.accelerate!r}: give one of {', '.join(get_args(Accelerator))}, or None"
            )
        if not (is_number(self.rtol) and 0 < self.rtol < 1):
            raise InputError(f"rtol={self.rtol!r}: give a number between 0 and 1, such as 1e-8")
        if not _whole(self.max_cycles) or self.max_cycles < 1:
            raise InputError(f"max_cycles={self.max_cycles!r}: give a whole number of at least 1")
        counts = tuple(self.sweeps) if isinstance(self.sweeps, Sequence) else ()
        if len(counts) != 2 or not all(map(_whole, counts)) or min(counts) < 0 or sum(counts) == 0:
            raise InputError(
                f"sweeps={self.sweeps!r}: give how often to smooth before and after, such as (1, 1)"
            )
        object.__setattr__(self, "sweeps", tuple(int(count) for count in counts))

    def init(self, problem: Elliptic | System) -> Hierarchy:
        """Build the hierarchy of a problem or system."""
        system = system_of(problem, self)
        hierarchy = build(system, self)
        self.chosen(hierarchy)
        return hierarchy

    def chosen(self, hierarchy: Hierarchy) -> Literal["cg", "gmres", "bicgstab"] | None:
        """The Krylov method for a hierarchy.

        Raises
        ------
        InputError
            Conjugate gradients, where the cycle is not symmetric.
        """
        reason = hierarchy.asymmetry
        if self.accelerate == "auto":
            return "cg" if reason is None else "gmres"
        if self.accelerate == "cg" and reason is not None:
            raise InputError(
                f"accelerate='cg', but {reason}; or use accelerate='gmres', 'bicgstab' or 'auto' (the default)"
            )
        return self.accelerate

    def run(self, problem: Elliptic | System, state: Hierarchy) -> FieldSolution:
        """Solve a problem with a hierarchy: its own, one of the same grid, or one used with other settings."""
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
        found = state.solve(system.rhs)
        stats = {
            "cycles": float(found.cycles),
            "relative_residual": found.relative_residual,
            "operator_complexity": state.operator_complexity,
            "seconds": time.perf_counter() - start,
            "seconds_setup": state.seconds,
        }
        return FieldSolution(labelled(found.x, system.grid), found.result, stats, found.residuals)
