"""What users of a dataset must know of the accuracy of its solutions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.pde.dataset import family_of, grid_told, parameters_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["caution_of"]


def caution_of(dataset: xr.Dataset) -> str:
    """What users of a dataset's solutions must know of their accuracy; "" where there is nothing.

    It is the attribute ``caution``, or what the family says of the grid (`sciml.pde.helmholtz`).
    """
    told = dataset.attrs.get("caution")
    waves = dataset.attrs.get("family") == "helmholtz" or parameters_of(dataset).get("problem") == "Helmholtz"
    if told or not waves or not dataset.attrs.get("grid"):
        return str(told or "")
    family, grid = family_of(dataset), grid_told(dataset)
    return family.caution(family.problem(grid.shape, 7)) if grid.centring == "vertex" else ""
