"""Planes of fields in a box, for pictures."""

from __future__ import annotations

from typing import TypeVar

import xarray as xr

__all__ = ["middle_plane"]

Labelled = TypeVar("Labelled", xr.Dataset, xr.DataArray)


def middle_plane(fields: Labelled) -> Labelled:
    """Return the plane (y, x) in the middle of fields (z, y, x); other fields are returned unchanged.

    Examples
    --------
    >>> middle_plane(xr.DataArray([[[1.0]], [[2.0]], [[3.0]]], dims=("z", "y", "x"))).item()
    2.0
    """
    return fields.isel(z=fields.sizes["z"] // 2) if "z" in fields.dims else fields
