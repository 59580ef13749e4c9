"""Smoothing of predictions with the known matrix, compared with the conjugate gradients of scipy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as spla
import torch
import xarray as xr

from sciml.errors import InputError
from sciml.operators.field_scaling import FieldScaling
from sciml.operators.mgno import MgNO
from sciml.operators.neural import Neural
from sciml.operators.smoothing import smoothed
from sciml.operators.trained_operator import TrainedOperator
from sciml.pde.advection import AdvectionDiffusion
from sciml.pde.elliptic import Darcy, Poisson, discretize
from sciml.pde.generation import generate
from sciml.pde.grid import Boundary, Grid
from sciml.pde.random_fields import TwoPhase
from sciml.solve import solve


@pytest.mark.parametrize("steps", [1, 4])
def test_steps_are_those_of_scipy(steps: int) -> None:
    system = discretize(Darcy((15, 11), TwoPhase(3, 12), seed=7))
    start = np.random.default_rng(3).normal(size=system.grid.shape)
    inverse = sp.diags_array(1 / system.matrix.diagonal())
    expected, _ = spla.cg(system.matrix, system.rhs, start.ravel(), rtol=0.0, maxiter=steps, M=inverse)
    assert np.allclose(smoothed(system, start, steps).ravel(), expected, rtol=1e-10)


def test_the_energy_error_falls_with_each_step_and_a_solution_stays() -> None:
    system = discretize(Poisson(15, boundary=Boundary("neumann")))
    exact = spla.spsolve(system.matrix.tocsc(), system.rhs)
    start = np.random.default_rng(5).normal(size=(15, 15))
    errors = [system.energy(smoothed(system, start, steps).ravel() - exact) for steps in range(5)]
    assert errors == sorted(errors, reverse=True)
    assert errors[3] < 0.5 * errors[0]
    assert np.allclose(smoothed(system, exact.reshape(15, 15), 3).ravel(), exact, rtol=1e-9)


def test_a_system_without_energy_is_an_error() -> None:
    with pytest.raises(InputError, match="smooth=2: the system is nonsymmetric"):
        smoothed(discretize(AdvectionDiffusion(7)), np.zeros((7, 7)), 2)


@pytest.fixture
def neural() -> Neural:
    torch.manual_seed(3)
    network = MgNO(channels=2, layers=1, levels=2, grid=(7, 7))
    about = {
        "family": "darcy-smooth",
        "problem": generate_parameters(),
        "ranges": {"coefficient": [3.0, 12.0]},
    }
    scaling = FieldScaling.raw(("coefficient",))
    return Neural(TrainedOperator(network.eval(), scaling, ("coefficient",), "u", Grid((15, 15)), about))


def generate_parameters() -> dict[str, object]:
    from sciml.pde.families import FAMILIES

    return FAMILIES["darcy-smooth"].parameters()


def test_a_prediction_is_smoothed_for_a_problem_and_for_a_dataset(neural: Neural) -> None:
    data: xr.Dataset = generate("darcy-smooth", 3, 31, 9).load()
    rough, fine = neural.predict(data, batch=2), replace(neural, smooth=3).predict(data, batch=2)
    for row, seed in enumerate(data["sample_seed"].values):
        problem = Darcy(31, TwoPhase(3, 12), seed=int(seed))
        expected = smoothed(discretize(problem), solve(problem, neural).u.values, 3)
        assert np.allclose(solve(problem, replace(neural, smooth=3)).u.values, expected, rtol=1e-12)
        assert np.allclose(fine[row], expected, rtol=1e-3, atol=1e-5)
    apart = [float(np.linalg.norm(values - data["u"])) for values in (rough, fine)]
    assert apart[1] != apart[0]


@pytest.mark.parametrize("smooth", [-1, 1.5, True])
def test_the_number_of_steps_is_checked(neural: Neural, smooth: object) -> None:
    with pytest.raises(InputError, match="smooth"):
        replace(neural, smooth=smooth)  # type: ignore[arg-type]
