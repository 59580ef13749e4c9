"""Iterations that a prediction saves, as an initial guess and as a preconditioner."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sciml.multigrid.conjugate import ConjugateDirection, MatrixSpace
from sciml.pde.system import System
from sciml.verify.operator.norms import relative_energy

__all__ = ["ACCURACY", "Counts", "conjugate_gradients", "cycles", "from_starts", "jacobi", "mean"]

Array = NDArray[np.float64]
Apply = Callable[[Array], Array]

RTOL: Final = 1e-8
ACCURACY: Final = 1e-4
"""Relative L2 and energy errors until which iterations are counted."""
DIVERGED: Final = 1e6
WINDOW: Final = 20  # number of search directions that a flexible method stores


@dataclasses.dataclass(frozen=True)
class Counts:
    """Number of iterations until each tolerance; None where it was not reached within the limit.

    Attributes
    ----------
    residual
        ||b - A u|| <= rtol ||b||.
    l2, energy
        The relative error in L2, and in the energy norm, <= `ACCURACY`; None also where the truth is not known.
    limit
        Maximum number of iterations.
    """

    residual: int | None
    l2: int | None
    energy: int | None
    limit: int

    def to_json(self) -> dict[str, int | None]:
        """Return a dict for `json.dump`."""
        return dataclasses.asdict(self)


class _Watch:
    """Records the first iteration that reaches each tolerance."""

    def __init__(self, system: System, exact: Array | None, rtol: float) -> None:
        self.system, self.exact = system, exact
        self.least = rtol * float(np.linalg.norm(system.rhs))
        self.first: dict[str, int | None] = {"residual": None, "l2": None, "energy": None}
        if exact is not None:
            self.size = float(np.linalg.norm(exact)), system.solution_energy(exact)

    def done(self, u: Array, r: Array, count: int) -> bool:
        reached = {"residual": float(np.linalg.norm(r)) <= self.least}
        if self.exact is not None:
            e = u - self.exact
            reached["l2"] = float(np.linalg.norm(e)) <= ACCURACY * self.size[0]
            # A e = -(r - r_exact); the exact solution's own residual is rounding.
            reached["energy"] = max(-float(e @ r), 0.0) ** 0.5 <= ACCURACY * self.size[1]
        for name, now in reached.items():
            if now and self.first[name] is None:
                self.first[name] = count
        return all(self.first[name] is not None for name in reached)

    def lost(self, r: Array) -> bool:
        """Whether an iteration diverges."""
        return not np.abs(r).max() <= DIVERGED * np.abs(self.system.rhs).max()

    def counts(self, limit: int) -> Counts:
        return Counts(**self.first, limit=limit)


def conjugate_gradients(
    system: System,
    start: Array | None = None,
    precondition: Apply | None = None,
    *,
    exact: Array | None = None,
    rtol: float = RTOL,
    limit: int = 2000,
    flexible: bool = False,
) -> Counts:
    """Count the iterations of (flexible) conjugate gradients from a start.

    Parameters
    ----------
    system
        Symmetric positive (semi)definite system.
    start
        Initial guess (n,), by default zero.
    precondition
        Function from a residual (n,) to a correction (n,), by default the identity.
    exact
        Solution (n,), to compute errors.
    rtol, limit
        Tolerance of the relative residual, and maximum number of iterations.
    flexible
        Orthogonalise explicitly against the last directions (Notay 2000, SIAM J. Sci. Comput. 22, 1444-1460), which
        nonlinear and asymmetric preconditioners need.

    Examples
    --------
    >>> from sciml.pde.elliptic import Poisson, discretize
    >>> conjugate_gradients(discretize(Poisson(15))).residual
    27
    """
    matrix, watch = system.matrix, _Watch(system, exact, rtol)
    u = np.zeros(system.size) if start is None else np.array(start, np.float64).ravel()
    r = system.residual(u)
    direction = ConjugateDirection(MatrixSpace(matrix), memory=WINDOW if flexible else 0)
    for count in range(limit + 1):
        if watch.done(u, r, count) or count == limit:
            break
        z = r if precondition is None else np.asarray(precondition(r), np.float64)
        step = direction.step(r, z)
        if not step.energy > 0 or not np.isfinite(step.energy) or step.product == 0:  # no search direction
            break
        length = step.length if flexible else float(step.direction @ r) / step.energy
        u += length * step.direction
        r -= length * step.image
    return watch.counts(limit)


def cycles(
    system: System,
    cycle: Apply,
    start: Array | None = None,
    *,
    exact: Array | None = None,
    rtol: float = RTOL,
    limit: int = 200,
) -> Counts:
    """Count multigrid cycles from a start: u <- u + cycle(b - A u)."""
    watch = _Watch(system, exact, rtol)
    u = np.zeros(system.size) if start is None else np.array(start, np.float64).ravel()
    for count in range(limit + 1):
        r = system.residual(u)
        if watch.done(u, r, count) or count == limit or watch.lost(r):
            break
        u += cycle(r)
    return watch.counts(limit)


def jacobi(system: System) -> Apply:
    """Return the inverse of the diagonal as a preconditioner."""
    inverse = 1.0 / system.matrix.diagonal()
    return lambda r: inverse * r


def from_starts(
    system: System,
    exact: Array,
    starts: Mapping[str, Array],
    preconditioners: Mapping[str, Apply | None],
    cycle: Apply,
    *,
    limit: int = 5000,
) -> dict[str, dict[str, Any]]:
    """Compute the errors of initial guesses, before and after one cycle, and their iterations (mgno, section 5e).

    Parameters
    ----------
    system, exact
        Problem and its solution (n,).
    starts
        Initial guesses (n,) by name.
    preconditioners
        Preconditioners of conjugate gradients by name.
    cycle
        One multigrid cycle from zero.
    limit
        Maximum number of iterations.

    Returns
    -------
    dict
        By start: ``relative_l2``, ``relative_energy``, ``residual``; errors ``after_cycle``; ``iterations``
        by preconditioner and of plain ``cycles``, as `Counts`.
    """
    result: dict[str, dict[str, Any]] = {}
    for name, start in starts.items():
        u = np.asarray(start, np.float64).ravel()
        once = u + cycle(system.residual(u))
        counted = {
            by: conjugate_gradients(system, u, apply, exact=exact, limit=limit).to_json()
            for by, apply in preconditioners.items()
        }
        counted["cycles"] = cycles(system, cycle, u, exact=exact).to_json()
        result[name] = {
            **_norms(system, u, exact),
            "after_cycle": _norms(system, once, exact),
            "iterations": counted,
        }
    return result


def _norms(system: System, u: Array, exact: Array) -> dict[str, float]:
    e = u - exact
    return {
        "relative_l2": float(np.linalg.norm(e) / np.linalg.norm(exact)),
        "relative_energy": relative_energy(system, e, exact),
        "residual": float(np.linalg.norm(system.residual(u)) / np.linalg.norm(system.rhs)),
    }


def mean(values: Sequence[Any]) -> Any:
    """Compute the means of numbers in nested dicts with the same keys; None where a number is missing.

    Examples
    --------
    >>> mean([{"a": 1, "b": {"c": 2}}, {"a": 2, "b": {"c": None}}])
    {'a': 1.5, 'b': {'c': None}}
    """
    if isinstance(values[0], Mapping):
        return {name: mean([value[name] for value in values]) for name in values[0]}
    return None if any(value is None for value in values) else float(np.mean(values))
