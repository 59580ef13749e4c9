"""What several commands of `sciml coupling` are given: a folder with a library, and columns to try it on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["columns_of", "installed"]

SAMPLE = "wrfout_d01_convrad_24x24_5min.nc"


def installed(folder: Path) -> tuple[Path, Path]:
    """The library and the weights in a folder that `build` made.

    Raises
    ------
    InputError
        When one is not there, or there are several.
    """
    found = []
    remedy = f"make both with `sciml coupling build -o {folder} MODEL`"
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: {remedy}")
    for pattern, what in (("libsciml*.so", "library"), ("*.nc", "weights file")):
        there = sorted(folder.glob(pattern))
        if len(there) != 1:
            names = ", ".join(path.name for path in there)
            raise InputError(f"{folder} has {names or 'no ' + what} where one {what} is wanted: {remedy}")
        found.append(there[0])
    return found[0], found[1]


def columns_of(files: list[Path] | None, most: int | None) -> xr.Dataset:
    """The columns of files or of the sample; if there are too many, every so many."""
    from sciml.columns.open import open_columns
    from sciml.storage.packaged import packaged

    columns = open_columns(files or [packaged(SAMPLE)], keep="all")
    step = 1 if most is None else -(-columns.sizes["column"] // most)
    return columns.isel(column=slice(None, None, step)).load()
