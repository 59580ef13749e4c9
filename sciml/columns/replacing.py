"""Checks of the path of a store that will be written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import zarr

from sciml.errors import InputError

__all__ = ["check_replaceable", "check_store_name"]

FILES: Final = (
    ".nc",
    ".nc4",
    ".cdf",
    ".h5",
    ".hdf5",
    ".he5",
    ".grib",
    ".csv",
    ".npz",
    ".npy",
    ".sciml",
    ".zip",
)
"""Endings of file names, in lower case. A store is a folder, so its name has none of them."""


def check_store_name(output: Path) -> None:
    """Check that the name is not one of a file.

    Raises
    ------
    InputError
        The name has the ending of a file.
    """
    if output.suffix.lower() in FILES:
        raise InputError(
            f"{output.name} is the name of a file, but a store of columns is a zarr folder: give {output.stem}.zarr"
        )


def check_replaceable(output: Path, inputs: Iterable[Path]) -> None:
    """Check that the output is a store of columns, and contains no inputs.

    Raises
    ------
    InputError
        The output is something else, which the message describes.
    """
    for path in inputs:
        if path == output or output in path.parents:
            raise InputError(f"{output} contains an input ({path.name}): choose another name for the store")
    if not output.is_dir():
        raise InputError(f"{output} is not a store of columns, and is not replaced: choose another name")
    try:
        ours = "sciml_schema" in zarr.open_group(output, mode="r").attrs
    except (OSError, ValueError, KeyError):
        ours = False
    if not ours:
        some = ", ".join(sorted(p.name for p in output.iterdir())[:3]) or "nothing"
        raise InputError(
            f"{output} is a folder but not a store of columns (it contains {some}), and is not replaced: choose "
            "another name"
        )
