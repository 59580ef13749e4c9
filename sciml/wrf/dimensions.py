"""Dimensions of WRF output, and how to rename dimensions that a tool renamed (CDO, ncrename, xwrf, salem, xarray)."""

from __future__ import annotations

from typing import Final

import xarray as xr

from sciml.errors import InputError
from sciml.wrf.variables import TABLE, Variable

__all__ = ["check_dimensions", "check_time", "dimensions_of", "renamed"]

WRF: Final = (
    "Time",
    "bottom_top",
    "south_north",
    "west_east",
    "bottom_top_stag",
    "south_north_stag",
    "west_east_stag",
)
_LEVEL: Final = ("lev", "level", "levels", "z", "k", "eta", "nz", "lev_2", "ilev", "model_level", "height")
_Y: Final = ("y", "lat", "latitude", "rlat", "j", "ny", "south-north", "projection_y_coordinate")
_X: Final = ("x", "lon", "longitude", "rlon", "i", "nx", "west-east", "projection_x_coordinate")
_TIME: Final = ("time", "xtime", "times", "t", "valid_time", "date", "datetime")
_WORDS: Final = {"Time": _TIME, "bottom_top": _LEVEL, "south_north": _Y, "west_east": _X}


def dimensions_of(row: Variable) -> tuple[str, ...]:
    """Dimensions of a variable in WRF output."""
    level = "bottom_top_stag" if row.stagger == "Z" else "bottom_top"
    y = "south_north_stag" if row.stagger == "Y" else "south_north"
    x = "west_east_stag" if row.stagger == "X" else "west_east"
    inner = {"3d": (level, y, x), "2d": (y, x), "1d": (level,), "0d": ()}[row.dims]
    return ("Time", *inner)


def _meaning(dim: str) -> str:
    """Unstaggered dimension of WRF for a name that other tools use; "" if the name is not known."""
    word = dim.lower().removesuffix("_stag").removesuffix("_dim").removesuffix("_2").removesuffix("_3")
    return next((own for own, words in _WORDS.items() if word in words or word == own.lower()), "")


def _pairs(dims: tuple[str, ...], own: tuple[str, ...]) -> dict[str, str]:
    """Map the dimensions of a variable to WRF's; empty if the mapping is ambiguous."""
    if len(dims) == len(own) - 1 and own[0] == "Time":
        if dims and _meaning(dims[0]) == "Time":
            return {}
        own = own[1:]
    if len(dims) != len(own):
        return {}
    out = {dim: dim for dim in dims if dim in own}
    rest = [dim for dim in own if dim not in out]
    for dim in dims:
        if dim not in out:
            named = [candidate for candidate in rest if candidate.removesuffix("_stag") == _meaning(dim)]
            if len(named) == 1:
                out[dim] = named[0]
                rest.remove(named[0])
    # Dimensions without a known name are in WRF's own order.
    unknown = [dim for dim in dims if dim not in out]
    out |= dict(zip(unknown, rest, strict=True))
    return out


def renamed(ds: xr.Dataset) -> dict[str, str]:
    """New names for renamed dimensions of a dataset, {name in the dataset: WRF's name}.

    They are derived from the variables whose dimensions are known (`sciml.wrf.variables`). The mapping is empty if
    no dimension was renamed, or if it is ambiguous.

    Examples
    --------
    >>> renamed(xr.Dataset({"PSFC": (("time", "lat", "lon"), [[[1e5]]])}))
    {'time': 'Time', 'lat': 'south_north', 'lon': 'west_east'}
    """
    out: dict[str, str] = {}
    full = [(str(name), variable.dims) for name, variable in ds.variables.items() if str(name) in TABLE]
    for name, dims in sorted(full, key=lambda pair: -len(pair[1])):
        row = TABLE[name]
        if row.role == "coordinate" or "column" in dims:
            continue
        for dim, own in _pairs(tuple(map(str, dims)), dimensions_of(row)).items():
            if dim != own and dim not in WRF:
                out.setdefault(dim, own)
    # Two dimensions must not get the same name.
    names = list(out.values())
    return {dim: own for dim, own in out.items() if own not in ds.sizes and names.count(own) == 1}


def check_dimensions(ds: xr.Dataset, source: str) -> None:
    """Check that no dimension was renamed.

    Raises
    ------
    InputError
        A dimension was renamed. The message has the lines that rename it back, for xarray and NCO.
    """
    names = renamed(ds)
    if not names:
        return
    listed = ", ".join(f"{own} is named {dim}" for dim, own in names.items())
    taken = [own for own in names.values() if own in ds.variables]
    drop = f".drop_vars({taken!r})" if taken else ""
    options = " ".join(f"-d {dim},{own}" for dim, own in names.items())
    raise InputError(
        f"{source} has renamed dimensions ({listed}): rename them back, ds = ds{drop}.rename({names!r}), or "
        f"in the file, ncrename {options}"
    )


def check_time(ds: xr.Dataset, source: str) -> None:
    """Check that a dataset has the dimension Time.

    Raises
    ------
    InputError
        The dimension is missing. The message has the line that restores it, or names the renamed dimension.
    """
    if "Time" in ds.dims:
        return
    check_dimensions(ds, source)
    sizes = ", ".join(map(str, ds.dims)) or "none"
    known = any(name in ds.variables for name in TABLE)
    remedy = (
        "it has one frame, and its dimension was removed: ds = ds.expand_dims('Time') restores it (or select "
        "one frame by a list, ds.isel(Time=[0]), which preserves it)"
        if known
        else "of WRF output, select one frame by a list, ds.isel(Time=[0]), which preserves the dimension"
    )
    raise InputError(f"{source} has no dimension Time (dimensions: {sizes}): {remedy}")
