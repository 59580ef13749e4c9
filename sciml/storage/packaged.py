"""The package's own data files: in `data/` of a checkout, in `sciml/data/` of an installed wheel."""

from __future__ import annotations

from pathlib import Path

from sciml.errors import InputError

__all__ = ["packaged"]

PACKAGE = Path(__file__).resolve().parent.parent


def folder() -> Path:
    """Return the folder of the package's data, of a checkout or of an installed wheel."""
    installed = PACKAGE / "data"
    return installed if installed.is_dir() else PACKAGE.parent / "data"


def packaged(name: str) -> Path:
    """Find a data file that comes with the package.

    Parameters
    ----------
    name
        The file's name, as ``"mskf-convrad.sciml"``.

    Returns
    -------
    Path
        The existing file (or folder).

    Raises
    ------
    InputError
        If there is no such file; the message lists the files that exist.

    Examples
    --------
    >>> packaged("wrfout_d01_convrad_24x24_5min.nc").suffix
    '.nc'
    """
    place = folder()
    path = place / name
    if Path(name).is_absolute() or ".." in Path(name).parts or not path.exists():
        known = ", ".join(sorted(entry.name for entry in place.iterdir())) if place.is_dir() else "nothing"
        raise InputError(f"no data file {name!r} comes with sciml: {place} holds {known}")
    return path
