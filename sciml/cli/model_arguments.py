"""Arguments of commands that name a model, a folder with a built library, or columns to run it on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from sciml.solve import Algorithm

__all__ = ["find_library", "load_algorithm", "load_columns"]

SAMPLE = "wrfout_d01_convrad_24x24_5min.nc"


def find_library(folder: Path) -> tuple[Path, Path]:
    """Return the library and the weights file in a folder that `sciml coupling build` made.

    Raises
    ------
    InputError
        A file is missing, or there are several.
    """
    paths = []
    remedy = f"make both with `sciml coupling build -o {folder} MODEL`"
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: {remedy}")
    for pattern, kind in (("libsciml*.so", "library"), ("*.nc", "weights file")):
        matches = sorted(folder.glob(pattern))
        if len(matches) != 1:
            names = ", ".join(path.name for path in matches)
            raise InputError(f"{folder} has {names or 'no ' + kind}, but one {kind} is needed: {remedy}")
        paths.append(matches[0])
    return paths[0], paths[1]


def load_columns(files: list[Path] | None, most: int | None) -> xr.Dataset:
    """Load at most ``most`` evenly spaced columns of files, or of the packaged sample."""
    from sciml.columns.open import open_columns
    from sciml.storage.packaged import packaged

    columns = open_columns(files or [packaged(SAMPLE)], keep="all")
    step = 1 if most is None else -(-columns.sizes["column"] // most)
    return columns.isel(column=slice(None, None, step)).load()


def load_algorithm(model: str, weights: Path | None) -> Algorithm[Any, Any, Any]:
    """Load a checkpoint, a library with its weights, or the folder that `sciml coupling build` made."""
    path = Path(model)
    if path.suffix == ".so" or (path.is_dir() and any(path.glob("*.so"))):
        library, weights = _library_and_weights(path, weights)
        from sciml.coupling import FortranEmulator

        native: Algorithm[Any, Any, Any] = FortranEmulator(str(library), str(weights))
        return native
    if weights is not None:
        raise InputError(f"--weights {weights} goes with a library (*.so), and {model} is not a library")
    from sciml.convection.emulator import Emulator

    loaded: Algorithm[Any, Any, Any] = Emulator.load(model)
    return loaded


def _library_and_weights(path: Path, weights: Path | None) -> tuple[Path, Path]:
    """Return a library and its weights: the given files, or the only ones in the folder."""
    folder = path if path.is_dir() else path.parent

    def find_only(pattern: str, kind: str, remedy: str) -> Path:
        matches = sorted(folder.glob(pattern))
        if len(matches) != 1:
            names = ", ".join(match.name for match in matches) or "none"
            raise InputError(f"{folder} has {len(matches)} {kind} ({names}): {remedy}")
        return matches[0]

    library = find_only("libsciml*.so", "libraries", "name the library itself") if path.is_dir() else path
    if weights is None:
        weights = find_only("*.nc", "weights files", "give one with --weights")
    for file in (library, weights):
        if not file.is_file():
            raise InputError(f"{file} does not exist: make it with 'sciml coupling build -o DIR MODEL'")
    return library, weights
