import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.errors import InputError
from sciml.pde import Boundary, Grid

sides = st.one_of(
    st.just(("periodic", "periodic")), st.tuples(*[st.sampled_from(["dirichlet", "neumann"])] * 2)
)
grids = st.builds(
    lambda shape, centring, x, y, lengths: Grid(shape, centring, Boundary(*x, *y), lengths),
    st.tuples(st.integers(3, 12), st.integers(3, 12)),
    st.sampled_from(["vertex", "cell"]),
    sides,
    sides,
    st.tuples(st.floats(0.1, 5), st.floats(0.1, 5)),
)


@given(grids)
@settings(max_examples=50, deadline=None)
def test_control_volumes_cover_the_unknowns(grid):
    covered = []
    for axis in (0, 1):
        held = grid.sides(axis).count("dirichlet") if grid.centring == "vertex" else 0
        covered.append(grid.lengths[axis] - held * grid.spacing[axis] / 2)
    assert grid.volumes().shape == grid.shape
    assert grid.volumes().sum() == pytest.approx(covered[0] * covered[1])


@given(grids)
@settings(max_examples=50, deadline=None)
def test_unknowns_lie_inside_a_spacing_apart_and_the_grid_survives_json(grid):
    for places, h, length in zip(grid.coordinates(), grid.spacing, grid.lengths, strict=True):
        np.testing.assert_allclose(np.diff(places), h)
        assert places[0] > -1e-12
        assert places[-1] < length * (1 + 1e-12)
    assert Grid.from_json(json.loads(json.dumps(grid.to_json()))) == grid


def test_positions_of_the_first_and_last_unknown():
    y, x = Grid((5, 4), boundary=Boundary("neumann", "dirichlet", "periodic", "periodic")).coordinates()
    np.testing.assert_allclose(x, [0, 0.25, 0.5, 0.75])
    np.testing.assert_allclose(y, [0, 0.2, 0.4, 0.6, 0.8])
    y, x = Grid((4, 5), "cell", Boundary.all("neumann"), (2.0, 1.0)).coordinates()
    np.testing.assert_allclose(y, [0.25, 0.75, 1.25, 1.75])
    np.testing.assert_allclose(x, [0.1, 0.3, 0.5, 0.7, 0.9])


def test_the_mesh_is_x_and_y_at_each_unknown():
    x, y = Grid((3, 4)).mesh()
    assert x.shape == (3, 4)
    assert (np.diff(x, axis=1) > 0).all()
    assert (np.diff(y, axis=0) > 0).all()
    assert not np.diff(x, axis=0).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Boundary(west="robin"), "west='robin'"),
        (lambda: Boundary(west="periodic"), "come in pairs"),
        (lambda: Grid((2, 5)), r"shape=\(2, 5\)"),
        (lambda: Grid((5, 5), "edge"), "centring='edge'"),
        (lambda: Grid((5, 5), lengths=(1.0, -1.0)), "two positive lengths"),
        (lambda: Grid((5, 5), lengths=(1.0, np.nan)), "two positive lengths"),
        (lambda: Grid((5, 5), lengths=(1.0, np.inf)), "two positive lengths"),
        (lambda: Grid(7), "shape=7"),
        (lambda: Grid((5, 5), lengths="ab"), "two numbers each"),
        (lambda: Grid((5, 5), boundary="neumann"), "boundary='neumann'"),
        (lambda: Grid.from_json({"shape": [3, 3]}), "centring"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(InputError, match=message):
        make()
