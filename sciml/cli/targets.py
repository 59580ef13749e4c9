"""Paths of a command: the files that it reads, and checks of those that it writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from sciml.errors import InputError
from sciml.parallel.launch import is_first_started

__all__ = ["STDOUT", "check_targets", "expand_inputs", "hold", "holding_outputs", "total_size"]

STDOUT = Path("-")
"""Path of standard output."""
_OUTPUTS: ContextVar[ExitStack | None] = ContextVar("outputs", default=None)
"""Locks of the outputs of the command that runs."""


@contextmanager
def holding_outputs() -> Iterator[None]:
    """Release the locks of a command's outputs at the end of the block, and those of the commands that it calls."""
    if _OUTPUTS.get() is not None:
        yield
        return
    with ExitStack() as stack:
        token = _OUTPUTS.set(stack)
        try:
            yield
        finally:
            _OUTPUTS.reset(token)


def hold(output: Path) -> None:
    """Lock an output until the end of the command, before the work begins.

    Raises
    ------
    InputError
        Another process writes it; the message names that process.
    SciMLError
        The folder is read-only, or the disk is full.
    """
    from sciml.storage.lock import owned

    stack = _OUTPUTS.get()
    if stack is not None and is_first_started():
        stack.enter_context(owned(output, nested=True))


def check_targets(targets: Mapping[str, Path | None], inputs: Iterable[str | Path]) -> None:
    """Raise before the work begins if an output cannot be written or would overwrite an input; lock the outputs.

    Parameters
    ----------
    targets
        Output paths by the option that names them; ``--json`` may also be standard output.
    inputs
        Paths that the command reads.

    Raises
    ------
    InputError
        A target is a folder, a device or one of the inputs, two options name the same file, or another process writes a
        target.
    SciMLError
        The folder of a target is read-only, or the disk is full.
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
    for path in options:
        hold(path)


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
