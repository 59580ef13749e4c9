"""Rollouts of operators that were trained on single steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from sciml.errors import InputError
from sciml.operators import training
from sciml.operators.neural import Neural
from sciml.operators.rollout import Stepper
from sciml.operators.samples import Samples
from sciml.operators.trained_operator import TrainedOperator
from sciml.pde import generate
from sciml.pde.burgers import Burgers
from sciml.pde.elliptic import Darcy
from sciml.pde.families import FAMILIES
from sciml.pde.navier_stokes import NavierStokes
from sciml.pde.spectral import PseudoSpectral
from sciml.solve import Result, solve
from sciml.train.progress import Quiet

FIT = {"epochs": 12, "batch_size": 8, "learning_rate": 1e-2, "seed": 17, "threads": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def burgers() -> xr.Dataset:
    family = replace(FAMILIES["burgers"], template=Burgers(16, frames=5))
    return generate(family, 12, 16, seed=7).compute()


def trained(data: xr.Dataset, output: Path, **more: Any) -> TrainedOperator:
    return training.train(data, output, network={"class": "Small"}, fit={**FIT, **more}, progress=Quiet())


def test_the_initial_state_is_the_first_of_the_steps(burgers: xr.Dataset) -> None:
    pairs = Samples.of(burgers)
    assert (len(pairs), pairs.samples, pairs.inputs, pairs.line, pairs.steps) == (60, 12, ("u",), True, True)
    assert pairs.spacing == pytest.approx(0.2)
    batch = next(iter(pairs.source(pairs.rows([3])).batches(9)))
    series = np.concatenate([burgers["initial"].values[3][None], burgers["u"].values[3]])
    for row in range(pairs.grid.shape[0]):
        assert np.array_equal(batch["u"][:, row], series[:-1])
        assert np.array_equal(batch["truth"][:, row], series[1:])
    assert str(pairs.grid) == "8 x 16 vertex-centred, periodic"


def test_a_rollout_on_a_line_follows_the_solver(burgers: xr.Dataset, tmp_path: Path) -> None:
    trained(burgers, tmp_path / "b.sciml")
    stepper = Stepper.load(tmp_path / "b.sciml")
    problem = Burgers(16, frames=5, seed=int(burgers["sample_seed"][2]))
    exact = solve(problem, PseudoSpectral()).u
    solution = solve(problem, stepper)
    assert solution.u.dims == ("time", "x")
    assert np.allclose(solution.u["time"], exact["time"])
    assert np.array_equal(solution.u[0], exact[0])
    assert np.linalg.norm(solution.u[1] - exact[1]) < 0.5 * np.linalg.norm(exact[1])
    assert (solution.stats["steps"], solution.stats["finite_steps"]) == (5, 5)
    longer = solve(problem, replace(stepper, steps=9))
    assert longer.u.sizes["time"] == 10
    assert np.allclose(longer.u[:6], solution.u)
    value = stepper.operator.predict(
        {"u": torch.from_numpy(np.repeat(solution.u.values[None, 1], 8, 0)).float()[None]}
    )
    assert np.allclose(value.mean(1), solution.u[2], atol=1e-5)


def test_a_rollout_reports_its_finite_steps(tmp_path: Path) -> None:
    family = replace(FAMILIES["navier-stokes"], template=NavierStokes(8, frames=2, final_time=2.0), refined=1)
    data = generate(family, 4, 8, seed=7).compute()
    operator = trained(data, tmp_path / "n.sciml", epochs=1)
    problem = NavierStokes(8, frames=6, final_time=6.0, seed=9)
    solution = solve(problem, Stepper(operator))
    assert solution.u.dims == ("time", "y", "x")
    assert solution.u.shape == (7, 8, 8)

    class Growing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = nn.Parameter(torch.tensor(1e15))

        def forward(self, x: Any) -> Any:
            return self.factor * x

    wild = solve(problem, Stepper(replace(operator, network=Growing())), throw=False)
    assert wild.result is Result.NOT_FINITE
    lost = int(wild.stats["finite_steps"])
    assert 0 < lost < 6
    assert np.isfinite(wild.u[: lost + 1]).all()
    assert np.isnan(wild.u[lost + 1 :]).all()


def test_unsupported_rollouts_are_an_error(burgers: xr.Dataset, darcy: xr.Dataset, tmp_path: Path) -> None:
    stepper = Stepper(trained(burgers, tmp_path / "b.sciml", epochs=1))
    for problem, match in [
        (Darcy(16), "Darcy is not stepped in time"),
        (NavierStokes(16), r"burgers \(Burgers\), this is a NavierStokes"),
        (Burgers(16, frames=4), "steps by 0.2, the problem's times are 0.25 apart"),
        (Burgers(16, frames=5, viscosity=0.01), "viscosity=0.1, the problem has 0.01"),
    ]:
        with pytest.raises(InputError, match=match):
            solve(problem, stepper)
    with pytest.raises(InputError, match="use Stepper"):
        solve(Darcy(16), Neural(stepper.operator))
    with pytest.raises(InputError, match="steps=0"):
        Stepper(stepper.operator, 0)
    still = trained(darcy, tmp_path / "d.sciml", epochs=1)
    with pytest.raises(InputError, match="not trained on a time series: use Neural"):
        Stepper(still)
