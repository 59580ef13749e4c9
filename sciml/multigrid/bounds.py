"""Guaranteed bounds of the energy norm of an error, from its residual and symmetric cycles.

Let B be the cycle and E = I - B A its error propagation. Assume that R = P^T, that the coarse matrices are P^T A P,
that the coarsest equations are solved exactly, and that the smoother after the correction is the adjoint of the one
before it. Then E is self-adjoint in the energy inner product and its eigenvalues are in [0, g], for any smoother: by
induction over the levels E = S* (I - P B_c P^T A) S with B_c <= A_c^-1, and I - P A_c^-1 P^T A is an orthogonal
projection (Hackbusch 1985, section 7; Xu and Zikatanov 2002). For any correction x, with A e = r and s = r - A x,

    ||e||^2 = x . (r + s) + ||e - x||^2.

For one cycle, x = B r, the remaining error is at most g ||e||, so that eta^2 = x . (r + s) gives the bounds eta <=
||e|| <= eta / sqrt(1 - g^2). If these are not close enough, a step of conjugate gradients determines the larger part of
the error exactly, and the same bound holds for the rest. The steps are repeated until the rest is small compared with
the whole. For g = 0.99 this takes a few cycles instead of 90. The bounds are those of the algebraic error, not of the
error of the discretisation.

**Rounding.** Each s is computed with twice the precision (`sciml.pde.residuals`). The errors of s and of the inner
products are bounded (`sciml.multigrid.rounding`) and added, and g is increased by the measured asymmetry of the cycle,
so that the bounds hold in float64. The entries of r must be correct to the last bit, as those of `System.residual` are.
The error of b - A u in plain float64 is up to 1e-15 (|A| |u| + |b|) and must be passed as ``rounding``.

**A bound of g.** Estimates of the largest eigenvalue converge from below. Lanczos with a random start x gives an
estimate, and the orthonormal polynomials p_j of the spectral measure of x. The smallest integral of p^2 over all
polynomials with p(t) = 1 and degree <= k is 1 / sum p_j(t)^2 (Christoffel), so that t can have the fraction d of
||x||^2 only if sum p_j(t)^2 <= 1/d. The fraction of the largest eigenvalue is the square of a Gaussian, which is less
than d with probability 1e-6 (the argument of Kuczynski and Wozniakowski 1992, with the computed measure instead of the
worst one). The largest t that satisfies the condition therefore bounds g, except with that probability.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sciml.errors import InputError
from sciml.multigrid.conjugate import ConjugateDirection, MatrixSpace
from sciml.multigrid.eigenvalue import smallest_eigenvalue
from sciml.multigrid.krylov import Cycles
from sciml.multigrid.lanczos import MOST, REMEDY, Lanczos, largest_possible
from sciml.multigrid.rounding import SAFE, Interval, Rounding
from sciml.pde.grid import Field
from sciml.pde.residuals import UNIT

__all__ = ["Bounds", "Contraction", "bounds", "contraction", "imbalance", "smallest_eigenvalue"]

SEED = 20_211
FAILURE = 1e-6
FEWEST = 6
ENOUGH = 1.05
"""Largest factor by which the margin of g may increase the bound of one cycle; above it Lanczos continues."""
UNBALANCED = 1e-6
"""Largest sum of the residual of a semidefinite system, relative to the sums of absolute values of r and b."""


@dataclass(frozen=True)
class Contraction:
    """Contraction of one cycle: the largest factor between the energy norms of an error before and after it.

    Parameters
    ----------
    bound
        Upper bound of the largest eigenvalue of I - B A, except with the probability `failure`.
    estimate
        Lanczos estimate of this eigenvalue, from below.
    failure
        Probability, over random starts, that the bound does not hold.
    cycles
        Number of cycles to compute the bound, including those of its auxiliary solve.
    seconds
        Time to compute the bound, in seconds.
    smallest
        Lower bound of the smallest eigenvalue of D^-1 A with the diagonal D, or of the second smallest for a
        semidefinite matrix.
    """

    bound: float
    estimate: float
    failure: float
    cycles: int
    seconds: float
    smallest: float

    @property
    def margin(self) -> float:
        """Factor by which the bound exceeds the estimate."""
        return self.bound / self.estimate if self.estimate > 0 else 1.0


@dataclass(frozen=True)
class Bounds:
    """Bounds of the energy norm sqrt(e^T A e) of an error e.

    Parameters
    ----------
    lower, upper
        Bounds, lower <= ||e|| <= upper.
    contraction
        Bound of the contraction of one cycle, from which ``upper`` follows.
    margin
        Factor by which that bound exceeds its estimate.
    cycles
        Number of cycles for this residual; a slow contraction needs more.

    Examples
    --------
    >>> from sciml.multigrid import AMG
    >>> from sciml.pde import Poisson
    >>> hierarchy = AMG().init(Poisson(15))
    >>> bounds = hierarchy.bounds(hierarchy.system.rhs)  # of u = 0
    >>> u = hierarchy.solve(rtol=1e-12).x
    >>> bounds.lower <= hierarchy.system.energy(u) <= bounds.upper <= 1.1 * bounds.lower
    True
    """

    lower: float
    upper: float
    contraction: float
    margin: float
    cycles: int

    @property
    def effectivity(self) -> float:
        """Largest factor by which the upper bound exceeds the error."""
        return self.upper / self.lower if self.lower > 0 else 1.0


class Contracting(Cycles, Protocol):
    """Protocol of the symmetric cycles that `bounds` accepts, such as `sciml.multigrid.Hierarchy`."""

    @property
    def contraction(self) -> Contraction: ...

    @property
    def rounding(self) -> Rounding: ...

    @property
    def imbalance(self) -> float: ...


def bounds(
    hierarchy: Contracting, r: Field, effectivity: float = 1.1, rounding: Field | None = None
) -> Bounds:
    """Bound the energy norm of the error whose residual is r.

    Parameters
    ----------
    hierarchy
        Hierarchy of a symmetric cycle.
    r
        Residual b - A u, (n,) or (y, x). Its entries must be correct to the last bit of their dtype.
    effectivity
        Largest ratio of the upper bound and the error; more cycles are used until rounding or this ratio is reached.
    rounding
        Further errors of the entries of r, (n,) or (y, x). For ``system.residual(u)`` they are
        ``system.split.rounding(u)``, which has an effect only if r is less than about 1e-22 times b.

    Raises
    ------
    InputError
        The cycle is not symmetric or does not converge, the residual is not finite, or the residual of a problem that
        is determined up to a constant does not sum to zero.
    """
    if not effectivity > 1:
        raise InputError(f"effectivity={effectivity!r}: give a number above 1, such as 1.1")
    vector, unit = _given(hierarchy, r, "a residual")
    wrong = unit * np.abs(vector)
    if rounding is not None:
        wrong = wrong + np.abs(_given(hierarchy, rounding, "rounding")[0])
    extra = 0.0
    if hierarchy.system.kind == "semidefinite":
        vector, total = _balanced(hierarchy, vector)
        wrong = wrong + UNIT * np.abs(vector)
        extra = total * hierarchy.imbalance
    contraction = hierarchy.contraction
    largest = max(float(np.abs(vector).max()), float(wrong.max()))
    if largest == 0.0:
        return Bounds(0.0, 0.0, contraction.bound, contraction.margin, 0)
    # Scaled to size 1, since the squares of very small values would underflow, and the upper bound with them.
    exponent = -math.frexp(largest)[1]
    lower, upper, count = _enclosed(
        hierarchy, np.ldexp(vector, exponent), np.ldexp(wrong, exponent), effectivity
    )
    size = math.ldexp(1.0, -exponent)
    bound, margin = contraction.bound, contraction.margin
    return Bounds(max(size * lower - extra, 0.0), size * upper + extra, bound, margin, count)


def _enclosed(hierarchy: Contracting, r: Field, wrong: Field, effectivity: float) -> tuple[float, float, int]:
    """Bound the energy norm of A^-1 r, where r is known up to ``wrong``; returns bounds and number of cycles."""
    g, measure = hierarchy.contraction.bound, hierarchy.rounding
    x, left, of_left = np.zeros_like(r), r, np.zeros_like(r)
    known = Interval(0.0, 0.0)  # ||e||^2 = known + ||the error of x||^2
    direction = ConjugateDirection(MatrixSpace(hierarchy.system.matrix))
    count = 0
    while True:
        count += 1
        z = hierarchy.cycle(left)
        rest, _ = measure.square(left, z)
        noise = measure.energy(wrong) + measure.energy(of_left) + measure.constant(x + z)
        low, high = math.sqrt(known.low + rest.low), math.sqrt(known.high + rest.high / (1 - g * g))
        lower, upper = max(low / SAFE - noise, 0.0), SAFE * high + noise
        # Further cycles do not reduce rounding.
        if high <= effectivity * low and (upper <= effectivity * lower or noise > 0.1 * (high - low)):
            break
        if count == MOST or not high < math.inf:
            break
        x = x + direction.correction(left, z)
        left, of_left = measure.left(r, x)
        known = measure.product(r, x, left, of_left)
    return lower, upper, count


def _given(hierarchy: Contracting, r: Field, name: str) -> tuple[Field, float]:
    """Convert to a vector (n,) of float64; returns it with the unit roundoff of the given dtype."""
    size, shape = hierarchy.system.size, hierarchy.system.shape
    if np.shape(r) not in ((size,), shape):
        either = f"({size},)" if len(shape) == 1 else f"({size},) or {shape}"
        raise InputError(f"{name} of shape {np.shape(r)}: give {size} finite values, {either}")
    values = np.asarray(r)
    unit = float(np.finfo(values.dtype).eps) / 2 if values.dtype.kind == "f" else UNIT
    vector = np.array(values, dtype=np.float64).ravel()
    if not np.isfinite(vector).all():
        raise InputError(f"{name} that is not finite: give {size} finite values")
    return vector, max(unit, UNIT)


def _balanced(hierarchy: Contracting, r: Field) -> tuple[Field, float]:
    """Subtract the mean of a residual; returns it with the absolute value of the sum, which must be rounding."""
    system = hierarchy.system
    total = math.fsum(r)
    # The rounding of b - A u is small relative to |b|, not relative to a small residual.
    if abs(total) > UNBALANCED * float(np.abs(r).sum() + np.abs(system.rhs).sum()):
        raise InputError(
            f"the residual sums to {total:.3e}, but where u is determined up to a constant "
            "every residual sums to zero: balance the right-hand side with sciml.pde.check_compatible"
        )
    volumes = system.weights
    return np.asarray(r - total * volumes / volumes.sum()), abs(total)


def imbalance(hierarchy: Contracting) -> float:
    """Return the largest distance in energy of solutions of a semidefinite system whose residuals sum to 1.

    In float64 the columns of the matrix do not sum to zero exactly; the difference is distributed over the volumes.
    """
    volumes = hierarchy.system.weights
    first = np.eye(1, volumes.size)[0]
    even = np.full_like(volumes, 1 / volumes.size)
    largest = 0.0
    for other in (first, even):
        r = volumes / volumes.sum() - other
        if r.any():
            largest = max(largest, _enclosed(hierarchy, r, 4 * UNIT * np.abs(r), 1.5)[1])
    return largest


def contraction(hierarchy: Cycles) -> Contraction:
    """Bound the contraction of one cycle, as the docstring of this module describes.

    Raises
    ------
    InputError
        The cycle is not symmetric, or its bound is not less than 1.
    """
    if hierarchy.asymmetry is not None:
        other = (
            "; AMG() and Direct() solve it without a bound" if hierarchy.system.kind == "nonsymmetric" else ""
        )
        raise InputError(f"no bounds: {hierarchy.asymmetry}{other}")
    start = time.perf_counter()
    matrix = hierarchy.system.matrix
    smallest, spent = smallest_eigenvalue(hierarchy)
    # x = D^(-1/2) z: its component along an eigenvector v of unit energy is Gaussian with variance
    # v^T A D^-1 A v, which the smallest eigenvalue of D^-1 A bounds from below.
    x = np.random.default_rng(SEED).standard_normal(matrix.shape[0]) / np.sqrt(matrix.diagonal())
    energy = float(x @ (matrix @ x))
    share = (np.pi / 2) * FAILURE**2 * smallest / energy
    lanczos = Lanczos(hierarchy, x)
    bound = estimate = 0.0
    for k in range(1, MOST + 1):
        done = lanczos.step()
        if k < FEWEST and not done:
            continue
        estimate = lanczos.largest()
        bound = largest_possible(lanczos.diagonal, lanczos.beside, share)
        if done or (bound < 1 and (1 - estimate**2) < ENOUGH**2 * (1 - bound**2)):
            break
    lanczos.check()
    # Components that a symmetric cycle would not have are a sample of its rounding.
    bound += math.sqrt(matrix.shape[0]) * max(lanczos.defect, 8 * UNIT)
    if not bound < 1:
        raise InputError(f"no bounds: one cycle leaves up to {bound:.3g} of an error; {REMEDY}")
    return Contraction(bound, estimate, FAILURE, spent + lanczos.count, time.perf_counter() - start, smallest)
