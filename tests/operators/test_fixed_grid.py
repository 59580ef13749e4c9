"""Cycles on a fixed grid: the transfers compared with scipy, and MgNO at other resolutions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.interpolate import RegularGridInterpolator

from sciml.errors import InputError
from sciml.multigrid.torch.transfers import LevelLayout
from sciml.operators import registry, training
from sciml.operators.fixed_grid import FixedGrid, fixed_shape, mean
from sciml.operators.mgno import MgNO
from sciml.operators.neural import Neural
from sciml.operators.trained_operator import TrainedOperator
from sciml.pde.direct import Direct
from sciml.pde.elliptic import Darcy
from sciml.pde.grid import Boundary, Grid
from sciml.solve import Result, solve
from sciml.train.progress import Quiet
from tests.operators.conftest import dataset

MIXED = Boundary("periodic", "periodic", "neumann", "dirichlet")
SIDES = [Boundary(), Boundary.all("neumann"), Boundary.all("periodic"), MIXED]


def fixed(
    shape: tuple[int, int], coarse: tuple[int, int], boundary: Boundary | None = None, centring="vertex"
):
    return FixedGrid.of(LevelLayout.of(Grid(shape, centring, boundary or Boundary())), coarse)


def wave(n: int) -> torch.Tensor:
    """A smooth field that is zero on the sides, at n x n nodes."""
    x, y = Grid((n, n)).mesh()
    return torch.from_numpy(np.sin(2 * np.pi * x) * np.sin(np.pi * y) * np.exp(x))[None, None]


@pytest.mark.parametrize("centring", ["vertex", "cell"])
@pytest.mark.parametrize("boundary", SIDES, ids=str)
def test_means_of_a_constant_are_the_constant(boundary, centring):
    for shape in ((14, 21), (7, 7), (30, 10), (7, 5), (5, 6)):
        transfers = fixed(shape, (7, 7), boundary, centring)
        of_ones = transfers.average(torch.ones(1, 2, *shape, dtype=torch.float64))
        assert of_ones.shape == (1, 2, 7, 7)
        assert_allclose(of_ones, 1, rtol=1e-12)
        assert transfers.interpolate(of_ones).shape == (1, 2, *shape)


def test_the_mean_around_a_node_is_full_weighting_and_of_cells_the_mean_of_four():
    x = torch.randn(1, 1, 15, 15, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    v = x.numpy()[0, 0]
    weights = np.outer([1, 2, 1], [1, 2, 1]) / 16
    around = sum(weights[i, j] * v[i : i + 13 : 2, j : j + 13 : 2] for i in range(3) for j in range(3))
    assert_allclose(mean(x, LevelLayout.of(Grid((15, 15))))[0, 0], around, rtol=1e-12)
    cells = mean(x[..., :14, :14], LevelLayout.of(Grid((14, 14), "cell")))
    assert_allclose(cells[0, 0], v[:14, :14].reshape(7, 2, 7, 2).mean((1, 3)), rtol=1e-12)


@pytest.mark.parametrize("shape", [(31, 63), (40, 25), (15, 15), (15, 40)], ids=str)
def test_interpolation_is_linear_and_zero_on_dirichlet_sides(shape):
    u = torch.randn(1, 1, 15, 15, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    nodes = np.linspace(0, 1, 17)
    linear = RegularGridInterpolator((nodes, nodes), np.pad(u.numpy()[0, 0], 1))
    x, y = Grid(shape).mesh()
    assert_allclose(fixed(shape, (15, 15)).interpolate(u)[0, 0], linear((y, x)), atol=1e-12)


def test_fields_on_a_coarser_grid_are_interpolated():
    rows = fixed((15, 15), (31, 31)).average(wave(15))[0, 0, :, 1::2]
    given = wave(15)[0, 0]
    assert_allclose(rows[1::2], given, atol=1e-12)
    assert_allclose(rows[2:-2:2], (given[1:] + given[:-1]) / 2, atol=1e-12)
    assert_allclose(
        rows[0], 1.5 * given[0] - 0.5 * given[1], atol=1e-12
    )  # a feature has no boundary condition


def test_the_result_converges_with_the_resolution_and_without_a_fixed_grid_it_does_not():
    torch.manual_seed(3)
    networks = {grid: MgNO(channels=4, layers=3, levels=4, grid=grid).double() for grid in ((15, 15), None)}
    networks[None].load_state_dict(networks[15, 15].state_dict())
    apart = {}
    for grid, network in networks.items():
        with torch.no_grad():
            at = {
                n: network(wave(n))[..., n // 32 :: (n + 1) // 32, n // 32 :: (n + 1) // 32]
                for n in (31, 63, 127)
            }
        apart[grid] = [float((at[n] - at[127]).norm() / at[127].norm()) for n in (31, 63)]
    assert apart[15, 15][1] < 0.4 * apart[15, 15][0] < 0.04
    assert min(apart[None]) > 0.2


@pytest.mark.parametrize("centring", ["vertex", "cell"])
@pytest.mark.parametrize("boundary", SIDES, ids=str)
def test_any_shape_and_boundary_has_a_gradient(boundary, centring):
    torch.manual_seed(5)
    network = MgNO(channels=2, layers=2, levels=2, grid=(6, 7), centring=centring, boundary=boundary).double()
    x = torch.randn(1, 1, 12, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(network, x, fast_mode=True)


def test_a_number_is_for_one_resolution_and_a_shape_for_all():
    network = MgNO(channels=2, layers=1, levels=2, grid=15)
    assert fixed_shape(network.layout(torch.ones(1, 1, 31, 65)), 15) == (15, 32)
    assert network.fixed_grid(network.layout(torch.ones(1, 1, 31, 65))).coarse.shape == (15, 32)
    assert not network.any_resolution
    assert MgNO(channels=2, layers=1, levels=2, grid=(15, 32)).any_resolution


def test_configurations_of_earlier_versions_make_the_earlier_network():
    torch.manual_seed(7)
    old = MgNO(channels=3, layers=2, levels=3, grid=None)
    assert "grid" not in old.config()
    again = registry.build(old.config())
    again.load_state_dict(old.state_dict())
    x = torch.randn(2, 1, 63, 63)
    assert torch.equal(again(x), old(x))
    for grid in (15, (15, 20)):
        network = MgNO(channels=3, layers=2, levels=3, grid=grid)
        assert registry.build(network.config()).config() == network.config()
        network.load_state_dict(old.state_dict())
        assert not torch.allclose(network(x), old(x), atol=1e-3)


@pytest.mark.parametrize("grid", [2, -1, 31.5, (31,), (31, 31, 31), (2, 31), "31", True])
def test_a_grid_that_is_none_is_an_error(grid):
    with pytest.raises(InputError, match="give the shape"):
        MgNO(grid=grid)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Neural:
    """MgNO of default form, trained at 31 x 31."""
    path = tmp_path_factory.mktemp("fixed") / "m.sciml"
    network = {"class": "MgNO", "layers": 2, "channels": 6, "levels": 3}
    fit = {"epochs": 8, "batch_size": 8, "learning_rate": 8e-3, "seed": 17, "threads": 1, "device": "cpu"}
    training.train(dataset(Grid((31, 31)), 24), path, network=network, fit=fit, progress=Quiet())
    return Neural.load(path)


def error(problem: Darcy, neural: Neural) -> float:
    truth = solve(problem, Direct()).u.values
    return float(np.linalg.norm(solve(problem, neural).u.values - truth) / np.linalg.norm(truth))


def test_the_training_fixes_the_grid_and_other_resolutions_have_about_its_error(trained: Neural) -> None:
    assert trained.operator.network.config()["grid"] == [15, 15]
    here = error(Darcy(31, seed=90), trained)
    assert here < 0.3
    for shape in (63, 127, 40, (31, 63)):
        assert error(Darcy(shape, seed=90), trained) < 1.2 * here
    solution = solve(Darcy(63, seed=90), trained)
    assert solution.result is Result.SUCCESS
    assert solution.notes[0].endswith("answered directly, with its linear maps on 15 x 15")
    coarser = solve(Darcy(15, seed=90), trained)
    assert coarser.result is Result.NOVEL
    assert error(Darcy(15, seed=90), trained) < 2 * here


@pytest.mark.parametrize(("given", "expected"), [(None, None), (7, [7, 7]), ([9, 11], [9, 11])])
def test_the_grid_can_be_set_for_the_training(given, expected, tmp_path: Path) -> None:
    network = {"class": "MgNO", "layers": 1, "channels": 2, "levels": 2, "grid": given}
    fit = {"epochs": 1, "threads": 1, "device": "cpu"}
    operator = training.train(
        dataset(Grid((15, 15)), 4), tmp_path / "m.sciml", network=network, fit=fit, progress=Quiet()
    )
    assert operator.network.config().get("grid") == expected
    assert isinstance(operator, TrainedOperator)
    assert operator.any_resolution == (expected is not None)
