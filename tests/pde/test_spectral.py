from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from sciml.errors import InputError
from sciml.pde import Burgers, NavierStokes, PeriodicField, Poisson, PseudoSpectral, discretize, trajectories
from sciml.pde.spectral import _phis
from sciml.solve import Result, SolveFailed, init, solve


def cole_hopf(x, t, viscosity, a=1.5):
    """u = -2 nu phi_x / phi, phi a positive solution of the heat equation."""
    phi = np.exp(-4 * np.pi**2 * viscosity * t)
    return 4 * np.pi * viscosity * phi * np.sin(2 * np.pi * x) / (a + phi * np.cos(2 * np.pi * x))


def burgers(viscosity=0.05, n=64, frames=4, **rest):
    return Burgers(n, viscosity, lambda x: cole_hopf(x, 0.0, viscosity), frames=frames, **rest)


def test_burgers_is_the_cole_hopf_solution_of_fourth_order_in_time():
    errors = []
    for dt in (0.02, 0.01, 0.005):
        u = solve(burgers(), PseudoSpectral(dt)).u
        exact = np.stack([cole_hopf(u.x.values, t, 0.05) for t in u.time.values])
        errors.append(np.abs(u.values - exact).max())
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert orders[-1] >= 3.8
    assert errors[0] < 1e-6


def test_small_waves_decay_like_heat():
    tiny, nu = 1e-9, 0.02
    problem = Burgers(32, nu, lambda x: tiny * np.cos(6 * np.pi * x), final_time=0.5, frames=2)
    u = solve(problem, PseudoSpectral(dt=0.1)).u
    exact = tiny * np.exp(-36 * np.pi**2 * nu * u.time.values)[:, None] * np.cos(6 * np.pi * u.x.values)
    np.testing.assert_allclose(u, exact, rtol=0, atol=1e-7 * tiny)


def test_taylor_green_vortices_decay_exactly():
    nu, k = 1e-2, 4 * np.pi
    problem = NavierStokes(
        (24, 32), nu, lambda x, y: 2 * k * np.cos(k * x) * np.cos(k * y), 0.0, final_time=1.0, frames=3
    )
    w = solve(problem, PseudoSpectral(dt=0.05)).u
    assert w.dims == ("time", "y", "x")
    exact = np.exp(-2 * k**2 * nu * w.time.values)[:, None, None] * problem.start()
    np.testing.assert_allclose(w, exact, rtol=0, atol=1e-11)


def flow(n=24, viscosity=1e-3, **rest):
    return NavierStokes(n, viscosity, PeriodicField(sigma=200.0), final_time=0.5, frames=2, seed=5, **rest)


def test_navier_stokes_against_another_formulation_and_integrator():
    """Advective form with five transforms of numpy, integrated by an adaptive method of order 8."""
    problem, n = flow(16), 16
    k = 2 * np.pi * np.fft.fftfreq(n, 1 / n)
    kx, ky = np.meshgrid(k, k)
    keep = (3 * abs(kx) < 2 * np.pi * n - 1) & (3 * abs(ky) < 2 * np.pi * n - 1)
    square = np.where((kx == 0) & (ky == 0), 1, kx**2 + ky**2)
    x, y = problem.grid.mesh()
    force = 0.1 * (np.sin(2 * np.pi * (x + y)) + np.cos(2 * np.pi * (x + y)))

    def back(c):
        return np.fft.ifft2(c).real

    def tendency(_, flat):
        c = np.fft.fft2(flat.reshape(n, n)) * keep
        u, v = back(1j * ky * c / square), back(-1j * kx * c / square)
        carried = np.fft.fft2(u * back(1j * kx * c) + v * back(1j * ky * c)) * keep
        return back(-carried - 1e-3 * (kx**2 + ky**2) * c + np.fft.fft2(force)).ravel()

    start = back(np.fft.fft2(problem.start()) * keep)
    result = solve_ivp(tendency, (0, 0.5), start.ravel(), method="DOP853", rtol=1e-10, atol=1e-10)
    w = solve(problem, PseudoSpectral(dt=2e-3)).u.values
    change = np.abs(w[-1] - start).max()
    assert change > 1
    assert np.abs(w[-1].ravel() - result.y[:, -1]).max() < 1e-7 * change


def test_navier_stokes_is_of_fourth_order_in_time():
    runs = [solve(flow(), PseudoSpectral(dt)).u.values[-1] for dt in (0.01, 0.005, 0.0025)]
    steps = [np.linalg.norm(a - b) for a, b in pairwise(runs)]
    assert np.log2(steps[-2] / steps[-1]) >= 3.8


def test_without_viscosity_energy_and_enstrophy_are_conserved():
    problem = flow(viscosity=0.0, forcing=0.0)
    w = solve(problem, PseudoSpectral(dt=5e-3)).u.values
    c = np.fft.fft2(w)
    k = 2 * np.pi * np.fft.fftfreq(24, 1 / 24)
    square = k[:, None] ** 2 + k**2
    square[0, 0] = np.inf
    resolved = np.max(np.abs(np.meshgrid(k, k)), axis=0) < 2 * np.pi * 7.9  # of the initial state, too
    energy = (np.abs(c * resolved) ** 2 / square).sum((1, 2))
    enstrophy = (np.abs(c * resolved) ** 2).sum((1, 2))
    assert np.abs(w[-1] - w[0]).max() > 1
    np.testing.assert_allclose(energy / energy[0], 1, rtol=0, atol=1e-8)
    np.testing.assert_allclose(enstrophy / enstrophy[0], 1, rtol=0, atol=1e-8)


def test_a_courant_number_of_one_third_is_stable_without_viscosity():
    """A Runge-Kutta scheme of second order is unstable there."""
    problem = replace(flow(viscosity=0.0), final_time=20.0)
    solution = solve(problem, PseudoSpectral(dt=1 / 24))
    assert 0.3 < solution.stats["courant"] < 1
    rms = (solution.u**2).mean(("y", "x")) ** 0.5
    assert float(rms[-1]) < 1.5 * float(rms[0]) + 2


def test_the_factors_of_a_step_are_exact_to_rounding():
    mpmath = pytest.importorskip("mpmath")
    z = -np.array([0.0, 1e-9, 1e-3, 0.3, 0.999, 1.0, 2.0, 50.0, 1e4])
    result = _phis(z)
    with mpmath.workdps(60):
        for j, order in enumerate((1, 2, 3)):
            for i, at in enumerate(z):
                rest = mpmath.exp(at) - sum(
                    mpmath.mpf(float(at)) ** k / mpmath.factorial(k) for k in range(order)
                )
                exact = rest / mpmath.mpf(float(at)) ** order if at else 1 / mpmath.factorial(order)
                assert result[j][i] == pytest.approx(float(exact), rel=1e-13)


@pytest.mark.parametrize("problem", [Burgers(64, frames=3), NavierStokes(16, 1e-3, final_time=0.3, frames=3)])
def test_batched_steps_have_the_bits_of_single_steps(problem):
    singles = [replace(problem, seed=seed) for seed in (5, 6, 7)]
    together = trajectories(
        problem, np.stack([single.start() for single in singles]), PseudoSpectral(dt=0.02)
    )
    for single, u in zip(singles, together, strict=True):
        np.testing.assert_array_equal(solve(single, PseudoSpectral(dt=0.02)).u, u)


def test_too_long_steps_are_reported_for_their_samples_only():
    problem = Burgers(128, 1e-3, lambda x: 30 * np.sin(2 * np.pi * x), frames=5)
    with pytest.raises(SolveFailed, match="lower the time step"):
        solve(problem, PseudoSpectral(dt=0.05))
    solution = solve(problem, PseudoSpectral(dt=0.05), throw=False)
    assert solution.result is Result.NOT_FINITE
    assert solution.stats["courant"] > 10
    initial = np.stack([problem.start(), 1e-3 * problem.start()])
    both = trajectories(problem, initial, PseudoSpectral(dt=0.05))
    assert np.isnan(both[0, -1]).all()
    assert np.isfinite(both[1]).all()


def test_frames_start_with_the_initial_state_and_states_have_an_equation():
    problem = flow(16)
    state = init(problem, PseudoSpectral(dt=0.013))
    assert state.dt * state.count == pytest.approx(0.25)
    assert state.dt <= 0.013
    w = solve(problem, PseudoSpectral(dt=0.013), state=state).u
    np.testing.assert_array_equal(w[0], problem.vorticity_field())
    np.testing.assert_allclose(w.time, [0, 0.25, 0.5])
    with pytest.raises(InputError, match="another equation"):
        solve(flow(16, viscosity=1e-2), PseudoSpectral(dt=0.013), state=state)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Burgers(64, viscosity=-1.0), "viscosity=-1.0"),
        (lambda: Burgers(64, frames=0), "frames=0"),
        (lambda: Burgers((8, 8)), r"resolution=\(8, 8\)"),
        (lambda: Burgers(64, initial=np.ones(63)).start(), r"shape \(63,\)"),
        (lambda: Burgers(64, initial=lambda x: x * np.nan).start(), "nan at x=0"),
        (lambda: NavierStokes(16, final_time=np.nan), "final_time=nan"),
        (lambda: NavierStokes(16, vorticity=1.0).start(), "mean 1"),
        (lambda: NavierStokes(4), "at least 8"),
        (lambda: PseudoSpectral(dt=0.0), "dt=0.0"),
        (lambda: solve(Poisson(7), PseudoSpectral()), "Poisson is not stepped"),
        (lambda: trajectories(Burgers(16), np.ones((2, 15)), PseudoSpectral()), "shape"),
        (lambda: discretize(Burgers(16)), "step it in time"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(InputError, match=message):
        make()
