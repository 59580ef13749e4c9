"""The terms of a linear elliptic problem on a grid, the input of the discretisations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml.errors import InputError
from sciml.pde.grid import Field, Grid

__all__ = [
    "PlaneFunction",
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

PlaneFunction: TypeAlias = Callable[[Field, Field], npt.ArrayLike]
"""Function of x and y, arrays of one shape."""
LineFunction: TypeAlias = Callable[[Field], npt.ArrayLike]
"""Function of x."""
Values: TypeAlias = float | npt.NDArray[np.floating] | PlaneFunction
"""Number, array (y, x) on the grid, or function of x and y."""


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
        diffusion * du/dn on the Neumann sides, n the outward normal: a number or a function of x and y.
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
    velocity: tuple[Values, Values] | None = None
    boundary_value: float | PlaneFunction = 0.0
    flux: float | PlaneFunction = 0.0
    scheme: Scheme = "finite_volume"
    mass: Mass = "consistent"


def sampled(values: Values, grid: Grid, name: str) -> Field:
    """Evaluate a number, array or function on a grid, as a field (y, x); labelled arrays need dims y and x.

    Raises
    ------
    InputError
        The array or the result of the function has another shape than the grid, or values are not finite numbers.

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


def on_side(values: float | PlaneFunction, grid: Grid, axis: int, end: int, along: Field, name: str) -> Field:
    """Evaluate boundary data at positions along a side: the beginning (end 0) or the end (-1) of an axis.

    Raises
    ------
    InputError
        Values are not finite numbers.
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


def _evaluated(function: PlaneFunction, x: Field, y: Field, name: str) -> Field:
    result = _numbers(function(x, y), name)
    try:
        return np.broadcast_to(result, x.shape)
    except ValueError:
        raise InputError(
            f"{name}(x, y) has shape {result.shape} for x of shape {x.shape}: return one value a point"
        ) from None


def in_axes(values: Any) -> npt.NDArray[Any]:
    """Convert to an array: labelled axes are transposed to (y, x), masked values become NaN."""
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
