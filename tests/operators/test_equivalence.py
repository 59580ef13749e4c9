"""A linear layer with the kernels of a hierarchy equals the cycle of the hierarchy in pyamg."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyamg
import pytest
import scipy.sparse as sp
import torch

from sciml.errors import InputError
from sciml.operators.published.layer import MultigridConvolution

OMEGA = 0.8


def bilinear(coarse: int) -> sp.csr_matrix:
    """Interpolation to the 2 n + 1 points a side between and around the coarse ones."""
    value = sp.lil_matrix((2 * coarse + 1, coarse))
    for i in range(coarse):
        value[2 * i : 2 * i + 3, i] = np.array([[0.5], [1.0], [0.5]])
    return sp.kron(value, value).tocsr()


def hierarchy(points: int, matrix: sp.csr_matrix | None = None) -> Any:
    """Galerkin, bilinear, down to a single point, with weighted Jacobi: pyamg's cycle on it."""
    a = pyamg.gallery.poisson((points, points), format="csr") if matrix is None else matrix
    levels = []
    while True:
        level = pyamg.multilevel.MultilevelSolver.Level()
        level.A = a
        levels.append(level)
        if points == 1:
            break
        points //= 2
        level.P = bilinear(points)
        level.R = (level.P.T / 4).tocsr()
        a = (level.R @ a @ level.P).tocsr()
    made = pyamg.multilevel.MultilevelSolver(levels, coarse_solver="pinv")
    jacobi = ("jacobi", {"omega": OMEGA, "iterations": 1, "withrho": False})
    pyamg.relaxation.smoothing.change_smoothers(made, jacobi, jacobi)
    return made


@pytest.mark.parametrize("points", [15, 31, 63, 127, 255])
def test_the_layer_equals_the_cycle_of_pyamg(points: int) -> None:
    multilevel = hierarchy(points)
    layer = MultigridConvolution.from_hierarchy(multilevel, omega=OMEGA)
    rhs = np.random.default_rng(points).standard_normal((2, points, points))
    with torch.no_grad():
        result = layer(torch.from_numpy(rhs)[:, None])[:, 0].numpy()
    for mine, value in zip(result, rhs, strict=True):
        wanted = multilevel.solve(value.ravel(), x0=np.zeros(points**2), maxiter=1, tol=1e-300)
        wanted = wanted.reshape(points, points)
        assert abs(mine - wanted).max() <= 1e-12 * abs(wanted).max()


def test_repeated_layers_solve() -> None:
    multilevel = hierarchy(31)
    layer = MultigridConvolution.from_hierarchy(multilevel)
    matrix = multilevel.levels[0].A
    rhs = np.random.default_rng(9).standard_normal(31**2)
    u = np.zeros(31**2)
    with torch.no_grad():
        for _ in range(25):
            left = torch.from_numpy(rhs - matrix @ u).reshape(1, 1, 31, 31)
            u += layer(left).numpy().ravel()
    assert np.linalg.norm(rhs - matrix @ u) < 1e-9 * np.linalg.norm(rhs)


def test_matrices_that_are_no_convolutions_are_an_error() -> None:
    a = pyamg.gallery.poisson((15, 15), format="csr")
    scale = sp.diags(1 + np.arange(225) / 225)
    with pytest.raises(InputError, match="A of level 0 is not a constant 3x3 convolution"):
        MultigridConvolution.from_hierarchy(hierarchy(15, (scale @ a).tocsr()))
    periodic = a.tolil()
    for i in range(15):
        periodic[i, 14 * 15 + i] = periodic[14 * 15 + i, i] = -1
    with pytest.raises(InputError, match="its coefficients or boundaries vary"):
        MultigridConvolution.from_hierarchy(hierarchy(15, periodic.tocsr()))


def test_unknown_sizes_are_an_error() -> None:
    short = pyamg.multilevel.MultilevelSolver(hierarchy(15).levels[:2], coarse_solver="pinv")
    with pytest.raises(InputError, match="has 225 unknowns: 2 levels need 3 x 3"):
        MultigridConvolution.from_hierarchy(short)
