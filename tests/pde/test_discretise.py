from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh
from scipy.sparse.linalg import eigsh

from sciml.errors import InputError
from sciml.pde import (
    AdvectionDiffusion,
    Boundary,
    Burgers,
    Darcy,
    Direct,
    GaussianField,
    Helmholtz,
    Lognormal,
    NavierStokes,
    Poisson,
    TwoPhase,
    discretize,
)
from sciml.pde.direct import factorised
from sciml.solve import Result, solve

SCHEMES = [("finite_volume", "vertex"), ("finite_volume", "cell"), ("finite_element", "vertex")]
every = pytest.mark.parametrize(("scheme", "centring"), SCHEMES)
pairs = st.one_of(
    st.just(("periodic", "periodic")), st.tuples(*[st.sampled_from(["dirichlet", "neumann"])] * 2)
)


@every
@given(x=pairs, y=pairs, contrast=st.floats(1, 1000), seed=st.integers(2, 99), rows=st.integers(3, 9))
@settings(max_examples=25, deadline=None)
def test_symmetry_and_energy_of_diffusion(scheme, centring, x, y, contrast, seed, rows):
    sides = Boundary(*x, *y)
    system = discretize(
        Darcy((rows, 6), TwoPhase(1, contrast), boundary=sides, centring=centring, seed=seed), scheme
    )
    dense = system.matrix.toarray()
    scale = np.abs(dense).max()
    assert np.abs(dense - dense.T).max() < 1e-14 * scale
    lowest = np.linalg.eigvalsh(dense)[0]
    if system.kind == "definite":
        assert "dirichlet" in sides.sides.values()
        assert lowest > 0
    else:
        assert system.kind == "semidefinite"
        assert abs(lowest) < 1e-12 * scale
        assert np.abs(dense.sum(axis=1)).max() < 1e-12 * scale


@every
def test_the_energy_is_the_integral_of_the_gradient_squared(scheme, centring):
    """The matrix has the same scale at every resolution."""
    result = []
    for n in (32, 64):
        problem = Darcy(n, lambda x, y: 1 + x, boundary="neumann", centring=centring)
        system = discretize(problem, scheme)
        x, y = problem.grid.mesh()
        result.append(system.energy(np.sin(x) * y) ** 2)
    # integral over the unit square of (1 + x) (y^2 cos^2 x + sin^2 x), by hand
    c2 = 0.5 + np.sin(2) / 4
    xc2 = 0.25 + np.sin(2) / 4 + (np.cos(2) - 1) / 8
    exact = (c2 + xc2) / 3 + (1 - c2) + (0.5 - xc2)
    assert abs(result[1] - exact) < 0.05
    assert abs(result[1] - exact) < 0.6 * abs(result[0] - exact) + 1e-4


@every
def test_the_lowest_eigenvalue_is_that_of_the_laplacian(scheme, centring):
    system = discretize(Poisson(31, centring=centring), scheme)
    h2 = system.grid.spacing[0] ** 2
    lowest = eigsh(system.matrix / h2, k=1, sigma=0, return_eigenvectors=False)[0]
    assert lowest == pytest.approx(2 * np.pi**2, rel=5e-3)


def test_advection_carries_downstream():
    wind = AdvectionDiffusion(31, 0.05, (1.0, 0.0), boundary_value=0.0)
    u = solve(wind, Direct()).u
    still = solve(AdvectionDiffusion(31, 0.05, (0.0, 0.0)), Direct()).u
    assert float(u.x[u.max("y").argmax("x")]) > 0.7
    assert float(still.x[still.max("y").argmax("x")]) == pytest.approx(0.5)


@every
def test_advection_of_a_constant_is_zero(scheme, centring):
    """velocity . grad of a constant is zero, also for a velocity with a divergence and with Neumann sides."""
    problem = AdvectionDiffusion(
        (12, 15),
        Lognormal(0.5, mean=0.5),
        (lambda x, y: x * y + 1, lambda x, y: np.cos(3 * x + y)),
        0.0,
        boundary=Boundary("dirichlet", "neumann", "neumann", "dirichlet"),
        boundary_value=2.5,
        centring=centring,
    )
    np.testing.assert_allclose(solve(problem, Direct(scheme)).u, 2.5, rtol=1e-12)


def test_a_cell_peclet_number_above_two_is_an_error_with_a_resolution():
    problem = AdvectionDiffusion(31, 0.01, (1.0, 0.5))
    with pytest.raises(
        InputError, match=r"cell Peclet number .* is 3.12 .* resolution=\((\d+), \1\)"
    ) as refused:
        discretize(problem)
    need = int(str(refused.value).split("resolution=(")[1].split(",")[0])
    assert need < 60
    assert discretize(AdvectionDiffusion(need, 0.01, (1.0, 0.5))).kind == "nonsymmetric"


def test_unresolved_waves_are_an_error_with_a_resolution():
    with pytest.raises(InputError, match=r"unknowns a wavelength .* resolution=\d+") as refused:
        discretize(Helmholtz(31))
    need = int(str(refused.value).split("resolution=")[-1].split(" ")[0])
    assert discretize(Helmholtz(need)).kind == "indefinite"


@every
def test_a_resonance_is_reported(scheme, centring):
    """At an eigenvalue of the discrete Laplacian the matrix is singular to rounding."""
    neumann = discretize(Poisson(12, boundary="neumann", centring=centring), scheme)
    mass = discretize(Helmholtz(12, 1.0, 1.0, boundary="neumann", flux=0.0, centring=centring), scheme).matrix
    values = eigh(neumann.matrix.toarray(), (neumann.matrix - mass).toarray(), eigvals_only=True)
    problem = Helmholtz(12, 1.0, float(np.sqrt(values[3])), 1.0, flux=0.0, centring=centring)
    solution = solve(problem, Direct(scheme), throw=False)
    assert solution.result in (Result.DIVERGED, Result.NOT_FINITE)
    near = Helmholtz(12, 1.0, float(np.sqrt(values[3] * 1.01)), 1.0, flux=0.0, centring=centring)
    assert solve(near, Direct(scheme)).result.ok


def test_an_exactly_singular_matrix_is_reported():
    system = discretize(Helmholtz(8, 1.0, 1.0))
    singular = replace(system, matrix=sp.csr_matrix(sp.diags_array(np.r_[0.0, np.ones(63)])))
    state = factorised(singular)
    assert np.isnan(state.apply(np.ones(64))).all()
    assert "singular" in str(state)


class Burst:
    def __repr__(self):
        return "Burst" * 1000

    def draw(self, grid, generator):
        return np.ones(grid.shape)


def test_the_repr_of_problems_is_short():
    field = np.linspace(3, 12, 127 * 127).reshape(127, 127)
    shown = repr(Darcy(127, field, seed=5))
    assert "coefficient=array 127 x 127 in [3, 12]" in shown
    wind = (field, lambda x, y: x)
    every = [
        Poisson(127, GaussianField()),
        Helmholtz(wave_speed=field),
        AdvectionDiffusion(127, field, wind),
        Burgers(64, initial=np.arange(64.0)),
        NavierStokes(127, vorticity=field),
        Darcy(127, field.tolist()),
        Darcy(127, Burst()),
    ]
    for problem in every:
        assert len(repr(problem)) < 400
        assert type(problem).__name__ in repr(problem)
    assert "WaveSpeed(background=20.0" in repr(Helmholtz())
    assert "flux=top_source" in repr(Helmholtz())


def test_a_random_source_depends_on_its_seed():
    a, b = (Poisson(15, GaussianField(), seed=s).source_field() for s in (5, 6))
    assert not np.array_equal(a, b)
    np.testing.assert_array_equal(a, Poisson(15, GaussianField(), seed=5).source_field())


def test_data_of_other_types():
    import xarray as xr

    field = np.full((7, 7), 2.0, np.float32)
    exact = discretize(Darcy(7, 2.0)).matrix
    for data in (field, field.tolist(), xr.DataArray(field, dims=("y", "x")), np.float32(2), lambda x, y: 2):
        assert abs(discretize(Darcy(np.int64(7), data)).matrix - exact).max() == 0


def _spoilt(value):
    field = np.ones((7, 7))
    field[2, 3] = value
    return field


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Darcy(7, _spoilt(-1.0)), r"coefficient is -1 at \(y, x\) = \(2, 3\).*positive everywhere"),
        (lambda: Darcy(7, _spoilt(0.0)), "coefficient is 0"),
        (lambda: Darcy(7, _spoilt(np.nan)), r"coefficient is nan at \(y, x\) = \(2, 3\)"),
        (lambda: Darcy(7, _spoilt(np.inf)), "coefficient is inf"),
        (lambda: Darcy(8, np.ones((7, 7))), r"coefficient has shape \(7, 7\), the grid \(8, 8\)"),
        (lambda: Darcy(7, lambda x, y: np.where(x > 0.5, np.nan, 1)), r"coefficient is nan at \(y, x\)"),
        (lambda: Darcy(7, lambda x, y: np.ones(5)), r"coefficient\(x, y\) has shape \(5,\)"),
        (lambda: Darcy(7, "smooth"), "coefficient='smooth'"),
        (lambda: Darcy(7, 1j), "a real number"),
        (lambda: Darcy(7, 1.0, lambda x, y: x / 0), "source is inf"),
        (lambda: Darcy(7, seed=-3), "seed=-3"),
        (lambda: Darcy(7, seed=0.5), "seed=0.5"),
        (lambda: Darcy(7.5), "resolution=7.5"),
        (lambda: Darcy(True), "resolution=True"),
        (lambda: Darcy((7, 7, 7, 7)), r"resolution=\(7, 7, 7, 7\)"),
        (lambda: Darcy(7, boundary="robin"), "robin"),
        (lambda: Darcy(7, boundary_value=lambda x, y: x * np.nan), "boundary_value is nan at x="),
        (lambda: Poisson(7, boundary_value=np.ones(7)), r"boundary_value has shape \(7,\)"),
        (lambda: Poisson(7, boundary="neumann", flux=np.inf), "flux is inf at x="),
        (lambda: Helmholtz(31, 0.0, 1.0), "wave_speed is 0"),
        (lambda: Helmholtz(omega=-1.0), "omega=-1.0"),
        (lambda: AdvectionDiffusion(7, -1.0), "diffusion is -1"),
        (lambda: AdvectionDiffusion(7, velocity=1.0), "two components"),
        (lambda: AdvectionDiffusion(7, velocity=(np.nan, 1.0)), "velocity is nan"),
        (lambda: AdvectionDiffusion(7, 1.0, reaction=-1.0), "reaction reaches -1"),
        (lambda: AdvectionDiffusion(7, 1.0, boundary="neumann"), "open up to a constant"),
        (lambda: "a string", "a str has no sparse system"),
    ],
)
def test_refusals(make, message):
    with np.errstate(all="ignore"), pytest.raises(InputError, match=message):
        discretize(make())


def test_an_unknown_scheme_is_an_error():
    with pytest.raises(InputError, match="scheme='spectral'"):
        discretize(Poisson(7), "spectral")
