"""Operators on a line and in a box: networks, norms, training, prediction, certificate and evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sciml.errors import InputError
from sciml.multigrid import AMG
from sciml.multigrid.torch.along_axes import extended_along, prolonged_along, restricted_along
from sciml.multigrid.torch.transfers import LevelLayout, all_conditions, extend, prolong, restrict
from sciml.operators import losses
from sciml.operators.corrected import Corrected
from sciml.operators.fno import FNO, SpectralConvolution
from sciml.operators.mgno import MgNO
from sciml.operators.mgno_layer import Cycle
from sciml.operators.neural import Neural
from sciml.operators.registry import build
from sciml.operators.trained_operator import TrainedOperator
from sciml.operators.training import train
from sciml.pde import Boundary, Darcy, Grid, Lognormal, Poisson, discretize, generate
from sciml.solve import Result, solve
from sciml.train.progress import Quiet
from sciml.verify.operator.fields import evaluate
from sciml.verify.operator.figures import pictures

WAVY = Boundary("neumann", "dirichlet", "periodic", "periodic", "dirichlet", "neumann")


@pytest.mark.parametrize("axes", [1, 3])
def test_the_spectral_convolution_is_the_same_by_matrices_and_by_fft(axes: int) -> None:
    torch.manual_seed(5)
    layer = SpectralConvolution(2, 3, 5, axes=axes).double()
    for shape in ((7, 6, 8), (9, 4, 5)):
        x = torch.randn(2, 2, *shape[-axes:], dtype=torch.float64)
        by_fft = layer(x)
        layer.dft = True
        torch.testing.assert_close(layer(x), by_fft)
        layer.dft = False


@pytest.mark.parametrize("axes", [2, 3])
def test_a_field_without_variation_along_an_axis_is_convolved_as_with_one_axis_less(axes: int) -> None:
    torch.manual_seed(7)
    layer = SpectralConvolution(2, 2, 5, axes=axes)
    less = SpectralConvolution(2, 2, 5, axes=axes - 1)
    with torch.no_grad():
        less.weight.copy_(layer.weight[:, :, 2])  # the wave number 0 of the first axis
    x = torch.randn(1, 2, *(9, 8)[-(axes - 1) :])
    wide = x.unsqueeze(2).expand(-1, -1, 6, *x.shape[2:])
    torch.testing.assert_close(layer(wide), less(x).unsqueeze(2).expand_as(wide))


@pytest.mark.parametrize("centring", ["vertex", "cell"])
@pytest.mark.parametrize("sides", ["dirichlet", "neumann", "periodic", "mixed"])
def test_transfers_and_ghosts_along_axes_are_those_of_the_plane(centring: Any, sides: str) -> None:
    mixed = Boundary("neumann", "dirichlet", "dirichlet", "neumann")
    grid = Grid((8, 10), centring, mixed if sides == "mixed" else Boundary.all(sides))  # type: ignore[arg-type]
    layout = LevelLayout.of(grid)
    torch.manual_seed(5)
    u, r = torch.randn(2, 3, *layout.coarse().shape), torch.randn(2, 3, *layout.shape)
    torch.testing.assert_close(prolonged_along(u, layout), prolong(u, layout))
    torch.testing.assert_close(restricted_along(r, layout), restrict(r, layout))
    torch.testing.assert_close(extended_along(r, all_conditions(layout, r)), extend(r, layout))


@pytest.mark.parametrize("axes", [2, 3])
def test_a_cycle_of_fields_without_variation_along_an_axis_is_that_with_one_axis_less(axes: int) -> None:
    """With Neumann sides there, and kernels that are the sums of those along that axis."""
    torch.manual_seed(7)
    shape = (9, 12)[-(axes - 1) :]
    boundary = Boundary(*["dirichlet", "neumann", "neumann", "dirichlet"][: 2 * axes - 2])
    few = LevelLayout.of(Grid(shape, "cell", boundary))
    sides = [*boundary.of_axes(axes - 1).sides.values(), "neumann", "neumann"]
    more = LevelLayout.of(Grid((6, *shape), "cell", Boundary(*sides)))
    wide, thin = Cycle(2, 2, levels=2, pre=2, axes=axes), Cycle(2, 2, levels=2, pre=2, axes=axes - 1)
    with torch.no_grad():
        for mine, theirs in zip(thin.parameters(), wide.parameters(), strict=True):
            mine.copy_(theirs.sum(2))
    f = torch.randn(1, 2, *shape)
    u = wide(f.unsqueeze(2).expand(-1, -1, 6, *shape), more)
    torch.testing.assert_close(u, thin(f, few).unsqueeze(2).expand_as(u))


@pytest.mark.parametrize("axes", [1, 3])
def test_a_multigrid_network_is_made_from_its_configuration(axes: int) -> None:
    network = MgNO(
        2, channels=4, layers=2, norm="groupnorm-relu", axes=axes, boundary=Boundary.all("neumann")
    )
    assert build(network.config()).config() == network.config()
    assert network(torch.zeros(1, 2, *(5, 6, 7)[-axes:])).shape == (1, 1, *(5, 6, 7)[-axes:])
    with pytest.raises(InputError, match="learned transfers are of the plane"):
        MgNO(transfers="learned", axes=axes)
    with pytest.raises(InputError, match=r"MgNO\(axes=4\): give 1, 2 or 3"):
        MgNO(axes=4)
    assert "axes" not in MgNO(channels=2, layers=1).config()


@pytest.mark.parametrize("axes", [1, 3])
def test_a_network_is_made_from_its_configuration(axes: int) -> None:
    network = FNO(2, modes=3, width=4, layers=2, projection=4, padding=0.2, norm="groupnorm-relu", axes=axes)
    assert build(network.config()).config() == network.config()
    assert network(torch.zeros(1, 2, *(5, 6, 7)[-axes:])).shape == (1, 1, *(5, 6, 7)[-axes:])
    with pytest.raises(InputError, match="points x"):
        network(torch.zeros(1, 2, 5, 5))
    with pytest.raises(InputError, match=r"FNO\(axes=4\): give 1, 2 or 3"):
        FNO(axes=4)
    assert "axes" not in FNO(modes=2, width=2).config()


@pytest.mark.parametrize("centring", ["vertex", "cell"])
def test_the_energy_in_a_box_is_that_of_the_matrix(centring: Any) -> None:
    grid = Grid((4, 5, 6), centring, WAVY, (0.8, 1.1, 1.7))
    e = np.random.default_rng(5).normal(size=(2, *grid.shape))
    problem = Poisson(grid.shape, 1.0, WAVY, boundary_value=2.0, centring=centring, lengths=grid.lengths)
    system = discretize(problem)
    expected = [system.energy(field) ** 2 for field in e]
    np.testing.assert_allclose(losses.energy(torch.from_numpy(e), grid), expected, rtol=1e-12)
    if centring == "cell":
        known = losses.energy(torch.from_numpy(e), grid, boundary_value=2.0)
        np.testing.assert_allclose(known, [system.solution_energy(field) ** 2 for field in e], rtol=1e-12)


@pytest.mark.parametrize("axes", [1, 3])
@pytest.mark.parametrize("centring", ["vertex", "cell"])
def test_the_norm_of_a_field_that_is_not_zero_on_its_sides(axes: int, centring: Any) -> None:
    """u = 1 + x + y z: its integrals are exact, also at the edges between two known sides."""
    grid = Grid((12, 14, 16)[-axes:], centring)
    x, *others = grid.mesh()
    product = others[0] * others[1] if others else 0.0
    u = torch.from_numpy(1 + x + product)[None]
    square = 7 / 3 if axes == 1 else 7 / 3 + 2 * 1.5 * 0.25 + 1 / 9
    slopes = 1.0 if axes == 1 else 1 + 2 / 3
    sides = dict.fromkeys(grid.boundary.sides)
    result = float(losses.square_h1(u, grid, boundary_value=sides))
    assert result == pytest.approx(square + slopes, rel=3e-3)


NETWORKS = {
    "FNO": {"class": "FNO", "modes": 4, "width": 6, "layers": 2, "projection": 8},
    "MgNO": {"class": "MgNO", "channels": 6, "layers": 3},
}


@pytest.mark.parametrize(("axes", "name"), [(1, "MgNO"), (3, "FNO"), (3, "MgNO")])
def test_training_prediction_certificate_and_evaluation(axes: int, name: str, tmp_path: Path) -> None:
    shape = (7, 7, 9)[-axes:]
    data = generate("darcy-lognormal", 12, shape, seed=9).compute()
    operator = train(
        data, tmp_path / "o.sciml", network=NETWORKS[name], validation=2, progress=Quiet(),
        fit={"epochs": 3, "seed": 3, "batch_size": 2, "threads": 1},
    )  # fmt: skip
    assert operator.grid == Grid(shape)
    assert operator.about["line"] is False
    loaded = Neural(TrainedOperator.load(tmp_path / "o.sciml"))
    predicted = loaded.predict(data)
    assert predicted.dims == data.u.dims
    problem = Darcy(shape, Lognormal(), seed=int(data.sample_seed[4]))
    solution = solve(problem, loaded)
    np.testing.assert_allclose(solution.u.values, predicted[4].values, rtol=1e-3, atol=1e-6)
    certified = solve(problem, Corrected(loaded, AMG(), rtol=1e-4))
    exact = solve(problem, AMG(rtol=1e-12)).u.values
    assert certified.result is Result.SUCCESS
    assert certified.error_bound is not None
    assert discretize(problem).energy(certified.u.values - exact) <= certified.error_bound
    systems = [discretize(Darcy(shape, data.coefficient[i].values.astype(float))) for i in (0, 1)]
    evaluation = evaluate(
        predicted.values[:2], data.u.values[:2].astype(float), operator.grid,
        systems=systems, inputs={"coefficient": data.coefficient.values[:2]}, multigrid_samples=1,
    )  # fmt: skip
    assert evaluation.scores["frequency"]["cutoff"] > 3
    assert next(pictures(evaluation)).figure.axes
    if axes == 3:
        assert "plane z = " in next(pictures(evaluation)).caption
        with pytest.raises(InputError, match="fields of 3 axes"):
            solve(Darcy(7), loaded)


def test_networks_of_the_plane_name_the_ones_that_take_other_fields(tmp_path: Path) -> None:
    data = generate("poisson", 3, (3, 4, 5), seed=9)
    with pytest.raises(InputError, match=r"takes fields of the plane, the data have 3 axes \(z, y, x\)"):
        train(data, tmp_path / "o.sciml", network={"class": "HierarchyNet"}, progress=Quiet())
