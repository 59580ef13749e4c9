"""Structured grids on a rectangle: positions of the unknowns, and boundary conditions on the sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from sciml.checks import is_whole
from sciml.errors import InputError

__all__ = ["Boundary", "Centring", "Field", "Grid", "Side"]

Field = npt.NDArray[np.float64]
Side = Literal["dirichlet", "neumann", "periodic"]
Centring = Literal["vertex", "cell"]


@dataclass(frozen=True)
class Boundary:
    """Boundary condition on each side of the rectangle: x runs from west to east, y from south to north.

    Parameters
    ----------
    west, east, south, north
        Condition on each side: ``dirichlet``, ``neumann`` or ``periodic``.

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
    south: Side = "dirichlet"
    north: Side = "dirichlet"

    def __post_init__(self) -> None:
        for name, kind in asdict(self).items():
            if kind not in get_args(Side):
                raise InputError(f"{name}={kind!r}: give one of {', '.join(get_args(Side))}")
        for names, pair in ((("west", "east"), self.x), (("south", "north"), self.y)):
            if pair.count("periodic") == 1:
                raise InputError(
                    f"{names[0]}={pair[0]!r} and {names[1]}={pair[1]!r}: periodic sides come in pairs"
                )

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
        return self.west, self.east

    @property
    def y(self) -> tuple[Side, Side]:
        """Conditions on the south and the north side."""
        return self.south, self.north

    @property
    def sides(self) -> dict[str, Side]:
        """Condition on each side, by the name of the side."""
        return asdict(self)

    def __str__(self) -> str:
        kinds = set(self.sides.values())
        return kinds.pop() if len(kinds) == 1 else ", ".join(f"{n} {k}" for n, k in self.sides.items())


@dataclass(frozen=True)
class Grid:
    """Positions of the unknowns of a field (y, x).

    Parameters
    ----------
    shape
        Unknowns along y and x.
    centring
        ``cell``: the unknowns are at the centres of shape[0] x shape[1] equal cells. ``vertex``: they are at nodes. A
        node on a Dirichlet side is known and is not an unknown, so that 2^k intervals have 2^k - 1 unknowns. A node on
        a Neumann side is an unknown. On periodic sides the first of the two nodes is an unknown.
    boundary
        Boundary condition on each side.
    lengths
        Lengths of the rectangle along y and x.

    Raises
    ------
    InputError
        An axis has fewer than 3 unknowns, a length is not positive, or ``boundary`` is not a `Boundary`.

    Examples
    --------
    >>> Grid((3, 3)).coordinates()[1]
    array([0.25, 0.5 , 0.75])
    >>> Grid((2 + 2, 4), "cell").spacing
    (0.25, 0.25)
    """

    shape: tuple[int, int]
    centring: Centring = "vertex"
    boundary: Boundary = Boundary()
    lengths: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        try:
            if not all(map(is_whole, self.shape)):
                raise TypeError
            object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
            object.__setattr__(self, "lengths", tuple(float(x) for x in self.lengths))
        except (TypeError, ValueError):
            raise InputError(
                f"shape={self.shape!r}, lengths={self.lengths!r}: give two numbers each, along y and along x, those of "
                "the shape whole numbers"
            ) from None
        if len(self.shape) != 2 or min(self.shape) < 3:
            raise InputError(f"shape={self.shape}: give at least 3 unknowns along y and along x")
        if not isinstance(self.boundary, Boundary):
            raise InputError(f"boundary={self.boundary!r}: give a Boundary, as Boundary.of(...) makes it")
        if self.centring not in get_args(Centring):
            raise InputError(f"centring={self.centring!r}: give 'vertex' or 'cell'")
        if len(self.lengths) != 2 or not all(0 < length < float("inf") for length in self.lengths):
            raise InputError(f"lengths={self.lengths}: give two positive lengths")

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return self.shape[0] * self.shape[1]

    @property
    def spacing(self) -> tuple[float, float]:
        """Distance between neighbouring unknowns along y and x."""
        return self._spacing(0), self._spacing(1)

    def sides(self, axis: int) -> tuple[Side, Side]:
        """Return the boundary conditions at the beginning and the end of an axis: 0 for y, 1 for x."""
        return self.boundary.y if axis == 0 else self.boundary.x

    def _spacing(self, axis: int) -> float:
        n, length, sides = self.shape[axis], self.lengths[axis], self.sides(axis)
        if self.centring == "cell" or "periodic" in sides:
            return length / n
        return length / (n - 1 + sides.count("dirichlet"))

    def coordinates(self) -> tuple[Field, Field]:
        """Return the positions of the unknowns along y and x."""
        axes: list[Field] = []
        for axis in (0, 1):
            first = 0.5 if self.centring == "cell" else float(self.sides(axis)[0] == "dirichlet")
            axes.append(np.asarray((np.arange(self.shape[axis]) + first) * self._spacing(axis), np.float64))
        return axes[0], axes[1]

    def mesh(self) -> tuple[Field, Field]:
        """Return the coordinates x and y of every unknown, each (y, x)."""
        y, x = self.coordinates()
        shape = (y.size, x.size)
        return np.broadcast_to(x, shape).copy(), np.broadcast_to(y[:, None], shape).copy()

    def weights(self, axis: int) -> Field:
        """Return the length of each control volume along an axis: half a spacing at a node on a Neumann side."""
        h = np.full(self.shape[axis], self._spacing(axis))
        if self.centring == "vertex":
            for end, side in zip((0, -1), self.sides(axis), strict=True):
                if side == "neumann":
                    h[end] /= 2
        return h

    def volumes(self) -> Field:
        """Return the area of each control volume (y, x)."""
        return np.outer(self.weights(0), self.weights(1))

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
        return f"{self.shape[0]} x {self.shape[1]} {self.centring}-centred, {self.boundary}"
