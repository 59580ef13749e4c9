"""Values of a field on Dirichlet sides, given or estimated from the field, and the lift of these values.

There are no unknowns on a Dirichlet side, so that a dataset does not contain the values there. They are zero unless
they are given, or the field clearly does not approach zero.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from sciml.checks import is_number
from sciml.errors import InputError, SchemaError
from sciml.pde.attributes import grid_in_attributes, parameters_of, readable
from sciml.pde.grid import SIDES, SPACE, Field, Grid
from sciml.pde.terms import PlaneFunction

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "ATTRIBUTE",
    "PLACES",
    "Given",
    "Jumps",
    "Sides",
    "check_sides",
    "described",
    "extrapolated",
    "interpolated",
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
"""Name of the attribute of a dataset: JSON with a number for each Dirichlet side by its name."""
CLEARLY: Final = 4.0
"""Least ratio of the slope between a zero side and the first unknown to the slope between the next unknowns, for the
side to count as not zero. The ratio is about 1 for a field that is zero there, and at most 3 for uniform noise."""
DEPTH: Final = 4  # number of lines of unknowns next to a side that are used
PLACES: Final[Mapping[str, tuple[int, int]]] = {
    name: (SPACE.index(dim) - len(SPACE), -end)
    for dim, names in SIDES.items()
    for end, name in enumerate(names)
}
"""Axis of each side, counted from the last (-1 for x), and the end of the axis at which the side is."""

Given: TypeAlias = Mapping[str, Any] | float
"""Value by side: a number, an array (sample,) or (sample, n) along the
side (in a box of the shape of the side), or None to estimate it from the field. Sides without a value are zero.
A single number applies to all sides."""


def dirichlet_sides(grid: Grid) -> list[str]:
    """Return the names of the Dirichlet sides."""
    return [name for name, kind in grid.boundary.sides.items() if kind == "dirichlet"]


def check_sides(given: Given, grid: Grid) -> dict[str, Any]:
    """Return the values by Dirichlet side; a single number applies to each of them.

    Raises
    ------
    InputError
        A side is not Dirichlet, or a value is not a finite number or array.
    """
    known = dirichlet_sides(grid)
    values = dict(given) if isinstance(given, Mapping) else dict.fromkeys(known, given)
    for name, value in values.items():
        if name not in known:
            raise InputError(
                f"side {name!r} on a grid with sides {grid.boundary}: values are given on Dirichlet sides"
                + (f" ({', '.join(known)})" if known else ", and this one has none")
            )
        if value is not None and not is_number(value) and getattr(value, "ndim", 0) not in (1, grid.ndim):
            raise InputError(
                f"{name}={value!r}: give a number, or an array (sample,) or (sample, n) along the side"
            )
    return values


def line_next_to(values: Any, name: str, depth: int = 0) -> Any:
    """Return the unknowns of an array or a tensor at a depth from a side (0: next to it)."""
    axis, end = PLACES[name]
    at = depth if end == 0 else -1 - depth
    return values[(..., at, *(slice(None),) * (-1 - axis))]


def extrapolated(values: Any, grid: Grid, name: str) -> Any:
    """Extrapolate the values on a side linearly from the two lines of unknowns next to it, of an array or a tensor.

    The error is of second order in the spacing.
    """
    first, second = (line_next_to(values, name, depth) for depth in (0, 1))
    return first - (second - first) * (0.5 if grid.centring == "cell" else 1.0)


@dataclass
class Jumps:
    """Jumps of fields at Dirichlet sides, which show whether the fields are zero there.

    For each side this compares two root mean squares: of the slope from the first unknown to zero on the side, and of
    the slopes between the next unknowns. Fields (sample, y, x), (sample, x) or (sample, z, y, x) are added in blocks.

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
        """Add a block of fields (sample, y, x)."""
        for name in dirichlet_sides(self.grid):
            axis, _ = PLACES[name]
            lines = min(DEPTH, self.grid.shape[axis])
            near = [np.asarray(line_next_to(values, name, depth), np.float64) for depth in range(lines)]
            steps = [float(np.square(b - a).sum()) for a, b in itertools.pairwise(near)]
            self.outer[name] = self.outer.get(name, 0.0) + float(np.square(near[0]).sum())
            self.inner[name] = self.inner.get(name, 0.0) + np.array(steps)

    def clear(self) -> list[str]:
        """Return the sides on which the fields are clearly not zero."""
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
        Value by side: a number, or None to estimate it from each field. Empty if all sides are zero.
    given
        Whether the values were given rather than estimated from the data.
    """

    values: Mapping[str, float | None] = field(default_factory=dict)
    given: bool = False

    @classmethod
    def of(cls, given: Given | None, jumps: Jumps) -> Sides:
        """Return the given values, else those estimated from the fields.

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
    """Return the values along each side, of its shape: the given ones, else those extrapolated from a mean field."""
    along_sides = {}
    for name, value in sides.values.items():
        shape = np.delete(grid.shape, PLACES[name][0])
        along_sides[name] = extrapolated(mean, grid, name) if value is None else np.full(shape, float(value))
    return along_sides


def described(sides: Sides, mean: Field, grid: Grid) -> str:
    """Describe the values on the sides in words; "" if all are zero.

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
    """Return the harmonic field with values on Dirichlet sides, of their shapes; sides without a value are zero.

    It is the discrete solution of -div grad u = 0 without flux through Neumann sides, and 0 without Dirichlet sides.
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


def on_sides(values: Mapping[str, Any], grid: Grid) -> PlaneFunction:
    """Make a function of the coordinates that has these values, numbers or arrays, on the sides; others are zero.

    Arrays are interpolated linearly between the unknowns, and are constant beyond the first and the last.
    """

    def value(*places: Field) -> Field:
        values_there = np.zeros(np.shape(places[0]))
        for name, along in values.items():
            axis, end = PLACES[name]
            wall = 0.0 if end == 0 else grid.lengths[axis]
            here = np.abs(places[-1 - axis] - wall) < 1e-9 * grid.lengths[axis]
            others = [other for other in range(-grid.ndim, 0) if other != axis]
            there = interpolated(along, [(grid.coordinates()[o], places[-1 - o]) for o in others])
            values_there = np.where(here, there, values_there)
        return values_there

    return value


def interpolated(along: Any, axes: Sequence[tuple[Field, Field]]) -> Any:
    """Interpolate values on a side linearly, from the points to the places along each of its axes."""
    if len(axes) == 0:
        return along
    if len(axes) == 1:
        points, places = axes[0]
        return np.interp(places, points, np.broadcast_to(along, points.shape))
    from scipy.interpolate import RegularGridInterpolator

    every = tuple(points for points, _ in axes)
    inside = [np.clip(places, at[0], at[-1]) for at, places in axes]
    table = RegularGridInterpolator(every, np.broadcast_to(along, [len(at) for at in every]))
    return table(np.stack(inside, -1))


def sides_of_dataset(dataset: xr.Dataset) -> dict[str, float] | float | None:
    """Return the values on Dirichlet sides from the attribute ``side_values`` of a dataset, else from its family.

    Raises
    ------
    SchemaError
        The attribute ``side_values`` is not JSON of numbers by side.
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
    return float(value) if is_number(value) else None


def with_sides(dataset: xr.Dataset, given: Mapping[str, float] | float | None) -> xr.Dataset:
    """Assign the values on Dirichlet sides to a dataset as an attribute.

    Raises
    ------
    InputError
        A side is unknown, or a value is not a number.
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
    """Return a problem with the values on Dirichlet sides from the attribute of a dataset."""
    if grid is None or ATTRIBUTE not in dataset.attrs or not hasattr(problem, "boundary_value"):
        return problem
    values = check_sides(sides_of_dataset(dataset) or 0.0, grid)
    if len(set(values.values())) == 1 and set(values) == set(dirichlet_sides(grid)):
        return replace(problem, boundary_value=next(iter(values.values())))
    return replace(problem, boundary_value=on_sides(values, grid) if values else 0.0)


def seen_in(dataset: xr.Dataset, grid: Grid, target: str, *, most: int = 8) -> str:
    """Describe the values on Dirichlet sides in words, given or estimated from the first samples of a dataset."""
    given = sides_of_dataset(dataset)
    jumps = Jumps(grid)
    if given is not None or not dirichlet_sides(grid):
        return described(Sides.of(given, jumps), np.zeros(grid.shape), grid)
    with readable(target):
        first = dataset[target].isel(sample=slice(0, most)).transpose(..., *grid.dims).values
    fields = first.reshape(-1, *grid.shape)
    jumps.add(fields)
    return described(Sides.of(None, jumps), fields.mean(0, dtype=np.float64), grid)
