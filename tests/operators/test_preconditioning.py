"""A trained operator as a preconditioner, and the errors for other operators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.sparse.linalg import LinearOperator, spsolve

from sciml.errors import InputError
from sciml.multigrid.amg import AMG
from sciml.operators import training
from sciml.operators.field_scaling import FieldScaling, Standard
from sciml.operators.hierarchy_net import HierarchyNet
from sciml.operators.neural import Neural
from sciml.operators.preconditioning import Preconditioned, flexible_cg, preconditioner
from sciml.operators.trained_operator import TrainedOperator
from sciml.pde.advection import AdvectionDiffusion
from sciml.pde.elliptic import Darcy, Poisson, discretize
from sciml.pde.grid import Grid
from sciml.pde.random_fields import TwoPhase
from sciml.solve import Result, solve
from sciml.train.progress import Quiet
from tests.operators.conftest import Small

GRID = Grid((15, 15))


def hierarchy(seed: int = 5) -> Neural:
    torch.manual_seed(seed)
    raw = FieldScaling.raw(("coefficient",))
    operator = TrainedOperator(HierarchyNet(channels=4, hidden=4), raw, ("coefficient",), "u", GRID, {})
    return Neural(operator, precision="float64")


@pytest.mark.parametrize("method", ["cg", "gmres"])
@pytest.mark.parametrize(
    "problem", [Darcy(15, seed=7), Darcy((20, 31), TwoPhase(1, 100), seed=9, source=lambda x, y: x - y)]
)
def test_an_untrained_cycle_is_a_preconditioner(problem: Any, method: Any) -> None:
    system = discretize(problem)
    truth = spsolve(system.matrix.tocsc(), system.rhs)
    solution = solve(problem, Preconditioned(hierarchy(), method))
    assert np.linalg.norm(solution.u.values.ravel() - truth) < 1e-6 * np.linalg.norm(truth)
    assert solution.stats["iterations"] <= 25
    assert solution.residuals[-1] <= 1e-8
    assert len(solution.residuals) == solution.stats["iterations"] + 1
    assert solve(problem, AMG()).stats["cycles"] <= solution.stats["iterations"]


def test_the_preconditioner_equals_the_cycle_of_the_network() -> None:
    problem = Darcy(15, seed=7)
    system = discretize(problem)
    made = preconditioner(hierarchy(), problem)
    assert isinstance(made, LinearOperator)
    r = np.random.default_rng(5).normal(size=225)
    assert np.allclose(made.matvec(1e-12 * r), 1e-12 * made.matvec(r), rtol=1e-10, atol=0)
    b = np.array([made.matvec(e) for e in np.eye(225)])
    assert np.abs(b - b.T).max() < 1e-10 * np.abs(b).max()
    value = HierarchyNet(channels=4, hidden=4, cycles=1).double()
    value.load_state_dict(hierarchy().operator.network.state_dict())
    raw = FieldScaling.raw(("coefficient",))
    direct = Neural(TrainedOperator(value, raw, ("coefficient",), "u", GRID, {}), precision="float64")
    assert np.allclose(solve(system, direct).u.values.ravel(), made.matvec(system.rhs), rtol=1e-9)
    assert not made.matvec(np.zeros(225)).any()


def test_residuals_are_scaled_to_the_units_of_the_network(tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = Small()
    scale = Standard("scalar", torch.tensor(0.5), torch.tensor(3.0))
    inputs = FieldScaling({"source": scale}, Standard("scale", torch.tensor(0.0), torch.tensor(0.1)))
    operator = TrainedOperator(network, inputs, ("source",), "u", GRID, {"family": "poisson"})
    problem = Poisson(15, lambda x, y: x * y)
    made = preconditioner(Neural(operator, precision="float64"), problem)
    r = np.random.default_rng(5).normal(size=225)
    assert np.allclose(made.matvec(1e-9 * r), 1e-9 * made.matvec(r), rtol=1e-9, atol=0)
    asked = torch.from_numpy(3.0 * r / np.sqrt(np.mean(r**2))).reshape(1, 15, 15)
    wanted = operator.to("cpu", torch.float64).predict({"source": asked}).numpy().ravel()
    ours = made.matvec(r)
    assert np.allclose(ours / np.linalg.norm(ours), wanted / np.linalg.norm(wanted), rtol=1e-9)
    solution = solve(problem, Preconditioned(Neural(operator), max_iterations=400, rtol=1e-6))
    assert solution.result is Result.SUCCESS  # untrained: slowly, but it arrives


def test_directions_of_ascent_are_replaced_and_counted() -> None:
    system = discretize(Darcy(15, seed=7))
    uphill = LinearOperator((225, 225), matvec=lambda r: -r, dtype=np.float64)
    x, seen, fallbacks = flexible_cg(system, uphill, 1e-8, 200)
    assert fallbacks == len(seen) - 1 > 10
    assert np.linalg.norm(system.residual(x)) <= 1e-8 * np.linalg.norm(system.rhs)
    inverse = LinearOperator((225, 225), matvec=lambda r: spsolve(system.matrix.tocsc(), r), dtype=np.float64)
    assert len(flexible_cg(system, inverse, 1e-8, 9)[1]) == 2


def test_unsupported_operators_are_an_error(darcy: xr.Dataset, tmp_path: Path) -> None:
    fit = {"epochs": 1, "batch_size": 8, "seed": 17, "device": "cpu", "threads": 1}
    operator = training.train(
        darcy, tmp_path / "m.sciml", network={"class": "Small"}, fit=fit, progress=Quiet()
    )
    with pytest.raises(InputError, match=r"takes coefficient, not a residual.*Corrected"):
        preconditioner(Neural(operator), Darcy(15))
    with pytest.raises(InputError, match="nonsymmetric"):
        solve(AdvectionDiffusion(15), Preconditioned(hierarchy()))
    few = solve(Darcy(15), Preconditioned(hierarchy(), max_iterations=2), throw=False)
    assert few.result is Result.MAX_ITERATIONS
    for options, match in [
        ({"method": "qmr"}, "qmr"),
        ({"rtol": 2.0}, "rtol"),
        ({"max_iterations": 0}, "1 or more"),
    ]:
        with pytest.raises(InputError, match=match):
            Preconditioned(hierarchy(), **options)
