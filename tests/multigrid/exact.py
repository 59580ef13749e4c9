"""Solutions and errors of small systems in exact arithmetic: an oracle without rounding."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from sciml.pde.direct import factorised

__all__ = ["ExactSolution", "floats"]

BITS = 1200
"""Numbers are whole multiples of 2^-1200, as every float64 is."""


def whole(values):
    """Floats as multiples of 2^-1200."""
    pairs = (float(value).as_integer_ratio() for value in np.ravel(values))
    return [above * (2**BITS // below) for above, below in pairs]


def floats(values):
    return np.array([float(Fraction(value, 2**BITS)) for value in values])


class ExactSolution:
    """The solution to 60 digits, by iterative refinement with exact residuals.

    Of a semidefinite system what the right-hand side and the columns of the matrix do not sum to zero by is taken up
    by the volumes, by all unknowns alike, or by the first equation.
    """

    def __init__(self, system, taken_by="volumes"):
        self.ends, self.columns = system.matrix.indptr, system.matrix.indices
        self.entries, self.b = whole(system.matrix.data), whole(system.rhs)
        self.singular = system.kind == "semidefinite"
        shares = {"volumes": system.weights, "all": np.ones(len(self.b))}
        self.shares = whole(shares.get(taken_by, np.eye(1, len(self.b))[0]))
        self.x = [0] * len(self.b)
        factors = factorised(system)
        for _ in range(40):
            change = whole(factors.apply(floats(self.residual(self.x))))
            self.x = [a + b for a, b in zip(self.x, change, strict=True)]
            if max(map(abs, change)) * 10**60 <= max(map(abs, self.x)):
                break
        else:
            raise AssertionError("refinement did not converge")
        self.nearest = floats(self.x)

    def times(self, x):
        """A x, in multiples of 2^-2400."""
        ends, columns, entries = self.ends, self.columns, self.entries
        return [sum(entries[k] * x[columns[k]] for k in range(ends[i], ends[i + 1])) for i in range(len(x))]

    def residual(self, x):
        r = [b - (ax >> BITS) for b, ax in zip(self.b, self.times(x), strict=True)]
        if self.singular:
            total, whole_share = sum(r), sum(self.shares)
            r = [value - total * share // whole_share for value, share in zip(r, self.shares, strict=True)]
        return r

    def squared_error(self, u):
        """Energy norm of the error of a vector of floats."""
        e = [a - b for a, b in zip(whole(u), self.x, strict=True)]
        if self.singular:
            mean = sum(e) // len(e)
            e = [value - mean for value in e]
        return Fraction(sum(a * b for a, b in zip(e, self.times(e), strict=True)), 2 ** (3 * BITS))

    def squared_norm(self):
        """Energy norm of the solution."""
        return self.squared_error(np.zeros(len(self.x)))
