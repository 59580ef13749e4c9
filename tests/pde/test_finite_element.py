"""Finite elements compared with scikit-fem."""

import numpy as np
import pytest
import skfem
from skfem.helpers import dot, grad

from sciml.errors import InputError
from sciml.pde import AdvectionDiffusion, Boundary, Darcy, Direct, Helmholtz, Poisson, discretize
from sciml.pde.helmholtz import top_source
from sciml.solve import solve


class Oracle:
    """Bilinear elements of scikit-fem on the nodes of a grid with Neumann or Dirichlet sides, nodes (y, x)."""

    def __init__(self, grid):
        self.grid = grid
        places = []
        for axis in (0, 1):
            sides, h = grid.sides(axis), grid.spacing[axis]
            n = grid.shape[axis] + sides.count("dirichlet")
            places.append(np.arange(n) * h)
        self.y, self.x = places
        mesh = skfem.MeshQuad.init_tensor(self.x, self.y)
        self.basis = skfem.Basis(mesh, skfem.ElementQuad1(), intorder=4)
        order = np.lexsort((np.round(mesh.p[0], 9), np.round(mesh.p[1], 9)))
        self.order = self.basis.nodal_dofs[0][order]
        inside = np.ones((self.y.size, self.x.size), bool)
        for axis in (0, 1):
            for end, side in zip((0, -1), grid.sides(axis), strict=True):
                if side == "dirichlet":
                    np.moveaxis(inside, axis, 0)[end] = False
        self.inside = inside.ravel()

    def on_nodes(self, matrix):
        return matrix.tocsr()[self.order][:, self.order]

    def matrix(self, form):
        return self.on_nodes(form.assemble(self.basis))

    def load(self, form, basis=None):
        return form.assemble(basis or self.basis)[self.order]


def integral(function):
    return skfem.BilinearForm(lambda u, v, w: function(w.x) * dot(grad(u), grad(v)))


MASS = skfem.BilinearForm(lambda u, v, w: u * v)
SIDES = [Boundary(), Boundary.all("neumann"), Boundary("neumann", "dirichlet", "dirichlet", "neumann")]


@pytest.mark.parametrize("sides", SIDES, ids=str)
def test_the_matrix_with_constant_terms(sides):
    omega = 3.0
    problem = Helmholtz((9, 12), 2.0, omega, boundary=sides, lengths=(1.0, 1.3))
    oracle = Oracle(problem.grid)
    exact = oracle.matrix(integral(lambda x: 1.0)) - (omega / 2) ** 2 * oracle.matrix(MASS)
    exact = exact[oracle.inside][:, oracle.inside]
    system = discretize(problem, "finite_element").matrix
    assert abs(system - exact).max() < 1e-13


@pytest.mark.parametrize("sides", SIDES, ids=str)
def test_the_solution_with_boundary_data(sides):
    def held(x, y):
        return 1 + x + 2 * y  # exact for bilinear elements

    def flux(x, y):
        return np.where(np.isclose(x, 0), 2.0 + y, 0.3)

    speed, omega = 2.0, 3.0
    problem = Helmholtz((9, 12), speed, omega, 4.0, sides, held, flux, lengths=(1.0, 1.3))
    oracle = Oracle(problem.grid)
    mesh = oracle.basis.mesh
    matrix = oracle.matrix(integral(lambda x: 1.0)) - (omega / speed) ** 2 * oracle.matrix(MASS)
    load = oracle.load(skfem.LinearForm(lambda v, w: 4.0 * v))
    ends = {"west": (0, 0.0), "east": (0, 1.3), "south": (1, 0.0), "north": (1, 1.0)}
    for name, kind in sides.sides.items():
        if kind == "neumann":
            component, place = ends[name]
            facets = mesh.facets_satisfying(lambda p, c=component, at=place: np.isclose(p[c], at), True)
            edge = skfem.FacetBasis(mesh, skfem.ElementQuad1(), facets=facets, intorder=4)
            load = load + oracle.load(skfem.LinearForm(lambda v, w: flux(*w.x) * v), edge)
    known = held(*np.meshgrid(oracle.x, oracle.y)).ravel() * ~oracle.inside
    free = oracle.inside
    exact = skfem.solve(matrix[free][:, free].tocsc(), (load - matrix @ known)[free])
    result = solve(problem, Direct()).u.values.ravel()
    np.testing.assert_allclose(result, exact, rtol=0, atol=1e-11 * np.abs(exact).max())


def test_advection_with_constant_velocity():
    problem = AdvectionDiffusion((9, 7), 0.3, (1.0, -0.6), boundary=SIDES[2])
    oracle = Oracle(problem.grid)
    carried = skfem.BilinearForm(lambda u, v, w: (grad(u)[0] - 0.6 * grad(u)[1]) * v)
    exact = 0.3 * oracle.matrix(integral(lambda x: 1.0)) + oracle.matrix(carried)
    system = discretize(problem, "finite_element").matrix
    assert abs(system - exact[oracle.inside][:, oracle.inside]).max() < 1e-13


def test_elements_at_a_dirichlet_side_have_the_nearest_coefficient():
    ring = np.full((5, 5), 5.0)
    ring[1:-1, 1:-1] = 1.0
    matrix = discretize(Darcy(5, ring), "finite_element").matrix
    # Three of the four elements around the unknown in the corner are at a side; the fourth is the mean of 5, 5, 5, 1.
    assert matrix[0, 0] == pytest.approx((5 + 5 + 5 + 4) * 2 / 3)


@pytest.mark.parametrize("scheme", ["finite_element", "finite_volume"])
def test_the_schemes_converge_to_each_other_at_second_order(scheme):
    def coefficient(x, y):
        return np.exp(np.sin(5 * x) * np.cos(4 * y))

    apart = []
    for n in (31, 63):
        problem = Darcy(n, coefficient, 1.0)
        oracle = Oracle(problem.grid)
        matrix = oracle.matrix(integral(lambda x: coefficient(*x)))[oracle.inside][:, oracle.inside]
        load = oracle.load(skfem.LinearForm(lambda v, w: 1.0 * v))[oracle.inside]
        exact = skfem.solve(matrix.tocsc(), load)
        result = solve(problem, Direct(scheme)).u.values.ravel()
        apart.append(np.linalg.norm(result - exact) / np.linalg.norm(exact))
    assert apart[1] < 2e-3
    assert np.log2(apart[0] / apart[1]) > 1.9


def test_the_flux_of_the_benchmark_covers_thirty_elements():
    system = discretize(Helmholtz(seed=5))
    assert system.kind == "indefinite"
    assert system.grid.shape == (101, 101)
    assert system.rhs.sum() == pytest.approx(0.3, rel=1e-13)
    assert not system.rhs[: -system.grid.shape[1]].any()
    assert abs(system.matrix - system.matrix.T).max() < 1e-15
    u = solve(Helmholtz(seed=5), Direct())
    assert u.result.ok
    x, y = system.grid.mesh()
    assert top_source(x, y).sum() == 31


def test_cell_centred_grids_are_an_error():
    with pytest.raises(InputError, match=r"centring='vertex', or scheme='finite_volume'"):
        discretize(Poisson(8, centring="cell"), "finite_element")
    assert discretize(Helmholtz(32, omega=100.0, centring="cell")).matrix.nnz < 5 * 32**2 + 1
