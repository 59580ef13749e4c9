"""The networks by name: what a checkpoint's config becomes again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from sciml.errors import InputError

__all__ = ["NETWORKS", "build"]


def _mgno(config: dict[str, Any]) -> nn.Module:
    from sciml.operators import mgno

    return _made(mgno.MgNO, config)


def _hierarchy_net(config: dict[str, Any]) -> nn.Module:
    from sciml.operators import hierarchy_net as aware

    return _made(aware.HierarchyNet, config)


def _published(config: dict[str, Any]) -> nn.Module:
    from sciml.operators.published.benchmarks import Architecture
    from sciml.operators.published.network import PublishedMgNO

    return PublishedMgNO(Architecture.from_json(config))


def _fno(config: dict[str, Any]) -> nn.Module:
    from sciml.operators.fno import FNO

    return _made(FNO, config)


NETWORKS: Mapping[str, Callable[[dict[str, Any]], nn.Module]] = {
    "MgNO": _mgno,
    "PublishedMgNO": _published,
    "FNO": _fno,
    "HierarchyNet": _hierarchy_net,
}
"""For each class, what makes one from its config without the name."""


def build(config: Mapping[str, Any]) -> nn.Module:
    """Make the network that a config tells of, untrained.

    Parameters
    ----------
    config
        What the network's ``config()`` gave: ``class`` and its settings, as JSON holds them.

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
    name = settings.pop("class", None)
    if name not in NETWORKS:
        raise InputError(f"a network of class {name!r}: this version builds {', '.join(NETWORKS)}")
    return NETWORKS[name](settings)


def _made(kind: Any, config: dict[str, Any]) -> nn.Module:
    """By the class's own ``from_config`` where it has one, else by its arguments."""
    if hasattr(kind, "from_config"):
        network: nn.Module = kind.from_config(config)
        return network
    known = inspect.signature(kind).parameters
    unknown = sorted(set(config) - set(known))
    if unknown:
        raise InputError(f"{kind.__name__} has no {', '.join(unknown)}: it takes {', '.join(known)}")
    made: nn.Module = kind(**config)
    return made
