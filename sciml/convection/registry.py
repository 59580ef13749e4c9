"""The column networks by name: what ``--network`` and a checkpoint may name.

Each network of this package has an entry in `_BUILT_IN`; `register` adds others, which have the names of
`sciml.convection.column_network.ColumnNetwork`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from sciml.errors import InputError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["DEFAULT", "class_of", "commands", "register"]

DEFAULT = "plume-closure"
NEEDED = (
    *(
        "command",
        "settings",
        "targets",
        "fit",
        "facts",
        "selects",
        "least_levels",
        "absent",
        "kernel",
        "scaling",
    ),
    *("shape_of", "fitted", "from_json", "prepare", "calibrate", "losses", "measured", "observe", "answer"),
    "describe",
)


class _Place(NamedTuple):
    """Module and class of a network, which can be named without importing torch."""

    module: str
    name: str


_BUILT_IN: Mapping[str, _Place] = {
    DEFAULT: _Place("sciml.convection.network", "Closure"),
    "bilstm": _Place("sciml.convection.bilstm", "ColumnBiLSTM"),
    "published": _Place("sciml.convection.published_bilstm", "PublishedBiLSTM"),
    "transformer": _Place("sciml.convection.transformer", "ColumnTransformer"),
}
REGISTERED: dict[str, type[nn.Module]] = {}
"""Classes that `register` added, by their command."""


def register(network: type[nn.Module]) -> type[nn.Module]:
    """Add a network class under its ``command``, in this process; usable as a decorator.

    Parameters
    ----------
    network
        Class with the names of `sciml.convection.column_network.ColumnNetwork`.

    Raises
    ------
    InputError
        The class has not all of these names, or its command is in use.
    """
    missing = [name for name in NEEDED if not hasattr(network, name)]
    if not isinstance(network, type) or missing:
        raise InputError(
            f"register({network!r}): give a network class with all names of ColumnNetwork; "
            f"{', '.join(missing)} is not there"
        )
    command = str(network.command)  # type: ignore[attr-defined]
    if command in _BUILT_IN or REGISTERED.get(command, network) is not network:
        raise InputError(f"register({network.__name__}): there is another network {command}: rename it")
    REGISTERED[command] = network
    return network


def commands() -> tuple[str, ...]:
    """Return the names of all networks; none is loaded.

    Examples
    --------
    >>> commands()[:3]
    ('plume-closure', 'bilstm', 'published')
    """
    return (*_BUILT_IN, *REGISTERED)


def class_of(command: object) -> Any:
    """Return the class of a network.

    Raises
    ------
    InputError
        The name is unknown.
    """
    if isinstance(command, str) and command in REGISTERED:
        return REGISTERED[command]
    if not isinstance(command, str) or command not in _BUILT_IN:
        raise InputError(f"network {command!r}: give {', '.join(commands())}")
    place = _BUILT_IN[command]
    return getattr(importlib.import_module(place.module), place.name)
