"""All parametrisations of weights by `torch.nn.utils.parametrize`, and the functions that apply and remove them.

Hypercomplex, periodic and other binary weights are classes for `torch.nn.utils.parametrize.register_parametrization`.
`hypercomplexify` and `binarize` copy a whole network with them; `harden` and `dense_copy` make the weights dense.
"""

from __future__ import annotations

from sciml.nn.binary_weight import CentredSign, Periodic, StraightThroughSign
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

__all__ = [
    "CentredSign",
    "Hypercomplex",
    "Periodic",
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
    "parametrizations",
    "periodic_penalty",
    "set_stage",
    "weight_kinds",
]
