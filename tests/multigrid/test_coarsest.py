"""Coarsest levels of stretched problems, of singular matrices, and with large jumps of the coefficient."""

import numpy as np
import pyamg
import pytest
import scipy.sparse as sp

from sciml.errors import InputError
from sciml.multigrid import AMG
from sciml.multigrid.coarsest import inverse_of
from sciml.multigrid.torch import TorchHierarchy
from sciml.pde.direct import Direct
from sciml.pde.elliptic import Darcy, Poisson, discretize
from sciml.pde.grid import Boundary
from sciml.pde.random_fields import TwoPhase
from sciml.pde.system import System
from sciml.solve import solve

METHODS = ("ruge_stuben", "smoothed_aggregation", "geometric")
STRETCHED = (
    ((3, 40), (0.03, 1.0), Boundary(west="neumann"), "vertex"),
    ((15, 16), (0.03, 1.0), Boundary(east="neumann"), "cell"),
    ((24, 40), (0.02, 1.0), "dirichlet", "cell"),
    ((30, 31), (1.0, 30.0), "dirichlet", "vertex"),
    ((4, 3), (1e-3, 1.0), "dirichlet", "cell"),
    ((3, 9), (1.0, 1e-6), "dirichlet", "vertex"),
    ((9, 24), (1.0, 0.01), Boundary("periodic", "periodic", "neumann", "dirichlet"), "cell"),
)


@pytest.mark.parametrize("case", STRETCHED, ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_stretched_problems_are_solved_and_bounded(case, method):
    shape, lengths, boundary, centring = case
    problem = Darcy(shape, TwoPhase(1, 100), 1.0, boundary, lengths=lengths, centring=centring, seed=11)
    hierarchy = AMG(method).init(problem)
    system = hierarchy.system
    pyamgs = pyamg.smoothed_aggregation_solver(sp.csr_matrix(system.matrix)).solve(
        system.rhs, tol=1e-11, accel="cg", maxiter=300
    )
    solution = hierarchy.solve(rtol=1e-9)
    assert solution.result.ok
    assert system.energy(solution.x - pyamgs) <= 1e-4 * system.energy(pyamgs)
    assert all(level.prolongation.shape[1] for level in hierarchy.levels[:-1])
    error = np.random.default_rng(7).standard_normal(system.grid.size)
    bounds = hierarchy.bounds(system.matrix @ error)
    assert bounds.lower <= system.energy(error) <= bounds.upper


def test_coarsening_continues_along_weak_connections():
    problem = Poisson((9, 600), lengths=(1e-3, 1.0))
    hierarchy = AMG("smoothed_aggregation").init(problem)
    assert hierarchy.levels[-1].size < 500
    solution = hierarchy.solve(rtol=1e-8)
    assert solution.result.ok
    assert solution.x == pytest.approx(solve(problem, Direct()).u.values.ravel(), rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_levels_as_tensors(method):
    system = discretize(Poisson((31, 30), lengths=(1.0, 30.0)))
    hierarchy = AMG(method).init(system)
    r = np.random.default_rng(5).standard_normal(system.grid.size)
    torch = pytest.importorskip("torch")
    result = TorchHierarchy.of(hierarchy).cycle(torch.from_numpy(r)[None])
    assert result.numpy().ravel() == pytest.approx(hierarchy.cycle(r), rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
def test_a_small_eigenvalue_is_not_a_kernel(method, boundary):
    """Coefficients over ten orders of magnitude: the second eigenvalue is tiny, and not rounding."""
    coefficient = np.ones((12, 16))
    coefficient[3:7, 4:9] = 1e7
    coefficient[8:10, 10:14] = 1e-3
    problem = Darcy(coefficient.shape, coefficient, lambda x, y: np.cos(2 * np.pi * x), boundary)
    hierarchy = AMG(method).init(problem)
    truth = solve(problem, Direct()).u.values.ravel()
    error = np.random.default_rng(7).standard_normal(truth.size)
    system = hierarchy.system
    result = hierarchy.bounds(system.matrix @ error)
    assert result.lower <= system.energy(error) * (1 + 1e-9)
    assert system.energy(error) <= result.upper * (1 + 1e-9)
    near = hierarchy.solve(rtol=1e-8).x
    assert system.energy(near - truth) <= 1e-4 * system.energy(truth)


def chain(matrix):
    return [sp.csr_matrix(matrix)], []


def test_inverses():
    generator = np.random.default_rng(7)
    root = generator.standard_normal((6, 6))
    regular = root @ root.T + np.eye(6)
    sizes = 10.0 ** np.array([-6, -3, 0, 2, 5, 8])
    # Rows and columns of every size, as a coefficient with jumps makes them.
    jumps = sizes[:, None] * regular * sizes
    inverse = inverse_of(*chain(jumps), symmetric=True, singular=False)
    assert inverse * sizes[:, None] * sizes == pytest.approx(np.linalg.inv(regular), rel=1e-9)
    assert np.array_equal(inverse, inverse.T)
    skew = regular + np.triu(regular)
    result = inverse_of(*chain(skew), symmetric=False, singular=False)
    assert result == pytest.approx(np.linalg.inv(skew), rel=1e-9)


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_matrix_singular_to_rounding_gets_a_projection(symmetric):
    root = np.random.default_rng(7).standard_normal((6, 4))
    singular = root @ root.T
    result = inverse_of(*chain(singular), symmetric=symmetric, singular=False)
    assert result @ singular @ result == pytest.approx(result, abs=1e-9 * abs(result).max())
    assert singular @ result @ singular == pytest.approx(singular, abs=1e-9 * abs(singular).max())
    assert not inverse_of(*chain(np.zeros((3, 3))), symmetric=symmetric, singular=False).any()
    held = np.diag([2.0, 0.0, 4.0])
    result = inverse_of(*chain(held), symmetric=symmetric, singular=False)
    assert result == pytest.approx(np.diag([0.5, 0.0, 0.25]))


def test_the_size_of_a_kernel_is_relative_to_the_finer_level():
    """The entry of a singular matrix with a single unknown is only rounding."""
    fine = sp.csr_matrix([[1.0, -1.0], [-1.0, 1.0 + 2e-16]])
    ones = sp.csr_matrix(np.ones((2, 1)))
    coarse = sp.csr_matrix(ones.T @ fine @ ones)
    assert coarse.toarray().item() != 0
    result = inverse_of([fine, coarse], [(ones, ones.T)], symmetric=True, singular=True)
    assert result.item() == 0.0


def test_more_unknowns_than_can_be_inverted():
    chain = sp.diags([-1.0, 2.0, -1.0], [-1, 0, 1], shape=(30_001, 30_001), format="csr")
    with pytest.raises(InputError, match=r"30001 unknowns.*ruge_stuben"):
        inverse_of([chain], [], symmetric=True, singular=False)
    with pytest.raises(InputError, match=r"3001 unknowns.*ruge_stuben"):
        inverse_of([chain[:3001, :3001]], [], symmetric=True, singular=True)


@pytest.mark.parametrize("off", [0.0, -1.0])
def test_the_inverse_of_many_unknowns_is_sparse(off):
    n = 3001
    matrix = sp.diags([off, np.linspace(2, 3, n), off], [-1, 0, 1], shape=(n, n), format="csr")
    inverse = inverse_of([matrix], [], symmetric=True, singular=False)
    b = np.random.default_rng(11).standard_normal(n)
    np.testing.assert_allclose(matrix @ (inverse @ b), b, atol=1e-11)
    assert not isinstance(inverse, np.ndarray)


def test_a_level_that_is_singular_after_an_update():
    """The transfers of a matrix are reused for another matrix, for which a level becomes zero."""
    system = discretize(Poisson(9))
    hierarchy = AMG("smoothed_aggregation").init(system)
    other = System(sp.identity(81, format="csr"), np.ones(81), system.grid, "definite")
    assert hierarchy.updated(other).solve().x == pytest.approx(np.ones(81))
