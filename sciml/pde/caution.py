"""Cautions on the accuracy of the solutions of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.pde.attributes import grid_in_attributes, parameters_of
from sciml.pde.dataset import family_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["caution_of"]


def caution_of(dataset: xr.Dataset) -> str:
    """Return the caution on the accuracy of the solutions of a dataset; "" if there is none.

    The caution is the attribute ``caution``, else that of the family for the grid (see `sciml.pde.helmholtz`).
    """
    stated = dataset.attrs.get("caution")
    waves = dataset.attrs.get("family") == "helmholtz" or parameters_of(dataset).get("problem") == "Helmholtz"
    if stated or not waves or not dataset.attrs.get("grid"):
        return str(stated or "")
    family, grid = family_of(dataset), grid_in_attributes(dataset)
    return family.caution(family.problem(grid.shape, 7)) if grid.centring == "vertex" else ""
