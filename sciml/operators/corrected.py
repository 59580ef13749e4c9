"""A prediction that multigrid corrects until the bound of its error is small enough."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sciml.checks import check_whole, is_number
from sciml.errors import InputError
from sciml.multigrid.amg import AMG
from sciml.multigrid.certified import certify
from sciml.multigrid.hierarchy import Hierarchy, same_matrix, system_of
from sciml.operators.neural import Neural
from sciml.operators.trained_on import compare
from sciml.operators.trained_operator import TrainedOperator, takes
from sciml.pde.elliptic import Elliptic
from sciml.pde.grid import Field
from sciml.pde.solution import FieldSolution, labelled
from sciml.pde.solvability import check_compatible
from sciml.pde.system import System

__all__ = ["Corrected", "CorrectedState"]


@dataclass(frozen=True, eq=False)
class CorrectedState:
    """The hierarchy for the correction and the bound, and the operator of the prediction or None."""

    hierarchy: Hierarchy
    operator: TrainedOperator | None


@dataclass(frozen=True)
class Corrected:
    """Algorithm: predict, smooth, scale, then cycle until the guaranteed bound of the error is small enough.

    The result is SUCCESS if ``error_bound`` is at most rtol times a lower bound of the energy norm of the solution. The
    error does not exceed ``error_bound``, which includes rounding; `sciml.multigrid.bounds` states the assumptions. It
    bounds the algebraic error in the energy norm sqrt(e^T A e), not the error of the discretisation.

    Parameters
    ----------
    neural
        Operator of the prediction; None starts from zero, for comparison. A prediction with a larger energy error than
        zero is not used, and ``stats["started_from_zero"]`` is True.
    amg
        Settings of the hierarchy and its cycle, which must be symmetric. ``accelerate=None`` uses plain cycles, any
        other value conjugate gradients with the cycle as preconditioner. Its rtol is not used.
    rtol
        Tolerance of the error in the energy norm, relative to that of the solution.
    sweeps
        Number of smoothing sweeps on the finest level before the first cycle, since the residual of a prediction is
        rough.

    Raises
    ------
    InputError
        An argument is out of range. Raised by `run`: the system is not symmetric definite, or the operator does not
        accept the problem.

    Examples
    --------
    >>> from sciml.pde import Poisson
    >>> from sciml.solve import solve
    >>> solution = solve(Poisson(31), Corrected(None, rtol=1e-6))
    >>> solution.result.name, solution.error_bound <= 1e-6 * solution.stats["energy_norm"]
    ('SUCCESS', True)

    Notes
    -----
    ``stats`` contains ``cycles`` on the finest level, including those for the bound; ``sweeps``; ``started_from_zero``
    (bool); the relative energy errors ``prediction_error`` and, after sweeps and scaling, ``smoothed_error``;
    ``energy_norm``, a lower bound of the energy norm of the solution; ``relative_bound``; ``contraction`` of one cycle;
    ``relative_residual``; ``seconds``, which includes ``seconds_prediction``; and ``seconds_setup``.
    """

    neural: Neural | None
    amg: AMG = AMG()  # noqa: RUF009
    rtol: float = 1e-6
    sweeps: int = 2

    def __post_init__(self) -> None:
        if self.neural is not None and (isinstance(self.neural, type) or not hasattr(self.neural, "values")):
            raise InputError(
                f"Corrected({_named(self.neural)}): give Neural.load(PATH), or None to start from zero"
            )
        if not isinstance(self.amg, AMG):
            raise InputError(f"amg={self.amg!r}: give AMG() with the settings of the hierarchy")
        if not (is_number(self.rtol) and 1e-12 <= self.rtol < 1):
            raise InputError(
                f"rtol={self.rtol!r}: give a number from 1e-12, where rounding begins, to below 1"
            )
        check_whole("sweeps", self.sweeps, 0)
        if self.amg.accelerate not in ("auto", "cg", None):
            raise InputError(
                f"AMG(accelerate={self.amg.accelerate!r}): a guarantee needs a symmetric cycle: give 'cg' or None"
            )

    def init(self, problem: Elliptic | System) -> CorrectedState:
        """Build the hierarchy, bound its contraction, and move the operator to its device."""
        operator = None if self.neural is None else self.neural.init(problem)
        hierarchy = self.amg.init(problem)
        _ = hierarchy.contraction  # cached by the hierarchy; raises an error if there is no guarantee
        return CorrectedState(hierarchy, operator)

    def run(self, problem: Elliptic | System, state: CorrectedState) -> FieldSolution:
        """Solve a problem; the hierarchy is updated for another matrix on the same grid."""
        system = check_compatible(system_of(problem, self.amg))
        hierarchy, setup = state.hierarchy, state.hierarchy.seconds
        if system.grid != hierarchy.system.grid or not same_matrix(system.matrix, hierarchy.system.matrix):
            hierarchy = hierarchy.updated(system)
            setup = hierarchy.seconds
        setup += hierarchy.contraction.seconds
        start = time.perf_counter()
        predicted = self._predicted(problem, system, state)
        took = time.perf_counter() - start
        smoothed = predicted
        if predicted is not None:
            for _ in range(self.sweeps):
                smoothed = hierarchy.smooth(0, smoothed, system.rhs, "pre")  # type: ignore[arg-type]
            smoothed = _scaled(system, smoothed)  # type: ignore[arg-type]
        first = np.zeros(system.size) if smoothed is None else smoothed
        plain = self.amg.accelerate is None
        certified = certify(hierarchy, system, first, self.rtol, self.amg.max_cycles, plain)
        stats: dict[str, float] = {
            "cycles": certified.cycles,
            "sweeps": 0 if predicted is None else int(self.sweeps),
            "started_from_zero": smoothed is None,
            "energy_norm": certified.norm,
            "relative_bound": certified.bound / certified.norm if certified.norm > 0 else 0.0,
            "contraction": hierarchy.contraction.bound,
            "relative_residual": certified.relative_residual,
            "seconds": time.perf_counter() - start,
            "seconds_prediction": took,
            "seconds_setup": setup,
        }
        size = system.energy(certified.x)
        for name, value in (("prediction_error", predicted), ("smoothed_error", smoothed)):
            if value is not None and size > 0:
                stats[name] = system.energy(certified.x - value) / size
        bound = certified.bound if math.isfinite(certified.bound) else None
        notes = self._notes(problem, state)
        return FieldSolution(
            labelled(certified.x, system.grid), certified.result, stats, certified.bounds, bound, notes
        )

    def _notes(self, problem: Elliptic | System, state: CorrectedState) -> tuple[str, ...]:
        """Describe how the prediction was transferred to this grid, and the differences from the training."""
        if state.operator is None or not isinstance(self.neural, Neural):
            return ()
        return tuple(f"prediction: {note}" for note in compare(state.operator, problem).notes)

    def _predicted(self, problem: Elliptic | System, system: System, state: CorrectedState) -> Field | None:
        """Return the prediction (n,), or None if there is none or its energy is not finite."""
        if self.neural is None or state.operator is None:
            return None
        asked: Any = system if takes(state.operator.network) == "system" else problem
        values = self.neural.values(asked, state.operator).ravel()
        with np.errstate(all="ignore"):  # the energy of finite values may overflow
            return values if math.isfinite(system.energy(values)) else None


def _named(given: Any) -> str:
    """Return text unchanged, and the class name of anything else, whose text may have many lines."""
    return repr(given) if isinstance(given, str | Path) else f"{type(given).__name__} object"


def _scaled(system: System, x: Field) -> Field | None:
    """Return the multiple of x nearest to the solution u in energy, or None if x is farther from u than zero.

    Both follow from ||u - x||^2 = ||u||^2 - 2 b . x + ||x||^2 without u.
    """
    work, square = float(system.rhs @ x), float(x @ (system.matrix @ x))
    if not 2 * work > square > 0:
        return None
    return np.asarray((work / square) * x)
