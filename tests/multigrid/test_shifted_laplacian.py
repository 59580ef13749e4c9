"""Shifted-Laplacian multigrid and flexible GMRES, against sparse LU, pyamg and dense matrices."""

from __future__ import annotations

import numpy as np
import pyamg
import pytest

from sciml.errors import InputError
from sciml.multigrid import ShiftedLaplacian
from sciml.multigrid.flexible import fgmres
from sciml.pde import Direct, OpenHelmholtz, Poisson, discretize
from sciml.pde.media import LayeredSpeed, SmoothSpeed
from sciml.solve import Result, init, solve

N = 63


@pytest.mark.parametrize("settings", [{}, {"levels": 2, "smoother": "jacobi", "shift": 0.5}, {"cycle": "W"}])
@pytest.mark.parametrize("speed", [1.0, LayeredSpeed(2.0)])
def test_it_solves_as_sparse_lu_does(speed, settings):
    problem = OpenHelmholtz(N, speed, seed=29)
    exact = solve(problem, Direct()).u.values
    solution = solve(problem, ShiftedLaplacian(rtol=1e-8, **settings))
    assert np.linalg.norm(solution.u.values - exact) < 1e-5 * np.linalg.norm(exact)
    system = discretize(problem)
    left = np.linalg.norm(system.residual(solution.u.values)) / np.linalg.norm(system.rhs)
    assert solution.stats["relative_residual"] == pytest.approx(left)
    assert left <= 1e-8


def test_two_grids_with_an_exact_smoother_free_correction_leave_no_coarse_residual():
    """The coarse correction makes the residual of the shifted matrix orthogonal to the coarse space."""
    system = discretize(OpenHelmholtz(31, SmoothSpeed(2.0), layer=1.0, seed=31))
    state = init(system, ShiftedLaplacian(levels=1, sweeps=(1, 0)))
    level = state.levels[0]
    b = np.random.default_rng(7).standard_normal(system.size) + 0j
    left = b - level.matrix @ state.cycle(b)
    assert np.abs(level.prolongation.T @ left).max() < 1e-10


def test_the_shift_is_a_fraction_of_the_squared_wave_number():
    problem = OpenHelmholtz(31, SmoothSpeed(2.0), layer=1.0, seed=31)
    system = discretize(problem)
    shifted = init(system, ShiftedLaplacian(shift=0.3)).levels[0].matrix
    added = (system.matrix - shifted).diagonal()
    assert np.allclose(added, 0.3j * (problem.wave_numbers() ** 2 * problem.grid.volumes()).ravel())


def test_a_state_serves_other_right_hand_sides_but_not_other_grids():
    system = discretize(OpenHelmholtz(31, 1.0, layer=1.0))
    algorithm = ShiftedLaplacian()
    state = init(system, algorithm)
    other = system.with_rhs(np.arange(system.size) * (1 + 2j))
    u = solve(other, algorithm, state=state).u.values
    assert np.linalg.norm(other.residual(u)) <= 1e-6 * np.linalg.norm(other.rhs)
    with pytest.raises(InputError, match="call init"):
        solve(OpenHelmholtz(63, 1.0), algorithm, state=state)


def test_a_limit_on_the_iterations_is_reported():
    solution = solve(OpenHelmholtz(N, 1.0), ShiftedLaplacian(max_iterations=3), throw=False)
    assert solution.result is Result.MAX_ITERATIONS
    assert solution.stats["iterations"] == 3
    assert len(solution.residuals) == 4


@pytest.mark.parametrize("restart", [5, 40])
def test_fgmres_takes_as_many_steps_as_pyamg(restart):
    rng = np.random.default_rng(7)
    matrix = 3 * np.eye(40) + (rng.standard_normal((40, 40)) + 1j * rng.standard_normal((40, 40))) / 5
    inverse = np.diag(1 / matrix.diagonal())
    b = rng.standard_normal(40) + 1j * rng.standard_normal(40)
    ours = fgmres(matrix.__matmul__, inverse.__matmul__, b, rtol=1e-8, max_iterations=40, restart=restart)
    seen: list[float] = []
    pyamg.krylov.fgmres(
        matrix, b, x0=np.zeros(40, complex), tol=1e-8, M=inverse, residuals=seen, restart=restart, maxiter=40
    )
    theirs = np.array(seen) / np.linalg.norm(b)
    steps = min(restart, 10)
    assert np.allclose(ours.residuals[: steps + 1], theirs[: steps + 1], rtol=1e-6)
    assert np.allclose(ours.x, np.linalg.solve(matrix, b), rtol=1e-6)


def test_fgmres_accepts_a_preconditioner_that_changes_and_a_first_guess():
    rng = np.random.default_rng(11)
    matrix = np.diag(np.linspace(1, 9, 30)) + 0.3j * np.eye(30)
    b = rng.standard_normal(30) + 0j
    scale = iter(np.tile([1.0, 0.2, -3.0], 30))
    done = fgmres(
        matrix.__matmul__, lambda r: next(scale) * r, b, rtol=1e-9, max_iterations=60, restart=60, x0=b
    )
    assert done.result is Result.SUCCESS
    assert np.allclose(matrix @ done.x, b, atol=1e-7)
    zero = fgmres(matrix.__matmul__, lambda r: r, 0 * b, rtol=1e-9, max_iterations=60, restart=60)
    assert zero.iterations == 0
    assert not zero.x.any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ShiftedLaplacian(shift=0.0), "shift"),
        (lambda: ShiftedLaplacian(levels=0), "levels"),
        (lambda: ShiftedLaplacian(smoother="sor"), "jacobi"),
        (lambda: ShiftedLaplacian(sweeps=(0, 0)), "sweeps"),
        (lambda: ShiftedLaplacian(rtol=2.0), "rtol"),
        (lambda: solve(Poisson(15), ShiftedLaplacian()), "OpenHelmholtz"),
    ],
)
def test_bad_input_gives_one_error(make, message):
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
