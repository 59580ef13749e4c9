"""The solution of a PDE problem, for every algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sciml.errors import InputError
from sciml.pde.grid import Field, Grid
from sciml.solve import Result
from sciml.tables import html_table, named_values, number_or_switch

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FieldSolution", "axis_attributes", "field_attributes", "labelled"]


@dataclass(frozen=True, eq=False)
class FieldSolution:
    """Solution of a PDE problem: a field, the result of the algorithm and its statistics.

    Parameters
    ----------
    u
        Field (y, x), (time, y, x) or (time, x) with its coordinates; (x) on a line, (z, y, x) in a box, (unknown)
        without a grid.
    result
        Result of the algorithm; its value is the remedy.
    stats
        Statistics by name: ``cycles``, ``seconds``, ``seconds_setup``, ``relative_residual`` and others. Counts are
        ints, and flags are bools.
    residuals
        Relative residual norms (cycle + 1,), starting before the first cycle; empty for algorithms without cycles.
    error_bound
        Guaranteed upper bound of the algebraic error in the energy norm, or None if there is no guarantee.
    notes
        Remarks on this solution: how it was transferred to this grid, and why the result is NOVEL.

    Examples
    --------
    >>> from sciml.pde import Direct, Poisson
    >>> from sciml.solve import solve
    >>> solve(Poisson(31), Direct())
    FieldSolution: SUCCESS
      grid                           31 x 31
      relative residual         ...
    """

    u: xr.DataArray
    result: Result
    stats: Mapping[str, float]
    residuals: tuple[float, ...] = field(default=(), repr=False)
    error_bound: float | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"FieldSolution: {self.result.name}"]
        lines += named_values(self._rows())
        return "\n".join(lines + [f"  {note}" for note in self.notes])

    __repr__ = __str__  # the arrays are not printed

    def _rows(self) -> list[tuple[str, str]]:
        rows = [("grid", " x ".join(str(n) for n in self.u.shape))]
        if self.error_bound is not None:
            rows.append(("error bound (energy)", f"{self.error_bound:.3e}"))
        return rows + [
            (name.replace("_", " "), number_or_switch(value)) for name, value in self.stats.items()
        ]

    def _repr_html_(self) -> str:
        note = "; ".join(text for text in (self.result.value, *self.notes) if text)
        return html_table(f"FieldSolution: {self.result.name}", self._rows(), note=note)


def labelled(values: Field, grid: Grid | None, name: str = "u") -> xr.DataArray:
    """Label a field with the coordinates of its grid; without a grid, by the numbers of the unknowns.

    Parameters
    ----------
    values
        Field of the shape of the grid, or vector of all unknowns (n,).
    grid
        Grid of the values, or None.
    name
        Name of the result.

    Returns
    -------
    xr.DataArray
        Field with coordinates and attributes for plots; (unknown,) without a grid.

    Raises
    ------
    InputError
        The number of values differs from the number of unknowns.

    Examples
    --------
    >>> import numpy as np
    >>> labelled(np.arange(9.0), Grid((3, 3))).sel(x=0.5, y=0.25).item()
    1.0
    """
    import xarray as xr

    if grid is None:
        numbers = ("unknown", np.arange(values.size), {"long_name": "number of the unknown"})
        attributes = field_attributes("solution")
        return xr.DataArray(values.ravel(), {"unknown": numbers}, ("unknown",), name=name, attrs=attributes)
    if values.size != grid.size:
        raise InputError(f"{name} has shape {values.shape}, the grid {grid.shape}: give one value an unknown")
    coords = {
        dim: (dim, points, axis_attributes(dim))
        for dim, points in zip(grid.dims, grid.coordinates(), strict=True)
    }
    field = values.reshape(grid.shape)
    return xr.DataArray(field, coords, grid.dims, name=name, attrs=field_attributes("solution"))


def axis_attributes(dim: str) -> dict[str, str]:
    """Return the attributes from which xarray labels the axis of a plot; the problems have no units."""
    return {"long_name": "time" if dim == "time" else f"position along {dim}", "units": "1"}


def field_attributes(name: str) -> dict[str, str]:
    """Return the attributes from which xarray labels a plot of this field."""
    return {"long_name": name.replace("_", " "), "units": "1"}
