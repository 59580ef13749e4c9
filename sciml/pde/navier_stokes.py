"""Vorticity of two-dimensional incompressible flow on a periodic square."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.fft

from sciml.errors import InputError
from sciml.pde.elliptic import drawn, grid_of
from sciml.pde.grid import Field, Grid
from sciml.pde.periodic import Equation, FourierCoefficients, check_times, resolved_modes, wave_numbers
from sciml.pde.random_fields import Coefficient, PeriodicField
from sciml.pde.representation import problem_table, represent
from sciml.pde.terms import Values, sampled

__all__ = ["NavierStokes", "diagonal_forcing"]

START = PeriodicField(sigma=(2 * 7.0**3) ** 0.5, tau=7.0, alpha=2.5)
ROUGHLY_ZERO = 1e-3


def diagonal_forcing(x: Field, y: Field) -> Field:
    """Return the forcing of the benchmark: 0.1 (sin 2 pi (x + y) + cos 2 pi (x + y))."""
    phase = 2 * np.pi * (x + y)
    return np.asarray(0.1 * (np.sin(phase) + np.cos(phase)))


@dataclass(frozen=True, eq=False)
class NavierStokes:
    """dw/dt + velocity . grad w = viscosity Laplace w + forcing on the periodic unit square, w the vorticity.

    The velocity is (d psi/dy, -d psi/dx) with -Laplace psi = w; its divergence and its mean are zero. The defaults are
    the benchmark of Li et al. (2021, section 5.3): viscosity 1e-5, 20 frames one unit of time apart, initial vorticity
    from N(0, 2 * 7^3 (-Laplace + 49)^-2.5). The authors' generator uses this factor; their paper prints 7^1.5.

    Parameters
    ----------
    resolution
        Points along each axis, or along y and x, at 0, 1/n, 2/n, ...
    viscosity
        Viscosity, 0 or more.
    vorticity
        w at t = 0, with mean zero: random field (`PeriodicField`), array (y, x), or function of x and y.
    forcing
        Number, array (y, x), or function of x and y; its mean has no effect.
    final_time
        Final time.
    frames
        Number of equally spaced times after 0 in the solution.
    seed
        Seed of a random initial vorticity.

    Raises
    ------
    InputError
        There are fewer than 8 points, the viscosity is negative, the final time is not positive, there are no frames,
        or the vorticity has another shape, is not finite or has a mean.

    Examples
    --------
    >>> NavierStokes(32, seed=7).vorticity_field().shape
    (32, 32)
    """

    resolution: int | tuple[int, int]
    viscosity: float = 1e-5
    vorticity: Coefficient | Values = START
    forcing: Values = diagonal_forcing
    final_time: float = 20.0
    frames: int = 20
    seed: int = 7

    def __post_init__(self) -> None:
        check_times("NavierStokes", self.viscosity, self.final_time, self.frames)
        if min(self.grid.shape) < 8:
            raise InputError(f"resolution={self.resolution!r}: give at least 8 points along y and along x")

    __repr__ = represent
    _repr_html_ = problem_table

    @property
    def grid(self) -> Grid:
        """Grid of the unknowns."""
        return grid_of(self.resolution, "vertex", "periodic", (1.0, 1.0), plane=True)

    def axes(self) -> Mapping[str, Field]:
        """Return the coordinates of the field, by the name of the dim."""
        y, x = self.grid.coordinates()
        return {"y": y, "x": x}

    def times(self) -> Field:
        """Return the times of the solution: equally spaced, starting from 0."""
        return np.linspace(0.0, self.final_time, self.frames + 1)

    def vorticity_field(self) -> Field:
        """Return the initial vorticity (y, x)."""
        field = drawn(self.vorticity, self.grid, self.seed, "vorticity")
        mean, size = float(field.mean()), float(np.abs(field).max())
        given = not isinstance(self.vorticity, Coefficient)  # only sampling gives a random field a mean
        if given and abs(mean) > ROUGHLY_ZERO * size:
            raise InputError(
                f"vorticity has the mean {mean:g}, which no periodic velocity has: subtract it from the vorticity"
            )
        return np.asarray(field - mean)

    def start(self) -> Field:
        """Return the initial state (y, x)."""
        return self.vorticity_field()

    def equation(self) -> Equation:
        """Return the equation of the Fourier coefficients."""
        ny, nx = shape = self.grid.shape
        ky, kx = wave_numbers(ny, half=False)[:, None], wave_numbers(nx, half=True)
        resolved = resolved_modes(ny, half=False)[:, None] & resolved_modes(nx, half=True)
        square = kx**2 + ky**2
        inverse = np.where(square > 0, 1 / np.where(square > 0, square, 1), 0.0)
        to_x, to_y = 1j * ky * inverse, -1j * kx * inverse
        forced = np.where(
            resolved & (square > 0), scipy.fft.rfft2(sampled(self.forcing, self.grid, "forcing")), 0.0
        )
        # velocity . grad w = (dxx - dyy)(uv) + dxy(v^2 - u^2): four transforms instead of five (Basdevant 1983).
        of_product = np.where(resolved, kx**2 - ky**2, 0.0)
        of_squares = np.where(resolved, kx * ky, 0.0)

        def velocity(spectrum: FourierCoefficients) -> tuple[Field, Field]:
            return scipy.fft.irfft2(to_x * spectrum, shape), scipy.fft.irfft2(to_y * spectrum, shape)

        def tendency(spectrum: FourierCoefficients) -> FourierCoefficients:
            u, v = velocity(spectrum)
            product, squares = scipy.fft.rfft2(u * v), scipy.fft.rfft2((v - u) * (v + u))
            return np.asarray(of_product * product + of_squares * squares + forced)

        def speed(spectrum: FourierCoefficients) -> Field:
            u, v = velocity(spectrum)
            return np.asarray(np.maximum(np.abs(u), np.abs(v)).max((-2, -1)))

        return Equation(-self.viscosity * square, tendency, speed, resolved)
