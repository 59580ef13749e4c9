"""Quantized networks in checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sciml.errors import InputError, SchemaError

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import nn

    from sciml.compress.quantization import Compression

__all__ = [
    "CONFIG_KEY",
    "describe_weights",
    "expand_plan",
    "rebuilt",
    "saved_parts",
    "shorten_plan",
    "with_compression",
]

CONFIG_KEY = "compression"
PREFIX = "network."  # of the names of the network's tensors in a checkpoint

Network = TypeVar("Network")


def saved_parts(
    network: object, prefix: str = PREFIX, formats: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a checkpoint of a network stores of its compression.

    Parameters
    ----------
    network
        Network, quantized or not.
    prefix
        Prefix of the names of its tensors in the checkpoint.
    formats
        Formats of other tensors of the checkpoint.

    Returns
    -------
    tuple
        Entries of the config, and the arguments ``formats`` and ``packed`` of `sciml.train.checkpoint.save`; both are
        empty for a network that is not quantized.
    """
    from sciml.compress.quantization import compression_of

    compression = compression_of(network)
    if compression is None:
        return {}, {}
    own, packed = compression.named(prefix)
    return {CONFIG_KEY: compression.plan.to_json()}, {"formats": {**(formats or {}), **own}, "packed": packed}


def with_compression(
    network: Network,
    config: Mapping[str, Any],
    packed: Mapping[str, npt.NDArray[Any]],
    source: object,
    prefix: str = PREFIX,
) -> Network:
    """Give a network that was read from a checkpoint its reduced layers.

    Parameters
    ----------
    network
        Network with the weights of the checkpoint.
    config, packed
        Config and stored arrays of the checkpoint.
    source
        File, for messages.
    prefix
        Prefix of the names of its tensors in the checkpoint.

    Returns
    -------
    Module
        The network itself where the config has no compression.

    Raises
    ------
    SchemaError
        The compression is no plan of this network.
    """
    if CONFIG_KEY not in config:
        return network
    from sciml.compress.plan import Plan
    from sciml.compress.quantization import Compression

    plan = Plan.from_json(config[CONFIG_KEY], source)
    own = {name.removeprefix(prefix): array for name, array in packed.items() if name.startswith(prefix)}
    try:
        return rebuilt(network, Compression(plan, own))
    except InputError as error:
        raise SchemaError(f"{source}: {error}") from error


def rebuilt(network: Network, compression: Compression | None) -> Network:
    """Give a dense copy of a quantized network its reduced layers; do nothing without a compression."""
    if compression is None:
        return network
    from sciml.compress.quantization import reduce_layers

    return cast(Network, reduce_layers(cast("nn.Module", network), compression))


def shorten_plan(config: Mapping[str, Any], formats: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the config of a checkpoint without the formats and shapes of the plan that the tensors have anyway.

    Parameters
    ----------
    config
        Config with a plan, or without one.
    formats
        Format and shape of each encoded tensor, from `sciml.compress.pack`.
    """
    plan = config.get(CONFIG_KEY)
    own = _plan_of(formats)
    if not isinstance(plan, Mapping) or any(plan.get(name) != value for name, value in own.items()):
        return config
    return {**config, CONFIG_KEY: {name: value for name, value in plan.items() if name not in own}}


def expand_plan(config: dict[str, Any], formats: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the config that was given to `shorten_plan`."""
    plan = config.get(CONFIG_KEY)
    own = _plan_of(formats)
    if not isinstance(plan, Mapping) or any(name in plan for name in own):
        return config
    return {**config, CONFIG_KEY: {**own, **plan}}


def _plan_of(formats: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    network = {n.removeprefix(PREFIX): entry for n, entry in formats.items() if n.startswith(PREFIX)}
    return {
        "storage": {name: entry.get("format") for name, entry in network.items()},
        "shapes": {name: entry.get("shape") for name, entry in network.items()},
    }


def describe_weights(network: object) -> dict[str, str]:
    """Return the row ``weights`` of a table of a network: its formats and their size; empty if it is not quantized."""
    from sciml.compress.quantization import compression_of

    compression = compression_of(network)
    if compression is None:
        return {}
    chosen = ", ".join(sorted(set(compression.plan.storage.values())))
    size = sum(array.nbytes for array in compression.packed.values())
    return {"weights": f"{chosen}, {size / 1000:,.1f} kB"}
