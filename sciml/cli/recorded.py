"""The record of a command: which arguments it reads, which it writes, and which do not change what it writes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, Final

from sciml.errors import InputError
from sciml.storage.provenance import Command, Given

__all__ = ["Role", "command_words", "describe_command", "named_paths", "role_of"]


class Role(StrEnum):
    """What an argument or an option is for."""

    INPUT = "input"
    """Files that the command reads."""
    OUTPUT = "output"
    """A file or folder that the command writes."""
    FREE = "free"
    """It changes neither values nor layout of what the command writes, and is not recorded."""
    VALUE = "value"
    """Anything else."""


ROLES: Final[Mapping[Role, frozenset[str]]] = {
    Role.INPUT: frozenset(
        (
            *(
                "compare",
                "config",
                "data",
                "features",
                "file",
                "files",
                "floor",
                "folder",
                "model",
                "operator",
            ),
            *("pairs", "plan", "prepend", "pretrained", "problem", "reference", "scheme", "sides", "source"),
            *("stored", "teacher", "validation", "weights"),
        )
    ),
    Role.OUTPUT: frozenset(("apply", "figure", "html_file", "json_file", "output", "undo")),
    Role.FREE: frozenset(
        ("anew", "cluster", "overwrite", "quiet", "restart", "threads", "time_limit", "workers")
    ),
}
"""Roles by the name of the argument or option; others are values."""
INPUTS_OF: Final = {("convection train", "columns"), ("convection augment", "columns")}
"""Inputs whose name is that of a value in other commands."""


def role_of(command: str, name: str) -> Role:
    """Return the role of an argument or option of a command, such as ``wrf columns``.

    Examples
    --------
    >>> role_of("wrf columns", "files"), role_of("wrf columns", "workers"), role_of("coupling check", "columns")
    (<Role.INPUT: 'input'>, <Role.FREE: 'free'>, <Role.VALUE: 'value'>)
    """
    if (command, name) in INPUTS_OF:
        return Role.INPUT
    if (command, name) == ("reproduce", "keep"):
        return Role.OUTPUT
    return next((role for role, names in ROLES.items() if name in names), Role.VALUE)


def describe_command(command: Any, ctx: Any, argv: Sequence[str]) -> Command:
    """Describe a command that is about to run, for the records of what it writes.

    Parameters
    ----------
    command, ctx
        The command and its context, with the parsed values.
    argv
        Its arguments as they were given.
    """
    name = " ".join(ctx.command_path.split()[1:]) or str(ctx.info_name)
    roles = {param.name: role_of(name, param.name) for param in command.get_params(ctx)}
    recorded = {key: value for key, value in ctx.params.items() if roles.get(key) in (Role.INPUT, Role.VALUE)}
    inputs = [
        Given(key, text, paths)
        for key, value in recorded.items()
        if roles[key] is Role.INPUT
        for text in _texts(value)
        if (paths := tuple(named_paths(text)))
    ]
    words = command_words(command, ctx, argv, lambda key: roles.get(key) in (Role.INPUT, Role.VALUE))
    options = {key: _plain(value) for key, value in recorded.items()}
    return Command((*name.split(), *words), options, tuple(inputs), (*name.split(), *argv))


def command_words(
    command: Any,
    ctx: Any,
    argv: Sequence[str],
    wanted: Callable[[str], bool],
    replacing: Mapping[str, Path] | None = None,
) -> list[str]:
    """Return the given options and arguments in the order of the command's declaration.

    Parameters
    ----------
    command, ctx, argv
        As in `describe_command`.
    wanted
        Function that returns whether an argument or option of that name is returned.
    replacing
        New values by old ones.
    """
    values, _, _ = command.make_parser(ctx).parse_args(args=list(argv))
    options: list[str] = []
    arguments: list[str] = []
    for param in command.get_params(ctx):
        value = values.get(param.name)
        if not wanted(param.name) or not isinstance(value, str | bool | list | tuple):
            continue
        listed = list(value) if isinstance(value, list | tuple) else [value]
        listed = [
            str((replacing or {}).get(item, item)) if isinstance(item, str) else item for item in listed
        ]
        if param.param_type_name == "argument":
            arguments += [item for item in listed if isinstance(item, str)]
            continue
        long = max(param.opts, key=len)
        for item in listed:
            if isinstance(item, str):
                options += [f"{long}={item}"]
            elif item or param.secondary_opts:
                options += [long if item else max(param.secondary_opts, key=len)]
    return [*options, *(["--"] if any(text.startswith("-") for text in arguments) else []), *arguments]


def named_paths(text: str) -> list[Path]:
    """Return the files and folders that the value of an argument names; none for the name of a family or the like.

    A name of a packaged checkpoint gives its file, ``d.zarr[3]`` the dataset, a pattern or a folder without a store its
    files.
    """
    from sciml.storage.atomic import STORES

    path = Path(text)
    sample = re.fullmatch(r"(.+)\[-?\d+\]", text)
    if not path.exists() and sample and Path(sample[1]).exists():
        path = Path(sample[1])
    if path.is_dir():
        if any((path / name).exists() for name in STORES):
            return [path]
    elif path.exists():
        return [path]
    with suppress(InputError):
        from sciml.wrf.paths import expand

        return expand(text)
    if path.is_dir():  # of a library, or of files that it wrote in WRF
        return sorted(entry for entry in path.iterdir() if entry.is_file() and entry.suffix in (".nc", ".so"))
    with suppress(InputError):
        from sciml.train.checkpoint import resolve

        return [resolve(text)]
    return []


def _texts(value: object) -> Iterable[str]:
    """Return the values of an argument as text: one, or those of a list."""
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]


def _plain(value: Any) -> Any:
    """Return a value of an option as a plain value of JSON."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
