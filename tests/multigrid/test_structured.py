"""Ghost values, transfers and stencil fields compared with their matrices."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sciml.errors import InputError
from sciml.multigrid.torch.stencils import apply_stencil, dense, diffusion_stencil, galerkin, stencil_of
from sciml.multigrid.torch.transfers import LevelLayout, extend, prolong, restrict
from sciml.pde.elliptic import Darcy, discretize
from sciml.pde.grid import Boundary, Grid
from sciml.pde.random_fields import TwoPhase

BOUNDARIES = (
    Boundary(),
    Boundary.all("neumann"),
    Boundary.all("periodic"),
    Boundary("neumann", "dirichlet", "dirichlet", "neumann"),
    Boundary("periodic", "periodic", "neumann", "dirichlet"),
)
CASES = list(itertools.product(("vertex", "cell"), BOUNDARIES, ((7, 7), (8, 8), (9, 6), (5, 12))))


def interpolation(layout: LevelLayout) -> np.ndarray:
    coarse = layout.coarse()
    n = coarse.shape[0] * coarse.shape[1]
    unit = torch.eye(n, dtype=torch.float64).reshape(n, 1, *coarse.shape)
    return prolong(unit, layout).reshape(n, -1).T.numpy()


@pytest.mark.parametrize(("centring", "boundary", "shape"), CASES, ids=str)
def test_stencils_and_transfers_equal_the_matrices(centring, boundary, shape):
    problem = Darcy(shape, TwoPhase(3, 12), boundary=boundary, centring=centring, seed=5)
    system = discretize(problem)
    layout = LevelLayout.of(problem.grid)
    stencil = diffusion_stencil(torch.from_numpy(problem.coefficient_field())[None], problem.grid)
    assert_allclose(stencil[0], stencil_of(system.matrix, problem.grid), atol=1e-12)

    u = torch.randn(2, 3, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    flat = u.reshape(6, -1).numpy().T
    assert_allclose(
        apply_stencil(stencil, u, layout).reshape(6, -1).numpy().T, system.matrix @ flat, atol=1e-12
    )
    down = restrict(u, layout).reshape(6, -1).numpy().T
    assert_allclose(down, interpolation(layout).T @ flat, atol=1e-13)


@pytest.mark.parametrize(
    ("boundary", "shape"), itertools.product(BOUNDARIES, ((7, 7), (8, 8), (9, 6))), ids=str
)
def test_galerkin_is_the_triple_product(boundary, shape):
    layout = LevelLayout.of(Grid(shape, "vertex", boundary))
    stencil = diffusion_stencil(
        1 + torch.rand(1, *shape, dtype=torch.float64), Grid(shape, "vertex", boundary)
    )
    levels = layout.levels()
    matrix = dense(stencil, layout)[0].numpy()
    for fine, coarse in itertools.pairwise(levels):
        p = interpolation(fine)
        stencil, matrix = galerkin(stencil, fine), p.T @ matrix @ p
        assert_allclose(dense(stencil, coarse)[0], matrix, atol=1e-11)


def test_cells_are_discretised_anew_on_the_coarse_grid():
    fine, coarse = Grid((8, 12), "cell"), Grid((4, 6), "cell")
    stencil = galerkin(diffusion_stencil(torch.full((1, 8, 12), 3.0), fine), LevelLayout.of(fine))
    assert_allclose(stencil, diffusion_stencil(torch.full((1, 4, 6), 3.0), coarse), atol=1e-5)


def test_interpolation_is_exact_for_linear_fields():
    fine = Grid((15, 31), "vertex", Boundary("dirichlet", "neumann", "neumann", "dirichlet"))
    layout = LevelLayout.of(fine)
    _, x = fine.coordinates()
    coarse = torch.from_numpy(np.outer(np.ones(8), x[1::2]))[None, None]
    assert layout.coarse().shape == (8, 15)
    assert_allclose(prolong(coarse, layout)[0, 0, :-1, :-1], np.outer(np.ones(14), x[:-1]), atol=1e-14)


@pytest.mark.parametrize("centring", ["vertex", "cell"])
def test_ghosts_are_the_analytic_continuation(centring):
    grid = Grid((16, 9), centring, Boundary("dirichlet", "neumann", "periodic", "periodic"))
    y, x = grid.coordinates()
    hy, hx = grid.spacing

    def field(y, x):
        return np.outer(np.sin(2 * np.pi * y), np.sin(np.pi / 2 * x))

    whole = field(np.r_[y[0] - hy, y, y[-1] + hy], np.r_[x[0] - hx, x, x[-1] + hx])
    assert_allclose(
        extend(torch.from_numpy(field(y, x))[None, None], LevelLayout.of(grid))[0, 0], whole, atol=1e-14
    )


def test_the_gradient_with_respect_to_the_coefficient():
    grid = Grid((4, 5), "cell", Boundary(east="neumann"))
    generator = torch.Generator().manual_seed(3)
    a = (1 + torch.rand(2, 4, 5, dtype=torch.float64, generator=generator)).requires_grad_()
    assert torch.autograd.gradcheck(lambda a: diffusion_stencil(a, grid), a)


def test_invalid_stencils_and_grids_are_an_error():
    system = discretize(Darcy(7))
    with pytest.raises(InputError, match="9 points"):
        stencil_of((system.matrix @ system.matrix).tocsr(), system.grid)
    odd = LevelLayout.of(Grid((9, 9), "vertex", Boundary.all("periodic")))
    with pytest.raises(InputError, match="9 unknowns"):
        galerkin(torch.ones(1, 9, 9, 9), odd)
