"""The energy norm of a solution counts its values on Dirichlet sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sciml.pde import Boundary, Darcy, Direct, Poisson, TwoPhase, discretize
from sciml.pde.elliptic import Elliptic
from sciml.pde.grid import Field
from sciml.solve import solve

ALONG_X = Boundary("dirichlet", "dirichlet", "neumann", "neumann")


def by_faces(problem: Darcy, u: Field, value: Callable[[Field, Field], Field]) -> float:
    """The energy of cell-centred values, face by face, with those on the four sides."""
    a, grid = problem.coefficient_field(), problem.grid
    (hy, hx), (y, x) = grid.spacing, grid.coordinates()
    total = float(_lines(a, u, value(0 * y, y), value(0 * y + 1, y), hx) * hy)
    return float((total + _lines(a.T, u.T, value(x, 0 * x), value(x, 0 * x + 1), hy) * hx) ** 0.5)


def _lines(a: Field, u: Field, first: Field, last: Field, h: float) -> float:
    """Sum along the last axis: conductances times the squares of the differences."""
    harmonic = 2 * a[:, 1:] * a[:, :-1] / (a[:, 1:] + a[:, :-1])
    sides = a[:, 0] * (u[:, 0] - first) ** 2 + a[:, -1] * (u[:, -1] - last) ** 2
    return float((harmonic * np.diff(u, axis=1) ** 2).sum() / h + sides.sum() / (h / 2))


@pytest.mark.parametrize("centring", ["vertex", "cell"])
def test_a_slope_between_two_sides(centring: Any) -> None:
    """u = 2 + 3 x: the integral of the squared gradient is 9, whatever the resolution."""
    for n in (4, 9, 32):
        problem = Poisson(n, 0.0, ALONG_X, lambda x, y: 2 + 3 * x, centring=centring)
        system, u = discretize(problem), solve(problem, Direct()).u.values
        assert system.solution_energy(u) == pytest.approx(3.0, rel=1e-12)
        assert system.energy(u) > 4  # with steps to zero at the sides


def test_each_face_counts_once() -> None:
    def value(x: Field, y: Field) -> Field:
        return 1 + np.sin(3 * x) * y

    problem = Darcy(12, TwoPhase(3, 12), boundary_value=value, centring="cell", seed=9)
    u = solve(problem, Direct()).u.values
    assert discretize(problem).solution_energy(u) == pytest.approx(by_faces(problem, u, value), rel=1e-12)


@pytest.mark.parametrize(
    "problem",
    [
        Poisson(9),
        Darcy(8, TwoPhase(3, 12), centring="cell", seed=9),
        Poisson(9, lambda x, y: np.cos(np.pi * x), "neumann"),
    ],
)
def test_it_is_the_energy_norm_where_the_sides_are_zero(problem: Elliptic) -> None:
    system = discretize(problem)
    u = np.random.default_rng(5).normal(size=system.grid.size)
    assert system.held is None
    assert system.solution_energy(u) == system.energy(u)


def test_an_error_is_zero_on_the_sides() -> None:
    """The norm of a difference of two solutions is the energy norm of the matrix."""
    problem = Poisson(9, 1.0, boundary_value=2.0)
    system, u = discretize(problem), solve(problem, Direct()).u.values
    shifted = discretize(Poisson(9, 1.0))
    # u - 2 solves the same equation with zero sides.
    assert system.solution_energy(u) == pytest.approx(shifted.solution_energy(u - 2.0), rel=1e-12)
    assert system.with_rhs(system.rhs).held is None
