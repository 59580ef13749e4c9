"""Matrices without a grid: solutions, guaranteed bounds and clear errors."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import skfem
from pyamg import gallery
from scipy.sparse.linalg import splu
from skfem.helpers import dot, grad
from torch import nn

import sciml as sm
from sciml.errors import InputError
from sciml.multigrid.amg import AMG
from sciml.operators.corrected import Corrected
from sciml.pde.direct import Direct
from sciml.pde.elliptic import Poisson, discretize
from sciml.pde.solvability import check_compatible
from sciml.pde.system import System
from sciml.solve import solve
from tests.multigrid.exact import ExactSolution

AGGREGATION = AMG("smoothed_aggregation")


class Guess:
    """A prediction that is given."""

    def __init__(self, prediction: Any) -> None:
        self.prediction = prediction

    def init(self, problem: Any) -> Any:
        return SimpleNamespace(network=nn.Identity())

    def values(self, problem: Any, state: Any) -> Any:
        return np.array(self.prediction)


def graph(n: int, edges: int, shift: float, seed: int = 7) -> Any:
    """Laplacian of a random connected graph with weights of three decades, plus a shift."""
    rng = np.random.default_rng(seed)
    i = np.concatenate([np.arange(n - 1), rng.integers(0, n, edges)])
    j = np.concatenate([np.arange(1, n), rng.integers(0, n, edges)])
    weights = sp.coo_matrix((10 ** rng.uniform(-2, 1, i.size) * (i != j), (i, j)), (n, n)).tocsr()
    weights = weights + weights.T
    return sp.diags(np.asarray(weights.sum(axis=1)).ravel() + shift) - weights


def rotated(n: int, kind: str) -> Any:
    """Anisotropic diffusion, 100 to 1, at an angle to the axes; the stencil has positive entries off the diagonal."""
    return gallery.stencil_grid(
        gallery.diffusion_stencil_2d(epsilon=0.01, theta=np.pi / 6, type=kind), (n, n), format="csr"
    )


def mesh(element: Any, contrast: float = 1.0, refined: int = 3) -> Any:
    """Diffusion on a refined L-shaped mesh of triangles, zero on its boundary, with a jump of the coefficient."""
    triangles = skfem.MeshTri.init_lshaped().refined(refined)
    basis = skfem.Basis(triangles, element)
    form = skfem.BilinearForm(
        lambda u, v, w: (1 + (contrast - 1) * (w.x[0] * w.x[1] > 0)) * dot(grad(u), grad(v))
    )
    inner = basis.complement_dofs(basis.get_dofs())
    return sp.csr_matrix(form.assemble(basis))[inner][:, inner]


def tetrahedra() -> Any:
    solid = skfem.MeshTet.init_tensor(*[np.linspace(0, 1, 7) ** 1.5] * 3)
    basis = skfem.Basis(solid, skfem.ElementTetP1())
    inner = basis.complement_dofs(basis.get_dofs())
    return sp.csr_matrix(skfem.BilinearForm(lambda u, v, w: dot(grad(u), grad(v))).assemble(basis))[inner][
        :, inner
    ]


def scaled() -> Any:
    """A graph whose unknowns have units that differ by 8 decades."""
    units = sp.diags(10 ** np.random.default_rng(7).uniform(-4, 4, 120))
    return units @ graph(120, 200, 0.1) @ units


def spread(n: int) -> Any:
    """A dense covariance matrix."""
    return np.cov(np.random.default_rng(7).normal(size=(n, 6 * n)))


MATRICES: dict[str, tuple[Any, AMG]] = {
    "poisson, 2-D": (gallery.poisson((9, 8)), AMG()),
    "poisson, 3-D": (gallery.poisson((4, 5, 3)), AMG()),
    "rotated differences": (rotated(10, "FD"), AMG()),
    "rotated elements": (rotated(10, "FE"), AGGREGATION),
    "triangles": (mesh(skfem.ElementTriP1()), AMG()),
    "triangles, quadratic": (mesh(skfem.ElementTriP2(), 1e4, 2), AMG()),
    "triangles, contrast": (mesh(skfem.ElementTriP1(), 1e6), AGGREGATION),
    "tetrahedra": (tetrahedra(), AMG()),
    "graph": (graph(150, 300, 1e-2), AMG()),
    "nearly singular": (graph(90, 150, 1e-9), AGGREGATION),
    "badly scaled": (scaled(), AMG(sweeps=(2, 2))),
    "diagonal": (sp.diags(np.geomspace(1e-8, 1e8, 60)), AMG()),
    "unconnected parts": (
        sp.block_diag([gallery.poisson((5, 6)), sp.identity(9), 1e6 * graph(20, 30, 1.0)]),
        AMG(),
    ),
    "one unknown": (sp.csr_matrix([[3.0]]), AMG()),
    "dense": (spread(30), AMG()),
    "hilbert": (1 / (1 + np.arange(6)[:, None] + np.arange(6)), AMG()),
}


@pytest.mark.parametrize("name", MATRICES)
def test_errors_of_any_matrix_are_bounded_in_rational_arithmetic(name: str) -> None:
    matrix, amg = MATRICES[name]
    rng = np.random.default_rng(11)
    system = System(matrix, rng.standard_normal(matrix.shape[0]))
    assert system.kind == "definite"
    assert system.grid is None
    exact = ExactSolution(system)
    guesses = [
        None,
        rng.standard_normal(system.size),
        exact.nearest * (1 + 1e-3 * rng.normal(size=system.size)),
    ]
    for guess, rtol in zip(guesses, (1e-6, 1e-2, 1e-9), strict=True):
        algorithm = Corrected(None if guess is None else Guess(guess), amg, rtol=rtol)  # type: ignore[arg-type]
        solution = solve(system, algorithm)
        error, size = exact.squared_error(solution.u.values), exact.squared_norm()
        assert solution.u.dims == ("unknown",)
        assert solution.error_bound is not None
        assert error <= Fraction(solution.error_bound) ** 2
        assert Fraction(solution.error_bound) ** 2 <= Fraction(rtol) ** 2 * size
    if name not in ("nearly singular", "badly scaled"):  # the residual of the rounded solution is larger
        assert solve(system, AMG(amg.method, rtol=1e-10)).stats["relative_residual"] <= 1e-10


@pytest.mark.parametrize("name", [name for name in MATRICES if name != "one unknown"])
def test_the_contraction_is_not_below_the_largest_eigenvalue(name: str) -> None:
    matrix, amg = MATRICES[name]
    hierarchy = amg.init(System(matrix, np.ones(matrix.shape[0])))
    n, contraction = hierarchy.system.size, hierarchy.contraction
    full = hierarchy.system.matrix.toarray()
    # E is self-adjoint in the energy: its eigenvalues are those of L^T (A^-1 - B) L with A = L L^T.
    root = np.linalg.cholesky(full)
    cycle = np.column_stack([hierarchy.cycle(unit) for unit in np.eye(n)])
    rates = np.linalg.eigvalsh(np.eye(n) - root.T @ (cycle + cycle.T) @ root / 2)
    rounding = 1e-14 * np.linalg.cond(full / np.sqrt(np.outer(full.diagonal(), full.diagonal())))
    assert rates[-1] <= contraction.bound + rounding
    assert contraction.bound < 1
    values = np.linalg.eigvalsh(full / np.sqrt(np.outer(full.diagonal(), full.diagonal())))
    assert 0 < contraction.smallest <= values[0] * (1 + 1e-6)


def elasticity(n: int) -> tuple[Any, Any]:
    return gallery.linear_elasticity((n, n))


def test_rigid_body_modes_make_elasticity_converge() -> None:
    matrix, modes = elasticity(20)
    b = np.random.default_rng(11).standard_normal(matrix.shape[0])
    system = System(matrix, b, near_nullspace=modes)
    assert system.block_size == 2
    csr = System(sp.csr_matrix(matrix), b, near_nullspace=modes, block_size=2)
    with_modes, in_csr = solve(system, Corrected(None, AGGREGATION)), solve(csr, Corrected(None, AGGREGATION))
    without = solve(System(sp.csr_matrix(matrix), b), Corrected(None, AGGREGATION))
    assert with_modes.stats["cycles"] == in_csr.stats["cycles"] < 0.6 * without.stats["cycles"]
    truth = solve(System(matrix, b), Direct()).u.values
    for solution in (with_modes, without):
        error = system.energy(solution.u.values - truth)
        assert error <= solution.error_bound <= 1e-6 * system.energy(truth)


def test_large_matrices() -> None:
    n = 101_000
    pairs = sp.block_diag([sp.csr_matrix([[2.0, -1.0], [-1.0, 2.0]])] * 100, format="csr")
    many = sp.kron(sp.identity(n // 200), pairs, format="csr")
    for matrix, amg in ((many, AMG()), (sp.diags(np.geomspace(1e-6, 1e6, n)), AGGREGATION)):
        b = np.random.default_rng(11).standard_normal(n)
        solution = solve(System(matrix, b), Corrected(None, amg, rtol=1e-10))
        truth = splu(sp.csc_matrix(matrix)).solve(b)
        energy = System(matrix, b, kind="definite").energy
        assert energy(solution.u.values - truth) <= solution.error_bound + 1e-14 * energy(truth)


def test_laplacians_of_graphs_are_determined_up_to_a_constant() -> None:
    matrix = graph(80, 160, 0.0)
    b = np.random.default_rng(11).standard_normal(80)
    with pytest.raises(InputError, match=r"sums to .*: subtract the mean"):
        solve(System(matrix, b), Corrected(None))
    system = check_compatible(System(matrix, b - b.mean()))
    assert system.kind == "semidefinite"
    exact = ExactSolution(system)
    for amg in (AMG(), AGGREGATION):
        solution = solve(system, Corrected(None, amg, rtol=1e-8))
        assert exact.squared_error(solution.u.values) <= Fraction(float(solution.error_bound or 0)) ** 2
        assert abs(solution.u.values.mean()) < 1e-14 * abs(solution.u.values).max()


@pytest.mark.parametrize(
    ("matrix", "rhs", "match"),
    [
        (gallery.poisson((9, 9)) - 1.5 * sp.identity(81), 81, r"indefinite matrix .*Direct\(\)"),
        (np.triu(np.ones((5, 5))), 5, r"nonsymmetric; AMG\(\) and Direct\(\) solve it without a bound"),
        (1j * np.eye(4), 4, "complex matrix"),
        (np.diag([1.0, np.nan]), 2, "first nan at row 1, column 1"),
        (np.array([[0.0, 1.0], [1.0, 0.0]]), 2, "indefinite matrix"),
        (np.diag([1.0, 0.0, 2.0]), 3, "row 1 of the matrix is zero"),
        (-gallery.poisson((5, 5)), 25, r"every diagonal entry of the matrix is negative: .*System\(-matrix"),
        (np.ones((3, 4)), 3, r"shape \(3, 4\): give a square matrix"),
        (np.ones(4), 4, r"shape \(4,\): give a square matrix"),
        (sp.csr_matrix((0, 0)), 0, "one unknown or more"),
        (np.eye(4), 3, r"shape \(3,\): the matrix has 4 unknowns, give \(4,\)"),
        (np.ones((3, 3)), 3, "indefinite|not positive definite"),
    ],
)
def test_bad_matrices_give_one_clear_error(matrix: Any, rhs: int, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        solve(System(matrix, np.ones(rhs)), Corrected(None))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"near_nullspace": np.ones((4, 1))}, r"shape \(4, 1\): give one column for each vector, \(9, k\)"),
        ({"near_nullspace": np.full(9, np.nan)}, "finite"),
        ({"near_nullspace": np.zeros((9, 2))}, "column 0 of near_nullspace is zero"),
        ({"block_size": 2}, "9 unknowns are not a multiple"),
        ({"block_size": 1.5}, "block_size=1.5"),
        ({"kind": "spd"}, "kind='spd'"),
    ],
)
def test_settings_that_do_not_fit_the_matrix(options: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        System(np.eye(9), np.ones(9), **options)


def test_what_needs_a_grid_says_so() -> None:
    system = System(gallery.poisson((9, 9)), np.ones(81))
    network: Any = sm.Neural.load("darcy-any")
    for algorithm in (AMG("geometric"), network, Corrected(network)):
        with pytest.raises(InputError, match=r"geometric multigrid need the grid .*Direct\(\)") as caught:
            solve(system, algorithm)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"AMG\('smoothed_aggregation'\)"):
        solve(System(system.matrix, system.rhs, near_nullspace=np.ones(81)), AMG())


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann"])
def test_the_kind_of_discretised_problems_is_detected(boundary: Any) -> None:
    for scheme in ("finite_volume", "finite_element"):
        given = discretize(Poisson(9, boundary=boundary), scheme)  # type: ignore[arg-type]
        assert System(given.matrix, given.rhs).kind == given.kind


def test_a_hierarchy_is_not_used_for_a_matrix_of_another_size() -> None:
    first, second = (System(gallery.poisson((n, n)), np.ones(n * n)) for n in (6, 7))
    algorithm = AMG()
    state = sm.init(first, algorithm)
    with pytest.raises(InputError, match="36 unknowns"):
        solve(second, algorithm, state=state)
    near = System(1.1 * first.matrix, first.rhs)
    assert solve(near, algorithm, state=state).u.values == pytest.approx(
        solve(first, algorithm).u.values / 1.1, rel=1e-6
    )
