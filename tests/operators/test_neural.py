"""A trained operator as an algorithm: its predictions and its errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from sciml.errors import InputError, MissingVariable
from sciml.multigrid.amg import AMG
from sciml.operators import training
from sciml.operators.field_scaling import FieldScaling
from sciml.operators.hierarchy_net import HierarchyNet
from sciml.operators.neural import Neural
from sciml.operators.preconditioning import Preconditioned
from sciml.operators.trained_operator import TrainedOperator
from sciml.pde.elliptic import Darcy, Poisson, discretize
from sciml.pde.grid import Boundary
from sciml.pde.helmholtz import Helmholtz
from sciml.pde.random_fields import TwoPhase
from sciml.solve import Result, SolveFailed, solve
from sciml.train.progress import Quiet

FIT = {"epochs": 6, "batch_size": 8, "learning_rate": 5e-3, "seed": 17, "threads": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def path(darcy: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sciml.operators import registry
    from tests.operators.conftest import Small

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.REGISTERED, "Small", Small)
        output = tmp_path_factory.mktemp("neural") / "m.sciml"
        training.train(darcy, output, network={"class": "Small"}, fit=FIT, validation=8, progress=Quiet())
    return output


@pytest.fixture
def neural(path: Path) -> Neural:
    return Neural.load(path)


def test_a_problem_and_its_sample_have_equal_predictions(neural: Neural, darcy: xr.Dataset) -> None:
    solution = solve(Darcy(15, seed=10), neural)
    assert (solution.u.dims, solution.error_bound, solution.result) == (("y", "x"), None, Result.SUCCESS)
    assert solution.stats["seconds"] > 0
    prediction = neural.predict(darcy, batch=7)
    assert prediction.dims == ("sample", "y", "x")
    assert np.allclose(prediction[3], solution.u, rtol=1e-5)
    assert np.array_equal(prediction["x"], darcy["x"])
    error = np.linalg.norm(prediction - darcy["u"]) / np.linalg.norm(darcy["u"])
    assert error < 0.5
    assert np.allclose(neural.predict(darcy.chunk(sample=8), batch=40), prediction, rtol=1e-5)


def test_precisions_agree_up_to_rounding(neural: Neural) -> None:
    problem = Darcy(15, seed=12)
    exact = solve(problem, replace(neural, precision="float64")).u
    for precision, within in (("float32", 1e-5), ("bfloat16", 5e-2)):
        other = solve(problem, replace(neural, precision=precision)).u
        assert 0 < np.linalg.norm(other - exact) < within * np.linalg.norm(exact)


def test_problems_outside_of_the_training_fail_or_have_notes(neural: Neural) -> None:
    for problem, match in [
        (Poisson(15), r"trained on darcy-smooth \(Darcy\), this is a Poisson"),
        (Helmholtz(), "this is a Helmholtz"),
        (discretize(Darcy(15)), "takes coefficient, a System has none"),
        (Darcy(15, source=2.0), "with source=1.0, the problem has 2.0"),
        (Darcy(15, boundary_value=1.0), "boundary_value"),
        (Darcy(15, centring="cell"), "vertex-centred grid"),
        (Darcy(15, boundary=Boundary(west="neumann")), "neumann"),
    ]:
        with pytest.raises(InputError, match=match) as caught:
            solve(problem, neural)
        assert "\n" not in str(caught.value)
    other = solve(Darcy(15, TwoPhase(3, 100), seed=7), neural)
    assert other.result is Result.NOVEL
    assert other.stats["novelty"] == pytest.approx(88 / 9)
    assert solve(Darcy(21, seed=7), neural).u.shape == (21, 21)


def test_data_of_another_kind_are_an_error(neural: Neural, darcy: xr.Dataset) -> None:
    with pytest.raises(MissingVariable, match="no 'coefficient'"):
        neural.predict(darcy.rename(coefficient="speed"))
    with pytest.raises(InputError, match="not step in time, the data is a time series"):
        neural.predict(darcy.assign(u=darcy["u"].expand_dims(time=3, axis=1)))
    with pytest.raises(InputError, match="batch=0"):
        neural.predict(darcy, batch=0)


def test_predictions_that_are_not_finite_are_an_error(neural: Neural) -> None:
    broken = neural.operator.to("cpu")
    next(broken.network.parameters()).data.fill_(float("nan"))
    with pytest.raises(SolveFailed, match="NOT_FINITE"):
        solve(Darcy(15), Neural(broken))


def test_settings_and_the_table(neural: Neural) -> None:
    text = str(neural)
    for part in ("darcy-smooth", "Small", "15 x 15", "relative h1", "float32 on cpu"):
        assert part in text
    for options in ({"precision": "half"}, {"device": "abacus"}):
        with pytest.raises(InputError, match=next(iter(options.values()))):
            Neural(neural.operator, **options)


def test_a_network_of_the_system_takes_any_boundary_data(darcy: xr.Dataset, tmp_path: Path) -> None:
    output = tmp_path / "s.sciml"
    fit: dict[str, Any] = {**FIT, "epochs": 2}
    training.train(darcy, output, network={"class": "Jacobi", "sweeps": 60}, fit=fit, progress=Quiet())
    operator = TrainedOperator.load(output)
    neural = Neural(operator, precision="float64")
    problem = Darcy(15, seed=8, source=0.0, boundary_value=lambda x, y: 1 + x, boundary="dirichlet")
    system = discretize(problem)
    solution = solve(problem, neural)
    truth = np.linalg.solve(system.matrix.toarray(), system.rhs)
    assert system.energy(solution.u.values.ravel() - truth) < 0.5 * system.energy(truth)
    twice = solve(replace(system, rhs=1e-9 * system.rhs), neural)
    assert np.allclose(twice.u, 1e-9 * solution.u, rtol=1e-6, atol=0)
    assert solution.result is Result.SUCCESS
    finer = solve(Darcy(31, seed=8), neural)
    assert finer.result is Result.NOVEL
    assert "Jacobi does not say that it takes any resolution" in finer.notes[1]
    with pytest.raises(InputError, match="indefinite"):
        solve(Helmholtz(), neural)
    assert torch.is_tensor(operator.network.damping)


@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
def test_predictions_up_to_a_constant_have_mean_zero(boundary: Any) -> None:
    """As the solutions of multigrid and of the datasets, so that the two can be compared."""
    rng = np.random.default_rng(5)
    coefficient = np.where(rng.random((15, 15)) < 0.5, 1.0, 12.0)
    problem = Darcy(15, coefficient, lambda x, y: np.cos(2 * np.pi * x) * np.cos(2 * np.pi * y), boundary)
    torch.manual_seed(3)
    network = HierarchyNet(channels=3, hidden=3, cycles=20)
    operator = TrainedOperator(
        network,
        FieldScaling.raw(("coefficient", "source")),
        ("coefficient", "source"),
        "u",
        problem.grid,
        {},
    )
    neural = Neural(operator, precision="float64")
    truth = solve(problem, AMG(rtol=1e-10)).u.values
    fields = {
        "coefficient": torch.from_numpy(coefficient)[None],
        "source": torch.tensor(problem.source_field())[None],
    }
    answers = [
        solve(problem, neural).u.values,
        solve(problem, Preconditioned(neural)).u.values,
        operator.to("cpu", torch.float64).predict(fields)[0].numpy(),
    ]
    for result in answers:
        assert abs((result * problem.grid.volumes()).sum()) < 1e-12
        assert np.linalg.norm(result - truth) < 0.01 * np.linalg.norm(truth)
