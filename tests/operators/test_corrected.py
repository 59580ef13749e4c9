"""Certified solutions: errors are within their bounds, and a good prediction saves cycles."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import scipy.sparse.linalg as sla
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sciml.errors import InputError
from sciml.multigrid.amg import AMG
from sciml.operators.corrected import Corrected
from sciml.pde.advection import AdvectionDiffusion
from sciml.pde.elliptic import Darcy, Poisson, discretize
from sciml.pde.grid import Boundary
from sciml.pde.helmholtz import Helmholtz
from sciml.pde.random_fields import Lognormal, Multiscale, TwoPhase
from sciml.pde.solvability import check_compatible
from sciml.solve import Result, init, solve
from tests.multigrid.exact import ExactSolution


@dataclass(frozen=True, eq=False)
class Given:
    """Predicts given values."""

    prediction: Any

    def init(self, problem: Any) -> Any:
        return SimpleNamespace(network=nn.Identity())

    def values(self, problem: Any, state: Any) -> Any:
        return np.array(self.prediction)


def truth(problem: Any) -> tuple[Any, Any]:
    system = discretize(problem)
    return system, sla.spsolve(system.matrix.tocsc(), system.rhs)


def near(problem: Any, smooth: float, rough: float) -> Given:
    """The solution with a smooth error and a small rough error, like those of a network."""
    _, u = truth(problem)
    generator = np.random.default_rng(5)
    return Given(u * (1 + smooth) + rough * np.abs(u).max() * generator.normal(size=u.shape))


@settings(max_examples=25, deadline=None)
@given(
    st.integers(5, 14),
    st.integers(5, 14),
    st.sampled_from(("vertex", "cell")),
    st.sampled_from([*itertools.product(("dirichlet", "neumann"), repeat=2), ("periodic", "periodic")]),
    st.sampled_from(
        [
            1.0,
            TwoPhase(3, 12),
            TwoPhase(2, 12, tau=5),
            TwoPhase(1, 1000, tau=5),
            Lognormal(2.0),
            Multiscale(4),
        ]
    ),
    st.sampled_from((1e-2, 1e-4, 1e-6, 1e-9)),
    st.sampled_from((None, "smooth", "noise", "rubbish", "nan")),
    st.sampled_from(("auto", None)),
    st.integers(2, 10**6),
)
def test_no_error_exceeds_its_bound(ny, nx, centring, sides, coefficient, rtol, kind, accelerate, seed):
    boundary = Boundary(*sides, south="dirichlet", north="neumann")
    problem = Darcy(
        (ny, nx), coefficient, lambda x, y: np.sin(5 * x) + y, boundary, centring=centring, seed=seed
    )
    system, u = truth(problem)
    generator = np.random.default_rng(seed)
    guesses = {
        "smooth": 1.05 * u,
        "noise": u * (1 + 0.1 * generator.normal(size=u.shape)),
        "rubbish": -1e6 * u * (1 + 0.1 * generator.normal(size=u.shape)),
        "nan": np.full_like(u, np.nan),
    }
    neural: Any = None if kind is None else Given(guesses[kind])
    solution = solve(problem, Corrected(neural, AMG(accelerate=accelerate, max_cycles=2000), rtol=rtol))
    size, error = system.energy(u), system.energy(solution.u.values.ravel() - u)
    exact = 1e-13 * size * np.sqrt(np.linalg.cond(system.matrix.toarray()))  # what the truth itself knows
    assert error <= solution.error_bound + exact
    assert solution.error_bound <= rtol * size * (1 + 1e-12)
    assert solution.error_bound <= 1.3 * error + 30 * exact
    assert solution.stats["energy_norm"] <= size * (1 + 1e-9)
    if kind != "noise":  # which may be the one or the other
        assert solution.stats["started_from_zero"] == (kind in (None, "rubbish", "nan"))
    # From an error no larger than the solution each cycle leaves at most g of it; and a few to sharpen the bound.
    g = solution.stats["contraction"]
    assert 1 <= solution.stats["cycles"] <= 8 + np.log(rtol * np.sqrt(1 - g * g)) / np.log(g)


@pytest.mark.parametrize("rtol", [1e-6, 1e-12])
@pytest.mark.parametrize("accelerate", ["auto", None])
@pytest.mark.parametrize(
    "problem",
    [
        Darcy((7, 9), TwoPhase(1, 1e8), seed=11),
        Darcy((8, 6), Lognormal(2.0), lengths=(0.05, 1.0), centring="cell", seed=11),
        Poisson((9, 8), lambda x, y: np.sin(9 * x + 4 * y), Boundary("periodic", "periodic", "neumann")),
        Darcy(
            (7, 8), TwoPhase(3, 12), lambda x, y: np.cos(2 * np.pi * x), "neumann", centring="cell", seed=11
        ),
    ],
    ids=["contrast", "stretched", "cancelling", "neumann"],
)
def test_errors_are_bounded_in_rational_arithmetic(problem, accelerate, rtol):
    """Rational arithmetic, for several problems and tolerances."""
    exact = ExactSolution(check_compatible(discretize(problem)))
    for start in (None, exact.nearest, exact.nearest.astype(np.float32), 1.01 * exact.nearest):
        neural: Any = None if start is None else Given(start)
        solution = solve(problem, Corrected(neural, AMG(accelerate=accelerate), rtol=rtol), throw=False)
        assert exact.squared_error(solution.u.values) <= Fraction(solution.error_bound) ** 2
        assert Fraction(solution.stats["energy_norm"]) ** 2 <= exact.squared_norm()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, -1e160])
def test_predictions_of_a_diverged_network_are_not_used(value):
    problem = Darcy(15, TwoPhase(1, 1000), seed=7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solution = solve(problem, Corrected(cast(Any, Given(np.full(225, value))), rtol=1e-6))
    assert solution.stats["started_from_zero"] == 1 and "prediction_error" not in solution.stats
    assert all(np.isfinite(item) for item in solution.stats.values())


@pytest.mark.parametrize(
    "problem",
    [
        Darcy(31, TwoPhase(3, 12), seed=7),
        Darcy(31, TwoPhase(2, 12, tau=20**0.5), seed=7),
        Darcy(32, Lognormal(), centring="cell", seed=7),
        Poisson(31, lambda x, y: np.sin(7 * x * y)),
    ],
)
def test_a_good_prediction_saves_cycles(problem):
    good = solve(problem, Corrected(near(problem, 0.002, 0.002)))
    zero = solve(problem, Corrected(None))
    assert good.stats["cycles"] < zero.stats["cycles"]
    assert good.stats["smoothed_error"] < 0.6 * good.stats["prediction_error"]
    assert zero.stats["started_from_zero"] is True
    assert good.stats["started_from_zero"] is False
    assert {type(good.stats[name]) for name in ("cycles", "sweeps")} == {int}
    assert zero.stats["sweeps"] == 0
    assert "prediction_error" not in zero.stats
    system, u = truth(problem)
    wanted = system.energy(near(problem, 0.002, 0.002).prediction - u) / system.energy(u)
    assert good.stats["prediction_error"] == pytest.approx(wanted, rel=1e-3)
    assert good.residuals[-1] == pytest.approx(good.stats["relative_bound"])


def test_neumann_problems_have_mean_zero_and_a_bound():
    problem = Poisson(17, lambda x, y: np.cos(np.pi * x) * np.cos(2 * np.pi * y), "neumann")
    system = discretize(problem)
    dense = np.linalg.pinv(system.matrix.toarray(), rcond=1e-10) @ system.rhs
    for neural in (None, Given(dense + 3.0)):
        solution = solve(problem, Corrected(neural, rtol=1e-8))
        error = system.energy(solution.u.values.ravel() - dense)
        assert error <= solution.error_bound <= 1e-8 * system.energy(dense)
        assert abs(np.average(solution.u, weights=system.grid.volumes())) < 1e-14


def test_an_unreached_tolerance_is_not_a_success():
    problem = Darcy(31, seed=7)
    solution = solve(problem, Corrected(None, AMG(max_cycles=2), rtol=1e-9), throw=False)
    assert solution.result is Result.MAX_ITERATIONS
    system, u = truth(problem)
    assert system.energy(solution.u.values.ravel() - u) <= solution.error_bound
    assert solution.stats["relative_bound"] > 1e-9


def test_the_state_is_reused_and_follows_the_matrix():
    first, second = Darcy(15, seed=7), Darcy(15, seed=9)
    algorithm = Corrected(None, rtol=1e-8)
    state = init(first, algorithm)
    for problem in (first, second):
        system, u = truth(problem)
        solution = solve(problem, algorithm, state=state)
        assert system.energy(solution.u.values.ravel() - u) <= solution.error_bound <= 1e-8 * system.energy(u)
    nothing = solve(Poisson(15, 0.0), algorithm)
    assert (nothing.error_bound, nothing.result, float(abs(nothing.u).max())) == (0.0, Result.SUCCESS, 0.0)


def test_problems_without_a_guarantee_are_an_error():
    for options, match in [
        ({"rtol": 0.0}, "rtol=0.0"),
        ({"rtol": "1e-6"}, "rtol='1e-6'"),
        ({"amg": None}, "amg=None"),
        ({"rtol": 1e-15}, "rounding"),
        ({"sweeps": -1}, "sweeps=-1"),
        ({"amg": AMG(accelerate="gmres")}, "needs a symmetric cycle"),
    ]:
        with pytest.raises(InputError, match=match):
            Corrected(None, **options)
    with pytest.raises(InputError, match=r"Corrected\('darcy\.sciml'\): give Neural\.load"):
        Corrected(cast(Any, "darcy.sciml"))
    for problem, amg, match in [
        (AdvectionDiffusion(15), AMG(), "nonsymmetric"),
        (Helmholtz(), AMG(), "indefinite"),
        (Darcy(15), AMG(sweeps=(2, 1)), "sweeps"),
        (Poisson(15, 1.0, "neumann"), AMG(), "."),
    ]:
        with pytest.raises(InputError, match=match):
            solve(problem, Corrected(None, amg))
