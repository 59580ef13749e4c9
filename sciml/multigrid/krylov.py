"""Iterating with a hierarchy until a residual is small: plain cycles, or cycles inside a Krylov method."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.pde.grid import Field
from sciml.solve import Result

if TYPE_CHECKING:
    from sciml.multigrid.hierarchy import Hierarchy

__all__ = ["Iteration", "iterate"]

GROWN = 1e6


@dataclass(frozen=True, eq=False)
class Iteration:
    """What iterating came to.

    Parameters
    ----------
    x
        (n,); of mean zero where it is determined only up to a constant.
    result
        How it ended.
    cycles
        Cycles on the finest level.
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


def iterate(hierarchy: Hierarchy, b: Field, x0: Field, rtol: float, max_cycles: int) -> Iteration:
    """Iterate from x0 until ||b - A x|| <= rtol ||b||, or as many cycles have gone."""
    size = float(np.linalg.norm(b))
    if size == 0.0:
        return Iteration(np.zeros_like(b), Result.SUCCESS, 0, 0.0, (0.0,))
    matrix = hierarchy.system.matrix
    residuals = [float(np.linalg.norm(b - matrix @ x0)) / size]
    counted = _Counted(hierarchy)
    x = x0
    # A Krylov method goes by its recursion: where that is wrong in the last digits it is started anew.
    while residuals[-1] > rtol and counted.count < max_cycles:
        before, best = counted.count, residuals[-1]
        # Of breakdown, which the residual tells. Recorded: pyamg undoes a filter that ignores its warnings.
        with np.errstate(all="ignore"), warnings.catch_warnings(record=True):
            x, seen = _METHODS[hierarchy.algorithm.chosen(hierarchy)](
                matrix, b, x, rtol, max_cycles - counted.count, counted
            )
            true = float(np.linalg.norm(b - matrix @ x)) / size
        residuals += [value / size for value in seen[1:]]
        residuals[-1] = true
        if not true < 0.5 * best or counted.count == before or true > GROWN:
            break
    if hierarchy.system.kind == "semidefinite":
        x = x - np.average(x, weights=hierarchy.system.grid.volumes().ravel())
    return Iteration(x, _result(residuals, rtol), counted.count, residuals[-1], tuple(residuals))


def _result(residuals: list[float], rtol: float) -> Result:
    last = residuals[-1]
    if not np.isfinite(last):
        return Result.NOT_FINITE
    if last <= rtol:
        return Result.SUCCESS
    return Result.DIVERGED if last > max(residuals[0], 1.0) else Result.MAX_ITERATIONS


class _Counted:
    """The cycle as a preconditioner that knows how often it was used."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        self.hierarchy = hierarchy
        self.count = 0

    def __call__(self, r: Field) -> Field:
        self.count += 1
        return self.hierarchy.cycle(r)

    def operator(self) -> Any:
        from scipy.sparse.linalg import LinearOperator

        n = self.hierarchy.system.grid.size
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
    direction, old = np.zeros_like(b), 1.0
    for _ in range(most):
        z = cycle(left)
        new = float(left @ z)
        direction = z + (new / old) * direction
        old = new
        image = matrix @ direction
        step = new / float(direction @ image)
        x += step * direction
        left -= step * image
        seen.append(float(np.linalg.norm(left)))
        if not seen[-1] > enough:  # NaN ends it too
            break
    return x, seen


def _gmres(
    matrix: Any, b: Field, x: Field, rtol: float, most: int, cycle: _Counted
) -> tuple[Field, list[float]]:
    from pyamg.krylov import fgmres  # preconditioned from the right: its residuals are the true ones

    seen: list[float] = []
    found, _ = fgmres(matrix, b, x0=x, tol=rtol, maxiter=most, M=cycle.operator(), residuals=seen)
    return np.asarray(found).ravel(), seen


def _bicgstab(
    matrix: Any, b: Field, x: Field, rtol: float, most: int, cycle: _Counted
) -> tuple[Field, list[float]]:
    from pyamg.krylov import bicgstab

    seen: list[float] = []
    most = max(most // 2, 1)  # of two cycles each
    found, _ = bicgstab(matrix, b, x0=x, tol=rtol, maxiter=most, M=cycle.operator(), residuals=seen)
    return np.asarray(found).ravel(), seen


_METHODS = {None: _plain, "cg": _cg, "gmres": _gmres, "bicgstab": _bicgstab}
