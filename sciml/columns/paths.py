"""Expansion of paths, patterns and folders to files of WRF output or captures."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sciml.errors import InputError
from sciml.wrf.paths import PathLike, expand

__all__ = ["expand_columns"]

_CAPTURES: Final = "sciml_mskf_capture_*.nc"


def expand_columns(paths: PathLike | Iterable[PathLike]) -> list[Path]:
    """Expand paths to files, as `sciml.wrf.paths.expand`; a folder that has only captures gives the captures.

    Raises
    ------
    InputError
        As in `expand`; or a folder has both captures and wrfout files, whose columns would differ.
    """
    items = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    return [path for item in items for path in _files(item)]


def _files(item: PathLike) -> list[Path]:
    folder = Path(item).expanduser()
    captures = sorted(folder.glob(_CAPTURES)) if folder.is_dir() else []
    if not captures:
        return expand(item)
    wrfouts = sorted(folder.glob("wrfout_d[0-9][0-9]*"))
    if wrfouts:
        raise InputError(
            f"{folder} contains {len(captures)} captures and {len(wrfouts)} wrfout files: give '{folder}/{_CAPTURES}' "
            f"or '{folder}/{wrfouts[0].name[:10]}_*'"
        )
    return captures
