"""What solving a PDE gives, whatever the algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sciml.errors import InputError
from sciml.pde.grid import Field, Grid
from sciml.solve import Result
from sciml.tables import html_table

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FieldSolution", "labelled"]


@dataclass(frozen=True, eq=False)
class FieldSolution:
    """A field and how it was found.

    Parameters
    ----------
    u
        (y, x), or (time, y, x) or (time, x), with its coordinates.
    result
        How it ended.
    stats
        Numbers worth knowing: ``cycles``, ``seconds``, ``seconds_setup``, ``relative_residual``, ...
    residuals
        Relative residual norms, cycle by cycle, the first before any; empty where there were no cycles.
    error_bound
        Guaranteed upper bound of the algebraic error in the energy norm, or None where nothing is guaranteed.
    notes
        What to know of this answer: how it came to this grid, and why the result is NOVEL.
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

    def _rows(self) -> list[tuple[str, str]]:
        rows = [("grid", " x ".join(str(n) for n in self.u.shape))]
        if self.error_bound is not None:
            rows.append(("error bound (energy)", f"{self.error_bound:.3e}"))
        return rows + [(name.replace("_", " "), f"{value:g}") for name, value in self.stats.items()]

    def _repr_html_(self) -> str:
        note = "; ".join(one for one in (self.result.value, *self.notes) if one)
        return html_table(f"FieldSolution: {self.result.name}", self._rows(), note=note)


def labelled(values: Field, grid: Grid, name: str = "u") -> xr.DataArray:
    """A field (y, x), or a vector, with the coordinates of its grid.

    Raises
    ------
    InputError
        Where there are more or fewer values than unknowns.

    Examples
    --------
    >>> import numpy as np
    >>> labelled(np.arange(9.0), Grid((3, 3))).sel(x=0.5, y=0.25).item()
    1.0
    """
    import xarray as xr

    if values.size != grid.size:
        raise InputError(f"{name} has shape {values.shape}, the grid {grid.shape}: give one value an unknown")
    y, x = grid.coordinates()
    return xr.DataArray(values.reshape(grid.shape), {"y": y, "x": x}, ("y", "x"), name=name)
