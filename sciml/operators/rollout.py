"""Rollouts: an operator trained on single steps is applied to its own predictions."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sciml.checks import check_positive, check_whole
from sciml.errors import InputError
from sciml.operators.lipschitz_bound import Certificate
from sciml.operators.requirements import check_family
from sciml.operators.step_certificate import certificate
from sciml.operators.trained_on import compare_start
from sciml.operators.trained_operator import TrainedOperator
from sciml.pde.grid import Grid
from sciml.pde.solution import FieldSolution, axis_attributes, field_attributes
from sciml.solve import Result
from sciml.train.environment import chosen_device

if TYPE_CHECKING:
    from sciml.pde.periodic import Evolution

__all__ = ["Stepper"]


@dataclass(frozen=True, eq=False)
class Stepper:
    """Algorithm for problems in time: repeated steps of a trained operator.

    Parameters
    ----------
    operator
        Operator trained on a time series; its step is the interval between the times of the series.
    steps
        Number of steps; by default that of the problem.
    device
        ``cpu``, ``cuda``, ...; ``auto`` uses a GPU if there is one.
    lipschitz
        Largest factor by which a step may change the norm of the difference of two states. The certificate of the
        operator (`sciml.operators.certificate`) must prove it; with 1 no difference grows, in any number of steps. The
        steps are then computed in float64. None requires nothing.

    Raises
    ------
    InputError
        The operator was not trained on a time series, or has no certificate of ``lipschitz``. Raised by `run`: the
        family, rectangle, boundary or interval between times differs from the training data, or the network does not
        accept the resolution.

    Examples
    --------
    >>> solution = solve(NavierStokes(64, seed=7), Stepper.load("ns.sciml"))  # doctest: +SKIP
    >>> solution.u.dims  # doctest: +SKIP
    ('time', 'y', 'x')
    """

    operator: TrainedOperator
    steps: int | None = None
    device: str = "cpu"
    lipschitz: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.operator, TrainedOperator):
            raise InputError(
                f"Stepper({type(self.operator).__name__}): give a TrainedOperator, or use Stepper.load(PATH)"
            )
        if not self.operator.steps:
            raise InputError(
                f"the operator of {self.operator.family} was not trained on a time series: use Neural(operator)"
            )
        if self.operator.inputs != (self.operator.target,):
            others = ", ".join(name for name in self.operator.inputs if name != self.operator.target)
            raise InputError(
                f"the operator also takes {others}, which a rollout has no values of: use predict"
            )
        if self.steps is not None:
            check_whole("steps", self.steps, 1)
        chosen_device(self.device)
        if self.lipschitz is not None:
            self._check_certificate(self.lipschitz)

    def _check_certificate(self, most: float) -> None:
        check_positive("lipschitz", most, owner="Stepper")
        proven = certificate(self.operator)
        if not proven.lipschitz <= most:
            largest = max(proven.factors, key=lambda name: proven.factors[name])
            raise InputError(
                f"the certificate of the operator is {proven.lipschitz:.7g}, above lipschitz={most:g} (largest factor: "
                f"{largest}, {proven.factors[largest]:.7g}): train one with 'sciml pde train nonexpansive'"
            )

    @property
    def certificate(self) -> Certificate:
        """Certificate of the operator, computed from its weights; see `sciml.operators.certificate`."""
        return certificate(self.operator)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        steps: int | None = None,
        device: str = "cpu",
        lipschitz: float | None = None,
    ) -> Stepper:
        """Load the operator from a checkpoint, see `TrainedOperator.load`."""
        return cls(TrainedOperator.load(path), steps, device, lipschitz)

    def init(self, problem: Evolution) -> TrainedOperator:
        """Check that the operator fits the problem, and return it on its device."""
        self._check(problem)
        return self.operator.to(chosen_device(self.device), self._precision)

    @property
    def _precision(self) -> torch.dtype:
        return torch.float32 if self.lipschitz is None else torch.float64

    def _check(self, problem: Evolution) -> Grid:
        """Check that the operator fits the problem, and return the grid of its states."""
        mine = self.operator
        if not callable(getattr(problem, "start", None)) or not callable(getattr(problem, "times", None)):
            raise InputError(
                f"a {type(problem).__name__} is not stepped in time: use Neural, or AMG() for an elliptic problem"
            )
        check_family(mine, problem)
        trained, interval = mine.about.get("time_step"), _interval(problem)
        if trained is not None and not np.isclose(interval, float(trained), rtol=1e-6):
            raise InputError(
                f"the operator steps by {trained:g}, the problem's times are {interval:g} apart: give frames and "
                "final_time that agree, or train it on such a series"
            )
        axes = problem.axes()
        if ("y" in axes) == bool(mine.about.get("line")):
            raise InputError(
                f"the operator was trained on {mine.grid}, the problem has the axes {', '.join(axes)}"
            )
        if not mine.about.get("line"):
            grid: Grid = problem.grid  # type: ignore[attr-defined]
        else:
            x, rows = np.asarray(axes["x"], np.float64), mine.grid.shape[0]
            lengths = (rows / len(x), len(x) * float(x[1] - x[0]))
            grid = replace(mine.grid, shape=(rows, len(x)), lengths=lengths)
        mine.check(grid)
        if self.lipschitz is not None and mine.resampling(grid) is not None:
            raise InputError(
                f"the certificate is for {mine.grid}, the problem has {grid.shape[0]} x {grid.shape[1]} points: "
                "give that resolution"
            )
        return grid

    def run(self, problem: Evolution, state: TrainedOperator) -> FieldSolution:
        """Return the initial state and the states after each step, (time, y, x) or (time, x).

        The result is NOVEL if the problem is outside of the training data, and ``notes`` explain why. It is NOT_FINITE
        if a state is infinite or NaN; ``stats["finite_steps"]`` is the number of finite steps, and later states are
        NaN.
        """
        import xarray as xr

        grid = self._check(problem)
        if not isinstance(state, TrainedOperator) or state.about != self.operator.about:
            raise InputError(
                f"state={type(state).__name__} is not of this operator: give what init(problem, this Stepper) returns"
            )
        start = time.perf_counter()
        steps = self.steps or len(problem.times()) - 1
        line = bool(self.operator.about.get("line"))
        first = np.asarray(problem.start(), dtype=np.float64)
        rows = np.repeat(first[None], self.operator.grid.shape[0], 0) if line else first
        device = next(state.network.parameters()).device
        frames = self.rollout(torch.from_numpy(rows).to(device, self._precision)[None], steps, state)[0]
        values = frames.double().cpu().numpy()
        values = values.mean(1) if line else values
        values = np.concatenate([first[None], values])
        finite = np.isfinite(values).reshape(len(values), -1).all(1)
        times = problem.times()[0] + _interval(problem) * np.arange(steps + 1)
        dims = {"time": times, **problem.axes()}
        coords = {dim: (dim, points, axis_attributes(dim)) for dim, points in dims.items()}
        u = xr.DataArray(values, coords, tuple(dims), name="u", attrs=field_attributes("solution"))
        seconds = time.perf_counter() - start
        stats: dict[str, float] = {
            "steps": steps,
            "finite_steps": int(finite[1:].sum()),
            "dt": _interval(problem),
            **({} if self.lipschitz is None else {"lipschitz_bound": self.certificate.lipschitz}),
            "seconds": seconds,
            "seconds_per_step": seconds / steps,
        }
        known = compare_start(self.operator, first, grid)
        stats |= {"novelty": known.novelty, "refinement": known.refinement}
        result = Result.NOVEL if known.reasons else Result.SUCCESS
        return FieldSolution(u, result if finite.all() else Result.NOT_FINITE, stats, notes=known.notes)

    @torch.no_grad()
    def rollout(self, first: Tensor, steps: int, state: TrainedOperator | None = None) -> Tensor:
        """Compute the states after each step, for a batch.

        Parameters
        ----------
        first
            Initial states (sample, y, x), on the operator's device.
        steps
            Number of steps.
        state
            State from `init`; by default the operator on its device.

        Returns
        -------
        Tensor
            (sample, step, y, x); NaN after a sample is not finite.
        """
        asked = state or self.operator
        grid = replace(asked.grid, shape=(first.shape[-2], first.shape[-1]))
        asked.check(grid)
        u, frames = first, []
        for _ in range(steps):
            u = asked.ask({asked.target: u}, grid)  # `predict` raises an error for values that are not finite
            if asked.about.get("line"):  # the rows of a line stay equal
                u = u.mean(1, keepdim=True).expand_as(u)
            lost = ~u.isfinite().all(-1).all(-1)
            u = torch.where(lost[:, None, None], torch.nan, u)
            frames.append(u)
        return torch.stack(frames, 1)


def _interval(problem: Any) -> float:
    times = problem.times()
    return float(times[1] - times[0])
