"""The networks by name: the classes that a configuration may name, and the names of the command ``sciml pde train``.

A network of this package is one entry of `_BUILT_IN`; one of your own is added with `register`. What else is known of
a network its class states itself:

- ``command``: its name on the command line; without it, it is trained from Python only
- ``takes``: ``fields`` (the default) or ``system``, see `sciml.operators.trained_operator.takes`
- ``learning_rate``: the default of the training
- ``channels_last``: whether the channels of a point lie next to each other in memory, True by default
- ``any_resolution``: whether it answers grids of other resolutions, False by default
- ``from_config``: what makes it of its ``config()``; without it, its arguments
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from sciml.errors import InputError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["build", "class_of", "commands", "register"]


class _Place(NamedTuple):
    """The module of a class, and its name on the command line, which is needed without importing torch."""

    module: str
    command: str | None


_BUILT_IN: Mapping[str, _Place] = {
    "MgNO": _Place("sciml.operators.mgno", "mgno"),
    "HierarchyNet": _Place("sciml.operators.hierarchy_net", "hierarchy"),
    "FNO": _Place("sciml.operators.fno", "fno"),
    "PublishedMgNO": _Place("sciml.operators.published.network", None),
}
REGISTERED: dict[str, type[nn.Module]] = {}
"""The classes that `register` added, by name."""


def register(network: type[nn.Module]) -> type[nn.Module]:
    """Add a network class by its name; usable as a decorator.

    Checkpoints, the configurations of `sciml.operators.train` and, if the class has a ``command``, the command
    ``sciml pde train`` then know it, in this process.

    Parameters
    ----------
    network
        A class with the method ``config()``, which returns ``class`` (its name) and its settings as JSON holds them.

    Raises
    ------
    InputError
        No such class, or another one of the same name or command.
    """
    if not isinstance(network, type) or not callable(getattr(network, "config", None)):
        raise InputError(f"register({network!r}): give a network class with the method config()")
    name, command = network.__name__, getattr(network, "command", None)
    others = {key: value for key, value in commands().items() if value != name}
    if name in _BUILT_IN or REGISTERED.get(name, network) is not network or command in others:
        raise InputError(
            f"register({name}): there is another network of this name or command: rename the class"
        )
    REGISTERED[name] = network
    return network


def commands() -> dict[str, str]:
    """The class name of each network on the command line, by its command; loads no network.

    Examples
    --------
    >>> commands()["hierarchy"]
    'HierarchyNet'
    """
    named = {place.command: name for name, place in _BUILT_IN.items() if place.command}
    own = {getattr(kind, "command", None): name for name, kind in REGISTERED.items()}
    return named | {command: name for command, name in own.items() if command}


def class_of(name: str | None) -> Any:
    """The network class of a name.

    Raises
    ------
    InputError
        For a name that is unknown here.
    """
    if name in REGISTERED:
        return REGISTERED[name]
    if name is None or name not in _BUILT_IN:
        known = ", ".join((*_BUILT_IN, *REGISTERED))
        raise InputError(f"a network of class {name!r}: this version builds {known}")
    return getattr(importlib.import_module(_BUILT_IN[name].module), name)


def build(config: Mapping[str, Any]) -> nn.Module:
    """Make the network of a configuration, untrained.

    Parameters
    ----------
    config
        What the network's ``config()`` returned: ``class`` and its settings, as JSON holds them.

    Raises
    ------
    InputError
        For a class or a setting that is unknown here.

    Examples
    --------
    >>> network = build({"class": "FNO", "modes": 4, "width": 6, "layers": 1})
    >>> build(network.config()).config() == network.config()
    True
    """
    settings = dict(config)
    kind = class_of(settings.pop("class", None))
    if hasattr(kind, "from_config"):
        network: nn.Module = kind.from_config(settings)
        return network
    known = inspect.signature(kind).parameters
    unknown = sorted(set(settings) - set(known))
    if unknown and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        raise InputError(f"{kind.__name__} has no {', '.join(unknown)}: it takes {', '.join(known)}")
    made: nn.Module = kind(**settings)
    return made
