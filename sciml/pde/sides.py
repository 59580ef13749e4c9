"""Values of a field on Dirichlet sides: given, or estimated from the field, and the lift that has them.

Unknowns do not lie on a Dirichlet side, so data without a problem do not hold the values there. They are taken as zero
unless they are given or the data show clearly that they are not.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from sciml.checks import is_number
from sciml.errors import InputError, SchemaError
from sciml.pde.attributes import grid_in_attributes, parameters_of, readable
from sciml.pde.grid import Field, Grid
from sciml.pde.terms import Function

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "ATTRIBUTE",
    "Given",
    "Jumps",
    "Sides",
    "check_sides",
    "described",
    "extrapolated",
    "lift",
    "line_next_to",
    "mean_sides",
    "on_sides",
    "posed",
    "seen_in",
    "sides_of_dataset",
    "with_sides",
]

ATTRIBUTE: Final = "side_values"
"""Attribute of a dataset: JSON, a number for each Dirichlet side by its name."""
CLEARLY: Final = 4.0
"""How many times steeper the way from the first unknown down to zero is than between the next ones, from where on a
side is not taken as zero. A field that is zero there has about 1, uniform noise 3 at most."""
DEPTH: Final = 4  # lines of unknowns beside a side that are looked at
PLACES: Final[Mapping[str, tuple[int, int]]] = {
    "west": (1, 0),
    "east": (1, -1),
    "south": (0, 0),
    "north": (0, -1),
}
"""The axis of each side (0 for y), and at which end of it the side is."""

Given: TypeAlias = Mapping[str, Any] | float
"""By side: a number, an array (sample,) or (sample, n) along it, or None for what the field shows; or a number for all.
Sides that are not named are zero."""


def dirichlet_sides(grid: Grid) -> list[str]:
    """The names of the Dirichlet sides."""
    return [name for name, kind in grid.boundary.sides.items() if kind == "dirichlet"]


def check_sides(given: Given, grid: Grid) -> dict[str, Any]:
    """The values by Dirichlet side; of a number, that number on each.

    Raises
    ------
    InputError
        A side that is not Dirichlet, or what is no finite number or array.
    """
    known = dirichlet_sides(grid)
    values = dict(given) if isinstance(given, Mapping) else dict.fromkeys(known, given)
    for name, value in values.items():
        if name not in known:
            raise InputError(
                f"side {name!r} on a grid with sides {grid.boundary}: values are given on Dirichlet sides"
                + (f" ({', '.join(known)})" if known else ", of which it has none")
            )
        if value is not None and not is_number(value) and getattr(value, "ndim", 0) not in (1, 2):
            raise InputError(
                f"{name}={value!r}: give a number, or an array (sample,) or (sample, n) along the side"
            )
    return values


def line_next_to(values: Any, name: str, depth: int = 0) -> Any:
    """The line of unknowns next to a side, or so many further inside, (..., n); of an array or a tensor."""
    axis, end = PLACES[name]
    at = depth if end == 0 else -1 - depth
    return values[..., at, :] if axis == 0 else values[..., at]


def extrapolated(values: Any, grid: Grid, name: str) -> Any:
    """The values on a side (..., n) by the line through the two unknowns next to it; of an array or a tensor.

    The error is of second order in the spacing.
    """
    first, second = (line_next_to(values, name, depth) for depth in (0, 1))
    return first - (second - first) * (0.5 if grid.centring == "cell" else 1.0)


@dataclass
class Jumps:
    """How fields (sample, y, x), given in blocks, come to each Dirichlet side: to zero, or clearly to something else.

    Compared are the root mean squares of the slope from the first unknown to zero on the side, and of the slopes
    between the next unknowns.

    Examples
    --------
    >>> from sciml.pde.grid import Boundary
    >>> grid = Grid((8, 8), "cell", Boundary(south="neumann", north="neumann"))
    >>> jumps = Jumps(grid)
    >>> jumps.add(1 - grid.mesh()[0][None])
    >>> jumps.clear()
    ['west']
    """

    grid: Grid
    outer: dict[str, float] = field(default_factory=dict)
    inner: dict[str, Any] = field(default_factory=dict)

    def add(self, values: Any) -> None:
        """Take in fields (sample, y, x)."""
        for name in dirichlet_sides(self.grid):
            axis, _ = PLACES[name]
            lines = min(DEPTH, self.grid.shape[axis])
            near = [np.asarray(line_next_to(values, name, depth), np.float64) for depth in range(lines)]
            steps = [float(np.square(b - a).sum()) for a, b in itertools.pairwise(near)]
            self.outer[name] = self.outer.get(name, 0.0) + float(np.square(near[0]).sum())
            self.inner[name] = self.inner.get(name, 0.0) + np.array(steps)

    def clear(self) -> list[str]:
        """The sides on which the fields are clearly not zero."""
        closer = 2.0 if self.grid.centring == "cell" else 1.0
        return [
            name
            for name, outer in self.outer.items()
            if outer > 0 and closer**2 * outer > CLEARLY**2 * float(self.inner[name].max())
        ]


@dataclass(frozen=True)
class Sides:
    """Values on the Dirichlet sides of data.

    Parameters
    ----------
    values
        By side: a number, or None where each field shows its own; nothing where all are zero.
    given
        Whether they were given, rather than seen in the data.
    """

    values: Mapping[str, float | None] = field(default_factory=dict)
    given: bool = False

    @classmethod
    def of(cls, given: Given | None, jumps: Jumps) -> Sides:
        """As given, else as the fields show.

        Raises
        ------
        InputError
            See `check_sides`.
        """
        if given is not None:
            values = check_sides(given, jumps.grid)
            arrays = [name for name, value in values.items() if getattr(value, "ndim", 0)]
            if arrays:
                raise InputError(
                    f"{arrays[0]} is an array: give a number for all samples, or None for their own"
                )
            return cls(values, given=True)
        return cls(dict.fromkeys(jumps.clear()))

    @property
    def zero(self) -> bool:
        """Whether the fields are zero on every Dirichlet side."""
        return not any(value is None or value != 0 for value in self.values.values())


def mean_sides(mean: Field, grid: Grid, sides: Sides) -> dict[str, Field]:
    """The values along each side (n,): as given, else those to which a mean field (y, x) comes."""
    along_sides = {}
    for name, value in sides.values.items():
        along = grid.shape[1 - PLACES[name][0]]
        along_sides[name] = extrapolated(mean, grid, name) if value is None else np.full(along, float(value))
    return along_sides


def described(sides: Sides, mean: Field, grid: Grid) -> str:
    """The values on the sides in words; "" where all are zero.

    Examples
    --------
    >>> grid = Grid((3, 3), "cell")
    >>> described(Sides({"west": None, "east": 2.0}), np.ones((3, 3)), grid)
    'west 1, east 2 (estimated from the data; give them with --dirichlet west=1,east=2)'
    """
    if sides.zero:
        return ""
    values = {name: along.mean() for name, along in mean_sides(mean, grid, sides).items()}
    text = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
    if sides.given:
        return f"{text} (given)"
    option = ",".join(f"{name}={value:.3g}" for name, value in values.items())
    varying = [
        name
        for name, along in mean_sides(mean, grid, sides).items()
        if np.ptp(along) > 0.05 * np.abs(along).max()
    ]
    if varying:
        return f"{text} on average (estimated from the data, varying along {' and '.join(varying)})"
    return f"{text} (estimated from the data; give them with --dirichlet {option})"


def lift(values: Mapping[str, Field], grid: Grid) -> Field:
    """The harmonic field (y, x) with these values (n,) on Dirichlet sides, zero on those not named.

    It is the discrete solution of -div grad u = 0 with no flux through Neumann sides; without Dirichlet sides 0.
    """
    if not any(np.any(along) for along in values.values()):
        return np.zeros(grid.shape)
    from sciml.pde.direct import Direct
    from sciml.pde.elliptic import Poisson
    from sciml.solve import solve

    problem = Poisson(
        grid.shape,
        0.0,
        grid.boundary,
        boundary_value=on_sides(values, grid),
        centring=grid.centring,
        lengths=grid.lengths,
    )
    return np.asarray(solve(problem, Direct()).u.values, np.float64)


def on_sides(values: Mapping[str, Any], grid: Grid) -> Function:
    """A function of x and y with these values on the sides, numbers or arrays (n,); zero on the others."""

    def value(at_x: Field, at_y: Field) -> Field:
        values_there = np.zeros(np.shape(at_x))
        for name, along in values.items():
            axis, end = PLACES[name]
            across, place = (at_y, at_x) if axis == 0 else (at_x, at_y)
            points = grid.coordinates()[1 - axis]
            wall = 0.0 if end == 0 else grid.lengths[axis]
            here = np.abs(across - wall) < 1e-9 * grid.lengths[axis]
            values_there = np.where(
                here, np.interp(place, points, np.broadcast_to(along, points.shape)), values_there
            )
        return values_there

    return value


def sides_of_dataset(dataset: xr.Dataset) -> dict[str, float] | float | None:
    """The values on Dirichlet sides that the attributes of a dataset tell: its own, else those of its family.

    Raises
    ------
    SchemaError
        An attribute ``side_values`` that is no JSON of numbers by side.
    """
    given = dataset.attrs.get(ATTRIBUTE)
    if given is not None:
        try:
            content = json.loads(given) if isinstance(given, str) else given
            if is_number(content):
                return float(content)
            return {str(name): float(value) for name, value in content.items()}
        except (TypeError, ValueError, AttributeError) as error:
            raise SchemaError(
                f'the attribute {ATTRIBUTE!r} is {given!r}: give JSON, such as {{"west": 1.0}}'
            ) from error
    value = parameters_of(dataset).get("boundary_value")
    return float(value) if is_number(value) and value is not None else None


def with_sides(dataset: xr.Dataset, given: Mapping[str, float] | float | None) -> xr.Dataset:
    """The dataset with the values on its Dirichlet sides as an attribute.

    Raises
    ------
    InputError
        Unknown sides, or what is no number.
    """
    if given is None:
        return dataset
    values = dict(given) if isinstance(given, Mapping) else {"": given}
    for name, value in values.items():
        if (name and name not in PLACES) or not is_number(value):
            raise InputError(f"side values {given!r}: give a number, or one for some of {', '.join(PLACES)}")
    if dataset.attrs.get("grid"):
        check_sides(given, grid_in_attributes(dataset))
    content = {name: float(value) for name, value in values.items()}
    return dataset.assign_attrs({ATTRIBUTE: json.dumps(content.get("", content))})


def posed(problem: Any, dataset: xr.Dataset, grid: Grid | None) -> Any:
    """A problem with the values on its Dirichlet sides that the attribute of a dataset gives."""
    if grid is None or ATTRIBUTE not in dataset.attrs or not hasattr(problem, "boundary_value"):
        return problem
    values = check_sides(sides_of_dataset(dataset) or 0.0, grid)
    if len(set(values.values())) == 1 and set(values) == set(dirichlet_sides(grid)):
        return replace(problem, boundary_value=next(iter(values.values())))
    return replace(problem, boundary_value=on_sides(values, grid) if values else 0.0)


def seen_in(dataset: xr.Dataset, grid: Grid, target: str, *, most: int = 8) -> str:
    """The values on Dirichlet sides in words, as given or as the first samples of a dataset show them."""
    given = sides_of_dataset(dataset)
    jumps = Jumps(grid)
    if given is not None or not dirichlet_sides(grid):
        return described(Sides.of(given, jumps), np.zeros(grid.shape), grid)
    with readable(target):
        first = dataset[target].isel(sample=slice(0, most)).transpose(..., "y", "x").values
    fields = first.reshape(-1, *grid.shape)
    jumps.add(fields)
    return described(Sides.of(None, jumps), fields.mean(0, dtype=np.float64), grid)
