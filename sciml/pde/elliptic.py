"""Linear elliptic problems, and their discretisation to sparse systems."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Protocol, get_args, runtime_checkable

import numpy as np

from sciml.checks import check_whole, is_whole
from sciml.errors import InputError
from sciml.pde.finite_element import finite_elements
from sciml.pde.finite_volume import finite_volumes, held_energy
from sciml.pde.grid import SPACE, Boundary, Centring, Field, Grid, Side, space
from sciml.pde.random_fields import Coefficient, TwoPhase
from sciml.pde.representation import problem_table, represent
from sciml.pde.system import Kind, System
from sciml.pde.terms import PlaneFunction, Scheme, Terms, Values, sampled

__all__ = [
    "Darcy",
    "Elliptic",
    "Poisson",
    "Scheme",
    "check_seed",
    "discretize",
    "drawn",
    "grid_of",
    "positive",
]

BENCHMARK = TwoPhase(3, 12)


@runtime_checkable
class Elliptic(Protocol):
    """Protocol of the problems that `discretize` accepts."""

    @property
    def grid(self) -> Grid:
        """Grid of the unknowns."""

    def terms(self) -> Terms:
        """Return the terms of the equation on the grid."""


@dataclass(frozen=True, eq=False)
class Poisson:
    """-div grad u = source.

    Parameters
    ----------
    resolution
        Unknowns along both axes of a square, or along each axis: (x,), (y, x) or (z, y, x).
    source
        Number, array (y, x), function of x and y, or random field (`GaussianField`). On a line arrays are (x), in a box
        (z, y, x), and functions take x, or x, y and z.
    boundary
        One condition for every side, or a `Boundary`.
    boundary_value, flux
        u on Dirichlet sides and du/dn on Neumann sides: a number or a function of the coordinates.
    centring, lengths
        See `Grid`.
    seed
        Seed of a random source.

    Raises
    ------
    InputError
        Raised by `terms`: values have another shape than the grid, or are not finite.

    Examples
    --------
    >>> Poisson(3)
    Poisson(resolution=3, source=1.0, boundary='dirichlet', boundary_value=0.0, flux=0.0, centring='vertex',
    lengths=(1.0, 1.0), seed=7)
    >>> discretize(Poisson(3)).matrix.diagonal()[0]
    np.float64(4.0)
    """

    resolution: int | tuple[int, ...]
    source: Coefficient | Values = 1.0
    boundary: Boundary | Side = "dirichlet"
    boundary_value: float | PlaneFunction = 0.0
    flux: float | PlaneFunction = 0.0
    centring: Centring = "vertex"
    lengths: tuple[float, ...] = (1.0, 1.0)
    seed: int = 7

    __repr__ = represent
    _repr_html_ = problem_table

    @property
    def grid(self) -> Grid:
        """Grid of the unknowns."""
        return grid_of(self.resolution, self.centring, self.boundary, self.lengths)

    def source_field(self) -> Field:
        """Return the source at the unknowns, of the shape of the grid."""
        return drawn(self.source, self.grid, self.seed, "source")

    def terms(self) -> Terms:
        """Return the terms of the equation on the grid."""
        grid = self.grid
        return Terms(
            grid,
            np.ones(grid.shape),
            self.source_field(),
            boundary_value=self.boundary_value,
            flux=self.flux,
        )


@dataclass(frozen=True, eq=False)
class Darcy:
    """-div(coefficient grad u) = source: steady flow through a porous medium.

    Parameters
    ----------
    resolution
        Unknowns, see `Poisson`.
    coefficient
        Random field (`TwoPhase`, `Multiscale`, `Lognormal`), number, array, or function of the
        coordinates, see `Poisson`.
    seed
        Seed of a random coefficient and of a random source; the two fields are independent.
    source, boundary, boundary_value, flux, centring, lengths
        As for `Poisson`; flux is coefficient * du/dn.

    Raises
    ------
    InputError
        Raised by `terms`: the coefficient is not finite, or not positive everywhere.

    Examples
    --------
    >>> Darcy(15, TwoPhase(3, 12), seed=7).coefficient_field().shape
    (15, 15)
    """

    resolution: int | tuple[int, ...]
    coefficient: Coefficient | Values = BENCHMARK
    source: Coefficient | Values = 1.0
    boundary: Boundary | Side = "dirichlet"
    boundary_value: float | PlaneFunction = 0.0
    flux: float | PlaneFunction = 0.0
    centring: Centring = "vertex"
    lengths: tuple[float, ...] = (1.0, 1.0)
    seed: int = 7

    __repr__ = represent
    _repr_html_ = problem_table

    @property
    def grid(self) -> Grid:
        """Grid of the unknowns."""
        return grid_of(self.resolution, self.centring, self.boundary, self.lengths)

    def coefficient_field(self) -> Field:
        """Return the coefficient at the unknowns, of the shape of the grid."""
        return positive(drawn(self.coefficient, self.grid, self.seed, "coefficient"), "coefficient")

    def source_field(self) -> Field:
        """Return the source at the unknowns, of the shape of the grid."""
        return drawn(self.source, self.grid, self.seed, "source", stream=1)

    def terms(self) -> Terms:
        """Return the terms of the equation on the grid."""
        return Terms(
            self.grid,
            self.coefficient_field(),
            self.source_field(),
            boundary_value=self.boundary_value,
            flux=self.flux,
        )


def grid_of(
    resolution: int | tuple[int, ...],
    centring: Centring,
    boundary: Boundary | Side,
    lengths: tuple[float, ...],
    *,
    plane: bool = False,
) -> Grid:
    """The grid of a problem, from one resolution for a square, or one for each axis.

    Raises
    ------
    InputError
        The resolution is not 1 to 3 whole numbers, or with ``plane`` not 2.
    """
    shape = (resolution, resolution) if is_whole(resolution) else resolution
    some = isinstance(shape, tuple | list) and 1 <= len(shape) <= len(SPACE) and all(map(is_whole, shape))
    if not some or (plane and len(shape) != 2):  # type: ignore[arg-type]
        more = "" if plane else " (one on a line, three in a box)"
        raise InputError(
            f"resolution={resolution!r}: give a whole number of unknowns, or two, along y and x{more}"
        )
    return Grid(tuple(map(int, shape)), centring, Boundary.of(boundary), lengths)  # type: ignore[arg-type]


def drawn(given: Coefficient | Values, grid: Grid, seed: int, name: str, stream: int = 0) -> Field:
    """Return a field on a grid, drawn if it is random; different streams of one seed are independent."""
    if isinstance(given, type):
        raise InputError(f"{name}={given.__name__}, the class: give one of it, such as {given.__name__}()")
    if isinstance(given, Coefficient):
        check_seed(seed)
        given = given.draw(grid, np.random.default_rng([int(seed), stream] if stream else int(seed)))
    return sampled(given, grid, name)


def check_seed(seed: object) -> None:
    """Check that a seed is a whole number of 0 or more.

    Raises
    ------
    InputError
        For anything but a whole number that is not negative.
    """
    check_whole("seed", seed, 0)


def positive(field: Field, name: str) -> Field:
    """Return a field unchanged if it can be the coefficient of an elliptic problem.

    Raises
    ------
    InputError
        A value is not positive.
    """
    if not field.min() > 0:
        where = tuple(int(i) for i in np.unravel_index(field.argmin(), field.shape))
        raise InputError(
            f"{name} is {field[where]:g} at ({', '.join(space(field.ndim))}) = {where}: an elliptic problem needs it "
            "positive everywhere"
        )
    return field


@singledispatch
def discretize(problem: Elliptic, scheme: Scheme | None = None) -> System:
    """Turn a problem into a sparse system of second order.

    Parameters
    ----------
    problem
        `Poisson`, `Darcy`, `Helmholtz`, `AdvectionDiffusion`, or any object with a grid and terms.
    scheme
        ``finite_volume``: stencils of three, five or seven points on a line, in the plane and in a box, on
        vertex-centred and cell-centred grids. ``finite_element``: bilinear elements with stencils of nine points, on
        vertex-centred grids of the plane. None selects finite elements for
        Helmholtz problems on vertex-centred grids, and finite volumes otherwise.

    Returns
    -------
    System
        Matrix and right-hand side.

    Raises
    ------
    InputError
        The problem is not linear elliptic, the scheme is unknown, or it does not apply to the grid.

    Examples
    --------
    >>> print(discretize(Poisson(7)))
    49 unknowns (7 x 7 vertex-centred, dirichlet), 217 nonzeros, definite
    """
    if not isinstance(problem, Elliptic):
        raise InputError(
            f"a {type(problem).__name__} has no sparse system: give Poisson, Darcy, Helmholtz or AdvectionDiffusion; "
            "Burgers and NavierStokes step it in time instead (PseudoSpectral)"
        )
    terms = problem.terms()
    chosen = terms.scheme if scheme is None else scheme
    if chosen not in get_args(Scheme):
        raise InputError(f"scheme={chosen!r}: give 'finite_volume' or 'finite_element'")
    assemble = finite_elements if chosen == "finite_element" else finite_volumes
    matrix, rhs = assemble(terms)
    kind = _kind(terms)
    given = callable(terms.boundary_value) or terms.boundary_value != 0
    held = held_energy(terms) if kind == "definite" and chosen == "finite_volume" and given else None
    return System(matrix, rhs, terms.grid, kind, held)


def _kind(terms: Terms) -> Kind:
    if terms.velocity is not None:
        return "nonsymmetric"
    if terms.reaction is not None and terms.reaction.min() < 0:
        return "indefinite"
    absorbed = terms.reaction is not None and terms.reaction.max() > 0
    held = "dirichlet" in terms.grid.boundary.sides.values()
    return "definite" if held or absorbed else "semidefinite"
