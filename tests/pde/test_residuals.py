"""Residuals of twice the precision, compared with exact rational arithmetic."""

import warnings
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.pde.direct import Direct
from sciml.pde.elliptic import Darcy, Poisson, discretize
from sciml.pde.random_fields import Lognormal, TwoPhase
from sciml.pde.residuals import UNIT, SplitMatrix
from sciml.solve import solve


def exact(matrix, b, x):
    rows, columns, ends = [Fraction(float(v)) for v in matrix.data], matrix.indices, matrix.indptr
    values = [Fraction(float(v)) for v in x]
    return [
        Fraction(float(b[i]))
        - sum((rows[k] * values[columns[k]] for k in range(ends[i], ends[i + 1])), Fraction(0))
        for i in range(len(b))
    ]


def check(matrix, b, x):
    split = SplitMatrix.of(matrix)
    result, allowed = split.residual(b, x), split.rounding(x)
    for r, true, by in zip(result, exact(matrix, b, x), allowed, strict=True):
        assert abs(Fraction(float(r)) - true) <= Fraction(UNIT) * abs(Fraction(float(r))) + Fraction(
            float(by)
        )


@pytest.mark.parametrize("coefficient", [1.0, TwoPhase(1, 1e8), Lognormal(3.0)])
@pytest.mark.parametrize("scheme", ["finite_volume", "finite_element"])
@pytest.mark.parametrize("size", [1e-100, 1.0, 1e100])
def test_near_the_solution_and_far_from_it(coefficient, scheme, size):
    system = discretize(Darcy((9, 11), coefficient, size, lengths=(0.1, 1.0), seed=11), scheme)
    u = solve(system, Direct()).u.values.ravel()
    noise = np.random.default_rng(5).standard_normal(u.size)
    for x in (u, u * (1 + 1e-13 * noise), 0 * u, 1e20 * u * noise):
        check(system.matrix, system.rhs, x)
    plain = system.rhs - system.matrix @ u
    true = np.array([float(value) for value in exact(system.matrix, system.rhs, u)])
    better = system.residual(u)
    assert np.abs(better - true).max() <= 1e-9 * np.abs(true).max()
    assert np.abs(plain - true).max() > 1e-6 * np.abs(true).max()


@given(
    n=st.integers(1, 12), density=st.floats(0.05, 1.0), spread=st.integers(0, 40), seed=st.integers(2, 9999)
)
@settings(max_examples=40, deadline=None)
def test_any_matrix(n, density, spread, seed):
    generator = np.random.default_rng(seed)
    scales = 10.0 ** generator.uniform(-spread, spread, (n, n))
    matrix = sp.csr_matrix(generator.standard_normal((n, n)) * scales * (generator.random((n, n)) < density))
    x = generator.standard_normal(n) * 10.0 ** generator.uniform(-spread, spread, n)
    check(matrix, matrix @ x, x)
    check(matrix, generator.standard_normal(n), x)


def test_exact_solutions_have_exactly_no_residual():
    """x (1 - x) on a dyadic grid solves the difference equations without any rounding."""
    system = discretize(Poisson(15, lambda x, y: 2 * x * (1 - x) + 2 * y * (1 - y)))
    x, y = system.grid.mesh()
    assert not system.residual(x * (1 - x) * y * (1 - y)).any()


def test_values_that_are_not_finite_give_no_warning():
    system = discretize(Poisson(5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for value in (np.nan, np.inf):
            u = np.ones(25)
            u[7] = value
            assert not np.isfinite(system.residual(u)).all()
