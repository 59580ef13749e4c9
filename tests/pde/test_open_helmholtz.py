"""Waves in open domains: observed order, the free-space Green's function, media, sources, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.special

from sciml.errors import InputError
from sciml.multigrid import AMG
from sciml.pde import ComplexSystem, Direct, Grid, OpenHelmholtz, PointSource, discretize
from sciml.pde.media import AnySpeed, InclusionSpeed, LayeredSpeed, SmoothSpeed
from sciml.pde.nested_dissection import nested_dissection
from sciml.solve import solve


def _exact(x, y):
    return (1 + 0.5j) * np.sin(np.pi * x) * np.sin(2 * np.pi * y) * np.exp(1j * 3 * x)


def _laplacian(x, y):
    """Laplacian of the manufactured solution."""
    a, b = np.pi, 3j
    along = -(a**2) * np.sin(a * x) + 2 * a * b * np.cos(a * x) + b**2 * np.sin(a * x)
    whole = along - 4 * np.pi**2 * np.sin(a * x)
    return (1 + 0.5j) * np.exp(b * x) * np.sin(2 * np.pi * y) * whole


def _error(n: int) -> float:
    def speed(x, y):
        return 1 + 0.3 * np.sin(2 * x) * y

    waves = OpenHelmholtz(n, speed, omega=12.0, layer=0.4)
    x, y = waves.grid.mesh()
    k = waves.wave_numbers()
    source = -_laplacian(x, y) - k**2 * (1 + 1j * waves.absorption_field()) * _exact(x, y)
    u = solve(OpenHelmholtz(n, speed, omega=12.0, layer=0.4, source=source), Direct()).u.values
    return float(np.abs(u - _exact(x, y)).max())


def test_the_error_of_a_manufactured_solution_is_of_second_order():
    errors = [_error(n) for n in (31, 63, 127)]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert np.all(np.abs(orders - 2) < 0.15)


def test_a_point_source_radiates_the_hankel_function():
    n, k = 199, 50.0
    problem = OpenHelmholtz(n, 1.0, omega=k, layer=1.7, source=PointSource(0.5, 0.5))
    u = solve(problem, Direct()).u.values
    x, y = problem.grid.mesh()
    r = np.hypot(x - 0.5, y - 0.5)
    exact = 0.25j * scipy.special.hankel1(0, k * np.where(r > 0, r, 1.0))
    inside = (r > 0.04) & (r < 0.25)
    error = np.linalg.norm((u - exact)[inside]) / np.linalg.norm(exact[inside])
    # The phase error of the stencil, (k h)^2 / 24 of k r, is 1.6 % on average there; the layers reflect about 1 %.
    assert error < 0.03
    # Waves of the other direction in time, or walls instead of layers, are far from it.
    assert np.linalg.norm((u.conj() - exact)[inside]) > np.linalg.norm(exact[inside])


def test_the_default_frequency_has_the_given_nodes_for_the_shortest_wave():
    problem = OpenHelmholtz(63, SmoothSpeed(2.0), points=11.0, seed=13)
    k, h = problem.wave_numbers(), problem.grid.spacing[0]
    assert 2 * np.pi / (k.max() * h) == pytest.approx(11.0)
    assert np.allclose(k * problem.wave_speed_field(), k.max() * problem.wave_speed_field().min())


def test_the_absorption_is_zero_inside_and_grows_to_the_sides():
    problem = OpenHelmholtz((63, 95), 1.0, lengths=(1.0, 1.5), layer=1.5, absorption=2.0)
    absorption, h = problem.absorption_field(), problem.grid.spacing[0]
    width = 15 * h
    x, y = problem.grid.mesh()
    depth = np.minimum.reduce([x, 1.5 - x, y, 1.0 - y])
    assert not absorption[depth > width + 1e-9].any()
    assert np.allclose(absorption[30, :5], 2.0 * (1 - (np.arange(5) + 1) * h / width) ** 2)
    assert np.array_equal(absorption, absorption[::-1, ::-1])


def test_the_matrix_is_the_five_point_stencil_with_a_complex_diagonal():
    problem = OpenHelmholtz(31, SmoothSpeed(2.0), layer=1.0, seed=17)
    system, h = discretize(problem), problem.grid.spacing[0]
    dense = system.matrix.toarray()
    k = problem.wave_numbers()
    diagonal = 4 - (h * k) ** 2 * (1 + 1j * problem.absorption_field())
    assert np.allclose(dense.diagonal(), diagonal.ravel())
    assert dense[40, 41] == -1
    assert dense[40, 40 + 31] == -1
    assert np.array_equal(dense, dense.T)


def test_point_sources_add_up_and_other_sources_may_be_complex():
    first, second = PointSource(0.3, 0.4), PointSource(0.7, 0.6)
    made = [OpenHelmholtz(63, 1.0, source=source).load() for source in (first, second, (first, second))]
    assert np.array_equal(made[0] + made[1], made[2])
    assert made[2].sum() == 2
    by_function = OpenHelmholtz(63, 1.0, source=lambda x, y: x + 1j * y)
    x, y = by_function.grid.mesh()
    assert np.allclose(by_function.load() / by_function.grid.volumes(), x + 1j * y)


def test_factors_solve_other_right_hand_sides_as_a_dense_solver_does():
    system = discretize(OpenHelmholtz(23, 1.0, layer=0.7))
    state = Direct().init(system)
    rhs = np.random.default_rng(7).standard_normal((2, 23 * 23)) @ np.eye(529)
    other = system.with_rhs(rhs[0] + 1j * rhs[1])
    u = solve(other, Direct(), state=state).u.values.ravel()
    assert np.allclose(u, np.linalg.solve(system.matrix.toarray(), other.rhs))


@pytest.mark.parametrize("shape", [(3, 3), (17, 30), (64, 9)])
def test_nested_dissection_is_a_permutation_whose_last_unknowns_separate_the_others(shape):
    order = nested_dissection(shape)
    assert np.array_equal(np.sort(order), np.arange(shape[0] * shape[1]))
    if max(shape) > 4:
        rows, columns = np.divmod(order[-min(shape) :], shape[1])
        assert len(set(rows)) == 1 or len(set(columns)) == 1


def test_nested_dissection_fills_less_than_the_order_of_rows():
    system = discretize(OpenHelmholtz(63, 1.0))
    ordered = Direct().init(system).factors
    plain = sp.linalg.splu(sp.csc_matrix(system.matrix), permc_spec="NATURAL")
    assert ordered.L.nnz + ordered.U.nnz < 0.5 * (plain.L.nnz + plain.U.nnz)


@pytest.mark.parametrize("medium", [SmoothSpeed(2.0), LayeredSpeed(3.0), InclusionSpeed(2.0), AnySpeed(2.5)])
def test_a_seed_determines_a_medium_at_every_resolution(medium):
    coarse, fine = (medium.draw(Grid((n, n)), np.random.default_rng(23)) for n in (31, 63))
    assert coarse.min() >= 1
    assert coarse.max() <= medium.contrast
    assert np.allclose(coarse, fine[1::2, 1::2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OpenHelmholtz(63, omega=-1.0), "omega"),
        (lambda: OpenHelmholtz(63, layer=0.0), "layer"),
        (
            lambda: discretize(OpenHelmholtz(63, 1.0, omega=400.0)),
            "do not resolve the wave: take resolution=638",
        ),
        (lambda: discretize(OpenHelmholtz(15, 1.0)), "fill a domain"),
        (lambda: discretize(OpenHelmholtz(63, -1.0)), "positive"),
        (lambda: discretize(OpenHelmholtz(63, 1.0, source=np.ones(4) * 1j)), "source has shape"),
        (lambda: discretize(OpenHelmholtz(63, 1.0), "finite_element"), "finite_volume"),
        (lambda: PointSource(1.5, 0.5), "between 0 and 1"),
        (lambda: SmoothSpeed(0.5), "at least 1"),
        (lambda: InclusionSpeed(2.0, least=0.2, largest=0.1), "least <= largest"),
        (lambda: LayeredSpeed(layers=0), "layers"),
        (lambda: ComplexSystem(np.eye(8), np.ones(9), Grid((3, 3))), r"shape \(8, 8\)"),
        (lambda: ComplexSystem(np.triu(np.ones((9, 9))), np.ones(9), Grid((3, 3))), "symmetric"),
        (lambda: ComplexSystem(np.eye(9), np.full(9, np.nan), Grid((3, 3))), "unknown 0"),
        (lambda: solve(OpenHelmholtz(63, 1.0), AMG()), "ShiftedLaplacian"),
    ],
)
def test_bad_input_gives_one_error_with_the_remedy(make, message):
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_system_prints_its_size():
    assert str(discretize(OpenHelmholtz(31, 1.0, layer=1.0))) == (
        "961 unknowns (31 x 31 vertex-centred, dirichlet), 4,681 nonzeros, complex"
    )
