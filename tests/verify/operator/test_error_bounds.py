"""Error bounds: effectivity, spatial density, and number of cycles to reach them."""

import json
from types import SimpleNamespace

import numpy as np
import pyamg
import pytest
import scipy.sparse.linalg as spla

from sciml.pde.elliptic import Darcy, Poisson, discretize
from sciml.pde.grid import Boundary
from sciml.pde.random_fields import TwoPhase
from sciml.verify.operator.certificate import certify
from sciml.verify.operator.error_bounds import bound_field, cycles_until, effectivity, energy_density


class Levels:
    """A hierarchy whose contraction is computed from the whole (small) matrix."""

    def __init__(self, system):
        cycle = pyamg.ruge_stuben_solver(system.matrix).aspreconditioner()
        self.cycle = cycle.matvec
        b = np.column_stack([cycle.matvec(unit) for unit in np.eye(system.grid.size)])
        self.gamma = np.abs(np.linalg.eigvals(np.eye(len(b)) - b @ system.matrix)).max() * (1 + 1e-9)

    def bounds(self, r):
        eta = float(r @ self.cycle(r)) ** 0.5
        return SimpleNamespace(lower=eta, upper=eta / (1 - self.gamma) ** 0.5)


@pytest.fixture(scope="module")
def system():
    return discretize(Darcy(15, TwoPhase(3, 12), seed=9))


@pytest.fixture(scope="module")
def hierarchy(system):
    return Levels(system)


@pytest.mark.parametrize(
    "problem",
    [
        Darcy(15, TwoPhase(2, 12), seed=3),
        Darcy((9, 14), TwoPhase(2, 12), seed=3, centring="cell", boundary=Boundary(north="neumann")),
        Poisson(12, boundary="periodic", source=0.0),
    ],
)
def test_densities_integrate_to_the_energy(problem):
    system = discretize(problem)
    e = np.random.default_rng(3).normal(size=system.grid.size)
    density = energy_density(system, e)
    assert density.shape == system.grid.shape
    assert (density**2 * system.grid.volumes()).sum() == pytest.approx(system.energy(e) ** 2)


def test_density_is_the_gradient_of_a_smooth_field():
    system = discretize(Darcy(127, 4.0))
    x, y = system.grid.mesh()
    density = energy_density(system, np.sin(np.pi * x) * np.sin(np.pi * y))
    gradient = np.hypot(np.cos(np.pi * x) * np.sin(np.pi * y), np.sin(np.pi * x) * np.cos(np.pi * y))
    inside = slice(1, -1)  # next to the sides the whole bond belongs to one unknown
    # Where the gradient vanishes both one-sided differences are h |u''| / 2: sqrt(2) pi^2 / 128 = 0.109.
    np.testing.assert_allclose(density[inside, inside], 2 * np.pi * gradient[inside, inside], atol=0.11)


def test_a_bound_is_valid_and_correlates_with_the_error(system, hierarchy):
    exact = spla.spsolve(system.matrix.tocsc(), system.rhs)
    e = np.zeros(system.grid.shape)
    e[3:5, 10:12] = exact.max() / 10
    density, bounds = bound_field(system, hierarchy, exact + e.ravel())
    assert bounds.lower <= system.energy(e) <= bounds.upper
    assert (density**2 * system.grid.volumes()).sum() ** 0.5 == pytest.approx(bounds.upper)
    y, x = np.unravel_index(density.argmax(), density.shape)
    assert 2 <= y <= 5
    assert 9 <= x <= 12
    nothing, _ = bound_field(system, hierarchy, exact)
    assert nothing.max() < 1e-10


def test_effectivity():
    bounds = [SimpleNamespace(lower=0.9, upper=1.1), SimpleNamespace(lower=1.8, upper=2.6)]
    result = effectivity(bounds, [1.0, 2.0])
    assert result["upper"] == pytest.approx({"mean": 1.2, "least": 1.1, "greatest": 1.3})
    assert result["lower"]["mean"] == pytest.approx(0.9)
    assert result["violated"] == 0
    assert effectivity(bounds, [1.0, 2.7])["violated"] == 1
    assert effectivity(bounds, [0.8, 2.0])["violated"] == 1


def test_cycles_until_a_bound(system, hierarchy):
    exact = spla.spsolve(system.matrix.tocsc(), system.rhs)
    whole, near = cycles_until(system, hierarchy), cycles_until(system, hierarchy, exact * 1.001)
    assert 0 < near < whole
    assert cycles_until(system, hierarchy, exact) == 0
    assert cycles_until(system, hierarchy, limit=2) is None
    # The true error is below the tolerance after that many cycles, and not after one fewer.
    u = np.zeros_like(exact)
    for _ in range(whole):
        u += hierarchy.cycle(system.residual(u))
    assert system.energy(u - exact) <= 1e-6 * system.energy(exact)


def test_a_solution_of_zero_is_certified_too():
    result = certify(Poisson(9, source=0.0), check=True)
    assert result.true_error == result.bound == 0.0
    assert json.loads(json.dumps(result.to_json(), allow_nan=False))["result"] == "SUCCESS"
    assert result.chapter()


def test_no_bound_is_below_rounding():
    result = certify(Poisson(3), rtol=1e-12, check=True)
    assert result.bound < 1e-13 and "at most 1e-12 (rounding) of" in result.lines()[0]
