"""Predictions held against the multigrid hierarchies of their very problems."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from sciml.pde.system import System
from sciml.verify.operator.error_bounds import cycles_until, effectivity
from sciml.verify.operator.iterations import RTOL, Apply, conjugate_gradients, from_starts, jacobi, mean
from sciml.verify.operator.levels import LevelSplit

__all__ = ["CERTIFIED", "Case", "against_hierarchies", "baselines", "cycle_errors", "fits", "seconds_of"]

Array = NDArray[np.float64]
CERTIFIED: Final = 1e-6
LIMIT: Final = 300  # iterations of a learned preconditioner
REPEATS: Final = 3


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A problem with its hierarchies, its discrete solution and a prediction.

    Attributes
    ----------
    system
        Symmetric positive definite.
    hierarchy, aggregated
        Ruge-Stüben and smoothed aggregation, `sciml.multigrid.Hierarchy`.
    exact
        Solution of the system (n,), by sparse LU.
    prediction
        (n,).
    seconds
        Of the set-up of ``hierarchy``.
    """

    system: System
    hierarchy: Any
    aggregated: Any
    exact: Array
    prediction: Array
    seconds: float

    @classmethod
    def of(cls, system: System, prediction: Array) -> Case:
        """Build the hierarchies of a system."""
        from sciml.multigrid import AMG

        begin = time.perf_counter()
        hierarchy = AMG().init(system)
        seconds = time.perf_counter() - begin
        exact = np.asarray(splu(system.matrix.tocsc()).solve(system.rhs), np.float64)
        flat = np.asarray(prediction, np.float64).ravel()
        return cls(system, hierarchy, AMG("smoothed_aggregation").init(system), exact, flat, seconds)


def fits(system: System) -> str | None:
    """Why nothing can be held against a hierarchy, or None.

    Examples
    --------
    >>> from sciml.pde.elliptic import Poisson, discretize
    >>> fits(discretize(Poisson(7))) is None
    True
    """
    if system.kind in ("indefinite", "nonsymmetric"):
        return f"the matrix is {system.kind}: there is no energy norm, nor conjugate gradients"
    if system.kind == "semidefinite":
        return "the solution is known up to a constant only, so iterations to its error cannot be counted"
    return None


def against_hierarchies(
    cases: Sequence[Case], learned: Callable[[int], Apply | None] | None = None, *, rtol: float = CERTIFIED
) -> dict[str, Any]:
    """Levels, iterations saved, certified cycles and the bounds' effectivity, as means over cases.

    Parameters
    ----------
    cases
        A few: each costs some hundreds of iterations.
    learned
        Gives the operator as a preconditioner of a case, by its number; None where it is none.
    rtol
        Of the certified solutions.

    Returns
    -------
    dict
        ``levels``, ``iterations``, ``preconditioner``, ``certified``, ``residual_energy`` and ``cycle`` (how much one
        cycle reduces the prediction's errors).
    """
    first = cases[0]
    depth = len(first.hierarchy.multilevel.levels)
    alike = [one for one in cases if len(one.hierarchy.multilevel.levels) == depth]
    split = [
        LevelSplit(one.hierarchy.multilevel).shares([one.system.residual(one.prediction)], [one.system.rhs])
        for one in alike
    ]
    starts = mean([_starts(one) for one in cases])
    found: dict[str, Any] = {
        "levels": [mean([one[level] for one in split]) for level in range(depth)],
        "iterations": starts,
        "certified": _certified(cases, rtol),
        "residual_energy": float(np.mean([_cycle_norm(one) for one in cases])),
        "cycle": {
            name: starts["prediction"][name] / starts["prediction"]["after_cycle"][name]
            for name in ("relative_l2", "relative_energy", "residual")
        },
    }
    if learned is not None:
        given = {number: learned(number) for number in range(len(cases))}
        used = [(cases[number], apply) for number, apply in given.items() if apply is not None]
        if used:
            found["preconditioner"] = mean([_preconditioned(one, apply) for one, apply in used])
    return found


def _starts(one: Case) -> dict[str, Any]:
    preconditioners: dict[str, Apply | None] = {
        "none": None,
        "diagonal": jacobi(one.system),
        "SA": one.aggregated.cycle,
        "RS": one.hierarchy.cycle,
    }
    starts = {"zero": 0.0 * one.exact, "prediction": one.prediction}
    return from_starts(one.system, one.exact, starts, preconditioners, one.hierarchy.cycle)


def _preconditioned(one: Case, apply: Apply) -> dict[str, Any]:
    tried: dict[str, Apply | None] = {
        "the operator": apply,
        "a Ruge-Stüben cycle": one.hierarchy.cycle,
        "the diagonal": jacobi(one.system),
        "nothing": None,
    }
    return {
        name: conjugate_gradients(
            one.system,
            None,
            by,
            exact=one.exact,
            limit=LIMIT if by is apply else 5000,
            flexible=by is apply,
        ).to_json()
        for name, by in tried.items()
    }


def _certified(cases: Sequence[Case], rtol: float) -> dict[str, Any]:
    bounds = [one.hierarchy.bounds(one.system.residual(one.prediction)) for one in cases]
    errors = [one.system.energy(one.prediction - one.exact) for one in cases]
    counts = [
        {
            "zero": cycles_until(one.system, one.hierarchy, rtol=rtol),
            "prediction": cycles_until(one.system, one.hierarchy, one.prediction, rtol=rtol),
        }
        for one in cases
    ]
    return {"rtol": rtol, "cycles": mean(counts), "effectivity": effectivity(bounds, errors)}


def _cycle_norm(one: Case) -> float:
    r, b = one.system.residual(one.prediction), one.system.rhs
    return float(np.sqrt(max(r @ one.hierarchy.cycle(r), 0.0) / (b @ one.hierarchy.cycle(b))))


def cycle_errors(cases: Sequence[Case], counts: Sequence[int]) -> dict[int, Array]:
    """What so many plain cycles from zero give for each case: (case, n), by the number of cycles."""
    found: dict[int, Array] = {}
    for count in counts:
        answers = []
        for one in cases:
            u = np.zeros_like(one.exact)
            for _ in range(count):
                u += one.hierarchy.cycle(one.system.residual(u))
            answers.append(u)
        found[count] = np.stack(answers)
    return found


def baselines(truths: Array) -> dict[str, Array]:
    """Answers that need neither training nor a problem, each (sample, y, x)."""
    average = truths.mean(0, keepdims=True)
    return {"zero": 0.0 * truths, "mean of the truths": np.broadcast_to(average, truths.shape)}


def seconds_of(cases: Sequence[Case]) -> dict[str, float]:
    """Wall-clock of set-up and of multigrid-CG to 1e-8, means over cases of the least of a few, in seconds."""
    solve = []
    for one in cases:
        least = np.inf
        for _ in range(REPEATS):
            begin = time.perf_counter()
            one.hierarchy.solve(one.system.rhs, rtol=RTOL)
            least = min(least, time.perf_counter() - begin)
        solve.append(least)
    return {
        "set_up": float(np.median([one.seconds for one in cases])),
        "solve": float(np.mean(solve)),
    }


def cycle_seconds(one: Case) -> float:
    """Wall-clock of one cycle, the least of a few."""
    least = np.inf
    for _ in range(REPEATS):
        begin = time.perf_counter()
        one.hierarchy.cycle(one.system.rhs)
        least = min(least, time.perf_counter() - begin)
    return float(least)
