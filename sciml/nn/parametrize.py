"""All parametrisations of weights by `torch.nn.utils.parametrize`, and the functions that apply and remove them.

Hypercomplex, binary, orthogonal and spectrally scaled weights are classes for
`torch.nn.utils.parametrize.register_parametrization`. `hypercomplexify`, `binarize`, `orthogonalize` and
`scale_spectrally` copy a whole network with them; `harden` and `dense_copy` make the weights dense.
"""

from __future__ import annotations

from sciml.nn.binary_weight import CentredSign, Periodic, StraightThroughSign
from sciml.nn.bounded_weights import orthogonalize, scale_spectrally
from sciml.nn.conversion import (
    binarize,
    harden,
    hypercomplexify,
    periodic_penalty,
    set_stage,
    weight_kinds,
)
from sciml.nn.dense_weights import (
    check_hooks,
    computed_once,
    dense_copy,
    dense_weights,
    is_parametrized,
    parametrizations,
)
from sciml.nn.hypercomplex import Hypercomplex, hamilton
from sciml.nn.orthogonal_weight import Orthogonal
from sciml.nn.spectral_scale import SpectralScale

__all__ = [
    "CentredSign",
    "Hypercomplex",
    "Orthogonal",
    "Periodic",
    "SpectralScale",
    "StraightThroughSign",
    "binarize",
    "check_hooks",
    "computed_once",
    "dense_copy",
    "dense_weights",
    "hamilton",
    "harden",
    "hypercomplexify",
    "is_parametrized",
    "orthogonalize",
    "parametrizations",
    "periodic_penalty",
    "scale_spectrally",
    "set_stage",
    "weight_kinds",
]
