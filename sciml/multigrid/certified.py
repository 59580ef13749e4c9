"""Conjugate gradients, or plain cycles, until the guaranteed bound of the error is small enough."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sciml.multigrid.conjugate import ConjugateDirection, MatrixSpace
from sciml.multigrid.hierarchy import Hierarchy
from sciml.multigrid.rounding import SAFE, SEEN, SUMMED
from sciml.pde.grid import Field
from sciml.pde.residuals import UNIT
from sciml.pde.system import System
from sciml.solve import Result

__all__ = ["Certified", "certify"]

GROWN = 1e6
EFFECTIVITY = 1.3  # largest ratio of the bound to the error
NEAR = 3.0
"""Rounding is part of the bound from here on: the bound is expected within this factor of the tolerance."""


@dataclass(frozen=True, eq=False)
class Certified:
    """An approximate solution with the guaranteed bound of its error.

    Parameters
    ----------
    x
        Solution (n,).
    result
        How the iteration ended.
    bound
        Upper bound of the energy norm of the error.
    norm
        Lower bound of the energy norm of the solution.
    cycles
        Number of cycles.
    bounds
        The bound before each cycle over ``norm``; only the last ones include rounding.
    relative_residual
        ||b - A x|| / ||b||.
    """

    x: Field
    result: Result
    bound: float
    norm: float
    cycles: int
    bounds: tuple[float, ...]
    relative_residual: float


def certify(hierarchy: Hierarchy, system: System, x: Field, rtol: float, most: int, plain: bool) -> Certified:
    """Iterate until the bound of the energy error is at most rtol times a lower bound of the solution's norm.

    The cycle of each step, z = B r, also bounds the error of the x before it: eta^2 = z . (2 r - A z) equals
    ||e||^2 - ||E e||^2 (see `sciml.multigrid.bounds`), so that the bound needs only one more cycle. The bound must
    belong to the residual of x and include rounding (see `sciml.multigrid.rounding`). This is computed only from where
    the bound is near the tolerance; before that, r follows from a recursion. The conjugate gradients are flexible
    (Notay 2000, one direction), since r changes there.
    """
    b = system.rhs
    if not b.any():
        return Certified(np.zeros_like(b), Result.SUCCESS, 0.0, 0.0, 0, (0.0,), 0.0)
    with np.errstate(all="ignore"):
        begun = _approached(hierarchy, system, x, rtol, most, plain)
        return _certified(hierarchy, system, begun, rtol, most, plain)


@dataclass
class _Begun:
    """State between the two phases: x, the direction of the last step, the bounds, and an estimate of the norm."""

    x: Field
    direction: ConjugateDirection[Field]
    seen: list[float]
    norm: float = 0.0


def _approached(
    hierarchy: Hierarchy, system: System, x: Field, rtol: float, most: int, plain: bool
) -> _Begun:
    """Iterate without rounding in the bounds, as long as they are far from the tolerance."""
    g, b, matrix = hierarchy.contraction.bound, system.rhs, system.matrix
    begun = _Begun(x.copy(), ConjugateDirection(MatrixSpace(matrix)), [])
    r = b - matrix @ x if x.any() else b.copy()
    reduction = g
    while len(begun.seen) + 1 < most:
        work = float(b @ begun.x)
        energy = float(begun.x @ (b - r))
        begun.norm = max(work, 0.0) / math.sqrt(energy) if energy > 0 else 0.0
        # The norm is known after the first step; the next bound is estimated from the reduction of the last step.
        if begun.seen and not begun.seen[-1] * reduction > NEAR * rtol * begun.norm:
            break
        z = hierarchy.cycle(r)
        az = matrix @ z
        bound = math.sqrt(max(2 * float(z @ r) - float(z @ az), 0.0) / (1 - g * g))
        if begun.seen:
            reduction = bound / begun.seen[-1]
        begun.seen.append(bound)
        if not 0 < bound < math.inf or bound > min(begun.seen):
            break
        if plain:
            begun.x += z
            r -= az
        else:
            step = begun.direction.step(r, z, az)
            begun.x += step.length * step.direction
            r -= step.length * step.image
    return begun


def _certified(
    hierarchy: Hierarchy, system: System, begun: _Begun, rtol: float, most: int, plain: bool
) -> Certified:
    """Iterate with residuals computed from x and with rounding in the bounds, until the tolerance is reached."""
    g, measure = hierarchy.contraction.bound, hierarchy.rounding
    b, x, direction, seen = system.rhs, begun.x, begun.direction, begun.seen
    cycles, norm, best = len(seen), 0.0, math.inf
    result = Result.MAX_ITERATIONS
    while True:
        x = _of_mean_zero(system, x)
        r, wrong, extra = _residual(hierarchy, system, x, SEEN * rtol * max(norm, begun.norm))
        z = hierarchy.cycle(r)
        square, s = measure.square(r, z)
        cycles += 1
        bound = SAFE * math.sqrt(square.high / (1 - g * g)) + measure.energy(wrong) + extra
        bound += measure.constant(z)
        norm = max(norm, _norm_below(b, x, r) - extra)
        best = min(best, bound)
        seen.append(bound)
        if not math.isfinite(bound) or not math.isfinite(norm):
            result = Result.NOT_FINITE
            break
        if bound > GROWN * best:
            result = Result.DIVERGED
            break
        if bound <= rtol * norm:
            result = Result.SUCCESS
            break
        if cycles >= most:
            break
        if plain:
            x = x + z
            continue
        x = x + direction.correction(r, z, r - s)
    if result is not Result.NOT_FINITE and (1 - g * g) * EFFECTIVITY**2 < 1:
        sharper = hierarchy.bounds(r, EFFECTIVITY, wrong)
        bound, cycles = min(bound, sharper.upper + extra), cycles + sharper.cycles
        if result is Result.MAX_ITERATIONS and bound <= rtol * norm:
            result = Result.SUCCESS
    relative = float(np.linalg.norm(r) / np.linalg.norm(b))
    scale = norm if norm > 0 else 1.0
    return Certified(x, result, bound, norm, cycles, tuple(value / scale for value in seen), relative)


def _of_mean_zero(system: System, x: Field) -> Field:
    """Shift x to mean zero before its bound is computed, which then includes the rounding of the shift."""
    if system.kind != "semidefinite":
        return x
    return np.asarray(x - np.average(x, weights=system.weights))


def _residual(hierarchy: Hierarchy, system: System, x: Field, seen: float) -> tuple[Field, Field, float]:
    """Compute b - A x, the bound of its entries' errors, and the addition to the bound for a sum that should be zero.

    Twice the precision is used if rounding adds more than ``seen``.
    """
    measure, balanced = hierarchy.rounding, system.kind != "semidefinite"
    r, wrong = measure.left(system.rhs, x, plain=True)
    if not measure.energy(wrong) + (0.0 if balanced else abs(math.fsum(r)) * hierarchy.imbalance) <= seen:
        r, wrong = measure.left(system.rhs, x)
    if balanced:
        return r, wrong, 0.0
    volumes, total = system.weights, math.fsum(r)
    r = r - total * volumes / volumes.sum()
    return r, wrong + 2 * UNIT * np.abs(r), abs(total) * hierarchy.imbalance


def _norm_below(b: Field, x: Field, r: Field) -> float:
    """Return the lower bound b . x / ||x||_A of the solution's energy norm (Cauchy and Schwarz)."""
    products, energies = b * x, x * (b - r)
    work = float(products.sum()) - SUMMED * float(np.abs(products).sum())
    energy = float(energies.sum()) + SUMMED * float(np.abs(energies).sum())
    return max(work, 0.0) / math.sqrt(energy) / SAFE if energy > 0 else 0.0
