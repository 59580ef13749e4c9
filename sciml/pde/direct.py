"""Sparse LU factorisation, for any elliptic problem that has a solution."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

from sciml.errors import InputError
from sciml.pde.complex_system import ComplexSystem
from sciml.pde.elliptic import Elliptic, Scheme, discretize
from sciml.pde.grid import Field
from sciml.pde.nested_dissection import nested_dissection
from sciml.pde.solution import FieldSolution, labelled
from sciml.pde.solvability import check_compatible
from sciml.pde.system import System
from sciml.solve import Result
from sciml.tables import html_table

__all__ = ["Direct", "Factorisation"]

TRUSTED = 1e-3
"""Largest bound of the relative rounding error for which the result is SUCCESS."""


@dataclass(frozen=True, eq=False)
class Factorisation:
    """The LU factors of a system.

    Parameters
    ----------
    system
        The factorised system; the first unknown of a semidefinite system is left out.
    factors
        `scipy.sparse.linalg.SuperLU`, or None if the matrix is exactly singular.
    condition
        Estimate of the condition number in the 1-norm; NaN for definite and complex matrices, for which it is not
        needed.
    seconds
        Time of the factorisation, in seconds.
    order
        Order of the unknowns (n,) in the factors, or None for their own order.
    """

    system: System | ComplexSystem
    factors: Any = field(repr=False)
    condition: float
    seconds: float
    order: Any = field(default=None, repr=False)

    def apply(self, rhs: Field) -> Field:
        """Solve for one right-hand side (n,); the mean of u is zero if u is determined only up to a constant."""
        if self.factors is None:
            return np.full(rhs.shape, np.nan)
        if self.order is not None:
            solved = np.empty_like(rhs)
            solved[self.order] = self.factors.solve(rhs[self.order])
            return solved
        if self.system.kind != "semidefinite":
            return np.asarray(self.factors.solve(rhs))
        u = np.concatenate([[0.0], self.factors.solve(rhs[1:])])
        return np.asarray(u - np.average(u, weights=self.system.weights))

    def __str__(self) -> str:
        if self.factors is None:
            return f"{self.system}: singular"
        return f"{self.system}; {self.factors.L.nnz + self.factors.U.nnz:,} nonzeros in the factors"

    def _repr_html_(self) -> str:
        factors = (
            "singular" if self.factors is None else f"{self.factors.L.nnz + self.factors.U.nnz:,} nonzeros"
        )
        return html_table("Factorisation", [("system", str(self.system)), ("factors", factors)])


@dataclass(frozen=True)
class Direct:
    """Algorithm: sparse LU factorisation (SuperLU) and one step of iterative refinement.

    The solution of a pure Neumann or periodic problem has mean zero. The state is the `Factorisation`, which can be
    reused for any problem with the same matrix.

    Parameters
    ----------
    scheme
        Discretisation, see `discretize`; None uses the default scheme of the problem.

    Raises
    ------
    InputError
        The problem has no solution (see `check_compatible`), or the state belongs to another matrix or grid.

    Examples
    --------
    >>> from sciml.pde.elliptic import Poisson
    >>> from sciml.solve import solve
    >>> solution = solve(Poisson(3, source=1.0), Direct())
    >>> float(solution.u.max().round(4))
    0.0703
    """

    scheme: Scheme | None = None

    def init(self, problem: Elliptic | System | ComplexSystem) -> Factorisation:
        """Factorise the matrix of a problem or a system."""
        return factorised(self._system(problem))

    def _system(self, problem: Elliptic | System | ComplexSystem) -> System | ComplexSystem:
        return problem if isinstance(problem, System | ComplexSystem) else discretize(problem, self.scheme)

    def run(self, problem: Elliptic | System | ComplexSystem, state: Factorisation) -> FieldSolution:
        """Solve a problem or system with its factors.

        The result is DIVERGED if rounding may have changed the solution by more than 0.1 % (a Helmholtz problem at a
        resonance), and NOT_FINITE if the matrix is singular.
        """
        system = self._system(problem)
        if isinstance(system, System):
            system = check_compatible(system)
        if not _same(system, state.system):
            raise InputError(
                f"the factors are of another matrix ({state.system}) than this problem's ({system}): "
                "call init(problem, Direct()) for it"
            )
        start = time.perf_counter()
        rhs: Any = system.rhs
        u = state.apply(rhs)
        with np.errstate(invalid="ignore", over="ignore"):
            left: Any = system.residual(u)
            u += state.apply(left)
            size = float(np.linalg.norm(system.rhs))
            residual = float(np.linalg.norm(system.residual(u))) / (size or 1.0)
        stats = {
            "relative_residual": residual,
            "seconds": time.perf_counter() - start,
            "seconds_setup": state.seconds,
        }
        if np.isfinite(state.condition):
            stats["condition"] = state.condition
        return FieldSolution(labelled(u, system.grid), _result(u, state.condition), stats)


def factorised(system: System | ComplexSystem) -> Factorisation:
    """Factorise a system; the unknowns of a complex one in the order of nested dissection, with diagonal pivots."""
    from scipy.sparse.linalg import LinearOperator, onenormest, splu

    if isinstance(system, ComplexSystem):
        return _factorised_in_order(system)
    start = time.perf_counter()
    matrix = sp.csc_matrix(system.matrix)
    symmetric = system.kind in ("definite", "semidefinite")
    if system.kind == "semidefinite":
        # The kernel is the constants: without one unknown, which is set to zero, the matrix is definite.
        matrix = matrix[1:, 1:]
    settings: dict[str, Any] = {"permc_spec": "MMD_AT_PLUS_A"}
    if symmetric:
        settings |= {"diag_pivot_thresh": 0.0, "options": {"SymmetricMode": True}}
    try:
        factors = splu(matrix, **settings)
    except RuntimeError:  # SuperLU: exactly singular
        return Factorisation(system, None, np.inf, time.perf_counter() - start)
    condition = np.nan
    if not symmetric:
        inverse = LinearOperator(
            matrix.shape,
            matvec=factors.solve,
            rmatvec=lambda v: factors.solve(v, trans="T"),
            dtype=np.float64,
        )
        with np.errstate(all="ignore"):
            condition = float(onenormest(inverse) * abs(matrix).sum(axis=0).max())
    return Factorisation(system, factors, condition, time.perf_counter() - start)


def _factorised_in_order(system: ComplexSystem) -> Factorisation:
    from scipy.sparse.linalg import splu

    start = time.perf_counter()
    order = nested_dissection(system.grid.shape)
    matrix = sp.csc_matrix(system.matrix[order][:, order])
    try:
        factors = splu(matrix, permc_spec="NATURAL", diag_pivot_thresh=0.01, options={"SymmetricMode": True})
    except RuntimeError:  # SuperLU: exactly singular
        return Factorisation(system, None, np.inf, time.perf_counter() - start)
    return Factorisation(system, factors, np.nan, time.perf_counter() - start, order)


def _same(a: System | ComplexSystem, b: System | ComplexSystem) -> bool:
    if a is b or a.matrix is b.matrix:
        return True
    same_pattern = (
        a.kind == b.kind
        and a.matrix.shape == b.matrix.shape
        and np.array_equal(a.matrix.indptr, b.matrix.indptr)
        and np.array_equal(a.matrix.indices, b.matrix.indices)
    )
    return bool(same_pattern and np.array_equal(a.matrix.data, b.matrix.data))


def _result(u: Field, condition: float) -> Result:
    if not np.isfinite(u).all():
        return Result.NOT_FINITE
    if condition * np.finfo(np.float64).eps > TRUSTED:
        return Result.DIVERGED
    return Result.SUCCESS
