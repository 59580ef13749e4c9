"""Comparison of predictions with the multigrid hierarchies of their problems."""

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
        Symmetric positive definite system.
    hierarchy, aggregated
        Ruge-Stüben and smoothed aggregation, `sciml.multigrid.Hierarchy`.
    exact
        Solution of the system by sparse LU, (n,).
    prediction
        Prediction, (n,).
    seconds
        Time of the set-up of ``hierarchy``.
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
    """Return the reason why a system cannot be compared with a hierarchy, or None.

    Examples
    --------
    >>> from sciml.pde.elliptic import Poisson, discretize
    >>> fits(discretize(Poisson(7))) is None
    True
    """
    if system.kind in ("indefinite", "nonsymmetric"):
        return f"the matrix is {system.kind}: it has no energy norm, and conjugate gradients do not apply"
    if system.kind == "semidefinite":
        return "the solution is unique up to a constant only, so iterations to an error cannot be counted"
    return None


def against_hierarchies(
    cases: Sequence[Case], learned: Callable[[int], Apply | None] | None = None, *, rtol: float = CERTIFIED
) -> dict[str, Any]:
    """Compute levels, saved iterations, certified cycles and effectivity of the bounds, as means over cases.

    Parameters
    ----------
    cases
        A few cases; each takes some hundreds of iterations.
    learned
        Function of the index of a case that returns the operator as its preconditioner, or None.
    rtol
        Tolerance of the certified solutions.

    Returns
    -------
    dict
        ``levels``, ``iterations``, ``preconditioner``, ``certified``, ``residual_energy`` and ``cycle`` (factors by
        which one cycle reduces the errors of the prediction).
    """
    first = cases[0]
    depth = len(first.hierarchy.multilevel.levels)
    alike = [case for case in cases if len(case.hierarchy.multilevel.levels) == depth]
    split = [
        LevelSplit(case.hierarchy.multilevel).shares(
            [case.system.residual(case.prediction)], [case.system.rhs]
        )
        for case in alike
    ]
    starts = mean([_starts(case) for case in cases])
    scores: dict[str, Any] = {
        "levels": [mean([shares[level] for shares in split]) for level in range(depth)],
        "iterations": starts,
        "certified": _certified(cases, rtol),
        "residual_energy": float(np.mean([_cycle_norm(case) for case in cases])),
        "cycle": {
            name: starts["prediction"][name] / starts["prediction"]["after_cycle"][name]
            for name in ("relative_l2", "relative_energy", "residual")
        },
    }
    if learned is not None:
        given = {number: learned(number) for number in range(len(cases))}
        used = [(cases[number], apply) for number, apply in given.items() if apply is not None]
        if used:
            scores["preconditioner"] = mean([_preconditioned(case, apply) for case, apply in used])
    return scores


def _starts(case: Case) -> dict[str, Any]:
    preconditioners: dict[str, Apply | None] = {
        "none": None,
        "diagonal": jacobi(case.system),
        "SA": case.aggregated.cycle,
        "RS": case.hierarchy.cycle,
    }
    starts = {"zero": 0.0 * case.exact, "prediction": case.prediction}
    return from_starts(case.system, case.exact, starts, preconditioners, case.hierarchy.cycle)


def _preconditioned(case: Case, apply: Apply) -> dict[str, Any]:
    tried: dict[str, Apply | None] = {
        "the operator": apply,
        "a Ruge-Stüben cycle": case.hierarchy.cycle,
        "the diagonal": jacobi(case.system),
        "nothing": None,
    }
    return {
        name: conjugate_gradients(
            case.system,
            None,
            by,
            exact=case.exact,
            limit=LIMIT if by is apply else 5000,
            flexible=by is apply,
        ).to_json()
        for name, by in tried.items()
    }


def _certified(cases: Sequence[Case], rtol: float) -> dict[str, Any]:
    bounds = [case.hierarchy.bounds(case.system.residual(case.prediction)) for case in cases]
    errors = [case.system.energy(case.prediction - case.exact) for case in cases]
    counts = [
        {
            "zero": cycles_until(case.system, case.hierarchy, rtol=rtol),
            "prediction": cycles_until(case.system, case.hierarchy, case.prediction, rtol=rtol),
        }
        for case in cases
    ]
    return {"rtol": rtol, "cycles": mean(counts), "effectivity": effectivity(bounds, errors)}


def _cycle_norm(case: Case) -> float:
    r, b = case.system.residual(case.prediction), case.system.rhs
    return float(np.sqrt(max(r @ case.hierarchy.cycle(r), 0.0) / (b @ case.hierarchy.cycle(b))))


def cycle_errors(cases: Sequence[Case], counts: Sequence[int]) -> dict[int, Array]:
    """Apply multigrid cycles from zero to each case: (case, n), by the number of cycles."""
    fields: dict[int, Array] = {}
    for count in counts:
        answers = []
        for case in cases:
            u = np.zeros_like(case.exact)
            for _ in range(count):
                u += case.hierarchy.cycle(case.system.residual(u))
            answers.append(u)
        fields[count] = np.stack(answers)
    return fields


def baselines(truths: Array) -> dict[str, Array]:
    """Return predictions that need neither training nor a problem, each (sample, y, x)."""
    average = truths.mean(0, keepdims=True)
    return {"zero": 0.0 * truths, "mean of the truths": np.broadcast_to(average, truths.shape)}


def seconds_of(cases: Sequence[Case]) -> dict[str, float]:
    """Measure the seconds of set-up and of multigrid-CG to 1e-8, means over cases of the smallest of a few."""
    solve = []
    for case in cases:
        least = np.inf
        for _ in range(REPEATS):
            begin = time.perf_counter()
            case.hierarchy.solve(case.system.rhs, rtol=RTOL)
            least = min(least, time.perf_counter() - begin)
        solve.append(least)
    return {
        "set_up": float(np.median([case.seconds for case in cases])),
        "solve": float(np.mean(solve)),
    }


def cycle_seconds(case: Case) -> float:
    """Measure the seconds of one cycle, the smallest of a few."""
    least = np.inf
    for _ in range(REPEATS):
        begin = time.perf_counter()
        case.hierarchy.cycle(case.system.rhs)
        least = min(least, time.perf_counter() - begin)
    return float(least)
