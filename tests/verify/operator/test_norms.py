"""Errors relative to a solution that is not zero on Dirichlet sides."""

from __future__ import annotations

import numpy as np
import pytest

from sciml.errors import InputError
from sciml.pde import Boundary, Direct, Poisson, discretize
from sciml.solve import solve
from sciml.verify.operator.norms import relative_energy, system_errors

SLOPE = Poisson(
    16, 0.0, Boundary("dirichlet", "dirichlet", "neumann", "neumann"), lambda x, y: 2 + 3 * x, centring="cell"
)


def test_the_energy_of_the_solution_counts_its_sides() -> None:
    """u = 2 + 3 x has the energy norm 3."""
    system, u = discretize(SLOPE), solve(SLOPE, Direct()).u.values
    error = np.random.default_rng(7).normal(size=u.shape)
    errors = system_errors(system, u + error, u)
    assert errors["relative_energy"] == pytest.approx(system.energy(error) / 3, rel=1e-10)


def test_a_solution_without_energy_has_no_relative_error() -> None:
    system = discretize(Poisson(8, boundary="neumann", source=0.0))
    constant = np.zeros(64)
    with pytest.raises(InputError, match="its energy norm is 0"):
        relative_energy(system, np.eye(1, 64)[0], constant)
