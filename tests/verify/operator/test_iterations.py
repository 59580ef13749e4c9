"""Iteration counts equal those of scipy and pyamg, and are smaller for better initial guesses."""

import numpy as np
import pyamg
import pytest
import scipy.sparse.linalg as spla

from sciml.pde.elliptic import Darcy, discretize
from sciml.pde.random_fields import TwoPhase
from sciml.verify.operator.iterations import conjugate_gradients, cycles, from_starts, jacobi, mean


@pytest.fixture(scope="module")
def system():
    return discretize(Darcy(31, TwoPhase(3, 12), seed=9))


@pytest.fixture(scope="module")
def exact(system):
    return spla.spsolve(system.matrix.tocsc(), system.rhs)


@pytest.fixture(scope="module")
def amg(system):
    return pyamg.ruge_stuben_solver(system.matrix).aspreconditioner()


def scipy_count(system, **more):
    steps = []
    spla.cg(system.matrix, system.rhs, rtol=1e-8, atol=0, callback=lambda _: steps.append(1), **more)
    return len(steps)


def test_counts_equal_those_of_scipy(system, amg):
    count = conjugate_gradients(system).residual
    assert abs(count - scipy_count(system)) <= 1
    diagonal = jacobi(system)
    operator = spla.LinearOperator(system.matrix.shape, matvec=diagonal)
    assert abs(conjugate_gradients(system, None, diagonal).residual - scipy_count(system, M=operator)) <= 1
    assert conjugate_gradients(system, None, amg.matvec).residual == scipy_count(system, M=amg)


def test_cycles_equal_those_of_pyamg(system):
    solver = pyamg.ruge_stuben_solver(system.matrix)
    residuals = []
    solver.solve(system.rhs, tol=1e-8, residuals=residuals)
    cycle = solver.aspreconditioner().matvec
    assert cycles(system, cycle).residual == len(residuals) - 1


def test_with_a_fixed_symmetric_preconditioner_flexible_is_the_same(system, amg):
    plain = conjugate_gradients(system, None, amg.matvec)
    assert conjugate_gradients(system, None, amg.matvec, flexible=True) == plain


def test_only_the_flexible_form_converges_with_a_varying_preconditioner(system, amg):
    def changing():
        rng = np.random.default_rng(5)
        return lambda r: amg.matvec(r) * (1 + 0.4 * rng.standard_normal(r.size))

    strict = conjugate_gradients(system, None, changing(), limit=100)
    flexible = conjugate_gradients(system, None, changing(), flexible=True, limit=100)
    assert flexible.residual is not None
    assert strict.residual is None or strict.residual > flexible.residual


def test_starts(system, exact, amg):
    smooth = exact * (1 + 0.02)
    result = from_starts(
        system,
        exact,
        {"zero": 0 * exact, "prediction": smooth, "truth": exact},
        {"none": None, "RS": amg.matvec},
        amg.matvec,
    )
    zero, near, there = result["zero"], result["prediction"], result["truth"]
    assert zero["relative_l2"] == zero["relative_energy"] == zero["residual"] == 1
    assert [near["relative_l2"], near["relative_energy"]] == pytest.approx([0.02, 0.02], rel=1e-12)
    assert near["after_cycle"]["relative_l2"] < near["relative_l2"] < zero["after_cycle"]["relative_l2"]
    for by in ("none", "RS", "cycles"):
        assert near["iterations"][by]["residual"] < zero["iterations"][by]["residual"]
        assert near["iterations"][by]["l2"] < near["iterations"][by]["residual"]
        assert set(there["iterations"][by].values()) <= {0, 200, 5000}
    assert result["zero"]["iterations"]["RS"]["energy"] < result["zero"]["iterations"]["none"]["energy"]


def test_iterations_are_counted_by_the_energy_error(system, exact, amg):
    # Independent count: plain cycles until the relative energy error is 1e-4.
    u, count = np.zeros_like(exact), 0
    while system.energy(u - exact) > 1e-4 * system.energy(exact):
        u, count = u + amg.matvec(system.residual(u)), count + 1
    assert cycles(system, amg.matvec, exact=exact).energy == count


def test_divergence_is_reported(system, exact):
    assert conjugate_gradients(system, limit=3).residual is None
    assert conjugate_gradients(system, None, np.zeros_like).residual is None
    assert conjugate_gradients(system, None, lambda r: -r, limit=5).residual is None
    assert cycles(system, lambda r: 10 * r, limit=500).residual is None


def test_means():
    counts = {"a": 1.0, "b": {"c": 3, "limit": 10}}
    assert mean([counts, {"a": 2.0, "b": {"c": None, "limit": 10}}]) == {
        "a": 1.5,
        "b": {"c": None, "limit": 10},
    }
