"""Iterations with a hierarchy until the residual is small: plain cycles, or a Krylov method with cycles."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from sciml.multigrid.conjugate import ConjugateDirection, MatrixSpace
from sciml.multigrid.settings import Settings
from sciml.pde.grid import Field
from sciml.pde.system import System
from sciml.solve import Result

__all__ = ["Cycles", "Iteration", "iterate"]

GROWN = 1e6


class Cycles(Protocol):
    """A multigrid cycle of a system: what the iterations need of a `sciml.multigrid.Hierarchy`."""

    @property
    def system(self) -> System: ...

    @property
    def algorithm(self) -> Settings: ...

    @property
    def asymmetry(self) -> str | None: ...

    def cycle(self, r: Field) -> Field: ...


@dataclass(frozen=True, eq=False)
class Iteration:
    """Result of an iteration.

    Parameters
    ----------
    x
        (n,); of mean zero where it is determined only up to a constant.
    result
        How the iteration ended.
    cycles
        Number of cycles on the finest level.
    relative_residual
        ||b - A x|| / ||b||, computed from x.
    residuals
        Relative residuals as the method saw them, the first before any cycle.
    """

    x: Field = field(repr=False)
    result: Result
    cycles: int
    relative_residual: float
    residuals: tuple[float, ...] = field(repr=False)


def iterate(hierarchy: Cycles, b: Field, x0: Field, rtol: float, max_cycles: int) -> Iteration:
    """Iterate from x0 until ||b - A x|| <= rtol ||b||, or as many cycles have gone."""
    size = float(np.linalg.norm(b))
    if size == 0.0:
        return Iteration(np.zeros_like(b), Result.SUCCESS, 0, 0.0, (0.0,))
    matrix = hierarchy.system.matrix
    residuals = [float(np.linalg.norm(b - matrix @ x0)) / size]
    counted = _Counted(hierarchy)
    x = x0
    # The residual of a recursion differs from the true one in the last digits: restart until the true one is small.
    while residuals[-1] > rtol and counted.count < max_cycles:
        before, best = counted.count, residuals[-1]
        # Warnings of breakdown, which the residual shows too. Recorded, as pyamg resets a filter that ignores them.
        with np.errstate(all="ignore"), warnings.catch_warnings(record=True):
            x, seen = _METHODS[hierarchy.algorithm.krylov(hierarchy.asymmetry)](
                matrix, b, x, rtol, max_cycles - counted.count, counted
            )
            exact = float(np.linalg.norm(b - matrix @ x)) / size
        residuals += [value / size for value in seen[1:]]
        residuals[-1] = exact
        if not exact < 0.5 * best or counted.count == before or exact > GROWN:
            break
    if hierarchy.system.kind == "semidefinite":
        x = x - np.average(x, weights=hierarchy.system.weights)
    return Iteration(x, _result(residuals, rtol), counted.count, residuals[-1], tuple(residuals))


def _result(residuals: list[float], rtol: float) -> Result:
    last = residuals[-1]
    if not np.isfinite(last):
        return Result.NOT_FINITE
    if last <= rtol:
        return Result.SUCCESS
    return Result.DIVERGED if last > max(residuals[0], 1.0) else Result.MAX_ITERATIONS


class _Counted:
    """The cycle as a preconditioner that counts its uses."""

    def __init__(self, hierarchy: Cycles) -> None:
        self.hierarchy = hierarchy
        self.count = 0

    def __call__(self, r: Field) -> Field:
        self.count += 1
        return self.hierarchy.cycle(r)

    def operator(self) -> Any:
        from scipy.sparse.linalg import LinearOperator

        n = self.hierarchy.system.size
        return LinearOperator((n, n), matvec=self, dtype=np.float64)


def _plain(
    matrix: Any, b: Field, x: Field, rtol: float, most: int, cycle: _Counted
) -> tuple[Field, list[float]]:
    size = float(np.linalg.norm(b))
    left = b - matrix @ x
    seen = [float(np.linalg.norm(left))]
    for _ in range(most):
        x = x + cycle(left)
        left = b - matrix @ x
        seen.append(float(np.linalg.norm(left)))
        if not rtol * size < seen[-1] < GROWN * max(size, seen[0]):
            break
    return x, seen


def _cg(
    matrix: Any, b: Field, x: Field, rtol: float, most: int, cycle: _Counted
) -> tuple[Field, list[float]]:
    """Conjugate gradients, one cycle a step (Saad 2003, algorithm 9.1)."""
    enough = rtol * float(np.linalg.norm(b))
    x, left = x.copy(), b - matrix @ x
    seen = [float(np.linalg.norm(left))]
    direction = ConjugateDirection(MatrixSpace(matrix), memory=0)
    for _ in range(most):
        step = direction.step(left, cycle(left))
        x += step.length * step.direction
        left -= step.length * step.image
        seen.append(float(np.linalg.norm(left)))
        if not seen[-1] > enough:  # also true of NaN
            break
    return x, seen


def _gmres(
    matrix: Any, b: Field, x: Field, rtol: float, most: int, cycle: _Counted
) -> tuple[Field, list[float]]:
    from pyamg.krylov import fgmres  # preconditioned from the right: its residuals are the true ones

    seen: list[float] = []
    solution, _ = fgmres(matrix, b, x0=x, tol=rtol, maxiter=most, M=cycle.operator(), residuals=seen)
    return np.asarray(solution).ravel(), seen


def _bicgstab(
    matrix: Any, b: Field, x: Field, rtol: float, most: int, cycle: _Counted
) -> tuple[Field, list[float]]:
    from pyamg.krylov import bicgstab

    seen: list[float] = []
    most = max(most // 2, 1)  # of two cycles each
    solution, _ = bicgstab(matrix, b, x0=x, tol=rtol, maxiter=most, M=cycle.operator(), residuals=seen)
    return np.asarray(solution).ravel(), seen


_METHODS = {None: _plain, "cg": _cg, "gmres": _gmres, "bicgstab": _bicgstab}
