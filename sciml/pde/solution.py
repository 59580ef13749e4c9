"""The solution of a PDE problem, for every algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sciml.errors import InputError
from sciml.pde.grid import Field, Grid
from sciml.solve import Result
from sciml.tables import html_table, number_or_switch

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FieldSolution", "axis_attributes", "field_attributes", "labelled"]


@dataclass(frozen=True, eq=False)
class FieldSolution:
    """A field, and how the algorithm ended that computed it.

    Parameters
    ----------
    u
        (y, x), or (time, y, x) or (time, x), with its coordinates.
    result
        How the algorithm ended, with its remedy.
    stats
        Statistics by name: ``cycles``, ``seconds``, ``seconds_setup``, ``relative_residual``, ... Counts are ints, and
        yes or no is a bool.
    residuals
        Relative residual norms, cycle by cycle, the first before any; empty where there were no cycles.
    error_bound
        Guaranteed upper bound of the algebraic error in the energy norm, or None where nothing is guaranteed.
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
        lines += [f"  {name:24}{value:>14}" for name, value in self._rows()]
        return "\n".join(lines + [f"  {note}" for note in self.notes])

    __repr__ = __str__  # not the arrays

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


def labelled(values: Field, grid: Grid, name: str = "u") -> xr.DataArray:
    """Label a field (y, x), or a vector, with the coordinates of its grid.

    Raises
    ------
    InputError
        The number of values is not the number of unknowns.

    Examples
    --------
    >>> import numpy as np
    >>> labelled(np.arange(9.0), Grid((3, 3))).sel(x=0.5, y=0.25).item()
    1.0
    """
    import xarray as xr

    if values.size != grid.size:
        raise InputError(f"{name} has shape {values.shape}, the grid {grid.shape}: give one value an unknown")
    coords = {
        dim: (dim, points, axis_attributes(dim))
        for dim, points in zip(("y", "x"), grid.coordinates(), strict=True)
    }
    field = values.reshape(grid.shape)
    return xr.DataArray(field, coords, ("y", "x"), name=name, attrs=field_attributes("solution"))


def axis_attributes(dim: str) -> dict[str, str]:
    """The attributes of a coordinate, from which xarray labels the axes of a plot; the problems have no units."""
    return {"long_name": "time" if dim == "time" else f"position along {dim}", "units": "1"}


def field_attributes(name: str) -> dict[str, str]:
    """The attributes of a field of this name, from which xarray labels a plot."""
    return {"long_name": name.replace("_", " "), "units": "1"}
