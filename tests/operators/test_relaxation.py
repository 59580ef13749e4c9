"""Relaxation with learned coefficients: what a sweep leaves unchanged, and that it can be the sweep of Jacobi."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sciml.errors import InputError
from sciml.multigrid.torch.transfers import LevelLayout
from sciml.operators import registry
from sciml.operators.mgno import MgNO
from sciml.operators.relaxation import REACH, Relaxation
from sciml.pde.elliptic import Poisson, discretize
from sciml.pde.grid import Boundary, Grid

MIXED = Boundary("periodic", "periodic", "neumann", "dirichlet")


def test_constant_coefficients_can_be_the_sweeps_of_jacobi() -> None:
    relaxation = Relaxation(2, 1, sweeps=2).double()
    with torch.no_grad():
        relaxation.coefficients.weight.zero_()
        bias = relaxation.coefficients.bias
        assert bias is not None
        bias[:2] = 0.8 / 4  # the source is 1
        beside = [1.0 if 1 in place else 0.0 for place in REACH]
        bias[2:] = 0.8 / 4 * torch.tensor(beside * 2, dtype=torch.float64)
    for n in (7, 15):
        system = discretize(Poisson(n))
        u = np.random.default_rng(3).normal(size=n * n)
        expected = u
        for _ in range(2):
            expected = expected + 0.8 * system.residual(expected) / system.matrix.diagonal()
        field = torch.from_numpy(u).reshape(1, 1, n, n)
        layout, area = LevelLayout.of(system.grid), system.grid.spacing[0] ** 2
        result = relaxation(field, torch.ones(1, 2, n, n, dtype=torch.float64), layout, area)
        assert np.allclose(result.detach().numpy().ravel(), expected, rtol=1e-12)


@pytest.mark.parametrize("centring", ["vertex", "cell"])
@pytest.mark.parametrize("boundary", [Boundary(), Boundary.all("periodic"), MIXED], ids=str)
def test_it_is_linear_in_the_prediction_and_has_a_gradient(boundary, centring) -> None:
    torch.manual_seed(5)
    layout = LevelLayout.of(Grid((6, 5), centring, boundary))
    relaxation = Relaxation(1, 2, sweeps=2, width=3).double()
    inputs, u, v = (torch.randn(1, n, 6, 5, dtype=torch.float64) for n in (1, 2, 2))
    whole = relaxation(u + v, inputs, layout, 1.0) - relaxation(v, inputs, layout, 1.0)
    again = relaxation(u, inputs, layout, 1.0) - relaxation(0 * u, inputs, layout, 1.0)
    assert torch.allclose(whole, again, rtol=1e-10)
    u.requires_grad_()
    inputs.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: relaxation(a, b, layout, 0.5), (u, inputs), fast_mode=True)


def test_constants_stay_where_no_side_is_dirichlet() -> None:
    torch.manual_seed(5)
    layout = LevelLayout.of(Grid((6, 8), "cell", Boundary.all("neumann")))
    relaxation = Relaxation(1, 1, sweeps=3).double()
    constant, inputs = torch.full((1, 1, 6, 8), 2.0).double(), torch.randn(1, 1, 6, 8).double()
    assert torch.allclose(relaxation(constant, inputs, layout, 0.0), constant, rtol=1e-12)


def test_mgno_with_relaxations() -> None:
    torch.manual_seed(7)
    network = MgNO(channels=3, layers=1, levels=2, grid=(7, 7), relaxations=2)
    assert registry.build(network.config()).config() == network.config()
    for shape in ((15, 15), (31, 31), (7, 7), (20, 9), (5, 5)):
        result = network(torch.randn(2, 1, *shape))
        assert result.shape == (2, 1, *shape)
        result.sum().backward()
    assert "relaxations" not in MgNO(channels=3, layers=1, levels=2).config()
    with pytest.raises(InputError, match="relaxations"):
        MgNO(relaxations=-1)
