"""Averages over control volumes and interpolation, against multigrid's own transfers and integrals of functions."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sciml.multigrid.torch.transfers import LevelLayout, prolong
from sciml.operators.resampling import Resampling, refinement
from sciml.pde.grid import Boundary, Grid

SIDES = {
    "dirichlet": Boundary(),
    "neumann": Boundary.all("neumann"),
    "periodic": Boundary.all("periodic"),
    "mixed": Boundary(west="neumann", south="periodic", north="periodic"),
}


def pair(centring: Any, boundary: Boundary, coarse: int = 8) -> tuple[Grid, Grid]:
    """A grid and its multigrid coarsening, whose shape depends on the sides."""
    points = []
    for sides in (boundary.y, boundary.x):
        nodes = 0 if centring == "cell" or "periodic" in sides else 1 - sides.count("dirichlet")
        points.append((2 * coarse + nodes, coarse + nodes))
    fine, small = zip(*points, strict=True)
    return Grid(fine, centring, boundary), Grid(small, centring, boundary)


@pytest.mark.parametrize(("centring", "name"), list(itertools.product(("vertex", "cell"), SIDES)))
def test_interpolation_for_a_ratio_of_two_equals_that_of_multigrid(centring: Any, name: str) -> None:
    fine, coarse = pair(centring, SIDES[name])
    layout = LevelLayout.of(fine)
    assert layout.coarse().shape == coarse.shape
    u = torch.randn(2, *coarse.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    result = Resampling(fine, coarse, 0.0).interpolate(u)
    assert_allclose(result, prolong(u[:, None], layout)[:, 0], atol=1e-14)
    assert refinement(fine, coarse) == pytest.approx((2, 2))


def test_for_a_ratio_of_two_averages_are_full_weighting_and_cell_means() -> None:
    a = np.random.default_rng(9).uniform(1, 5, (15, 15))
    result = Resampling(Grid((15, 15)), Grid((7, 7))).average(torch.from_numpy(a)).numpy()
    value = np.array([1, 2, 1]) / 4
    expected = sum(
        value[i] * value[j] * a[i : i + 13 : 2, j : j + 13 : 2] for i in range(3) for j in range(3)
    )
    assert_allclose(result, expected, rtol=1e-13)
    cells = np.random.default_rng(9).uniform(1, 5, (12, 16))
    result = Resampling(Grid((12, 16), "cell"), Grid((3, 8), "cell")).average(torch.from_numpy(cells)).numpy()
    assert_allclose(result, cells.reshape(3, 4, 8, 2).mean((1, 3)), rtol=1e-13)


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic"])
@pytest.mark.parametrize("centring", ["vertex", "cell"])
def test_constants_and_integrals_are_conserved_for_any_ratio(centring: Any, boundary: Any) -> None:
    sides = Boundary.all(boundary)
    fine = Grid((23, 31), centring, sides, (2.0, 3.0))
    coarse = Grid((9, 13), centring, sides, (2.0, 3.0))
    resampling = Resampling(fine, coarse, None)
    assert_allclose(resampling.average(torch.full(fine.shape, 4.0).double()), 4.0, rtol=1e-13)
    assert_allclose(resampling.interpolate(torch.full(coarse.shape, 4.0).double()), 4.0, rtol=1e-13)
    values = np.random.default_rng(3).normal(size=fine.shape)
    if centring == "cell" or boundary != "dirichlet":  # else the volumes of the sides' nodes are left out
        means = resampling.average(torch.from_numpy(values)).numpy()
        assert_allclose((means * coarse.volumes()).sum(), (values * fine.volumes()).sum(), rtol=1e-12)


def test_a_coefficient_is_averaged_geometrically_within_the_bounds_of_wiener() -> None:
    """The effective coefficient of a fine checkerboard is its geometric mean (Keller 1964, Dykhne 1971)."""
    board = 3.0 + 9.0 * (np.add.outer(np.arange(16), np.arange(16)) % 2)
    resampling = Resampling(Grid((16, 16), "cell"), Grid((4, 4), "cell"))
    assert_allclose(resampling.average(torch.from_numpy(board), "coefficient"), 6.0, rtol=1e-12)
    assert_allclose(resampling.average(torch.from_numpy(board), "source"), 7.5, rtol=1e-12)
    assert resampling.variation(torch.from_numpy(board)) == pytest.approx(np.log(7.5 / 4.8))
    blocks = np.kron(board[:4, :4], np.ones((4, 4)))
    assert resampling.variation(torch.from_numpy(blocks)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("centring", ["vertex", "cell"])
@pytest.mark.parametrize("ratio", [2, 4])
def test_interpolation_is_of_second_order_for_all_boundaries(centring: Any, ratio: int) -> None:
    def error(n: int, side: float | None) -> float:
        nodes = n - 1 if centring == "vertex" else n
        fine = Grid(
            (ratio * n - 1, ratio * n - 1) if centring == "vertex" else (ratio * n, ratio * n), centring
        )
        coarse = Grid((nodes, nodes), centring)
        shift = 0.0 if side is None else side

        def u(grid: Grid) -> np.ndarray:
            x, y = grid.mesh()
            return np.sin(np.pi * x) * np.sin(2 * np.pi * y) + shift

        result = Resampling(fine, coarse, side).interpolate(torch.from_numpy(u(coarse))).numpy()
        return float(np.abs(result - u(fine)).max())

    for side in (None, 0.0, 3.0):
        assert error(16, side) / error(32, side) > 3.4
