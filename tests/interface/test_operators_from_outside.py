"""A problem, coefficient, algorithm and network defined outside of the package, used through the protocols alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.testing import assert_allclose

import sciml as sm
from sciml.operators.field_scaling import FieldScaling
from sciml.operators.trained_operator import TrainedOperator
from sciml.pde import Grid, Terms
from sciml.pde.solution import FieldSolution, labelled


@dataclass(frozen=True)
class Layers:
    """A coefficient: strata of two rocks."""

    period: int = 4

    def draw(self, grid: Grid, generator: np.random.Generator) -> np.ndarray:
        rock = generator.uniform(1.0, 9.0, 2)
        return rock[np.arange(grid.shape[0]) // self.period % 2][:, None] * np.ones(grid.shape)


@dataclass(frozen=True)
class Membrane:
    """A problem of its own class: -div grad u + 5 u = 1."""

    points: int = 15

    @property
    def grid(self) -> Grid:
        return Grid((self.points, self.points))

    def terms(self) -> Terms:
        value = np.ones(self.grid.shape)
        return Terms(self.grid, value, value, reaction=5 * value)


@dataclass(frozen=True)
class Relaxation:
    """An algorithm of its own class: damped Jacobi."""

    sweeps: int = 4000

    def init(self, problem: Any) -> Any:
        return sm.discretize(problem)

    def run(self, problem: Any, state: Any) -> FieldSolution:
        u = np.zeros_like(state.rhs)
        for _ in range(self.sweeps):
            u = u + 0.8 * state.residual(u) / state.matrix.diagonal()
        return FieldSolution(labelled(u, state.grid), sm.Result.SUCCESS, {"sweeps": float(self.sweeps)})


class Smooth(torch.nn.Module):
    """A network of its own class, without a config."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0.05 * torch.nn.functional.avg_pool2d(x, 3, 1, 1)


def test_external_problems_and_algorithms_work_with_those_of_the_package() -> None:
    for problem in (Membrane(), sm.Darcy(15, Layers(), seed=7)):
        exact = sm.solve(problem, sm.Direct())
        assert_allclose(sm.solve(problem, sm.AMG(rtol=1e-11)).u, exact.u, rtol=1e-8)
        assert_allclose(sm.solve(problem, Relaxation()).u, exact.u, rtol=1e-6)
        certified = sm.solve(problem, sm.Corrected(sm.Neural.load("darcy-any"), rtol=1e-8))
        assert_allclose(certified.u, exact.u, rtol=1e-6)


def test_the_prediction_of_an_external_network_is_corrected() -> None:
    problem = sm.Darcy(15, Layers(), seed=7)
    about = {"family": "", "ranges": {"coefficient": [0.0, 10.0]}}
    operator = TrainedOperator(
        Smooth(), FieldScaling.raw(("coefficient",)), ("coefficient",), "u", problem.grid, about
    )
    learned = sm.solve(problem, sm.Neural(operator))
    assert learned.u.shape == (15, 15)
    certified = sm.solve(problem, sm.Corrected(sm.Neural(operator), rtol=1e-6))
    assert_allclose(certified.u, sm.solve(problem, sm.Direct()).u, rtol=1e-4)
