"""Bounds of the rounding in float64, in the residual and in the inner products, that a bound of an error includes.

A residual r is known up to d, |r - (b - A u)| <= d entry by entry, so the error is known up to A^-1 (r - b + A u), and

    ||A^-1 v||_A^2 = v . A^-1 v <= v . D^-1 v / lambda,

D being the diagonal of A and lambda the smallest eigenvalue of D^-1 A, of which `sciml.multigrid.bounds` knows a lower
bound. Inner products x . y are wrong by at most a small multiple of the unit roundoff times |x| . |y| (Higham 2002,
section 3.1; numpy adds in pairs).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sciml.pde.grid import Field
from sciml.pde.residuals import UNIT, SplitMatrix

if TYPE_CHECKING:
    from sciml.pde.system import Matrix, System

__all__ = ["SAFE", "SEEN", "SUMMED", "Interval", "Rounding"]

SUMMED = 80 * UNIT
"""Rounding of an inner product, relative to that of the absolute values: 8 sums of 16 terms each, then in pairs."""
SAFE = 1 + 1e-12
"""Factor for the rounding of quantities that are bounds of rounding themselves, and of a square root."""


SEEN = 1e-3
"""The share of a bound from which on rounding is reduced by twice the precision."""


@dataclass(frozen=True)
class Interval:
    """Interval of a number that was computed with rounding: ``value`` up to ``rounding``."""

    value: float
    rounding: float

    @property
    def low(self) -> float:
        """At least this, and no less than 0: squares are enclosed."""
        return max(self.value - self.rounding, 0.0)

    @property
    def high(self) -> float:
        """At most this."""
        return max(self.value + self.rounding, 0.0)


@dataclass(frozen=True, eq=False)
class Rounding:
    """Bounds of the rounding of energies of a system.

    Parameters
    ----------
    matrix, absolute
        csr_matrix (n, n), and of its absolute values.
    split
        The matrix for residuals of twice the precision.
    diagonal
        (n,) of the matrix.
    smallest
        A lower bound of the smallest eigenvalue of D^-1 A, of a semidefinite matrix the second.
    sums
        (n,), of the rows of a semidefinite matrix, in absolute value: zero but for rounding. None of other matrices.
    """

    matrix: Matrix
    absolute: Matrix
    split: SplitMatrix
    diagonal: Field
    smallest: float
    sums: Field | None

    @classmethod
    def of(cls, system: System, smallest: float) -> Rounding:
        """Make the bounds of a symmetric system from a lower bound of its smallest eigenvalue."""
        matrix, split, sums = system.matrix, system.split, None
        if system.kind == "semidefinite":
            sums = np.abs(split.residual(np.zeros(matrix.shape[0]), np.ones(matrix.shape[0])))
        return cls(matrix, abs(matrix), split, matrix.diagonal(), smallest, sums)

    def constant(self, e: Field) -> float:
        """Bound the energy by which an error like e is not determined, as a constant may be added to it."""
        return 0.0 if self.sums is None else self.energy(2 * float(np.ptp(e)) * self.sums)

    def energy(self, change: Field) -> float:
        """Bound the energy norm of the error whose residual has entries of at most ``change``."""
        return SAFE * math.sqrt(float((change * change / self.diagonal).sum()) / self.smallest)

    def left(self, r: Field, x: Field, *, plain: bool = False) -> tuple[Field, Field]:
        """R - A x, and what each entry of it may be wrong by; ``plain`` without twice the precision."""
        if plain:
            s = r - self.matrix @ x
            return s, (self.split.terms + 3) * UNIT * (self.absolute @ np.abs(x) + np.abs(r))
        s = self.split.residual(r, x)
        return s, UNIT * np.abs(s) + self.split.rounding(x)

    def square(self, r: Field, x: Field) -> tuple[Interval, Field]:
        """Enclose ||e||^2 - ||e - x||^2 = x . (r + s), where A e = r, and give s = r - A x.

        With twice the precision only where rounding would be seen in the result.
        """
        s, wrong = self.left(r, x, plain=True)
        enclosed = self.product(r, x, s, wrong)
        if enclosed.rounding > SEEN * enclosed.value:
            s, wrong = self.left(r, x)
            enclosed = self.product(r, x, s, wrong)
        return enclosed, s

    def product(self, r: Field, x: Field, s: Field, wrong: Field) -> Interval:
        """X . (r + s), s being known up to ``wrong``."""
        both, size = r + s, np.abs(x)
        rounding = SUMMED * float((size * np.abs(both)).sum()) + float((size * wrong).sum())
        return Interval(float((x * both).sum()), SAFE * rounding)
