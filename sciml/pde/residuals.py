"""Residuals b - A x computed with about twice the precision of float64, by splitting A and x into parts of few bits.

The parts have so few bits that each product of two parts, and each sum of products along a row, is exact in float64
(Ozaki, Ogita, Oishi and Rump 2012). The large terms of b - A x, which cancel if x is close to the solution, therefore
cancel without rounding. The terms of the last parts are smaller by about 2^-46, and so is their rounding error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sciml.pde.grid import Field

__all__ = ["UNIT", "SplitMatrix"]

UNIT = float(np.finfo(np.float64).eps) / 2
"""The unit roundoff of float64."""


@dataclass(frozen=True, eq=False)
class SplitMatrix:
    """A sparse matrix, its columns scaled by powers of 2, as the sum of three parts.

    Parameters
    ----------
    first, second, third
        csr_matrix (n, n), each smaller than the one before by about 2^-bits; their sum is A C.
    scale
        (n,), the diagonal of C^-1: about the square root of the diagonal of A, so that small unknowns next to a large
        coefficient do not lose bits.
    bits
        Precision of the first two parts.
    largest
        (n,), a bound of the largest absolute value in each row, a power of 2.
    terms
        The largest number of entries in a row.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> matrix = sp.csr_matrix([[1.0, 1.0], [0.0, 1.0]])
    >>> b, x = np.ones(2), np.array([1.0, 2.0**-60])
    >>> float((b - matrix @ x)[0])
    0.0
    >>> bool(SplitMatrix.of(matrix).residual(b, x)[0] == -(2.0**-60))
    True
    """

    first: Any = field(repr=False)
    second: Any = field(repr=False)
    third: Any = field(repr=False)
    scale: Field = field(repr=False)
    bits: int
    largest: Field = field(repr=False)
    terms: int

    @classmethod
    def of(cls, matrix: Any) -> SplitMatrix:
        """Split a csr_matrix."""
        counts = np.diff(matrix.indptr)
        terms = max(int(counts.max(initial=1)), 1)
        bits = (53 - (terms - 1).bit_length()) // 2
        scale = _power_above(np.sqrt(np.abs(matrix.diagonal())))
        data = matrix.data / scale[matrix.indices]
        largest = np.ones(matrix.shape[0])
        filled = np.flatnonzero(counts)
        if filled.size:
            largest[filled] = np.maximum.reduceat(np.abs(data), matrix.indptr[filled])
        largest = _power_above(largest)
        parts = []
        for values in _parts(data, np.repeat(largest, counts), bits):
            parts.append(matrix.copy())
            parts[-1].data = values
        return cls(parts[0], parts[1], parts[2], scale, bits, largest, terms)

    def residual(self, b: Field, x: Field) -> Field:
        """Compute b - A x; the error of each entry is at most `UNIT` times its size plus ``rounding(x)``."""
        with np.errstate(invalid="ignore", over="ignore"):  # values that are not finite stay so
            y = self.scale * x
            parts = _parts(y, _power_above(np.abs(y).max(initial=0.0)), self.bits)
            by_first = self.first @ np.stack(parts, 1)
            by_second = self.second @ np.stack((parts[0], parts[1] + parts[2]), 1)
            left, small = b, by_first[:, 2] + by_second[:, 1] + self.third @ y
            for exact in (by_first[:, 0], by_first[:, 1], by_second[:, 0]):
                rest = left - exact
                # The rounding error of that difference (Knuth 1969).
                virtual = rest - left
                small = small - ((left - (rest - virtual)) - (exact + virtual))
                left = rest
            return np.asarray(left - small)

    def rounding(self, x: Field) -> Field:
        """Bound the error of each entry of `residual`, without the rounding of the result itself."""
        size = float(_power_above(np.abs(self.scale * x).max(initial=0.0)))
        return np.asarray(8 * (self.terms + 3) ** 2 * UNIT * 4.0**-self.bits * size * self.largest)


def _power_above(values: Any) -> Any:
    """Return the least powers of 2 above the values; 1 for 0."""
    return np.ldexp(1.0, np.frexp(values)[1])


def _parts(values: Field, power: Any, bits: int) -> tuple[Field, Field, Field]:
    """Split values below a power of 2 into multiples of 2^-bits and 2^-2bits of it and a rest; the sum is exact."""
    first = _leading(values, power, bits)
    rest = values - first
    second = _leading(rest, power * 2.0**-bits, bits)
    return first, second, rest - second


def _leading(values: Field, power: Any, bits: int) -> Field:
    """Round values below a power of 2 to a multiple of 2^-bits of it."""
    shift = power * 2.0 ** (53 - bits)
    return np.asarray((values + shift) - shift)
