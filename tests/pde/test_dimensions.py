"""Problems on a line and in a box: the same functions as in the plane, checked against other solvers and dimensions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyamg
import pytest
import scipy.sparse as sp

from sciml.errors import InputError
from sciml.multigrid import AMG
from sciml.multigrid.interpolation import prolongation
from sciml.pde import (
    FAMILIES,
    Boundary,
    Darcy,
    Direct,
    GaussianField,
    Grid,
    Lognormal,
    Multiscale,
    NavierStokes,
    Poisson,
    TwoPhase,
    discretize,
    generate,
    grid_of_dataset,
    open_dataset,
    problem_of,
    write_dataset,
)
from sciml.pde.sides import Jumps, Sides, check_sides, lift, mean_sides
from sciml.solve import Result, solve

WAVY = Boundary("neumann", "dirichlet", "periodic", "periodic", "dirichlet", "neumann")


def rough(shape: tuple[int, ...], seed: int) -> np.ndarray[Any, Any]:
    return np.exp(np.random.default_rng(seed).normal(size=shape))


@pytest.mark.parametrize("shape", [(9,), (5, 6, 7)])
def test_the_matrix_is_that_of_pyamg(shape: tuple[int, ...]) -> None:
    lengths = tuple(n + 1.0 for n in shape)  # spacings of 1
    system = discretize(Poisson(shape, lengths=lengths))
    expected = pyamg.gallery.poisson(shape, format="csr")
    assert abs(system.matrix - expected).max() == pytest.approx(0, abs=1e-14)
    np.testing.assert_allclose(system.rhs, 1.0)


@pytest.mark.parametrize("centring", ["vertex", "cell"])
def test_one_layer_more_is_a_sum_of_kronecker_products(centring: Any) -> None:
    """The Laplacian of a box is that of each axis times the volumes along the others."""
    grid = Grid((4, 5, 6), centring, WAVY, (0.8, 1.1, 1.7))
    system = discretize(Poisson(grid.shape, 1.0, WAVY, centring=centring, lengths=grid.lengths))
    expected = sp.csr_matrix((grid.size, grid.size))
    for axis, dim in enumerate(grid.dims):
        along = Poisson(
            (grid.shape[axis],), 1.0, Boundary(*grid.boundary.along(dim)), centring=centring,
            lengths=(grid.lengths[axis],),
        )  # fmt: skip
        parts = [
            discretize(along).matrix if other == axis else sp.diags(grid.weights(other)) for other in range(3)
        ]
        expected = expected + sp.kron(sp.kron(parts[0], parts[1]), parts[2])
    assert abs(system.matrix - expected).max() < 1e-12


@pytest.mark.parametrize("centring", ["vertex", "cell"])
@pytest.mark.parametrize("axes", [2, 3])
def test_data_without_variation_along_an_axis_have_the_solution_of_one_axis_less(
    centring: Any, axes: int
) -> None:
    plane = ("dirichlet", "neumann", "dirichlet", "dirichlet") if axes == 3 else ("dirichlet", "neumann")
    shape = (9, 11)[-(axes - 1) :]
    a = rough(shape, 5)
    few = Darcy(
        shape, a, GaussianField(), Boundary(*plane), boundary_value=lambda x, *rest: 1 + x,
        flux=lambda *at: np.cos(5 * at[-1]), centring=centring,
    )  # fmt: skip
    more = Darcy(
        (6, *shape),
        np.broadcast_to(a, (6, *shape)),
        np.broadcast_to(few.source_field(), (6, *shape)),
        Boundary(*plane, "neumann", "neumann"),
        boundary_value=lambda x, *rest: 1 + x,
        flux=lambda *at: 0.0 * at[0] if axes == 2 else np.where(at[2] % 1.0 == 0, 0.0, np.cos(5 * at[1])),
        centring=centring,
    )
    if axes == 2:  # the flux through the east side has no coordinate to vary with
        few, more = (replace(p, flux=0.0) for p in (few, more))
    thin, thick = (solve(p, Direct()).u.values for p in (few, more))
    np.testing.assert_allclose(thick, np.broadcast_to(thin, thick.shape), rtol=1e-10)


@pytest.mark.parametrize("centring", ["vertex", "cell"])
def test_the_order_in_a_box_is_two(centring: Any) -> None:
    """-div(a grad u) = f with u = sin(pi x) sin(pi y) cos(pi z), a = 1 + x y z, Neumann below and above."""
    boundary = Boundary(bottom="neumann", top="neumann")

    def exact(x: Any, y: Any, z: Any) -> Any:
        return np.sin(np.pi * x) * np.sin(np.pi * y) * np.cos(np.pi * z)

    def source(x: Any, y: Any, z: Any) -> Any:
        s, c = np.sin, np.cos
        slope = c(np.pi * x) * s(np.pi * y) * c(np.pi * z) * y * z
        slope = slope + s(np.pi * x) * c(np.pi * y) * c(np.pi * z) * x * z
        slope = slope - s(np.pi * x) * s(np.pi * y) * s(np.pi * z) * x * y
        return 3 * np.pi**2 * (1 + x * y * z) * exact(x, y, z) - np.pi * slope

    errors = []
    for n in (8, 16):
        shape = (n, n, n) if centring == "cell" else (n + 1, n - 1, n - 1)
        problem = Darcy(shape, lambda x, y, z: 1 + x * y * z, source, boundary, centring=centring)
        u = solve(problem, AMG(rtol=1e-10)).u.values
        errors.append(np.abs(u - exact(*problem.grid.mesh())).max())
    assert np.log2(errors[0] / errors[1]) > 1.8


def test_flow_through_two_materials_on_a_line_is_exact() -> None:
    """From u = 1 to u = 0 through 4 cells of 1 and 4 of 9: the value between them is 0.1."""
    a = np.repeat([1.0, 9.0], 4)
    u = solve(Darcy((8,), a, 0.0, boundary_value=lambda x: 1.0 - x, centring="cell"), Direct()).u
    assert u.dims == ("x",)
    left = 1 - 0.9 * (np.arange(4) + 0.5) / 4
    np.testing.assert_allclose(u.values, [*left, *(0.1 * (3.5 - np.arange(4)) / 4)], rtol=1e-12)


@pytest.mark.parametrize("resolution", [(40,), (9, 8, 10)])
def test_the_bound_holds_in_each_dimension(resolution: tuple[int, ...]) -> None:
    problem = Darcy(resolution, TwoPhase(1, 50), seed=5)
    system = discretize(problem)
    solution = solve(problem, AMG(rtol=1e-3))
    assert solution.result is Result.SUCCESS
    hierarchy = AMG().init(problem)
    error = system.energy(solution.u.values - solve(problem, Direct()).u.values)
    bounds = hierarchy.bounds(system.residual(solution.u.values))
    assert bounds.lower <= error <= bounds.upper <= 1.2 * bounds.lower


def test_a_field_is_the_same_at_every_resolution_and_of_unit_variance() -> None:
    for axes in (1, 3):
        coarse, fine = (Lognormal(tau=4.0).draw(Grid((n,) * axes), np.random.default_rng(9)) for n in (7, 15))
        odd = (slice(1, None, 2),) * axes
        np.testing.assert_allclose(coarse, fine[odd])
    logs = [
        np.log(Lognormal().draw(Grid((8, 8, 8), "cell"), np.random.default_rng(seed)))
        for seed in range(5, 45)
    ]
    assert np.mean(np.square(logs)) == pytest.approx(1, abs=0.25)
    with pytest.raises(InputError, match=r"Multiscale\(\) on a grid of 3 axes"):
        Multiscale().draw(Grid((5, 5, 5)), np.random.default_rng(5))


@pytest.mark.parametrize("axes", [1, 3])
def test_a_dataset_is_generated_written_and_opened(axes: int, tmp_path: Path) -> None:
    resolution = (7, 5, 6)[-axes:]
    dataset = generate("darcy-lognormal", 3, resolution, seed=9, dtype="float64")
    write_dataset(dataset, tmp_path / "d.zarr", workers=1)
    opened = open_dataset(tmp_path / "d.zarr")
    assert opened.u.dims == ("sample", *("z", "y", "x")[-axes:])
    assert grid_of_dataset(opened) == Grid(resolution)
    problem = problem_of(opened, 2)
    np.testing.assert_allclose(solve(problem, Direct()).u.values, opened.u[2].values, rtol=1e-9)
    again = FAMILIES["darcy-lognormal"].problem(resolution, int(opened.sample_seed[2]))
    np.testing.assert_array_equal(again.coefficient_field(), opened.coefficient[2].values)


def test_arrays_in_three_dimensions_are_read_and_thinned(tmp_path: Path) -> None:
    grid = Grid((8, 6, 10), "cell", Boundary.all("neumann"))
    k, u = rough((3, *grid.shape), 5), rough((3, *grid.shape), 7)
    np.savez(tmp_path / "own.npz", k=k, p=u)
    opened = open_dataset(
        tmp_path / "own.npz", inputs="k", target="p", dims="sample,z,y,x", grid=grid, stride=2
    )
    assert dict(opened.sizes) == {"sample": 3, "z": 4, "y": 3, "x": 5}
    np.testing.assert_array_equal(opened.k.values, k[:, ::2, ::2, ::2])
    with pytest.raises(InputError, match=r"rename the third, ds.rename\(depth='z'\)"):
        open_dataset(opened.drop_attrs().rename(z="depth").assign_attrs(inputs="k", target="p"))


def test_values_on_the_sides_of_a_box() -> None:
    boundary = Boundary("dirichlet", "dirichlet", "neumann", "neumann", "neumann", "neumann")
    grid = Grid((4, 5, 6), "cell", boundary)
    flow = 1 - grid.mesh()[0]
    jumps = Jumps(grid)
    jumps.add(flow[None])
    assert jumps.clear() == ["west"]
    np.testing.assert_allclose(lift({"west": np.ones((4, 5))}, grid), flow, atol=1e-12)
    np.testing.assert_allclose(mean_sides(flow, grid, Sides({"west": None}))["west"], np.ones((4, 5)))
    assert check_sides(2.0, grid) == {"west": 2.0, "east": 2.0}


@pytest.mark.parametrize("centring", ["vertex", "cell"])
def test_interpolation_is_exact_for_linear_fields(centring: Any) -> None:
    grid = Grid((8, 7, 9), centring, Boundary.all("neumann"))
    matrix, coarse = prolongation(grid)
    assert matrix.shape == (grid.size, coarse.size)
    np.testing.assert_allclose(matrix @ np.ones(coarse.size), 1.0)


def test_errors_name_the_remedy() -> None:
    mixed = Boundary(west="neumann")
    with pytest.raises(InputError, match="for 3 axes: give bottom and top"):
        Grid((4, 4, 4), boundary=mixed)
    with pytest.raises(InputError, match="bottom='neumann', top='neumann' for 2 axes: leave them out"):
        Grid((4, 4), boundary=replace(mixed, bottom="neumann", top="neumann"))
    with pytest.raises(InputError, match="bottom='periodic' and top=None"):
        Boundary(bottom="periodic")
    assert Grid((4, 4, 4), boundary=Boundary.all("neumann")).boundary.top == "neumann"
    with pytest.raises(InputError, match="three positive lengths"):
        Grid((4, 4, 4), lengths=(1.0, 2.0))
    with pytest.raises(InputError, match=r"resolution=\(4, 4, 4, 4\)"):
        discretize(Poisson((4, 4, 4, 4)))
    with pytest.raises(InputError, match="need a grid of the plane"):
        discretize(Poisson((4, 4, 4)), "finite_element")
    with pytest.raises(InputError, match="or two, along y and x"):
        NavierStokes((8, 8, 8)).grid  # noqa: B018
    source = np.ones((3, 3, 3))
    source[0, 1, 2] = np.nan
    with pytest.raises(InputError, match=r"source is nan at \(z, y, x\) = \(0, 1, 2\)"):
        discretize(Poisson((3, 3, 3), source))
    with pytest.raises(InputError, match=r"flux is inf at x=0, y=0, z=0"):
        discretize(Poisson((3, 3, 3), boundary="neumann", flux=lambda x, y, z: np.inf))
    assert Grid((5,), boundary=mixed).boundary.sides == {"west": "neumann", "east": "dirichlet"}
    restored = Grid.from_json(Grid((4, 5, 6), "cell", WAVY, (1.0, 2.0, 3.0)).to_json())
    assert restored == Grid((4, 5, 6), "cell", WAVY, (1.0, 2.0, 3.0))
