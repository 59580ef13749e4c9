import numpy as np
import pytest
from scipy.linalg import eigvalsh

from sciml.errors import InputError
from sciml.pde import Boundary, Darcy, Direct, Poisson, TwoPhase, check_compatible, discretize
from sciml.pde.solvability import imbalance
from sciml.solve import init, solve


def test_the_residual_is_at_round_off():
    solution = solve(Darcy(31, TwoPhase(1, 1000), seed=5), Direct())
    assert solution.result.ok
    assert solution.stats["relative_residual"] < 1e-12
    assert solution.u.dims == ("y", "x")


@pytest.mark.parametrize("kind", ["neumann", "periodic"])
@pytest.mark.parametrize("centring", ["vertex", "cell"])
def test_solutions_up_to_a_constant_have_mean_zero(kind, centring):
    problem = Darcy(
        24,
        TwoPhase(3, 12),
        source=lambda x, y: np.cos(2 * np.pi * x),
        boundary=kind,
        centring=centring,
        seed=5,
    )
    solution = solve(problem, Direct())
    system = check_compatible(discretize(problem))
    assert abs(np.average(solution.u.values, weights=problem.grid.volumes())) < 1e-15
    assert np.linalg.norm(system.residual(solution.u.values)) < 1e-12 * np.linalg.norm(system.rhs)
    assert np.ptp(solution.u.values) > 1e-4


@pytest.mark.parametrize("scheme", ["finite_volume", "finite_element"])
def test_an_incompatible_problem_is_an_error_with_its_imbalance(scheme):
    problem = Poisson(15, source=3.0, flux=-0.25, boundary="neumann")
    with pytest.raises(InputError, match=r"integrate to 2 .* subtract 2 from the source"):
        solve(problem, Direct(scheme))
    balanced = Poisson(15, source=1.0, flux=-0.25, boundary="neumann")
    assert solve(balanced, Direct(scheme)).result.ok


def test_an_imbalance_of_the_quadrature_is_distributed():
    def source(x, y):
        return x**2 + y**2 - 2 / 3  # integrates to zero, on a grid to O(h^2)

    system = discretize(Poisson(31, source=source, boundary="neumann"))
    assert imbalance(system) > 1e-4
    balanced = check_compatible(system)
    assert abs(imbalance(balanced)) < 1e-14
    np.testing.assert_allclose(
        (system.rhs - balanced.rhs) / system.grid.volumes().ravel(), imbalance(system), rtol=1e-9
    )  # a constant taken from the source
    assert np.abs(balanced.rhs - system.rhs).max() < 1e-2 * np.abs(system.rhs).max()
    with pytest.raises(InputError, match="integrate to"):
        check_compatible(discretize(Poisson(31, source=lambda x, y: source(x, y) + 0.02, boundary="neumann")))


def test_other_kinds_are_returned_unchanged():
    system = discretize(Poisson(7, boundary=Boundary(west="dirichlet", east="neumann")))
    assert check_compatible(system) is system


def test_factors_solve_for_the_same_matrix_only():
    state = init(Darcy(15, TwoPhase(3, 12), seed=5), Direct())
    other = Darcy(15, TwoPhase(3, 12), source=lambda x, y: x, seed=5)
    np.testing.assert_array_equal(solve(other, Direct(), state=state).u, solve(other, Direct()).u)
    with pytest.raises(InputError, match="another matrix"):
        solve(Darcy(15, TwoPhase(3, 12), seed=6), Direct(), state=state)


@pytest.mark.parametrize("kind", ["neumann", "periodic"])
def test_constants_are_the_whole_kernel(kind):
    for centring in ("vertex", "cell"):
        system = discretize(Darcy(6, TwoPhase(1, 50), boundary=kind, centring=centring, seed=5))
        assert system.kind == "semidefinite"
        values = eigvalsh(system.matrix.toarray())
        assert abs(values[0]) < 1e-12
        assert values[1] > 1e-2
        assert np.abs(system.matrix @ np.ones(36)).max() < 1e-12
