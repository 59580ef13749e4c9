"""Green's functions of operators: an exact inverse, one cycle of pyamg, a network with ReLU, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.multigrid.torch.stencils import stencil_of
from sciml.multigrid.torch.transfers import LevelLayout
from sciml.operators.field_scaling import FieldScaling
from sciml.operators.greens import greens_functions
from sciml.operators.hierarchy_net import HierarchyNet
from sciml.operators.published.layer import MultigridConvolution
from sciml.operators.trained_operator import TrainedOperator
from sciml.pde.elliptic import discretize
from sciml.pde.families import family_named
from tests.operators.test_equivalence import OMEGA, hierarchy

N = 15
PROBLEM = family_named("poisson").problem(N, seed=23)


class Inverse(nn.Module):
    """The inverse of the system, times a factor, plus a constant where the source is positive."""

    def __init__(self, factor: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        matrix = factor * np.linalg.inv(discretize(PROBLEM).matrix.toarray())
        self.weight = nn.Parameter(torch.from_numpy(matrix))
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        volume = discretize(PROBLEM).grid.volumes()[0, 0]
        return ((volume * x.flatten(1)) @ self.weight.T + self.bias).reshape(x.shape)


class Cycle(nn.Module):
    """One cycle of the hierarchy for the source."""

    def __init__(self, multilevel: Any) -> None:
        super().__init__()
        self.layer = MultigridConvolution.from_hierarchy(multilevel, omega=OMEGA)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.layer(x * discretize(PROBLEM).grid.volumes()[0, 0])
        return made


def operator(network: nn.Module, inputs: tuple[str, ...] = ("source",)) -> TrainedOperator:
    return TrainedOperator(network, FieldScaling.raw(inputs), inputs, "u", discretize(PROBLEM).grid, {})


def test_the_inverse_itself() -> None:
    result = greens_functions(operator(Inverse()), PROBLEM, modes=4)
    assert result.error < 1e-9
    assert result.asymmetry < 1e-12
    assert result.residual < 1e-14
    exact = np.linalg.svd(np.linalg.inv(discretize(PROBLEM).matrix.toarray()) / (N + 1) ** 2)[1][:4]
    np.testing.assert_allclose(result.singular_values, exact, rtol=1e-9)
    np.testing.assert_allclose(result.exact_singular_values, exact, rtol=1e-8)
    assert result.points.shape == (5, 2)
    assert result.network.shape == (5, N, N)
    assert np.unravel_index(result.exact[0].argmax(), (N, N)) == (7, 7)
    wave = np.outer(*[np.sin(np.pi * np.arange(1, N + 1) / (N + 1))] * 2)
    assert abs((result.modes[0] * wave).sum() / np.linalg.norm(wave)) == pytest.approx(1.0, abs=1e-10)
    assert "1.000" in str(result)


def test_a_scaled_inverse_with_a_bias() -> None:
    result = greens_functions(operator(Inverse(1.1, 1e-3)), PROBLEM, [(3, 4), (4, 3)], modes=1)
    assert result.error == pytest.approx(0.1, rel=1e-7)
    assert result.singular_values[0] / result.exact_singular_values[0] == pytest.approx(1.1, rel=1e-7)
    assert result.residual > 1e-3
    assert result.network[0][4, 3] == pytest.approx(result.network[1][3, 4], rel=1e-10)


def test_one_cycle_of_pyamg() -> None:
    multilevel = hierarchy(N)
    result = greens_functions(operator(Cycle(multilevel)), PROBLEM, modes=2)
    for (y, x), column in zip(result.points, result.network, strict=True):
        unit = np.zeros((N, N))
        unit[y, x] = (N + 1) ** -2.0
        wanted = multilevel.solve(unit.ravel(), x0=np.zeros(N * N), maxiter=1, tol=1e-300)
        np.testing.assert_allclose(column.ravel(), wanted, rtol=0, atol=1e-12 * abs(wanted).max())
    assert 0.01 < result.error < 0.5


def test_a_network_that_takes_the_system() -> None:
    """Its linear operator is the network itself, of the system of the problem."""
    problem = family_named("darcy-any").problem(7, seed=29)
    system = discretize(problem)
    torch.manual_seed(31)
    network = HierarchyNet(channels=3, hidden=4)
    trained = TrainedOperator(
        network, FieldScaling.raw(("coefficient", "source")), ("coefficient", "source"), "u", system.grid, {}
    )
    seen: list[int] = []
    result = greens_functions(
        trained, problem, [(2, 5)], modes=2, progress=lambda done, total: seen.append(total)
    )
    unit = np.zeros(system.grid.shape)
    unit[2, 5] = system.grid.volumes()[2, 5]
    layout, stencil = LevelLayout.of(system.grid), stencil_of(system.matrix, system.grid)[None]
    exact = network.double().eval()(stencil, torch.from_numpy(unit)[None, None], layout)[0, 0]
    np.testing.assert_allclose(
        result.network[0], exact.detach(), rtol=0, atol=1e-12 * abs(result.network).max()
    )
    inverse = np.linalg.inv(system.matrix.toarray())
    np.testing.assert_allclose(result.exact[0].ravel(), inverse @ unit.ravel(), rtol=1e-8)
    assert seen == [1]


def test_refusals() -> None:
    with pytest.raises(InputError, match="takes coefficient: Green's functions are those"):
        greens_functions(operator(Inverse(), ("coefficient",)), PROBLEM)
    with pytest.raises(InputError, match=r"points=\[\[15, 2\]\]: the grid has 15 rows"):
        greens_functions(operator(Inverse()), PROBLEM, [(15, 2)])
    with pytest.raises(InputError, match="give pairs of a row and a column"):
        greens_functions(operator(Inverse()), PROBLEM, [(1.5, 2)])  # type: ignore[list-item]
    with pytest.raises(InputError, match="modes=0"):
        greens_functions(operator(Inverse()), PROBLEM, modes=0)
