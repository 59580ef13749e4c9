"""Bounds of the rounding in float64 of residuals and inner products, as a part of error bounds.

If the entries of a residual r are known up to d, |r - (b - A u)| <= d, the error is known up to A^-1 (r - b + A u), and

    ||A^-1 v||_A^2 = v . A^-1 v <= v . D^-1 v / lambda,

where D is the diagonal of A, and lambda the smallest eigenvalue of D^-1 A, for which `sciml.multigrid.bounds` computes
a lower bound. The error of an inner product x . y is at most a small multiple of the unit roundoff times |x| . |y|
(Higham 2002, section 3.1; numpy uses pairwise summation).
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
"""Rounding of an inner product relative to that of the absolute values: 8 sums of 16 terms each, then pairwise."""
SAFE = 1 + 1e-12
"""Factor for the rounding in the computation of the bounds themselves."""


SEEN = 1e-3
"""Fraction of a bound above which rounding is reduced by computing with twice the precision."""


@dataclass(frozen=True)
class Interval:
    """Interval of a number that was computed with rounding: ``value`` up to ``rounding``."""

    value: float
    rounding: float

    @property
    def low(self) -> float:
        """Lower end, at least 0, since the interval encloses a square."""
        return max(self.value - self.rounding, 0.0)

    @property
    def high(self) -> float:
        """Upper end."""
        return max(self.value + self.rounding, 0.0)


@dataclass(frozen=True, eq=False)
class Rounding:
    """Bounds of the rounding of energies of a system.

    Parameters
    ----------
    matrix, absolute
        csr_matrix (n, n), and its absolute values.
    split
        The matrix for residuals of twice the precision.
    diagonal
        Diagonal of the matrix (n,).
    smallest
        Lower bound of the smallest eigenvalue of D^-1 A, or of the second smallest for a semidefinite matrix.
    sums
        Absolute row sums (n,) of a semidefinite matrix, which are zero up to rounding; None for other matrices.
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
        """Bound the change of the energy of an error e by an added constant."""
        return 0.0 if self.sums is None else self.energy(2 * float(np.ptp(e)) * self.sums)

    def energy(self, change: Field) -> float:
        """Bound the energy norm of the error whose residual has entries of at most ``change``."""
        return SAFE * math.sqrt(float((change * change / self.diagonal).sum()) / self.smallest)

    def left(self, r: Field, x: Field, *, plain: bool = False) -> tuple[Field, Field]:
        """Compute r - A x and a bound of the error of each entry; ``plain``: without twice the precision."""
        if plain:
            s = r - self.matrix @ x
            return s, (self.split.terms + 3) * UNIT * (self.absolute @ np.abs(x) + np.abs(r))
        s = self.split.residual(r, x)
        return s, UNIT * np.abs(s) + self.split.rounding(x)

    def square(self, r: Field, x: Field) -> tuple[Interval, Field]:
        """Enclose ||e||^2 - ||e - x||^2 = x . (r + s) with A e = r, and return s = r - A x as well.

        Twice the precision is used only if rounding would affect the result.
        """
        s, wrong = self.left(r, x, plain=True)
        enclosed = self.product(r, x, s, wrong)
        if enclosed.rounding > SEEN * enclosed.value:
            s, wrong = self.left(r, x)
            enclosed = self.product(r, x, s, wrong)
        return enclosed, s

    def product(self, r: Field, x: Field, s: Field, wrong: Field) -> Interval:
        """Enclose x . (r + s), where s is known up to ``wrong``."""
        both, size = r + s, np.abs(x)
        rounding = SUMMED * float((size * np.abs(both)).sum()) + float((size * wrong).sum())
        return Interval(float((x * both).sum()), SAFE * rounding)
