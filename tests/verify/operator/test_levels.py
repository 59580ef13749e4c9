"""Splits by level: the parts are energy-orthogonal, add up, and are on the level of their construction."""

import itertools

import numpy as np
import pyamg
import pytest
import scipy.sparse as sp

from sciml.errors import InputError
from sciml.pde.elliptic import Darcy, Poisson, discretize
from sciml.pde.random_fields import TwoPhase
from sciml.verify.operator.levels import LevelSplit

RNG = np.random.default_rng(31)


@pytest.fixture(scope="module")
def system():
    return discretize(Darcy(31, TwoPhase(2, 12), seed=5))


@pytest.fixture(scope="module", params=["ruge_stuben_solver", "smoothed_aggregation_solver"])
def hierarchy(request, system):
    return getattr(pyamg, request.param)(system.matrix, max_coarse=10)


def test_levels_equal_explicit_projections(system, hierarchy):
    matrix, e = system.matrix.toarray(), RNG.normal(size=system.grid.size)
    basis, projected = np.eye(len(e)), [e]
    for level in hierarchy.levels[:-1]:
        basis = basis @ level.P.toarray()
        projected.append(basis @ np.linalg.solve(basis.T @ matrix @ basis, basis.T @ matrix @ e))
    projected.append(0 * e)
    parts = [a - b for a, b in itertools.pairwise(projected)]
    exact = [p @ matrix @ p for p in parts]
    energies = LevelSplit(hierarchy).energies(system.matrix @ e)
    np.testing.assert_allclose(energies, exact, rtol=1e-8, atol=1e-10 * sum(exact))
    assert energies.sum() == pytest.approx(e @ matrix @ e)


def test_an_error_of_a_coarse_level_is_on_that_level(system, hierarchy):
    coarse = RNG.normal(size=hierarchy.levels[1].A.shape[0])
    energies = LevelSplit(hierarchy).energies(system.matrix @ (hierarchy.levels[0].P @ coarse))
    assert energies[0] == 0
    assert energies[1:].sum() > 0


def test_shares(system, hierarchy):
    split = LevelSplit(hierarchy)
    exact = hierarchy.solve(system.rhs, tol=1e-12, maxiter=200)
    noise = RNG.normal(size=(3, system.grid.size))
    starts = [exact, 0.9 * exact, exact + 0.1 * abs(exact).max() * noise[0]]
    residuals = [system.residual(u) for u in starts[1:]]
    table = split.shares(residuals, [system.rhs] * 2)
    assert [row["unknowns"] for row in table] == split.unknowns
    assert sum(row["share_of_error"] for row in table) == pytest.approx(1)
    assert sum(row["share_of_truth"] for row in table) == pytest.approx(1)
    assert table[0]["share_of_error"] > 0.5 > 0.1 > table[0]["share_of_truth"]
    shares = split.shares([system.residual(0.9 * exact)], [system.rhs])
    assert [row["relative_error"] for row in shares if row["relative_error"]] == pytest.approx(
        [0.1] * len(shares), rel=1e-4
    )


def test_a_singular_problem_can_be_split():
    system = discretize(Poisson(15, boundary="neumann", source=lambda x, y: np.cos(np.pi * x)))
    assert system.kind == "semidefinite"
    hierarchy = pyamg.ruge_stuben_solver(system.matrix, max_coarse=5)
    e = RNG.normal(size=system.grid.size)
    energies = LevelSplit(hierarchy).energies(system.matrix @ e)
    assert energies.sum() == pytest.approx(e @ (system.matrix @ e), rel=1e-8)
    assert (energies >= 0).all()


def test_an_asymmetric_matrix_has_no_energy_norm():
    matrix = sp.csr_matrix(pyamg.gallery.poisson((7, 7)) + sp.diags(np.ones(48), 1))
    with pytest.raises(InputError, match="not symmetric"):
        LevelSplit(pyamg.ruge_stuben_solver(matrix, max_coarse=5))
