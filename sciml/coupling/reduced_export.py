"""Quantized networks in weights files: packed tensors, and the attributes of their arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.compress.arithmetic import KINDS, LARGEST_WEIGHT, check_sums
from sciml.compress.formats import pack, unpack
from sciml.coupling.weights_file import Attribute, Weights
from sciml.errors import InputError, SchemaError

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import nn

    from sciml.compress.quantization import Compression

__all__ = ["REDUCED", "REDUCED_ATTRIBUTES", "compression_in", "with_reduction"]

REDUCED = "reduced"
REDUCED_ATTRIBUTES = ("arithmetic", "arithmetic_block", "input_planes")
LARGEST_SUM = 2**24  # of products of codes, which float32 represents exactly


def with_reduction(
    weights: Weights, network: Any, names: Mapping[str, str], scaling: Mapping[str, str] | None = None
) -> Weights:
    """Add the storage and the arithmetic of a quantized network to its weights.

    Parameters
    ----------
    weights
        Weights of the network in floats.
    network
        Network with an LSTM named ``lstm``.
    names
        Name in the weights of each tensor of the network that has another name there.
    scaling
        Formats of the arrays of the normalisation.

    Returns
    -------
    Weights
        Weights with ``formats`` and, if its matrices have an arithmetic, with ``weight_format`` ``reduced``,
        ``arithmetic``, ``arithmetic_block`` and ``input_planes``. A tensor whose format would change its values in the
        file, such as two hypercomplex heads that are one matrix there, is stored as floats.

    Raises
    ------
    InputError
        The library has no kernel for the arithmetic: kinds of the heads differ, some matrices have none, or sums of
        products may exceed what float32 represents (exactly, of codes).
    """
    from sciml.compress.quantization import compression_of

    compression = compression_of(network)
    if compression is None:
        return weights
    formats, packed = _storage(weights.arrays, compression, names)
    for name, chosen in (scaling or {}).items():
        if name in weights.arrays and _represents(chosen, weights.arrays[name]):
            formats[name] = chosen
    plan = compression.plan
    attributes: dict[str, Attribute] = dict(weights.attributes)
    heads = [f"{name}.weight" for name in network.lstm_heads]
    kinds = [plan.kinds.get(name, "float32") for name in _matrices(network)]
    ends = {plan.kinds.get(name, "float32") for name in heads}
    if set(kinds) | ends != {"float32"}:
        if "float32" in kinds or "float32" in ends or len(ends) > 1:
            raise InputError(
                f"the library has no kernel for LSTM matrices of {', '.join(sorted(set(kinds)))} with heads of "
                f"{', '.join(sorted(ends))}: give all of them a kind other than float32, and all heads the same"
            )
        if check_sums(8, 8, plan.block) >= LARGEST_SUM:
            raise InputError(
                f"blocks of {plan.block} have sums of products beyond 2^24: quantize with blocks of at most 1024"
            )
        for name in (*_matrices(network), "head.weight"):
            most = float(np.abs(weights.arrays[name]).max())
            if most >= LARGEST_WEIGHT:
                raise InputError(
                    f"`{name}` has a weight of magnitude {most:g}, and reduced arithmetic takes less than 2^24: "
                    "train the network again, or export it in floats"
                )
        attributes |= {
            "weight_format": REDUCED,
            "arithmetic": " ".join([*kinds, *ends]),
            "arithmetic_block": plan.block,
            "input_planes": plan.planes,
        }
    return replace(weights, attributes=attributes, formats=formats, packed=packed)


def _storage(
    arrays: Mapping[str, npt.NDArray[Any]], compression: Compression, names: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, npt.NDArray[Any]]]:
    """Return the format of each array of the file, and stored arrays, for those whose values stay the same."""
    sources: dict[str, list[str]] = {}
    for name in {**compression.plan.shapes, **compression.plan.storage, **names}:
        sources.setdefault(names.get(name, name), []).append(name)
    formats: dict[str, str] = {}
    packed: dict[str, npt.NDArray[Any]] = {}
    for name, own in sources.items():
        chosen = {compression.plan.storage.get(source) for source in own}
        only = chosen.pop()
        if name not in arrays or chosen or only is None:
            continue
        earlier = {name: compression.packed[own[0]]} if len(own) == 1 and own[0] in compression.packed else {}
        array = np.asarray(arrays[name])
        stored, described = pack({name: array}, {name: only}, earlier)
        if np.array_equal(unpack(stored, described)[name], array):
            formats[name] = only
            packed |= {name: stored[name]} if name in stored else {}
    return formats, packed


def _represents(chosen: str, array: npt.NDArray[Any]) -> bool:
    """Return whether a format has the values of an array."""
    return np.array_equal(unpack(*pack({"": array}, {"": chosen}))[""], array)


def compression_in(weights: Weights, network: nn.Module, names: Mapping[str, str]) -> Compression | None:
    """Return how the network of a weights file was quantized.

    Parameters
    ----------
    weights
        Weights from `sciml.coupling.weights_file.read_weights`.
    network
        Network of the file, in floats.
    names
        As for `with_reduction`.

    Returns
    -------
    Compression or None
        None for a file of floats.

    Raises
    ------
    SchemaError
        The attributes of the arithmetic are missing or of another network or version.
    """
    from sciml.compress.plan import Plan
    from sciml.compress.quantization import Compression

    attributes = weights.attributes
    reduced = attributes.get("weight_format") == REDUCED
    if not reduced and not weights.formats:
        return None
    shapes = {name: tuple(x.shape) for name, x in network.state_dict().items()}
    storage = {n: weights.formats[names.get(n, n)] for n in shapes if names.get(n, n) in weights.formats}
    merged = [names.get(name, name) for name in storage]
    packed = {
        name: weights.packed[there]
        for name, there in zip(storage, merged, strict=True)
        if there in weights.packed and merged.count(there) == 1
    }
    own: Any = network
    kinds: dict[str, str] = {}
    block, planes = 64, 1
    if reduced:
        missing = [name for name in REDUCED_ATTRIBUTES if name not in attributes]
        if missing:
            raise SchemaError(
                f"the weights file has no `{missing[0]}`: write it again with `sciml coupling export`"
            )
        given = str(attributes["arithmetic"]).split()
        matrices = list(_matrices(own))
        unknown = [kind for kind in given if kind not in KINDS[1:]]
        if unknown or len(given) != len(matrices) + 1:
            raise SchemaError(
                f"`arithmetic` is `{' '.join(given)}` in the weights file, this version reads {len(matrices) + 1} of "
                f"{', '.join(KINDS[1:])} for this network: upgrade sciml, or write the file again"
            )
        kinds = dict(zip(matrices, given, strict=False))
        kinds |= {f"{name}.weight": given[-1] for name in own.lstm_heads}
        kinds |= {f"{name}.weight": "float32" for name in getattr(own, "lstm_pools", ())}
        block, planes = (attributes[name] for name in REDUCED_ATTRIBUTES[1:])  # type: ignore[assignment]
    try:
        plan = Plan(storage, kinds, {name: shapes[name] for name in {**storage, **kinds}}, block, planes)
    except InputError as error:
        raise SchemaError(
            f"the weights file: {error}; write it again with `sciml coupling export`"
        ) from error
    return Compression(plan, packed)


def _matrices(network: Any) -> Iterator[str]:
    """Yield the names of the matrices of a bidirectional LSTM, in the order of the attribute ``arithmetic``."""
    for layer in range(network.lstm.num_layers):
        for suffix in ("", "_reverse"):
            for part in ("ih", "hh"):
                yield f"lstm.weight_{part}_l{layer}{suffix}"
