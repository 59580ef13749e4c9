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
    """Name of the file of a dataset, for messages."""
    return str(ds.encoding.get("source", ds.attrs.get("SOURCE", "the dataset")))


def require(ds: xr.Dataset, name: str, why: str = "") -> xr.DataArray:
    """A variable of the dataset, with WRF's dimensions and units.

    Raises
    ------
    MissingVariable
        The variable is missing. The message has the `iofields` line if WRF does not write it by default.
    InputError
        Its dimensions were renamed, its units are not WRF's, or it lies on faces that do not fit the grid
        (`require_faces`).
    """
    if name not in ds.variables:
        raise missing(name, where(ds), why, other_origin(ds))
    array = ds[name]
    check_units(name, array.attrs, where(ds))
    if name in TABLE and not set(array.dims) <= set(dimensions_of(TABLE[name])):
        check_dimensions(ds, where(ds))
    if any(dim in STAGGERED for dim in array.dims):
        require_faces(ds)
    return array


def require_all(ds: xr.Dataset, names: tuple[str, ...]) -> list[xr.DataArray]:
    """Several variables of the dataset.

    Raises
    ------
    MissingVariable
        Variables are missing; the message lists all of them.
    InputError
        As in `require`.
    """
    absent = [name for name in names if name not in ds.variables]
    if absent:
        raise MissingVariable(describe_missing(absent, where(ds), origin=other_origin(ds)))
    return [require(ds, name) for name in names]


def require_faces(ds: xr.Dataset) -> None:
    """Check that faces and mass points fit, which they do not if only one of them was cropped.

    Raises
    ------
    InputError
        The length of a staggered dimension is not that of the mass points plus 1.
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
    """Check that a dataset has the dimension Time, and that no dimension was renamed.

    Raises
    ------
    InputError
        The message has the line that renames the dimensions back, or that selects a frame with its dimension.
    """
    check_time(ds, where(ds))
    check_dimensions(ds, where(ds))
