"""Paths of a command: the files that it reads, and checks of those that it writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from sciml.errors import InputError

__all__ = ["STDOUT", "check_targets", "expand_inputs", "total_size"]

STDOUT = Path("-")
"""Path of standard output."""


def check_targets(targets: Mapping[str, Path | None], inputs: Iterable[str | Path]) -> None:
    """Raise before the work begins if an output cannot be written or would overwrite an input.

    Parameters
    ----------
    targets
        Output paths by the option that names them; ``--json`` may also be standard output.
    inputs
        Paths that the command reads.

    Raises
    ------
    InputError
        A target is a folder, a device or one of the inputs, or two options name the same file.
    """
    from sciml.storage.atomic import check_apart, check_replaceable

    read = list(inputs)
    options: dict[Path, str] = {}
    for option, path in targets.items():
        if path is None or (option == "--json" and path == STDOUT):
            continue
        check_replaceable(path)
        check_apart(path, read)
        earlier = options.setdefault(path.resolve(), option)
        if earlier != option:
            raise InputError(f"{earlier} and {option} both name {path}: give two different files")


def expand_inputs(given: Iterable[str | Path]) -> list[Path]:
    """Expand paths to files: glob patterns, folders with wrfouts, folders with a library and its weights."""
    from sciml.wrf.opening import expand

    paths: list[Path] = []
    for path in map(Path, given):
        folder = path.parent if path.suffix == ".so" else path
        beside = [*folder.glob("*.so"), *folder.glob("*.nc")] if folder.is_dir() else []
        with suppress(InputError):  # a store, a model or a missing file: opening it reports the error
            beside += expand(path)
        paths += [path, *beside]
    return paths


def total_size(path: Path) -> int:
    """Return the size of a file, or of all files in a folder, in bytes."""
    if not path.is_dir():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
