"""Waves of one frequency in an open domain: absorbing layers instead of walls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from sciml.checks import check_positive, is_number
from sciml.errors import InputError
from sciml.pde.complex_system import ComplexField, ComplexSystem
from sciml.pde.elliptic import discretize, drawn, grid_of, positive
from sciml.pde.finite_volume import finite_volumes
from sciml.pde.grid import Field, Grid
from sciml.pde.media import AnySpeed
from sciml.pde.random_fields import Coefficient
from sciml.pde.representation import problem_table, represent
from sciml.pde.terms import Scheme, Terms, Values, in_axes, sampled

__all__ = ["OpenHelmholtz", "PointSource"]

ComplexFunction: TypeAlias = Callable[[Field, Field], npt.ArrayLike]
COARSEST = 4.0
"""Least number of unknowns for each wavelength."""


@dataclass(frozen=True)
class PointSource:
    """A source of unit strength at the node nearest to a place.

    Parameters
    ----------
    x, y
        Position as a fraction of the side lengths, between 0 and 1.

    Raises
    ------
    InputError
        The place is outside of the domain.
    """

    x: float = 0.5
    y: float = 0.5

    def __post_init__(self) -> None:
        if not all(is_number(place) and 0 < place < 1 for place in (self.x, self.y)):
            raise InputError(f"PointSource(x={self.x!r}, y={self.y!r}): give numbers between 0 and 1")

    def node(self, grid: Grid) -> tuple[int, int]:
        """Return the index (y, x) of the node."""
        y, x = (np.abs(points / length - place) for points, length, place in self._axes(grid))
        return int(y.argmin()), int(x.argmin())

    def _axes(self, grid: Grid) -> Any:
        return zip(grid.coordinates(), grid.lengths, (self.y, self.x), strict=True)


MEDIUM, CENTRE = AnySpeed(), PointSource()


@dataclass(frozen=True, eq=False)
class OpenHelmholtz:
    """-div grad u - k^2 (1 + i absorption) u = source, with k = omega / wave_speed and layers that absorb waves.

    Time dependence is exp(-i omega t), so that outgoing waves are exp(i k r). The absorption is zero inside, and
    ``absorption * (depth / width)^2`` in a layer along each side, which is part of the domain; u is zero on the sides.
    The discretisation is that of finite volumes, stencils of five points. At 10 to 12 nodes for each wavelength its
    solutions are those of the discrete system: the phase error is about (k h)^2 / 24 of the phase, 1.6 % at 10 nodes.

    Parameters
    ----------
    resolution
        Unknowns along each axis, or along y and x.
    wave_speed
        Random medium (`SmoothSpeed`, `LayeredSpeed`, `InclusionSpeed`, `AnySpeed`), number, array (y, x), or function
        of x and y.
    omega
        Angular frequency. None: the frequency with ``points`` nodes for the shortest wavelength.
    source
        `PointSource` or a tuple of them, or a number, array (y, x), or function of x and y; values may be complex.
    layer
        Width of the layers, in shortest wavelengths.
    absorption
        Absorption at the sides.
    points
        Nodes for the shortest wavelength if omega is None.
    lengths
        Lengths of the rectangle along y and x.
    seed
        Seed of a random wave speed.

    Raises
    ------
    InputError
        A number is not positive. Raised by `discretize`: the wave speed is not positive, the nodes do not resolve the
        waves, the layers fill the domain, or the source does not fit the grid.

    Examples
    --------
    >>> from sciml.pde import Direct, discretize
    >>> from sciml.solve import solve
    >>> problem = OpenHelmholtz(63, wave_speed=1.0)
    >>> discretize(problem).kind
    'complex'
    >>> solve(problem, Direct()).u.dtype
    dtype('complex128')
    """

    resolution: int | tuple[int, int] = 127
    wave_speed: Coefficient | Values = MEDIUM
    omega: float | None = None
    source: PointSource | tuple[PointSource, ...] | complex | ComplexField | ComplexFunction = CENTRE
    layer: float = 1.5
    absorption: float = 2.0
    points: float = 10.0
    lengths: tuple[float, float] = (1.0, 1.0)
    seed: int = 7

    def __post_init__(self) -> None:
        for name in ("layer", "absorption", "points"):
            check_positive(name, getattr(self, name))
        if self.omega is not None:
            check_positive("omega", self.omega)

    __repr__ = represent
    _repr_html_ = problem_table

    @property
    def grid(self) -> Grid:
        """Grid of the unknowns."""
        return grid_of(self.resolution, "vertex", "dirichlet", self.lengths)

    def wave_speed_field(self) -> Field:
        """Return the wave speed (y, x) at the unknowns."""
        return positive(drawn(self.wave_speed, self.grid, self.seed, "wave_speed"), "wave_speed")

    def wave_numbers(self) -> Field:
        """Return the wave number k (y, x) at the unknowns, in radians for a unit of length."""
        speed, spacing = self.wave_speed_field(), max(self.grid.spacing)
        if self.omega is None:
            return np.asarray(2 * np.pi / (self.points * spacing) * speed.min() / speed)
        return np.asarray(self.omega / speed)

    def absorption_field(self, wave_numbers: Field | None = None) -> Field:
        """Return the absorption (y, x) at the unknowns; zero outside of the layers."""
        k = self.wave_numbers() if wave_numbers is None else wave_numbers
        width = self.layer * 2 * np.pi / float(k.max())
        least = min(self.grid.lengths)
        if not 2 * width < least:
            raise InputError(
                f"two layers of {self.layer:g} wavelengths ({width:.3g} each) fill a domain of {least:g}: take a "
                "larger resolution, a higher omega or a thinner layer"
            )
        depths = [
            np.clip(1 - np.minimum(points, length - points) / width, 0.0, None)
            for points, length in zip(self.grid.coordinates(), self.grid.lengths, strict=True)
        ]
        return np.asarray(self.absorption * np.maximum(depths[0][:, None], depths[1]) ** 2)

    def load(self) -> ComplexField:
        """Return the source (y, x) integrated over the control volumes."""
        grid, given = self.grid, self.source
        points = (given,) if isinstance(given, PointSource) else given
        if isinstance(points, tuple) and points and all(isinstance(p, PointSource) for p in points):
            field = np.zeros(grid.shape, dtype=np.complex128)
            for point in points:
                field[point.node(grid)] += 1.0
            return field
        return np.asarray(_sampled(given, grid) * grid.volumes())


def _sampled(values: Any, grid: Grid) -> ComplexField:
    """Evaluate a source that may be complex on a grid, as a field (y, x)."""
    given = values(*grid.mesh()) if callable(values) else values
    array = in_axes(given)
    if not np.iscomplexobj(array):
        return sampled(given, grid, "source").astype(np.complex128)
    return np.asarray(sampled(array.real, grid, "source") + 1j * sampled(array.imag, grid, "source"))


@discretize.register  # type: ignore[arg-type]
def _(  # type: ignore[misc]
    problem: OpenHelmholtz, scheme: Scheme | None = None
) -> ComplexSystem:
    if scheme not in (None, "finite_volume"):
        raise InputError(f"scheme={scheme!r}: OpenHelmholtz has 'finite_volume' only")
    grid, k = problem.grid, problem.wave_numbers()
    points = float(2 * np.pi / (k.max() * max(grid.spacing)))
    if points < COARSEST:
        need = int(np.ceil(max(grid.lengths) * k.max() * 10 / (2 * np.pi))) + 1
        raise InputError(
            f"{points:.2g} unknowns a wavelength at resolution {grid.shape} do not resolve the wave: take "
            f"resolution={need} (10 a wavelength) or a lower omega"
        )
    stiffness, _ = finite_volumes(Terms(grid, np.ones(grid.shape), np.zeros(grid.shape)))
    mass = grid.volumes() * k**2 * (1 + 1j * problem.absorption_field(k))
    return ComplexSystem(stiffness - sp.diags(mass.ravel()), problem.load(), grid)
