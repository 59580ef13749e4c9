"""AMG as an algorithm: all methods and boundaries compared with a direct solver, and the errors."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.errors import InputError
from sciml.multigrid import AMG
from sciml.pde.direct import Direct
from sciml.pde.elliptic import Darcy, Poisson, discretize
from sciml.pde.grid import Boundary, Grid
from sciml.pde.random_fields import TwoPhase
from sciml.pde.system import System
from sciml.pde.terms import Terms
from sciml.solve import Result, SolveFailed, init, solve

METHODS = ("ruge_stuben", "smoothed_aggregation", "geometric")
BOUNDARIES = (
    "dirichlet",
    Boundary("neumann", "dirichlet", "neumann", "dirichlet"),
    Boundary("periodic", "periodic", "dirichlet", "neumann"),
    "neumann",
    "periodic",
)


def wave(x, y):
    return np.cos(2 * np.pi * x) * np.cos(2 * np.pi * y) + np.sin(4 * np.pi * x)


class Wind:
    """A problem of advection and diffusion that is not part of the package."""

    def __init__(self, speed=20.0, reaction=None):
        self.grid = Grid((24, 24))
        self.speed, self.reaction = speed, reaction

    def terms(self):
        ones = np.ones(self.grid.shape)
        reaction = None if self.reaction is None else self.reaction * ones
        velocity = (self.speed, -self.speed / 2) if self.speed else None
        return Terms(self.grid, ones, ones, reaction=reaction, velocity=velocity)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("centring", ["vertex", "cell"])
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
def test_solutions_equal_those_of_a_direct_solver(method, centring, boundary):
    pure = boundary in ("neumann", "periodic")
    problem = Darcy((30, 21), TwoPhase(3, 12), wave if pure else 1.0, boundary, centring=centring)
    solution = solve(problem, AMG(method, rtol=1e-11))
    truth = solve(problem, Direct())
    assert solution.u.values == pytest.approx(truth.u.values, abs=1e-8 * float(np.abs(truth.u).max()))
    assert solution.stats["relative_residual"] <= 1e-11
    assert solution.stats["cycles"] == len(solution.residuals) - 1 < 20
    assert type(solution.stats["cycles"]) is int
    assert solution.u.dims == ("y", "x")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("smoother", ["gauss_seidel", "jacobi", "chebyshev"])
@pytest.mark.parametrize("cycle", ["V", "W", "F"])
def test_every_smoother_and_cycle_converges(method, smoother, cycle):
    algorithm = AMG(method, smoother=smoother, cycle=cycle)
    solution = solve(Darcy(31, TwoPhase(3, 12)), algorithm)
    assert solution.stats["cycles"] < 40
    plain = solve(Darcy(31, TwoPhase(3, 12)), replace(algorithm, accelerate=None, rtol=1e-6))
    assert plain.stats["cycles"] >= 0.5 * solution.stats["cycles"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("accelerate", ["auto", "gmres", "bicgstab"])
def test_nonsymmetric_problems(method, accelerate):
    problem = Wind()
    solution = solve(problem, AMG(method, accelerate=accelerate, rtol=1e-10))
    truth = solve(problem, Direct())
    assert solution.u.values == pytest.approx(truth.u.values, abs=1e-9 * float(truth.u.max()))


@pytest.mark.parametrize("accelerate", ["gmres", "bicgstab"])
def test_few_unknowns_give_no_warning(accelerate):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solution = solve(Poisson(5), AMG(accelerate=accelerate))
    assert solution.result is Result.SUCCESS


@given(contrast=st.floats(1, 1000), seed=st.integers(2, 9999), n=st.integers(5, 40), cell=st.booleans())
@settings(max_examples=25, deadline=None)
def test_cg_takes_few_cycles_for_any_contrast(contrast, seed, n, cell):
    coefficient = TwoPhase(1.0, contrast, tau=20**0.5) if contrast > 1 else 1.0
    problem = Darcy(n, coefficient, seed=seed, centring="cell" if cell else "vertex")
    for method, most in (("ruge_stuben", 15), ("smoothed_aggregation", 30)):
        assert solve(problem, AMG(method)).stats["cycles"] <= most


@pytest.mark.parametrize("method", METHODS)
def test_the_same_bits_twice_and_no_global_random_number(method, monkeypatch):
    def forbidden(*_):
        raise AssertionError("a random number of the global generator")

    monkeypatch.setattr(np.random, "rand", forbidden)  # where pyamg draws
    problem = Darcy(31, TwoPhase(3, 12))
    first = solve(problem, AMG(method, smoother="chebyshev"))
    assert np.array_equal(first.u, solve(problem, AMG(method, smoother="chebyshev")).u)


def test_a_state_is_reused_for_other_right_hand_sides_and_operators():
    algorithm = AMG()
    problem = Darcy(31, TwoPhase(3, 12))
    state = init(problem, algorithm)
    other = solve(replace(problem, source=wave), algorithm, state=state)
    assert np.array_equal(other.u, solve(replace(problem, source=wave), algorithm).u)
    near = replace(problem, coefficient=problem.coefficient_field() * 1.1)
    assert solve(near, algorithm, state=state).u.values == pytest.approx(
        solve(near, Direct()).u.values, rel=1e-6
    )
    with pytest.raises(InputError, match="keep the grid"):
        solve(Poisson(15), algorithm, state=state)
    with pytest.raises(InputError, match="smoother='jacobi'"):
        solve(problem, AMG(smoother="jacobi"), state=state)
    tighter = solve(problem, AMG(rtol=1e-12, accelerate=None), state=state)
    assert tighter.stats["relative_residual"] <= 1e-12


def test_systems_are_solved_as_given():
    problem = Poisson(15)
    elements = discretize(problem, "finite_element")
    truth = solve(problem, Direct(scheme="finite_element"))
    assert solve(elements, AMG()).u.values == pytest.approx(truth.u.values, rel=1e-6)
    assert solve(problem, AMG(scheme="finite_element")).u.values == pytest.approx(truth.u.values, rel=1e-6)


def test_the_result_matches_the_residual():
    problem = Darcy(31, TwoPhase(3, 12))
    short = solve(problem, AMG(max_cycles=2), throw=False)
    assert short.result is Result.MAX_ITERATIONS
    assert short.stats["cycles"] == 2
    with pytest.raises(SolveFailed, match="hierarchy"):
        solve(problem, AMG(max_cycles=2))
    # The hierarchy of another operator overcorrects, so that the result is not a solution.
    hierarchy = AMG(accelerate=None).init(problem)
    system = hierarchy.system
    broken = replace(
        hierarchy,
        system=System(system.matrix * 50.0, system.rhs, system.grid, "definite"),
        levels=hierarchy.levels,
    )
    assert broken.solve().result is Result.DIVERGED
    zero = hierarchy.solve(np.zeros(system.grid.size))
    assert zero.result is Result.SUCCESS
    assert zero.cycles == 0
    assert not zero.x.any()


def test_pure_neumann_problems_need_balanced_data():
    with pytest.raises(InputError, match="balance"):
        solve(Poisson(15, boundary="neumann"), AMG())
    solution = solve(Poisson(16, wave, "neumann"), AMG())
    volumes = Poisson(16, boundary="neumann").grid.volumes()
    assert abs(np.average(solution.u.values, weights=volumes)) < 1e-14


@pytest.mark.parametrize(
    ("settings_", "words"),
    [
        ({"method": "classical"}, "ruge_stuben"),
        ({"smoother": "ilu"}, "gauss_seidel"),
        ({"cycle": "K"}, "V, W, F"),
        ({"accelerate": "minres"}, "bicgstab"),
        ({"rtol": 0.0}, "1e-8"),
        ({"rtol": "1e-8"}, "1e-8"),
        ({"max_cycles": 0}, "1 or more"),
        ({"max_cycles": 1.5}, "whole number"),
        ({"max_cycles": float("nan")}, "whole number"),
        ({"sweeps": (0, 0)}, "sweeps"),
        ({"sweeps": 1}, "sweeps"),
        ({"sweeps": (1.5, 1)}, "sweeps"),
    ],
)
def test_unknown_settings(settings_, words):
    with pytest.raises(InputError, match=words):
        AMG(**settings_)


def test_unsupported_problems_are_an_error_with_a_remedy():
    with pytest.raises(InputError, match=r"Direct\(\)"):
        solve(Wind(speed=0, reaction=-200.0), AMG())
    with pytest.raises(InputError, match=r"nonsymmetric.*gmres"):
        solve(Wind(), AMG(accelerate="cg"))
    with pytest.raises(InputError, match="same number twice"):
        AMG(accelerate="cg", sweeps=(1, 2)).init(Poisson(15))
    with pytest.raises(InputError, match="F-cycle"):
        AMG(accelerate="cg", cycle="F").init(Poisson(15))
    with pytest.raises(InputError, match="not finite"):
        AMG().init(Poisson(15)).solve(np.full(225, np.nan))
    with pytest.raises(InputError, match="225 unknowns"):
        AMG().init(Poisson(15)).solve(np.ones(7))
