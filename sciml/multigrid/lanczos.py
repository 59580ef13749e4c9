"""Lanczos for the error propagation of a cycle, and the largest eigenvalue that its measure allows."""

from __future__ import annotations

import math

import numpy as np

from sciml.errors import InputError
from sciml.multigrid.krylov import Cycles
from sciml.pde.grid import Field

__all__ = ["MOST", "REMEDY", "Lanczos", "largest_possible"]

MOST = 150
EXHAUSTED = 1e-13
REMEDY = "use method='ruge_stuben' or 'smoothed_aggregation', smoother='gauss_seidel' and, if need be, sweeps=(2, 2)"


class Lanczos:
    """Lanczos for E = I - B A in the energy inner product, with full orthogonalisation."""

    def __init__(self, hierarchy: Cycles, x: Field) -> None:
        self.hierarchy = hierarchy
        self.matrix = hierarchy.system.matrix
        self.diagonal: list[float] = []
        self.beside: list[float] = []
        self.defect = 0.0
        self.basis = np.empty((MOST + 1, x.size))
        self.images = np.empty((MOST + 1, x.size))
        self._append(x)

    @property
    def count(self) -> int:
        """Number of steps so far; each takes one cycle."""
        return len(self.diagonal)

    def _append(self, x: Field) -> float:
        if self.hierarchy.system.kind == "semidefinite":
            x = x - x.mean()  # constants have no energy, so that their rounding would grow from step to step
        image = self.matrix @ x
        norm = math.sqrt(max(float(x @ image), 0.0))
        k = self.count
        if norm > 0:
            self.basis[k], self.images[k] = x / norm, image / norm
        return norm

    def step(self) -> bool:
        """Make one step; returns True if the space is exhausted."""
        k = self.count
        q = self.basis[k]
        w = q - self.hierarchy.cycle(self.images[k])
        components = self.images[: k + 1] @ w
        # A symmetric operator has components only along the last two vectors.
        if k > 1:
            self.defect = max(self.defect, float(np.abs(components[: k - 1]).max()))
        self.diagonal.append(float(components[k]))
        w -= components @ self.basis[: k + 1]
        w -= (self.images[: k + 1] @ w) @ self.basis[: k + 1]
        norm = self._append(w)
        # Only rounding is left, so that smaller components are unknown.
        self.beside.append(max(norm, EXHAUSTED))
        return norm <= EXHAUSTED or k + 2 > w.size

    def values(self) -> Field:
        from scipy.linalg import eigvalsh_tridiagonal

        return np.asarray(eigvalsh_tridiagonal(self.diagonal, self.beside[: self.count - 1]))

    def largest(self) -> float:
        return float(max(self.values()[-1], 0.0))

    def check(self) -> None:
        """Check the assumptions of the bounds on the computed vectors: symmetry, and B A <= I."""
        if self.defect > 1e-7:
            raise InputError(f"no bounds: the cycle is not symmetric ({self.defect:.1e}); {REMEDY}")
        least = float(self.values()[0])
        if least < -1e-7:
            raise InputError(f"no bounds: the cycle corrects an error by {1 - least:.4f} of it; {REMEDY}")


def largest_possible(diagonal: list[float], beside: list[float], share: float) -> float:
    """Return the largest point that can have a given fraction of a measure with these recurrence coefficients.

    The Christoffel sum increases beyond the largest Ritz value, so that bisection gives the point where it is 1/share.

    Examples
    --------
    >>> import numpy as np
    >>> largest = np.linalg.eigvalsh([[0.2, 0.1], [0.1, 0.3]])[-1]
    >>> largest < largest_possible([0.2, 0.3], [0.1, 0.1], share=0.01) < 1
    True
    """
    from scipy.linalg import eigvalsh_tridiagonal

    low = float(eigvalsh_tridiagonal(diagonal, beside[: len(diagonal) - 1])[-1])
    high = max(low, 0.0) + 1e-12
    while _christoffel(high, diagonal, beside) * share <= 1 and high < 2:
        high = high + max(0.01, 0.1 * high)
    if high >= 2:
        return high
    for _ in range(60):
        middle = (low + high) / 2
        if _christoffel(middle, diagonal, beside) * share <= 1:
            low = middle
        else:
            high = middle
    return high


def _christoffel(t: float, diagonal: list[float], beside: list[float]) -> float:
    """Sum of the squares of the orthonormal polynomials at t."""
    before, now = 0.0, 1.0
    total = 1.0
    for k in range(min(len(diagonal), len(beside))):
        back = beside[k - 1] * before if k else 0.0
        before, now = now, ((t - diagonal[k]) * now - back) / beside[k]
        total += now * now
        if not total < 1e300:
            break
    return total
