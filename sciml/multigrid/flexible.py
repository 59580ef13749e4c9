"""Flexible GMRES for complex systems: the preconditioner may be any map, and may change from step to step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml.solve import Result

__all__ = ["FlexibleIteration", "fgmres"]

Vector: TypeAlias = npt.NDArray[np.complex128]
Apply: TypeAlias = Callable[[Vector], Vector]
GROWN = 10.0
"""Relative residual above which an iteration has diverged."""


@dataclass(frozen=True, eq=False)
class FlexibleIteration:
    """Result of `fgmres`.

    Parameters
    ----------
    x
        Solution (n,).
    result
        SUCCESS if the true residual is below the tolerance.
    iterations
        Number of applications of the preconditioner.
    relative_residual
        ||b - A x|| / ||b||, computed from x.
    residuals
        Relative residuals (iterations + 1,) as GMRES computes them, starting before the first step.
    """

    x: Vector
    result: Result
    iterations: int
    relative_residual: float
    residuals: tuple[float, ...]


def fgmres(
    apply: Apply,
    precondition: Apply,
    b: Vector,
    *,
    rtol: float,
    max_iterations: int,
    restart: int,
    x0: Vector | None = None,
) -> FlexibleIteration:
    """Solve A x = b by flexible GMRES (Saad 1993, doi 10.1137/0914028), preconditioned from the right.

    Each direction is made orthogonal to the others twice by classical Gram-Schmidt, whose two products with all
    directions are faster than products one by one. The residual is computed again at each restart and at the end.

    Parameters
    ----------
    apply, precondition
        A and an approximation of its inverse, functions of vectors (n,).
    b, x0
        Right-hand side (n,), and first guess (zero).
    rtol
        Tolerance of the residual relative to b, in the 2-norm.
    max_iterations
        Largest number of steps.
    restart
        Steps after which the directions are discarded; the memory is that of 2 restart vectors.

    Examples
    --------
    >>> matrix = np.diag([1 + 1j, 2.0, 3.0])
    >>> done = fgmres(matrix.__matmul__, lambda r: r, np.ones(3) + 0j, rtol=1e-12, max_iterations=9, restart=9)
    >>> done.iterations, done.result.name
    (3, 'SUCCESS')
    """
    size = float(np.linalg.norm(b))
    x = np.zeros(b.shape, np.complex128) if x0 is None else np.array(x0, np.complex128)
    r = b - apply(x) if x0 is not None else b.astype(np.complex128)
    if size == 0:
        return FlexibleIteration(np.zeros_like(x), Result.SUCCESS, 0, 0.0, (0.0,))
    residuals = [float(np.linalg.norm(r)) / size]
    relative = residuals[0]
    while relative > rtol and len(residuals) <= max_iterations and np.isfinite(relative):
        steps = min(restart, max_iterations + 1 - len(residuals))
        before = relative
        x = x + _correction(apply, precondition, r, rtol * size, steps, residuals, size)
        r = b - apply(x)
        relative = float(np.linalg.norm(r)) / size
        if relative > 0.999 * before:  # stagnation, by rounding or because the preconditioner has no use
            break
    result = Result.SUCCESS if relative <= rtol else Result.MAX_ITERATIONS
    if not np.isfinite(relative):
        result = Result.NOT_FINITE
    elif relative > GROWN:
        result = Result.DIVERGED
    return FlexibleIteration(x, result, len(residuals) - 1, relative, tuple(residuals))


def _correction(
    apply: Apply,
    precondition: Apply,
    r: Vector,
    target: float,
    steps: int,
    residuals: list[float],
    size: float,
) -> Vector:
    """Return the correction of one cycle, and append the relative residual of each step to ``residuals``."""
    basis = np.empty((min(steps, 16) + 1, r.size), np.complex128)
    corrections: list[Vector] = []
    least = _Triangle(float(np.linalg.norm(r)), steps)
    basis[0] = r / least.size
    for j in range(steps):
        if j + 2 > len(basis):
            basis = np.concatenate([basis, np.empty((min(len(basis), steps), r.size), np.complex128)])
        corrections.append(precondition(basis[j]))
        w, known = apply(corrections[-1]), basis[: j + 1]
        column = np.zeros(j + 2, np.complex128)
        for _ in range(2):
            part = known.conj() @ w if j < 1 else (known @ w.conj()).conj()
            w = w - part @ known
            column[: j + 1] += part
        column[j + 1] = length = float(np.linalg.norm(w))
        residuals.append(least.add(column) / size)
        if least.size <= target or length == 0 or not np.isfinite(length):
            break
        basis[j + 1] = w / length
    made = np.zeros(r.shape, np.complex128)
    for y, z in zip(least.solved(), corrections, strict=True):
        made += y * z
    return made


class _Triangle:
    """The small least-squares problem of GMRES, reduced to a triangle by rotations as its columns arrive."""

    def __init__(self, size: float, steps: int) -> None:
        self.size = size
        self.right = [complex(size)]
        self.columns: list[Vector] = []
        self.rotations: list[tuple[complex, complex]] = []

    def add(self, column: Vector) -> float:
        """Add a column (k + 1,) of the Hessenberg matrix; returns the norm of the residual."""
        h = column.copy()
        for i, (c, s) in enumerate(self.rotations):
            h[i], h[i + 1] = c.conjugate() * h[i] + s.conjugate() * h[i + 1], c * h[i + 1] - s * h[i]
        length = float(np.hypot(abs(h[-2]), abs(h[-1]))) or 1.0
        c, s = complex(h[-2] / length), complex(h[-1] / length)
        self.rotations.append((c, s))
        h[-2] = length
        self.columns.append(h[:-1])
        last = self.right[-1]
        self.right[-1:] = [c.conjugate() * last, -s * last]
        self.size = abs(self.right[-1])
        return self.size

    def solved(self) -> Vector:
        """Return the coefficients of the corrections."""
        import scipy.linalg

        k = len(self.columns)
        triangle = np.zeros((k, k), np.complex128)
        for j, column in enumerate(self.columns):
            triangle[: j + 1, j] = column
        solution: Any = scipy.linalg.lstsq(triangle, np.array(self.right[:k]))[0]
        return np.asarray(solution)
