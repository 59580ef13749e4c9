"""Expansion of paths, globs and folders to files."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from sciml.errors import InputError

__all__ = ["PathLike", "expand"]

PathLike = str | os.PathLike[str]
_MOST: Final = 5
_WRFOUT: Final = "wrfout_d[0-9][0-9]*"


def expand(paths: PathLike | Iterable[PathLike]) -> list[Path]:
    """Expand a path, a glob, a directory, or several of them, to files sorted by name.

    A ``~`` at the start of a path is the home directory.

    Raises
    ------
    InputError
        No file exists, a directory contains several domains or no WRF output, or an item is not a path.
    """
    if isinstance(paths, (str, bytes, os.PathLike)):
        paths = [paths]
    elif not isinstance(paths, Iterable):
        raise InputError(
            f"{_shown(paths)} is not a path: give a file, a glob, a directory, or a list of them"
        )
    files = [path for item in paths for path in _files(item)]
    if not files:
        raise InputError("no files were given: the list of paths is empty")
    return files


def _files(item: Any) -> list[Path]:
    if not isinstance(item, (str, bytes, os.PathLike)):
        raise InputError(f"{_shown(item)} is not a path: give a file, a glob, or a directory")
    text = os.fsdecode(item)
    if not text.strip():
        raise InputError(
            f"{item!r} is not a path: give a file, a glob, or a directory ('.' for the current one)"
        )
    if "://" in text:
        raise InputError(
            f"{text} is a URL, and only files are read: download it, or open it with xarray.open_dataset and give "
            "the dataset"
        )
    text = os.path.expanduser(text)
    path = Path(text)
    try:
        is_folder = path.is_dir()
        if path.is_file():
            return [path]
        matched = sorted(Path(p) for p in glob.glob(text) if Path(p).is_file())
    except (OSError, ValueError) as error:
        raise InputError(f"the search for {text} failed: {error}") from error
    if is_folder:
        return _inside(path)
    if not matched:
        raise InputError(_nothing(text))
    return matched


def _shown(item: Any) -> str:
    text = " ".join(repr(item).split())
    return f"{text[:60]}{'...' if len(text) > 60 else ''} ({type(item).__name__})"


def _inside(folder: Path) -> list[Path]:
    inside = sorted(p for p in folder.glob(_WRFOUT) if p.is_file())
    domains = sorted({p.name[:10] for p in inside})
    if len(domains) > 1:
        raise InputError(
            f"{folder} contains {len(domains)} domains ({', '.join(domains)}): "
            f"choose one, '{folder}/{domains[0]}_*'"
        )
    if inside:
        return inside
    if any((folder / name).exists() for name in ("zarr.json", ".zgroup")):
        raise InputError(
            f"{folder} contains no wrfout_d0* files: it is a zarr store, give the dataset from xr.open_zarr"
        )
    there = _listed(folder)
    if not there:
        raise InputError(f"{folder} is empty: it contains no wrfout_d0* files")
    examples = [pattern for pattern in ("*.nc", "*/wrfout_d01*", "wrfout*") if any(folder.glob(pattern))]
    remedy = f", such as '{folder}/{examples[0]}'" if examples else ", by their names or a pattern"
    raise InputError(f"{folder} contains no wrfout_d0* files, but {there}: give the files to open{remedy}")


def _listed(folder: Path) -> str:
    """First names in a folder, with a slash after names of folders; "" for an empty folder."""
    names = sorted(p.name + ("/" if p.is_dir() else "") for p in folder.iterdir())
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more


def _nothing(text: str) -> str:
    """Message for a path or a glob without a match."""
    is_pattern = glob.has_magic(text)
    folder = Path(text).parent
    start = f"no such file: {text}" + (" (no file matches this pattern" if is_pattern else " (")
    between = "; " if is_pattern else ""
    if glob.has_magic(str(folder)):
        return start + ")"
    if not folder.is_dir():
        return f"{start}{between}there is no directory {folder})"
    there = _listed(folder)
    return f"{start}{between}{folder} contains {there or 'nothing'})"
