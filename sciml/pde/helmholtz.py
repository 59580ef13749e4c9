"""Waves of one frequency in a medium of varying wave speed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, get_args

import numpy as np

from sciml.checks import check_positive
from sciml.errors import InputError
from sciml.pde.elliptic import drawn, grid_of, positive
from sciml.pde.grid import Boundary, Centring, Field, Grid, Side
from sciml.pde.random_fields import Coefficient, WaveSpeed
from sciml.pde.representation import problem_table, represent
from sciml.pde.terms import Mass, PlaneFunction, Terms, Values, sampled

__all__ = ["Helmholtz", "top_source"]

SPEED = WaveSpeed()
NEGLIGIBLE: Final = (
    0.002  # phase error in radians; the relative error of the solution is a few times as large
)


def top_source(x: Field, y: Field) -> Field:
    """Return the flux of the benchmark: 1 for |x - 0.5| <= 0.15 on the top of the unit square, else 0."""
    return np.where((np.abs(x - 0.5) < 0.15 + 1e-12) & (np.abs(y - 1) < 1e-12), 1.0, 0.0)


@dataclass(frozen=True, eq=False)
class Helmholtz:
    """-div grad u - (omega / wave_speed)^2 u = source.

    The defaults are the Neumann benchmark of de Hoop, Huang, Qian and Stuart (2022, arXiv 2203.13181, section 4.2):
    101 x 101 nodes of bilinear elements, about 12.6 nodes for each wavelength. The published solutions, and those
    computed here, solve the discrete system. Their distance from the solution of the differential equation is
    59 to 790 % (relative L2), because the phase error k^3 h^2 / 24 of bilinear elements adds up over the domain
    (pollution effect; Ihlenburg and Babuska 1995, doi 10.1016/0898-1221(95)00144-N) and a closed square resonates.
    `pollution` estimates this error. With the blended mass matrix on a grid that is 4 times finer it is less than
    1 %, see
    ``Family.refined`` and ``bench/helmholtz.py``.

    Parameters
    ----------
    resolution
        Unknowns along each axis, or along y and x.
    wave_speed
        Random field (`WaveSpeed`), number, array (y, x), or function of x and y.
    omega
        Angular frequency.
    source, boundary, boundary_value, flux, centring, lengths
        As for `Poisson`; the source cannot be random.
    seed
        Seed of a random wave speed.
    mass
        Mass matrix on vertex-centred grids: ``consistent`` as published, or ``blended``, with which the phase error is
        of fourth order.

    Raises
    ------
    InputError
        The frequency is not positive, or the mass matrix is unknown. Raised by `terms`: the wave speed is not positive,
        or there are fewer than four unknowns for each wavelength.

    Examples
    --------
    >>> from sciml.pde import Direct, discretize
    >>> from sciml.solve import solve
    >>> problem = Helmholtz(41, omega=300.0)
    >>> discretize(problem).kind
    'indefinite'
    >>> solve(problem, Direct()).result.name
    'SUCCESS'
    """

    resolution: int | tuple[int, int] = 101
    wave_speed: Coefficient | Values = SPEED
    omega: float = 1000.0
    source: Values = 0.0
    boundary: Boundary | Side = "neumann"
    boundary_value: float | PlaneFunction = 0.0
    flux: float | PlaneFunction = top_source
    centring: Centring = "vertex"
    lengths: tuple[float, float] = (1.0, 1.0)
    seed: int = 7
    mass: Mass = "consistent"

    def __post_init__(self) -> None:
        check_positive("omega", self.omega)
        if self.mass not in get_args(Mass) or (self.mass == "blended" and self.centring != "vertex"):
            raise InputError(
                f"mass={self.mass!r}: give 'consistent', or at nodes (centring='vertex') 'blended'"
            )

    __repr__ = represent
    _repr_html_ = problem_table

    @property
    def grid(self) -> Grid:
        """Grid of the unknowns."""
        return grid_of(self.resolution, self.centring, self.boundary, self.lengths, plane=True)

    def wave_speed_field(self) -> Field:
        """Return the wave speed (y, x) at the unknowns."""
        return positive(drawn(self.wave_speed, self.grid, self.seed, "wave_speed"), "wave_speed")

    def phase_error(self) -> float:
        """Estimate the phase error of the discrete waves across the domain, in radians.

        For a wave along an axis with the mean wave number k, spacing h and length L: k^3 h^2 L / 24 with the consistent
        mass matrix and with finite volumes, k^5 h^4 L / 480 with the blended one.
        """
        grid = self.grid
        speed = (
            self.wave_speed.background if isinstance(self.wave_speed, WaveSpeed) else self.wave_speed_field()
        )
        k, h, length = self.omega / float(np.mean(speed)), max(grid.spacing), max(grid.lengths)
        if self.mass == "blended":
            return k**5 * h**4 * length / 480
        return k**3 * h**2 * length / 24

    def pollution(self) -> str:
        """Describe the phase error and the remedy in words; "" if the error is small."""
        error = self.phase_error()
        if error < NEGLIGIBLE:
            return ""
        ny, nx = self.grid.shape
        return (
            f"the solutions are those of the discrete system on {ny} x {nx}, not of the "
            f"differential equation: the waves are out of phase by about {error:.2g} rad across the domain (pollution "
            "effect), which resonance amplifies; the published 101 x 101 set is 59 to 790 % from the solution of the "
            "equation. refined=4 (--refined 4) solves on a finer grid and keeps these nodes"
        )

    def terms(self) -> Terms:
        """Return the terms of the equation on the grid."""
        grid = self.grid
        number = self.omega / self.wave_speed_field()
        points = float(2 * np.pi / (number.max() * max(grid.spacing)))
        if points < 4:
            need = int(np.ceil(max(grid.lengths) * number.max() * 10 / (2 * np.pi))) + 1
            raise InputError(
                f"{points:.2g} unknowns a wavelength at resolution {grid.shape} and omega={self.omega:g} do not "
                f"resolve the wave: take resolution={need} (10 a wavelength) or a lower omega"
            )
        return Terms(
            grid,
            np.ones(grid.shape),
            sampled(self.source, grid, "source"),
            reaction=-(number**2),
            boundary_value=self.boundary_value,
            flux=self.flux,
            scheme="finite_element" if grid.centring == "vertex" else "finite_volume",
            mass=self.mass,
        )
