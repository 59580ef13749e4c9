"""Checks that a dataset has the variables, frames and faces that a derived field needs."""

from __future__ import annotations

from typing import Final

import xarray as xr

from sciml.errors import InputError, MissingVariable
from sciml.wrf.dimensions import check_dimensions, check_time, dimensions_of
from sciml.wrf.missing import describe_missing, missing
from sciml.wrf.origin import other_origin
from sciml.wrf.units import check_units
from sciml.wrf.variables import TABLE

__all__ = ["STAGGERED", "require", "require_all", "require_faces", "require_frames", "where"]

STAGGERED: Final = ("west_east_stag", "south_north_stag", "bottom_top_stag")
"""Dimensions along cell faces."""


def where(ds: xr.Dataset) -> str:
    """The file a dataset came from, for messages."""
    return str(ds.encoding.get("source", ds.attrs.get("SOURCE", "the dataset")))


def require(ds: xr.Dataset, name: str, why: str = "") -> xr.DataArray:
    """A variable of the dataset.

    Raises
    ------
    MissingVariable
        Telling whether WRF writes it unasked, or else the `iofields` line that makes WRF write it.
    InputError
        Its dimensions were renamed, its units are not WRF's, or it sits on faces that do not fit the grid
        (`require_faces`).
    """
    if name not in ds.variables:
        raise missing(name, where(ds), why, other_origin(ds))
    found = ds[name]
    check_units(name, found.attrs, where(ds))
    if name in TABLE and not set(found.dims) <= set(dimensions_of(TABLE[name])):
        check_dimensions(ds, where(ds))
    if any(dim in STAGGERED for dim in found.dims):
        require_faces(ds)
    return found


def require_all(ds: xr.Dataset, names: tuple[str, ...]) -> list[xr.DataArray]:
    """Several variables of the dataset.

    Raises
    ------
    MissingVariable
        Naming all that are not there.
    InputError
        As `require`.
    """
    absent = [name for name in names if name not in ds.variables]
    if absent:
        raise MissingVariable(describe_missing(absent, where(ds), origin=other_origin(ds)))
    return [require(ds, name) for name in names]


def require_faces(ds: xr.Dataset) -> None:
    """Refuse a dataset whose grid was cropped and its faces not, or the other way round.

    Raises
    ------
    InputError
        A staggered dimension is not one longer than the mass points.
    """
    for stag in STAGGERED:
        dim = stag.removesuffix("_stag")
        if stag in ds.sizes and dim in ds.sizes and ds.sizes[stag] != ds.sizes[dim] + 1:
            mass, faces = ds.sizes[dim], ds.sizes[stag]
            raise InputError(
                f"{where(ds)} has {dim} = {mass} but {stag} = {faces}, which must be {mass + 1}: crop both "
                f"alike, as in ds.isel({dim}=slice(0, {mass}), {stag}=slice(0, {mass + 1}))"
            )


def require_frames(ds: xr.Dataset) -> None:
    """Refuse a dataset without the dimension Time, or with dimensions that were renamed.

    Raises
    ------
    InputError
        With the line that renames the dimensions back, or that chooses one frame and keeps the dimension.
    """
    check_time(ds, where(ds))
    check_dimensions(ds, where(ds))
