"""Weights files of networks of small integers and bfloat16."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sciml.coupling.weights_file import Weights


def reduced_weights(weights: Weights, kinds: Sequence[str], block: int = 64, planes: int = 1) -> Weights:
    """The weights of a network of floats with the attributes of a reduced one."""
    attributes = {
        **weights.attributes,
        "weight_format": "reduced",
        "arithmetic": " ".join(kinds),
        "arithmetic_block": block,
        "input_planes": planes,
    }
    return replace(weights, attributes=attributes)
