"""The terms of a linear elliptic problem on a grid, the input of the discretisations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml.errors import InputError
from sciml.pde.grid import SPACE, Field, Grid

__all__ = [
    "PlaneFunction",
    "LineFunction",
    "Mass",
    "Scheme",
    "Terms",
    "Values",
    "in_axes",
    "on_side",
    "place_of",
    "sampled",
    "sampled_on_line",
]

Scheme = Literal["finite_volume", "finite_element"]
Mass = Literal["consistent", "blended"]
ARGUMENTS = ("x", "y", "z")

PlaneFunction: TypeAlias = Callable[..., npt.ArrayLike]
"""Function of the coordinates, arrays of one shape: x on a line, x and y in the plane, x, y and z in a box."""
LineFunction: TypeAlias = Callable[[Field], npt.ArrayLike]
"""Function of x."""
Values: TypeAlias = float | npt.NDArray[np.floating] | PlaneFunction
"""Number, array on the grid, such as (y, x), or function of the coordinates, such as x and y."""


@dataclass(frozen=True, eq=False)
class Terms:
    """-div(diffusion grad u) + velocity . grad u + reaction u = source, with its boundary data.

    Parameters
    ----------
    grid
        Grid of u.
    diffusion, reaction, source
        Fields at the unknowns, of the shape of the grid.
    velocity
        Components of the velocity along x, y (and z) as numbers, fields or functions, or None.
    boundary_value
        u on the Dirichlet sides, a number or a function of the coordinates.
    flux
        diffusion * du/dn on the Neumann sides, n the outward normal: a number or a function of the coordinates.
    scheme
        Default scheme of `discretize`.
    mass
        Mass matrix of finite elements: ``consistent``, or ``blended``, the mean of the consistent and the lumped one
        along each axis. With the blended matrix the phase error of waves is of fourth instead of second order (see
        `sciml.pde.finite_element`).
    """

    grid: Grid
    diffusion: Field
    source: Field
    reaction: Field | None = None
    velocity: tuple[Values, ...] | None = None
    boundary_value: float | PlaneFunction = 0.0
    flux: float | PlaneFunction = 0.0
    scheme: Scheme = "finite_volume"
    mass: Mass = "consistent"


def sampled(values: Values, grid: Grid, name: str) -> Field:
    """Evaluate a number, array or function on a grid, as a field of its shape; labelled arrays need the grid's dims.

    Raises
    ------
    InputError
        The array or the result of the function has another shape than the grid, or values are not finite numbers.

    Examples
    --------
    >>> float(sampled(lambda x, y: x + 10 * y, Grid((3, 3)), "source")[0, 2])
    3.25
    """
    field = _evaluated(values, grid.mesh(), name) if callable(values) else _numbers(values, name)
    if field.ndim == 0:
        field = np.full(grid.shape, float(field))
    if field.shape != grid.shape:
        raise InputError(f"{name} has shape {field.shape}, the grid {grid.shape}: give one value an unknown")
    if not np.isfinite(field).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(field))[0])
        raise InputError(f"{name} is {field[where]} at {place_of(grid, where)}: give finite values")
    return np.ascontiguousarray(field)


def place_of(grid: Grid, where: Sequence[int]) -> str:
    """Return the index of an unknown as text, such as ``(y, x) = (3, 4)``."""
    return f"({', '.join(grid.dims)}) = ({', '.join(map(str, where))})"


def sampled_on_line(values: float | npt.NDArray[Any] | LineFunction, x: Field, name: str) -> Field:
    """Evaluate a number, array or function at the points of a line.

    Raises
    ------
    InputError
        The array has another shape, or values are not finite numbers.
    """
    field = _numbers(values(x) if callable(values) else values, name)
    if field.ndim == 0:
        field = np.full(x.shape, float(field))
    if field.shape != x.shape:
        raise InputError(f"{name} has shape {field.shape}, the line {x.shape}: give one value a point")
    if not np.isfinite(field).all():
        where = int(np.argmin(np.isfinite(field)))
        raise InputError(f"{name} is {field[where]} at x={x[where]:g}: give finite values")
    return field


def on_side(
    values: float | PlaneFunction, grid: Grid, axis: int, end: int, along: Sequence[Field], name: str
) -> Field:
    """Evaluate boundary data at positions on a side: the beginning (end 0) or the end (-1) of an axis.

    Parameters
    ----------
    values
        A number, or a function of the coordinates.
    grid, axis, end
        The side.
    along
        Coordinates along the other axes of the grid, in their order, which broadcast to the shape of the result.
    name
        Name of the data, for messages.

    Raises
    ------
    InputError
        Values are not finite numbers.
    """
    points = list(np.broadcast_arrays(*along)) if along else []
    shape = points[0].shape if points else ()
    points.insert(axis, np.full(shape, 0.0 if end == 0 else grid.lengths[axis]))
    points.reverse()
    field = _evaluated(values, points, name) if callable(values) else _numbers(values, name)
    if field.ndim and not callable(values):
        raise InputError(
            f"{name} has shape {field.shape}: give a number or a function of {_arguments(points)}"
        )
    field = np.broadcast_to(field, shape).copy()
    if not np.isfinite(field).all():
        at = tuple(np.argwhere(~np.isfinite(field))[0])
        where = ", ".join(f"{dim}={value[at]:g}" for dim, value in zip(ARGUMENTS, points, strict=False))
        raise InputError(f"{name} is {field[at]} at {where}: give finite values")
    return field


def _arguments(points: Sequence[Field]) -> str:
    names = ARGUMENTS[: len(points)]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _evaluated(function: PlaneFunction, points: Sequence[Field], name: str) -> Field:
    """Evaluate a function at points: x, y and z, as many as the grid has axes."""
    result = _numbers(function(*points), name)
    try:
        return np.broadcast_to(result, points[0].shape)
    except ValueError:
        names = ", ".join(ARGUMENTS[: len(points)])
        raise InputError(
            f"{name}({names}) has shape {result.shape} for x of shape {points[0].shape}: return one value a point"
        ) from None


def in_axes(values: Any) -> npt.NDArray[Any]:
    """Convert to an array: labelled axes are transposed to (z, y, x), masked values become NaN."""
    dims = getattr(values, "dims", ())
    if len(dims) > 1 and set(dims) <= set(SPACE):
        values = values.transpose(*(dim for dim in SPACE if dim in dims))
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        return np.where(np.ma.getmaskarray(values), np.nan, values.data)
    return np.asarray(values)


def _numbers(values: object, name: str) -> Field:
    try:
        numbers = in_axes(values)
        if np.iscomplexobj(numbers) or values is None:
            raise TypeError
        return numbers.astype(np.float64)
    except (TypeError, ValueError):
        shown = repr(values)
        shown = shown if len(shown) < 60 else f"a {type(values).__name__}"
        raise InputError(
            f"{name}={shown}: give a real number, an array (y, x), or a function of x and y"
        ) from None
