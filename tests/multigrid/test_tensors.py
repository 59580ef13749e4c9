"""Hierarchies in torch against pyamg's own cycles and solutions."""

import warnings

import numpy as np
import pyamg
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyamg.relaxation.smoothing import change_smoothers
from scipy.sparse.linalg import spsolve

from sciml.errors import InputError
from sciml.multigrid.amg import AMG
from sciml.multigrid.interpolation import CoarseGrid, prolongation
from sciml.multigrid.smoothing import damping
from sciml.multigrid.torch import StencilHierarchy, TorchHierarchy
from sciml.multigrid.torch.relaxation import Wavefronts
from sciml.multigrid.torch.stencil_hierarchy import StencilOperator
from sciml.multigrid.torch.stencils import dense, diffusion_stencil, galerkin, stencil_of
from sciml.multigrid.torch.transfers import LevelLayout
from sciml.pde.elliptic import Darcy, Poisson, discretize
from sciml.pde.grid import Boundary, Grid
from sciml.pde.random_fields import Lognormal, TwoPhase

BOUNDARIES = [
    Boundary(),
    Boundary.all("neumann"),
    Boundary.all("periodic"),
    Boundary("neumann", "dirichlet", "periodic", "periodic"),
    Boundary("dirichlet", "neumann", "neumann", "dirichlet"),
]
SMOOTHERS = {
    "symmetric Gauss-Seidel": [("gauss_seidel", {"sweep": "symmetric"})] * 2,
    "Gauss-Seidel there and back": [
        ("gauss_seidel", {"sweep": "forward", "iterations": 2}),
        ("gauss_seidel", {"sweep": "backward", "iterations": 2}),
    ],
    "Jacobi with rho": [("jacobi", {"omega": 4 / 3})] * 2,
    "Jacobi, plain, more before": [("jacobi", {"omega": 0.8, "withrho": False, "iterations": 2}), "jacobi"],
    "Chebyshev": ["chebyshev", ("chebyshev", {"degree": 2, "iterations": 2})],
    "Richardson, none after": ["richardson", None],
}


def advection(n: int):
    """Upwind advection added to diffusion: far from symmetric."""
    matrix = discretize(Darcy(n, TwoPhase(3, 12), seed=7)).matrix.tolil()
    matrix.setdiag(matrix.diagonal() + 4.0)
    matrix.setdiag(matrix.diagonal(-1) - 3.0, -1)
    return matrix.tocsr()


def vectors(count: int, n: int, seed: int = 7) -> torch.Tensor:
    return torch.randn(count, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def close(result: torch.Tensor, expected: np.ndarray, rtol: float = 1e-12) -> bool:
    return float(np.abs(result.numpy() - expected).max()) <= rtol * float(np.abs(expected).max())


def pyamg_cycles(multilevel, r: torch.Tensor, cycle: str) -> np.ndarray:
    return np.stack(
        [
            multilevel.solve(row, x0=np.zeros_like(row), maxiter=1, tol=1e-300, cycle=cycle)
            for row in r.numpy()
        ]
    )


@pytest.mark.parametrize("smoother", SMOOTHERS)
@pytest.mark.parametrize("build", [pyamg.ruge_stuben_solver, pyamg.smoothed_aggregation_solver])
@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "nonsymmetric"])
def test_the_cycle_equals_that_of_pyamg(smoother, build, symmetric):
    matrix = discretize(Darcy(23, TwoPhase(3, 12), seed=7)).matrix if symmetric else advection(23)
    multilevel = build(matrix, max_coarse=20)
    change_smoothers(multilevel, *SMOOTHERS[smoother])
    r = vectors(3, matrix.shape[0])
    for cycle in ("V", "W", "F"):
        expected = pyamg_cycles(multilevel, r, cycle)
        hierarchy = TorchHierarchy.of(multilevel, cycle=cycle)
        assert hierarchy.kind == ("definite" if symmetric else "nonsymmetric")
        assert close(hierarchy.cycle(r), expected)
        single = TorchHierarchy.of(multilevel, cycle=cycle, dtype=torch.float32).cycle(r.float())
        assert close(single, expected, 2e-5)


@pytest.mark.parametrize("method", ["ruge_stuben", "smoothed_aggregation", "geometric"])
@pytest.mark.parametrize("smoother", ["gauss_seidel", "jacobi", "chebyshev"])
@pytest.mark.parametrize("boundary", [BOUNDARIES[0], BOUNDARIES[1]], ids=["dirichlet", "neumann"])
def test_the_cycle_equals_that_of_the_hierarchy(method, smoother, boundary):
    problem = Darcy((19, 26), TwoPhase(2, 12), boundary=boundary, seed=5)
    for cycle in ("V", "W", "F"):
        hierarchy = AMG(method, smoother=smoother, cycle=cycle).init(discretize(problem))
        r = vectors(2, 19 * 26)
        r -= r.mean(1, keepdim=True)
        expected = np.stack([hierarchy.cycle(row) for row in r.numpy()])
        samples = TorchHierarchy.of(hierarchy)
        assert samples.cycle_kind == cycle and samples.kind == hierarchy.system.kind
        assert samples.symmetric == hierarchy.symmetric
        assert close(samples.cycle(r), expected)


def test_wavefronts_equal_the_triangular_solve():
    matrix = discretize(Darcy(9, TwoPhase(3, 12))).matrix
    b = vectors(4, 81).T
    for lower, triangle in ((True, sp.tril(matrix)), (False, sp.triu(matrix))):
        solve = Wavefronts(triangle.tocsr(), lower, torch.device("cpu"), torch.float64)
        assert close(solve(b), spsolve(triangle.tocsc(), b.numpy()))
        assert len(solve.fronts) == 9 + 9 - 1


def test_the_smoother_uses_wavefronts_without_a_library(monkeypatch):
    hierarchy = AMG().init(Darcy(15, TwoPhase(3, 12)))
    r = vectors(2, 225)
    expected = TorchHierarchy.of(hierarchy).cycle(r).numpy()
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    twin = TorchHierarchy.of(hierarchy)
    assert isinstance(twin.levels[0].before.halves[0][1], Wavefronts)
    assert close(twin.cycle(r), expected)


@pytest.mark.parametrize("smoother", SMOOTHERS)
def test_the_transposed_hierarchy_has_the_transposed_cycle(smoother):
    multilevel = pyamg.ruge_stuben_solver(advection(15), max_coarse=20)
    change_smoothers(multilevel, *SMOOTHERS[smoother])
    hierarchy = TorchHierarchy.of(multilevel)
    r, s = vectors(2, 225)
    expected = hierarchy.cycle(r) @ s
    assert abs(hierarchy.transposed.cycle(s) @ r - expected) <= 1e-12 * abs(expected)
    assert hierarchy.transposed.transposed is hierarchy


@pytest.mark.parametrize("mixed", [False, True], ids=["float64", "float32 cycles"])
@pytest.mark.parametrize("accelerate", ["auto", "bicgstab", None])
@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "nonsymmetric"])
def test_every_right_hand_side_is_solved_to_its_tolerance(mixed, accelerate, symmetric):
    matrix = discretize(Darcy(23, TwoPhase(3, 12), seed=7)).matrix if symmetric else advection(23)
    multilevel = pyamg.ruge_stuben_solver(matrix)
    hierarchy = TorchHierarchy.of(multilevel, cycle_dtype=torch.float32 if mixed else None)
    b = vectors(6, 529)
    b[1] *= 1e-9
    b[2] = 0.0
    solution = hierarchy.solve(b, rtol=1e-9, accelerate=accelerate)
    residual = b.numpy() - solution.u.numpy() @ matrix.T
    size = np.linalg.norm(b.numpy(), axis=1)
    assert solution.result.ok
    assert (np.linalg.norm(residual, axis=1) <= 1.001e-9 * size).all()
    assert solution.cycles[2] == 0 and not solution.u[2].any()
    assert close(solution.u, spsolve(matrix.tocsc(), b.numpy().T).T, 1e-7)


def test_good_guesses_need_fewer_cycles():
    hierarchy = AMG().init(Darcy(31, TwoPhase(3, 12), seed=5))
    twin = TorchHierarchy.of(hierarchy)
    b = vectors(3, 961)
    exact = twin.solve(b, rtol=1e-12).u
    guess = exact.clone()
    guess[1] += 1e-3 * vectors(1, 961)[0]
    guess[2] = 0
    solution = twin.solve(b, x0=guess, rtol=1e-8)
    assert solution.cycles[0] == 0
    assert 0 < solution.cycles[1] < solution.cycles[2]


def test_conjugate_gradients_take_as_many_cycles_as_pyamg():
    system = discretize(Darcy(31, TwoPhase(3, 12), seed=5))
    hierarchy = AMG().init(system)
    solution = TorchHierarchy.of(hierarchy).solve(torch.from_numpy(system.rhs))
    alone = hierarchy.solve()
    assert solution.u.shape == (961,)
    assert int(solution.cycles) == alone.cycles
    assert close(solution.u, alone.x, 1e-9)


def test_too_few_cycles_are_reported():
    hierarchy = TorchHierarchy.of(AMG().init(Poisson(31)))
    solution = hierarchy.solve(vectors(2, 961), max_cycles=2)
    assert not solution.converged.any()
    assert solution.result.name == "MAX_ITERATIONS"
    assert "unconverged" in str(solution)


@pytest.mark.parametrize("boundary", [BOUNDARIES[1], BOUNDARIES[2]], ids=["neumann", "periodic"])
def test_semidefinite_systems_have_the_solution_of_mean_zero(boundary):
    system = discretize(Darcy(20, TwoPhase(3, 12), boundary=boundary, source=0.0, seed=5))
    hierarchy = AMG().init(system)
    b = vectors(3, 400)
    b -= b.mean(1, keepdim=True)
    solution = TorchHierarchy.of(hierarchy).solve(b, rtol=1e-10)
    assert solution.result.ok
    assert close(solution.u[1], hierarchy.solve(b[1].numpy(), rtol=1e-10).x, 1e-7)
    with pytest.raises(InputError, match="subtract the mean"):
        TorchHierarchy.of(hierarchy).solve(b + 1.0)


@pytest.mark.parametrize("centring", ["vertex", "cell"])
@pytest.mark.parametrize("boundary", [BOUNDARIES[1], BOUNDARIES[2]], ids=["neumann", "periodic"])
@pytest.mark.parametrize("n", [15, 32])
def test_semidefinite_stencils_in_single_precision_contract_as_in_double(centring, boundary, n):
    """In single precision the rounded zero eigenvalue of the coarsest level is above a cut-off for float64."""
    grid = Grid((n, n), centring, boundary)
    stencil = diffusion_stencil(torch.from_numpy(coefficients(grid, 3)), grid)
    b = vectors(3, grid.size).reshape(3, n, n) * torch.from_numpy(grid.volumes())
    b -= b.sum((1, 2), keepdim=True) * torch.from_numpy(grid.volumes())
    double = StencilHierarchy(stencil, grid, kind="semidefinite")
    single = StencilHierarchy(stencil.float(), grid, kind="semidefinite")
    computed = single.cycle(b.float()).double()
    for u in (computed, expected := double.cycle(b)):
        u -= (u * torch.from_numpy(grid.volumes())).sum((1, 2), keepdim=True)
    assert float((computed - expected).norm()) < 1e-4 * float(expected.norm())
    assert single.solve(b.float(), rtol=1e-4).result.ok


def test_bad_input_is_one_clear_error():
    hierarchy = TorchHierarchy.of(AMG().init(Poisson(7)))
    with pytest.raises(InputError, match=r"takes \(batch, 49\)"):
        hierarchy.solve(vectors(2, 48))
    with pytest.raises(InputError, match="make them alike"):
        hierarchy.cycle(vectors(2, 49).float())
    with pytest.raises(InputError, match="finite"):
        hierarchy.solve(vectors(1, 49) * torch.nan)
    with pytest.raises(InputError, match="one guess a problem"):
        hierarchy.solve(vectors(2, 49), x0=vectors(1, 49))
    with pytest.raises(InputError, match="positive"):
        hierarchy.solve(vectors(2, 49), rtol=0.0)
    with pytest.raises(InputError, match="no hierarchy"):
        TorchHierarchy.of(Poisson(7))
    multilevel = pyamg.ruge_stuben_solver(discretize(Poisson(15)).matrix)
    change_smoothers(multilevel, "gauss_seidel_ne", "gauss_seidel_ne")
    with pytest.raises(InputError, match="does not exist in torch"):
        TorchHierarchy.of(multilevel)
    lopsided = TorchHierarchy.of(AMG(sweeps=(1, 2), accelerate=None).init(Poisson(15)))
    with pytest.raises(InputError, match="bicgstab"):
        lopsided.solve(vectors(1, 225), accelerate="cg")
    stencil = torch.ones(2, 9, 7, 7, dtype=torch.float64)
    with pytest.raises(InputError, match="this grid takes"):
        StencilHierarchy(stencil, Grid((7, 8)))
    with pytest.raises(InputError, match="finite"):
        StencilHierarchy(stencil * torch.inf, Grid((7, 7)))
    with pytest.raises(InputError, match="these stencils take"):
        StencilHierarchy(diffusion_stencil(stencil[:, 0], Grid((7, 7))), Grid((7, 7))).cycle(vectors(2, 49))


def test_solves_give_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TorchHierarchy.of(AMG().init(Poisson(15))).solve(vectors(2, 225))


def coefficients(grid: Grid, count: int, contrast: float = 6.0) -> np.ndarray:
    low, high = TwoPhase(2, 2 * contrast), Lognormal(1.0)
    drawn = [(low if k % 2 else high).draw(grid, np.random.default_rng(11 + k)) for k in range(count)]
    return np.stack(drawn)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(3, 13), st.integers(3, 13), st.sampled_from(BOUNDARIES), st.sampled_from(["vertex", "cell"])
)
def test_stencils_of_different_operators_equal_their_matrices(ny, nx, boundary, centring):
    grid = Grid((ny, nx), centring, boundary, (1.0, 0.5))
    fields = np.exp(np.random.default_rng(5).standard_normal((3, ny, nx)))
    stencil = diffusion_stencil(torch.from_numpy(fields), grid)
    operator = StencilOperator(stencil, LevelLayout.of(grid), torch.float64)
    x = vectors(3, ny * nx).T.contiguous()
    systems = [
        discretize(Darcy((ny, nx), a, centring=centring, boundary=boundary, lengths=(1.0, 0.5)))
        for a in fields
    ]
    expected = np.stack([s.matrix @ x[:, k].numpy() for k, s in enumerate(systems)], 1)
    assert operator.symmetric
    assert close(operator(x), expected)
    assert close(operator.residual(x, x, torch.empty_like(x)), x.numpy() - expected)


def test_a_nonsymmetric_stencil_is_applied_as_it_is():
    matrix = advection(9)
    matrix = matrix - matrix.multiply(np.eye(81, k=-1) * (np.arange(81) % 9 == 0)[:, None])
    operator = StencilOperator(
        stencil_of(matrix.tocsr(), Grid((9, 9)))[None], LevelLayout.of(Grid((9, 9))), torch.float64
    )
    x = vectors(1, 81).T.contiguous()
    assert not operator.symmetric
    assert close(operator(x), matrix @ x.numpy())


def as_pyamg(stencil: torch.Tensor, grid: Grid, least: int, sweeps: tuple[int, int]):
    """The hierarchy of one stencil field, level by level from matrices, smoothed by pyamg's Jacobi."""
    layouts = LevelLayout.of(grid).levels(least)
    levels = []
    for k, layout in enumerate(layouts):
        level = pyamg.MultilevelSolver.Level()
        level.A = sp.csr_matrix(dense(stencil[None], layout)[0].numpy())
        if k + 1 < len(layouts):
            level.P = prolongation(CoarseGrid(layout.shape, layout.centring, layout.sides))[0]
            level.R = level.P.T.tocsr()
            stencil = galerkin(stencil[None], layout)[0]
        levels.append(level)
    multilevel = pyamg.MultilevelSolver(levels, ("pinv", {"rtol": 1e-10}))
    smoothers = [
        [
            ("jacobi", {"omega": damping(level.A), "withrho": False, "iterations": count}) if count else None
            for level in levels[:-1]
        ]
        for count in sweeps
    ]
    change_smoothers(multilevel, *smoothers)
    return multilevel


@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
@pytest.mark.parametrize("centring", ["vertex", "cell"])
def test_the_cycle_of_each_operator_is_that_of_its_own_hierarchy(boundary, centring):
    grid = Grid((20, 16), centring, boundary)
    fields = coefficients(grid, 3)
    stencil = diffusion_stencil(torch.from_numpy(fields), grid)
    kind = "definite" if "dirichlet" in boundary.sides.values() else "semidefinite"
    r = vectors(3, grid.size)
    r -= r.mean(1, keepdim=True)
    for cycle, sweeps in (("V", (1, 1)), ("W", (2, 1)), ("F", (0, 1))):
        result = StencilHierarchy(stencil, grid, kind=kind, cycle=cycle, sweeps=sweeps)
        least = 2 if kind == "semidefinite" else 1
        for k in range(3):
            multilevel = as_pyamg(stencil[k], grid, least, sweeps)
            expected = pyamg_cycles(multilevel, r[k : k + 1], cycle)[0]
            assert close(result.cycle(r.reshape(3, *grid.shape))[k].flatten(), expected)


def test_the_cycle_of_each_operator_is_that_of_the_geometric_method():
    grid = Grid((31, 31))
    fields = coefficients(grid, 3)
    r = vectors(3, grid.size)
    result = StencilHierarchy(diffusion_stencil(torch.from_numpy(fields), grid), grid)
    algorithm = AMG("geometric", smoother="jacobi")
    expected = [algorithm.init(Darcy(31, a)).cycle(b) for a, b in zip(fields, r.numpy(), strict=True)]
    assert close(result.cycle(r.reshape(3, 31, 31)).reshape(3, -1), np.stack(expected))


@pytest.mark.parametrize("boundary", [BOUNDARIES[0], BOUNDARIES[1], BOUNDARIES[3]], ids=str)
@pytest.mark.parametrize("mixed", [False, True], ids=["float64", "float32 cycles"])
def test_many_operators_are_solved_at_once(boundary, mixed):
    grid = Grid((32, 24), "cell", boundary)
    fields = coefficients(grid, 20)
    stencil = diffusion_stencil(torch.from_numpy(fields), grid)
    systems = [discretize(Darcy(grid.shape, a, centring="cell", boundary=boundary)) for a in fields]
    b = vectors(20, grid.size)
    b -= b.mean(1, keepdim=True)
    inner = torch.float32 if mixed else None
    hierarchy = StencilHierarchy(stencil, grid, kind=systems[0].kind, cycle_dtype=inner)
    solution = hierarchy.solve(b.reshape(20, *grid.shape), rtol=1e-9)
    assert solution.result.ok
    left = [
        s.matrix @ u - f
        for s, u, f in zip(systems, solution.u.reshape(20, -1).numpy(), b.numpy(), strict=True)
    ]
    assert (np.linalg.norm(left, axis=1) <= 1.1e-9 * np.linalg.norm(b.numpy(), axis=1)).all()


def test_blocks_of_a_batch_change_nothing(monkeypatch):
    grid = Grid((15, 15))
    stencil = diffusion_stencil(torch.from_numpy(coefficients(grid, 5)), grid)
    b = vectors(5, 225)
    whole = StencilHierarchy(stencil, grid).solve(b.reshape(5, 15, 15))
    twin = TorchHierarchy.of(AMG(smoother="jacobi").init(Poisson(15)))
    same = twin.solve(b)
    for module in ("stencil_hierarchy", "hierarchy"):
        monkeypatch.setattr(f"sciml.multigrid.torch.{module}.BLOCK_BYTES", 1)
        monkeypatch.setattr(f"sciml.multigrid.torch.{module}.LEAST_BLOCK", 2)
    cut = StencilHierarchy(stencil, grid)
    assert len(cut.blocks) == 3
    torch.testing.assert_close(cut.solve(b.reshape(5, 15, 15)).u, whole.u, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(twin.solve(b).u, same.u, rtol=1e-12, atol=1e-15)
