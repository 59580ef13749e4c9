"""Second order in L2 for all families, schemes, centrings and boundaries, with nonzero boundary data and fluxes."""

import numpy as np
import pytest

from sciml.pde import AdvectionDiffusion, Boundary, Darcy, Direct, Grid, Helmholtz, Poisson
from sciml.solve import solve
from tests.pde.manufactured import BOUNDARIES, manufactured, observed_order

SCHEMES = [("finite_volume", "vertex"), ("finite_volume", "cell"), ("finite_element", "vertex")]
every = pytest.mark.parametrize(("scheme", "centring"), SCHEMES)
sides = pytest.mark.parametrize("name", list(BOUNDARIES))


def intervals(name):
    # With Dirichlet sides only, the leading term of the small error dominates on finer grids.
    return 64 if name in ("dirichlet", "mixed") else 24


@every
@sides
def test_poisson(scheme, centring, name):
    data = manufactured(name, varying=False)
    order, _ = observed_order(
        lambda shape, rest: Poisson(shape, data.source, **rest),
        data,
        centring,
        scheme,
        24,
        up_to_a_constant=name in ("neumann", "periodic"),
    )
    assert order >= 1.9


@every
@sides
def test_darcy(scheme, centring, name):
    data = manufactured(name)
    order, errors = observed_order(
        lambda shape, rest: Darcy(shape, data.a, data.source, **rest),
        data,
        centring,
        scheme,
        intervals(name),
        up_to_a_constant=name in ("neumann", "periodic"),
    )
    assert order >= 1.9
    assert errors[1] < 2e-3


@every
@sides
def test_helmholtz(scheme, centring, name):
    omega, speed = 6.0, 2.0
    data = manufactured(name, varying=False, reaction=-((omega / speed) ** 2))
    order, _ = observed_order(
        lambda shape, rest: Helmholtz(shape, speed, omega, data.source, **rest),
        data,
        centring,
        scheme,
        intervals(name),
    )
    assert order >= 1.9


@every
@sides
@pytest.mark.parametrize("given", ["functions", "arrays"])
def test_advection_diffusion(scheme, centring, name, given):
    data = manufactured(name, advected=True, reaction=0.5)

    def make(shape, rest):
        velocity = data.velocity
        if given == "arrays":
            grid = Grid(shape, centring, data.boundary, rest["lengths"])
            velocity = tuple(v(*grid.mesh()) for v in velocity)
        return AdvectionDiffusion(shape, data.a, velocity, data.source, 0.5, **rest)

    order, _ = observed_order(make, data, centring, scheme, intervals(name))
    assert order >= 1.9


@pytest.mark.parametrize("centring", ["vertex", "cell"])
def test_the_flux_through_layers_is_exact(centring):
    """With harmonic means, a coefficient that jumps on faces across the flow gives the exact solution."""

    sides = Boundary("dirichlet", "dirichlet", "neumann", "neumann")
    n = 21
    # Nodes 1/22 apart or cells 1/21 wide: put the jump on the face after the eleventh unknown.
    jump = 11.5 / 22 if centring == "vertex" else 11 / 21

    def layers(x, y):
        return np.where(x < jump, 1.0, 100.0)

    problem = Darcy(
        n, layers, 0.0, boundary=sides, boundary_value=lambda x, y: 1 - np.round(x), centring=centring
    )
    q = 1 / (jump + (1 - jump) / 100)
    x, _ = problem.grid.mesh()
    exact = np.where(x < jump, 1 - q * x, q * (1 - x) / 100)
    np.testing.assert_allclose(solve(problem, Direct()).u, exact, rtol=0, atol=1e-13)
