"""The terms of a linear elliptic problem on a grid, from which every discretisation starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml.errors import InputError
from sciml.pde.grid import Field, Grid

__all__ = [
    "Function",
    "LineFunction",
    "Mass",
    "Scheme",
    "Terms",
    "Values",
    "in_axes",
    "on_side",
    "sampled",
    "sampled_on_line",
]

Scheme = Literal["finite_volume", "finite_element"]
Mass = Literal["consistent", "blended"]

Function: TypeAlias = Callable[[Field, Field], npt.ArrayLike]
"""Of x and y, arrays of one shape."""
LineFunction: TypeAlias = Callable[[Field], npt.ArrayLike]
"""Of x."""
Values: TypeAlias = float | npt.NDArray[np.floating] | Function
"""A number, an array (y, x) on the grid, or a function of x and y."""


@dataclass(frozen=True, eq=False)
class Terms:
    """-div(diffusion grad u) + velocity . grad u + reaction u = source, with its boundary data.

    Parameters
    ----------
    grid
        Grid of u.
    diffusion, reaction, source
        Fields (y, x) at the unknowns.
    velocity
        Components of the velocity along x and y as numbers, fields or functions, or None.
    boundary_value
        u on the Dirichlet sides, a number or a function of x and y.
    flux
        diffusion * du/dn, n outward, on the Neumann sides, likewise.
    scheme
        The scheme that `discretize` uses where none is given.
    mass
        Of finite elements: ``consistent``, or ``blended``, the mean of the consistent and the lumped one along each
        axis, whose waves have a phase error of fourth order instead of second (see `sciml.pde.finite_element`).
    """

    grid: Grid
    diffusion: Field
    source: Field
    reaction: Field | None = None
    velocity: tuple[Values, Values] | None = None
    boundary_value: float | Function = 0.0
    flux: float | Function = 0.0
    scheme: Scheme = "finite_volume"
    mass: Mass = "consistent"


def sampled(values: Values, grid: Grid, name: str) -> Field:
    """A number, array or function on a grid, as a field (y, x); a labelled array by its dims y and x.

    Raises
    ------
    InputError
        An array of another shape, a function that gives none of the grid's, or values that are not finite numbers.

    Examples
    --------
    >>> float(sampled(lambda x, y: x + 10 * y, Grid((3, 3)), "source")[0, 2])
    3.25
    """
    field = _evaluated(values, *grid.mesh(), name) if callable(values) else _numbers(values, name)
    if field.ndim == 0:
        field = np.full(grid.shape, float(field))
    if field.shape != grid.shape:
        raise InputError(f"{name} has shape {field.shape}, the grid {grid.shape}: give one value an unknown")
    if not np.isfinite(field).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(field))[0])
        raise InputError(f"{name} is {field[where]} at (y, x) = {where}: give finite values")
    return np.ascontiguousarray(field)


def sampled_on_line(values: float | npt.NDArray[Any] | LineFunction, x: Field, name: str) -> Field:
    """A number, array or function at the points of a line.

    Raises
    ------
    InputError
        An array of another shape, or values that are not finite numbers.
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


def on_side(values: float | Function, grid: Grid, axis: int, end: int, along: Field, name: str) -> Field:
    """Boundary data at positions along a side: the beginning (end 0) or the end (-1) of an axis.

    Raises
    ------
    InputError
        Values that are not finite numbers.
    """
    place = np.full_like(along, 0.0 if end == 0 else grid.lengths[axis])
    x, y = (along, place) if axis == 0 else (place, along)
    field = _evaluated(values, x, y, name) if callable(values) else _numbers(values, name)
    if field.ndim and not callable(values):
        raise InputError(f"{name} has shape {field.shape}: give a number or a function of x and y")
    field = np.broadcast_to(field, along.shape).copy()
    if not np.isfinite(field).all():
        at = np.argwhere(~np.isfinite(field))[0]
        raise InputError(
            f"{name} is {field[tuple(at)]} at x={x[tuple(at)]:g}, y={y[tuple(at)]:g}: give finite values"
        )
    return field


def _evaluated(function: Function, x: Field, y: Field, name: str) -> Field:
    result = _numbers(function(x, y), name)
    try:
        return np.broadcast_to(result, x.shape)
    except ValueError:
        raise InputError(
            f"{name}(x, y) has shape {result.shape} for x of shape {x.shape}: return one value a point"
        ) from None


def in_axes(values: Any) -> npt.NDArray[Any]:
    """An array, the axes of a labelled one in the order (y, x), and NaN where a mask hides the value."""
    if set(getattr(values, "dims", ())) == {"y", "x"}:
        values = values.transpose("y", "x")
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
