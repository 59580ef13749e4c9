"""The terms of a linear elliptic problem on a grid: what every discretisation starts from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from sciml.errors import InputError
from sciml.pde.grid import Field, Grid

__all__ = ["Function", "Terms", "Values", "sampled"]

Function: TypeAlias = Callable[[Field, Field], npt.ArrayLike]
"""Of x and y, arrays of one shape."""
Values: TypeAlias = float | npt.NDArray[np.floating] | Function
"""A number, an array (y, x) on the grid, or a function of x and y."""


@dataclass(frozen=True, eq=False)
class Terms:
    """-div(diffusion grad u) + velocity . grad u + reaction u = source, with its boundary data.

    Parameters
    ----------
    grid
        Where u lives.
    diffusion, reaction, source
        Fields (y, x) at the unknowns.
    velocity
        Its x and y components as numbers, fields or functions, or None.
    boundary_value
        u on the Dirichlet sides, a number or a function of x and y.
    flux
        diffusion * du/dn, n outward, on the Neumann sides, likewise.
    """

    grid: Grid
    diffusion: Field
    source: Field
    reaction: Field | None = None
    velocity: tuple[Values, Values] | None = None
    boundary_value: float | Function = 0.0
    flux: float | Function = 0.0


def sampled(values: Values, grid: Grid, name: str) -> Field:
    """A number, array or function on a grid, as a field (y, x).

    Raises
    ------
    InputError
        An array of another shape, or values that are not finite.
    """
    if callable(values):
        x, y = grid.mesh()
        values = np.broadcast_to(np.asarray(values(x, y), dtype=np.float64), grid.shape)
    field = np.asarray(values, dtype=np.float64)
    if field.ndim == 0:
        field = np.full(grid.shape, float(field))
    if field.shape != grid.shape:
        raise InputError(f"{name} has shape {field.shape}, the grid {grid.shape}: give one value an unknown")
    if not np.isfinite(field).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(field))[0])
        raise InputError(f"{name} is {field[where]} at (y, x) = {where}: give finite values")
    return np.ascontiguousarray(field)
