"""Structured grids on a line, a rectangle or a box: positions of the unknowns, and boundary conditions on the sides."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from sciml.checks import is_whole
from sciml.errors import InputError

__all__ = ["SIDES", "SPACE", "Boundary", "Centring", "Field", "Grid", "Side", "space"]

Field = npt.NDArray[np.float64]
Side = Literal["dirichlet", "neumann", "periodic"]
Centring = Literal["vertex", "cell"]
SPACE: Final = ("z", "y", "x")
"""Names of the axes in space, in the order of the axes of a field; a plane has the last two, and a line the last."""
SIDES: Final[Mapping[str, tuple[str, str]]] = {
    "x": ("west", "east"),
    "y": ("south", "north"),
    "z": ("bottom", "top"),
}
"""Sides at the beginning and the end of each axis."""


def space(axes: int) -> tuple[str, ...]:
    """Return the names of the axes of a field, for a number of axes.

    Examples
    --------
    >>> space(2)
    ('y', 'x')
    """
    return SPACE[len(SPACE) - axes :]


@dataclass(frozen=True)
class Boundary:
    """Boundary condition on each side: x runs from west to east, y from south to north, and z from bottom to top.

    Parameters
    ----------
    west, east, south, north
        Condition on each side: ``dirichlet``, ``neumann`` or ``periodic``.
    bottom, top
        Conditions of the third axis. None takes that of the other sides, if it is the same on all of them.

    Raises
    ------
    InputError
        A condition is unknown, or a side is periodic and the opposite side is not.

    Examples
    --------
    >>> Boundary.all("neumann").west
    'neumann'
    >>> Boundary(west="neumann").x
    ('neumann', 'dirichlet')
    """

    west: Side = "dirichlet"
    east: Side = "dirichlet"
    south: Side | None = "dirichlet"
    north: Side | None = "dirichlet"
    bottom: Side | None = None
    top: Side | None = None

    def __post_init__(self) -> None:
        for name, kind in self.sides.items():
            if kind not in get_args(Side):
                raise InputError(f"{name}={kind!r}: give one of {', '.join(get_args(Side))}")
        for names in SIDES.values():
            pair = tuple(getattr(self, name) for name in names)
            if pair.count("periodic") == 1:
                raise InputError(
                    f"{names[0]}={pair[0]!r} and {names[1]}={pair[1]!r}: periodic sides come in pairs"
                )
            if pair.count(None) == 1 or (None in pair and names[0] == "west"):
                raise InputError(f"{names[0]}={pair[0]!r} and {names[1]}={pair[1]!r}: give both")

    @classmethod
    def all(cls, kind: Side) -> Boundary:
        """Return a boundary with one condition on every side."""
        return cls(kind, kind, kind, kind)

    @classmethod
    def of(cls, kind: Boundary | Side) -> Boundary:
        """Return a boundary unchanged, or make one from a single condition for every side."""
        return kind if isinstance(kind, cls) else cls.all(kind)  # type: ignore[arg-type]

    @property
    def x(self) -> tuple[Side, Side]:
        """Conditions on the west and the east side."""
        return self.along("x")

    @property
    def y(self) -> tuple[Side, Side]:
        """Conditions on the south and the north side."""
        return self.along("y")

    def along(self, dim: str) -> tuple[Side, Side]:
        """Return the conditions at the beginning and the end of x, y or z."""
        first, last = (getattr(self, name) for name in SIDES[dim])
        return first, last

    @property
    def sides(self) -> dict[str, Side]:
        """Condition on each side, by the name of the side; sides of axes that are not there are left out."""
        return {name: kind for name, kind in asdict(self).items() if kind is not None}

    def of_axes(self, axes: int) -> Boundary:
        """Return the boundary of a line (1 axis), a rectangle (2) or a box (3): with the sides of these axes.

        Raises
        ------
        InputError
            A condition is missing, or one is given for an axis that is not there.

        Examples
        --------
        >>> Boundary.all("neumann").of_axes(3).top
        'neumann'
        """
        if axes == 1:
            return replace(self, south=None, north=None, bottom=None, top=None)
        if self.south is None:
            raise InputError(f"a boundary of a line ({self}) for {axes} axes: give south and north")
        if axes == 2:
            if self.bottom is not None:
                raise InputError(f"bottom={self.bottom!r}, top={self.top!r} for 2 axes: leave them out")
            return self
        if self.bottom is not None:
            return self
        kinds = set(self.sides.values())
        if len(kinds) > 1:
            raise InputError(f"a boundary with {self} for 3 axes: give bottom and top")
        kind = kinds.pop()
        return replace(self, bottom=kind, top=kind)

    def __str__(self) -> str:
        kinds = set(self.sides.values())
        return kinds.pop() if len(kinds) == 1 else ", ".join(f"{n} {k}" for n, k in self.sides.items())


@dataclass(frozen=True)
class Grid:
    """Positions of the unknowns of a field (x), (y, x) or (z, y, x).

    Parameters
    ----------
    shape
        Unknowns along each axis: x, or y and x, or z, y and x.
    centring
        ``cell``: the unknowns are at the centres of equal cells. ``vertex``: they are at nodes. A node on a Dirichlet
        side is known and is not an unknown, so that 2^k intervals have 2^k - 1 unknowns. A node on a Neumann side is an
        unknown. On periodic sides the first of the two nodes is an unknown.
    boundary
        Boundary condition on each side, see `Boundary.of_axes`.
    lengths
        Lengths of the line, rectangle or box along the axes; lengths of 1 are those of any number of axes.

    Raises
    ------
    InputError
        There are no axes or more than 3, an axis has fewer than 3 unknowns, a length is not positive, or ``boundary``
        is not a `Boundary` of these axes.

    Examples
    --------
    >>> Grid((3, 3)).coordinates()[1]
    array([0.25, 0.5 , 0.75])
    >>> Grid((2 + 2, 4), "cell").spacing
    (0.25, 0.25)
    >>> Grid((7, 7, 15)).size
    735
    """

    shape: tuple[int, ...]
    centring: Centring = "vertex"
    boundary: Boundary = Boundary()
    lengths: tuple[float, ...] = (1.0, 1.0)

    def __post_init__(self) -> None:
        try:
            if not all(map(is_whole, self.shape)):
                raise TypeError
            object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
            object.__setattr__(self, "lengths", tuple(float(x) for x in self.lengths))
        except (TypeError, ValueError):
            raise InputError(
                f"shape={self.shape!r}, lengths={self.lengths!r}: give two numbers each, along y and along x, those of "
                "the shape whole numbers (one each on a line, three in a box: along z, y and x)"
            ) from None
        if not 1 <= len(self.shape) <= len(SPACE) or min(self.shape) < 3:
            axes = " and ".join(f"along {dim}" for dim in space(min(max(len(self.shape), 2), 3)))
            raise InputError(f"shape={self.shape}: give at least 3 unknowns {axes}")
        if not isinstance(self.boundary, Boundary):
            raise InputError(f"boundary={self.boundary!r}: give a Boundary, as Boundary.of(...) makes it")
        object.__setattr__(self, "boundary", self.boundary.of_axes(len(self.shape)))
        if self.centring not in get_args(Centring):
            raise InputError(f"centring={self.centring!r}: give 'vertex' or 'cell'")
        if self.lengths == (1.0, 1.0):
            object.__setattr__(self, "lengths", (1.0,) * len(self.shape))
        numbers = {1: "one positive length", 2: "two positive lengths", 3: "three positive lengths"}
        if len(self.lengths) != len(self.shape) or not all(0 < length < math.inf for length in self.lengths):
            raise InputError(f"lengths={self.lengths}: give {numbers[len(self.shape)]}")

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return math.prod(self.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the axes of a field: (x), (y, x) or (z, y, x)."""
        return space(len(self.shape))

    @property
    def spacing(self) -> tuple[float, ...]:
        """Distance between neighbouring unknowns along each axis."""
        return tuple(self._spacing(axis) for axis in range(self.ndim))

    def sides(self, axis: int) -> tuple[Side, Side]:
        """Return the boundary conditions at the beginning and the end of an axis: in the plane 0 for y, 1 for x."""
        return self.boundary.along(self.dims[axis])

    def _spacing(self, axis: int) -> float:
        n, length, sides = self.shape[axis], self.lengths[axis], self.sides(axis)
        if self.centring == "cell" or "periodic" in sides:
            return length / n
        return length / (n - 1 + sides.count("dirichlet"))

    def coordinates(self) -> tuple[Field, ...]:
        """Return the positions of the unknowns along each axis."""
        axes: list[Field] = []
        for axis in range(self.ndim):
            first = 0.5 if self.centring == "cell" else float(self.sides(axis)[0] == "dirichlet")
            axes.append(np.asarray((np.arange(self.shape[axis]) + first) * self._spacing(axis), np.float64))
        return tuple(axes)

    def mesh(self) -> tuple[Field, ...]:
        """Return the coordinates x, y (and z) of every unknown, each of the shape of a field."""
        points = np.meshgrid(*self.coordinates(), indexing="ij")
        return tuple(np.ascontiguousarray(values) for values in reversed(points))

    def weights(self, axis: int) -> Field:
        """Return the length of each control volume along an axis: half a spacing at a node on a Neumann side."""
        h = np.full(self.shape[axis], self._spacing(axis))
        if self.centring == "vertex":
            for end, side in zip((0, -1), self.sides(axis), strict=True):
                if side == "neumann":
                    h[end] /= 2
        return h

    def volumes(self) -> Field:
        """Return the size of each control volume, of the shape of a field."""
        return self._product(range(self.ndim))

    def areas(self, axis: int) -> Field:
        """Return the size of the faces across an axis, of the shape of a field without that axis."""
        return self._product(other for other in range(self.ndim) if other != axis)

    def _product(self, axes: Iterable[int]) -> Field:
        """Return the products of the lengths of the control volumes along some axes."""
        sizes = np.ones(())
        for number, axis in enumerate(axes):
            sizes = np.multiply.outer(sizes, self.weights(axis)) if number else self.weights(axis)
        return sizes

    def to_json(self) -> dict[str, Any]:
        """Return the grid as values that JSON can store."""
        return {
            "shape": list(self.shape),
            "centring": self.centring,
            "boundary": self.boundary.sides,
            "lengths": list(self.lengths),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Grid:
        """Make a grid from the output of `to_json`.

        Raises
        ------
        InputError
            An entry is missing or unknown.
        """
        try:
            boundary = Boundary(**content["boundary"])
            return cls(tuple(content["shape"]), content["centring"], boundary, tuple(content["lengths"]))
        except (KeyError, TypeError) as error:
            raise InputError(
                f"{content!r} is no grid ({error}): give shape, centring, boundary and lengths, as Grid.to_json does"
            ) from None

    def __str__(self) -> str:
        return f"{' x '.join(map(str, self.shape))} {self.centring}-centred, {self.boundary}"
