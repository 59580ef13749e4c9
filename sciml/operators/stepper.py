"""Rollouts: an operator trained on single steps, fed with its own answers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sciml.errors import InputError
from sciml.operators.neural import check_family
from sciml.operators.trained import TrainedOperator
from sciml.pde.solution import FieldSolution
from sciml.solve import Result
from sciml.train.environment import chosen_device

if TYPE_CHECKING:
    from sciml.pde.periodic import Evolution

__all__ = ["Stepper"]


@dataclass(frozen=True, eq=False)
class Stepper:
    """Algorithm for problems in time: one step of a trained operator after the other.

    Parameters
    ----------
    operator
        Trained on a time series, whose step it takes.
    steps
        How many; by default as many as the problem has times.
    device
        ``cpu``, ``cuda``, ...; ``auto`` takes a GPU if there is one.

    Raises
    ------
    InputError
        An operator that does not step; when run: a problem of another family, grid or interval between times than
        trained on.

    Examples
    --------
    >>> solution = solve(NavierStokes(64, seed=7), Stepper.load("ns.sciml"))  # doctest: +SKIP
    >>> solution.u.dims  # doctest: +SKIP
    ('time', 'y', 'x')
    """

    operator: TrainedOperator
    steps: int | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not self.operator.steps:
            raise InputError(
                f"the operator of {self.operator.family} was not trained on a time series: use Neural(operator)"
            )
        if self.operator.inputs != (self.operator.target,):
            others = ", ".join(name for name in self.operator.inputs if name != self.operator.target)
            raise InputError(
                f"the operator also takes {others}, which a rollout has no values of: use predict"
            )
        if self.steps is not None and (not isinstance(self.steps, int) or self.steps < 1):
            raise InputError(f"steps={self.steps!r}: give a whole number of 1 or more")
        chosen_device(self.device)

    @classmethod
    def load(cls, path: str | Path, *, steps: int | None = None, device: str = "cpu") -> Stepper:
        """From a checkpoint; see `TrainedOperator.load`."""
        return cls(TrainedOperator.load(path), steps, device)

    def init(self, problem: Evolution) -> TrainedOperator:
        """The operator on its device, having checked that it fits the problem."""
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
            mine.check(problem.grid)  # type: ignore[attr-defined]
        return mine.to(chosen_device(self.device))

    def run(self, problem: Evolution, state: TrainedOperator) -> FieldSolution:
        """The initial state and the states after each step, (time, y, x) or (time, x).

        The result is NOT_FINITE where the rollout left the numbers; ``stats["finite_steps"]`` says after how many
        steps, and what follows is NaN.
        """
        import xarray as xr

        start = time.perf_counter()
        steps = self.steps or len(problem.times()) - 1
        line = bool(self.operator.about.get("line"))
        first = np.asarray(problem.start(), dtype=np.float64)
        rows = np.repeat(first[None], self.operator.grid.shape[0], 0) if line else first
        device = next(state.network.parameters()).device
        frames = self.rollout(torch.from_numpy(rows).float()[None].to(device), steps, state)[0]
        values = frames.double().cpu().numpy()
        values = values.mean(1) if line else values
        values = np.concatenate([first[None], values])
        finite = np.isfinite(values).reshape(len(values), -1).all(1)
        times = problem.times()[0] + _interval(problem) * np.arange(steps + 1)
        dims = {"time": times, **problem.axes()}
        u = xr.DataArray(values, dims, tuple(dims), name="u")
        seconds = time.perf_counter() - start
        stats = {
            "steps": float(steps),
            "finite_steps": float(finite[1:].sum()),
            "dt": _interval(problem),
            "seconds": seconds,
            "seconds_per_step": seconds / steps,
        }
        return FieldSolution(u, Result.SUCCESS if finite.all() else Result.NOT_FINITE, stats)

    @torch.no_grad()
    def rollout(self, first: Tensor, steps: int, state: TrainedOperator | None = None) -> Tensor:
        """The states after each step, for a batch.

        Parameters
        ----------
        first
            Initial states (sample, y, x), on the operator's device.
        steps
            How many.
        state
            What `init` gave; by default the operator where it is.

        Returns
        -------
        Tensor
            (sample, step, y, x); NaN from where a sample was not finite any more.
        """
        asked = state or self.operator
        u, frames = first, []
        for _ in range(steps):
            u = asked.predict({asked.target: u})
            if asked.about.get("line"):  # the rows of a line stay equal
                u = u.mean(1, keepdim=True).expand_as(u)
            lost = ~u.isfinite().all(-1).all(-1)
            u = torch.where(lost[:, None, None], torch.nan, u)
            frames.append(u)
        return torch.stack(frames, 1)


def _interval(problem: Any) -> float:
    times = problem.times()
    return float(times[1] - times[0])
