"""The networks by name: the classes that a configuration may name, and the names of the command ``sciml pde train``.

Each network of this package has an entry in `_BUILT_IN`; `register` adds other networks. A network class may have these
attributes:

- ``command``: its name on the command line; without it, it is trained from Python only
- ``takes``: ``fields`` (the default) or ``system``, see `sciml.operators.trained_operator.takes`
- ``learning_rate``: the default of the training
- ``channels_last``: whether the channels of a point lie next to each other in memory, True by default
- ``any_resolution``: whether it accepts grids of other resolutions, False by default
- ``steps_only``: whether it learns the steps of a time series only, with one scaling for both states, False by default
- ``from_config``: class method that makes the network from its ``config()``; by default the constructor
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
    """Module of a class and its name on the command line, which can be read without importing torch."""

    module: str
    command: str | None


_BUILT_IN: Mapping[str, _Place] = {
    "MgNO": _Place("sciml.operators.mgno", "mgno"),
    "HierarchyNet": _Place("sciml.operators.hierarchy_net", "hierarchy"),
    "FNO": _Place("sciml.operators.fno", "fno"),
    "NonExpansive": _Place("sciml.operators.nonexpansive", "nonexpansive"),
    "PublishedMgNO": _Place("sciml.operators.published.network", None),
}
REGISTERED: dict[str, type[nn.Module]] = {}
"""Classes that `register` added, by name."""


def register(network: type[nn.Module]) -> type[nn.Module]:
    """Add a network class under its name, in this process; usable as a decorator.

    Afterwards checkpoints, the configurations of `sciml.operators.train` and, if the class has a ``command``, the
    command ``sciml pde train`` can use it.

    Parameters
    ----------
    network
        Class with the method ``config()``, which returns ``class`` (its name) and its settings as values that JSON can
        store.

    Raises
    ------
    InputError
        The argument is not such a class, or its name or command is in use.
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
    """Return the class name of each network with a command, by its command; no network is loaded.

    Examples
    --------
    >>> commands()["hierarchy"]
    'HierarchyNet'
    """
    named = {place.command: name for name, place in _BUILT_IN.items() if place.command}
    own = {getattr(kind, "command", None): name for name, kind in REGISTERED.items()}
    return named | {command: name for command, name in own.items() if command}


def class_of(name: str | None) -> Any:
    """Return the network class of a name.

    Raises
    ------
    InputError
        The name is unknown.
    """
    if name in REGISTERED:
        return REGISTERED[name]
    if name is None or name not in _BUILT_IN:
        known = ", ".join((*_BUILT_IN, *REGISTERED))
        raise InputError(f"a network of class {name!r}: this version builds {known}")
    return getattr(importlib.import_module(_BUILT_IN[name].module), name)


def build(config: Mapping[str, Any]) -> nn.Module:
    """Make the untrained network of a configuration.

    Parameters
    ----------
    config
        Output of the network's ``config()``: ``class`` and its settings.

    Raises
    ------
    InputError
        The class or a setting is unknown.

    Examples
    --------
    >>> network = build({"class": "FNO", "modes": 4, "width": 6, "layers": 1})
    >>> build(network.config()).config() == network.config()
    True
    """
    settings = dict(config)
    kind = class_of(settings.pop("class", None))
    known = inspect.signature(kind).parameters
    unknown = sorted(set(settings) - set(known))
    refusal = InputError(f"{kind.__name__} has no {', '.join(unknown)}: it takes {', '.join(known)}")
    if hasattr(kind, "from_config"):
        try:
            network: nn.Module = kind.from_config(settings)
        except TypeError as error:
            if unknown:
                raise refusal from error
            raise
        return network
    if unknown and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        raise refusal
    made: nn.Module = kind(**settings)
    return made
