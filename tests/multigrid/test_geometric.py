"""Bilinear interpolation on every kind of axis."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.multigrid import CoarseGrid, prolongation
from sciml.multigrid.interpolation import interpolation, prolongations
from sciml.multigrid.torch.transfers import LevelLayout, prolong
from sciml.pde.grid import Boundary, Grid

SIDES = [*itertools.product(("dirichlet", "neumann"), repeat=2), ("periodic", "periodic")]
axes = st.tuples(st.integers(3, 40), st.sampled_from(("vertex", "cell")), st.sampled_from(SIDES))


@given(axes)
@settings(max_examples=60, deadline=None)
def test_smooth_fields_that_obey_the_boundary_are_interpolated_to_second_order(axis):
    n, centring, sides = axis
    n *= 2 if "periodic" in sides or centring == "cell" else 1  # where coarse nodes are evenly spaced
    grid = Grid((n, n), centring, Boundary(*sides, *sides))
    wave = {
        ("dirichlet", "dirichlet"): lambda t: np.sin(np.pi * t),
        ("neumann", "neumann"): lambda t: np.cos(np.pi * t),
        ("dirichlet", "neumann"): lambda t: np.sin(np.pi * t / 2),
        ("neumann", "dirichlet"): lambda t: np.cos(np.pi * t / 2),
        ("periodic", "periodic"): lambda t: np.sin(2 * np.pi * t + 0.3),
    }[sides]
    along, h = grid.coordinates()[1], grid.spacing[1]
    first = int(centring == "vertex" and sides[0] == "dirichlet")
    matrix = interpolation(n, centring, sides)
    nodes = along[first::2] if centring == "vertex" else (along[::2] + along[1::2]) / 2
    error = np.abs(matrix @ wave(nodes) - wave(along))
    # A last node between the last coarse one and its mirror image beyond a Neumann side takes a value one spacing away.
    inner = error[:-1] if centring == "vertex" and sides[1] == "neumann" else error
    # Linear interpolation over 2 h is wrong by at most h^2 / 2 max |u''|; in a cell, where the ghost is twice that.
    assert inner.max() <= (2 * np.pi) ** 2 * h**2


@given(axes)
@settings(max_examples=60, deadline=None)
def test_constants_are_reproduced_away_from_dirichlet_sides_with_the_weights_of_interpolation(axis):
    n, centring, sides = axis
    matrix = interpolation(n, centring, sides)
    sums = np.asarray(matrix.sum(axis=1)).ravel()
    inner = slice(2 if sides[0] == "dirichlet" else 0, n - 2 if sides[1] == "dirichlet" else n)
    assert sums[inner] == pytest.approx(1.0, abs=1e-15)
    assert matrix.data.min() > 0
    assert sums.max() <= 1 + 1e-15
    # Full rank: otherwise the coarse matrix were singular.
    assert np.linalg.matrix_rank(matrix.toarray()) == matrix.shape[1]


def test_the_weights_at_each_side():
    held = interpolation(6, "cell", ("dirichlet", "neumann")).toarray()
    assert held[0].tolist() == [0.5, 0, 0]  # 3/4 - 1/4: the ghost is minus the value
    assert held[1].tolist() == [0.75, 0.25, 0]
    assert held[-1].tolist() == [0, 0, 1]
    around = interpolation(6, "cell", ("periodic", "periodic")).toarray()
    assert around[0].tolist() == [0.75, 0, 0.25]
    nodes = interpolation(6, "vertex", ("neumann", "neumann")).toarray()
    assert nodes[-1].tolist() == [0, 0, 1]  # mirrored at the last node
    assert nodes[1].tolist() == [0.5, 0.5, 0]
    assert interpolation(6, "vertex", ("periodic", "periodic")).toarray()[-1].tolist() == [0.5, 0, 0.5]


@pytest.mark.parametrize("centring", ["vertex", "cell"])
@pytest.mark.parametrize("shape", [(7, 7), (8, 13), (16, 5)])
@pytest.mark.parametrize("sides", [("dirichlet",) * 4, ("neumann", "dirichlet", "periodic", "periodic")])
def test_interpolation_equals_that_of_the_tensors(shape, centring, sides):
    grid = Grid(shape, centring, Boundary(*sides))
    matrix, coarse = prolongation(grid)
    layout = LevelLayout.of(grid)
    assert coarse.shape == layout.coarse().shape
    u = np.random.default_rng(7).standard_normal(coarse.shape)
    theirs = prolong(torch.from_numpy(u)[None, None], layout)[0, 0].numpy()
    assert matrix @ u.ravel() == pytest.approx(theirs.ravel(), abs=1e-15)


def test_coarsening_goes_down_to_one_unknown_on_long_grids_too():
    result, levels = prolongations(Grid((63, 10)))
    assert levels[-1].shape == (1, 1)
    assert [level.shape for level in levels[:3]] == [(63, 10), (31, 5), (15, 2)]
    for matrix, fine, coarse in zip(result, levels[:-1], levels[1:], strict=True):
        assert matrix.shape == (fine.size, coarse.size)
    assert CoarseGrid.of(Grid((9, 9), "cell")).coarse().shape == (5, 5)
