"""Weights that are functions of other tensors, as `torch.nn.utils.parametrize` makes them.

A parametrised weight is an attribute that is computed at each access from its original tensors. The functions here
list such weights, compute them without side effects, and copy a network with dense weights in their place.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sciml.errors import InputError

__all__ = [
    "check_hooks",
    "computed_once",
    "dense_copy",
    "dense_weights",
    "is_parametrized",
    "parametrizations",
]

Module = TypeVar("Module", bound=nn.Module)


def is_parametrized(module: nn.Module) -> bool:
    """Return whether any weight of a module or of its submodules is parametrised.

    Examples
    --------
    >>> layer = nn.Linear(3, 3)
    >>> is_parametrized(layer)
    False
    >>> _ = nn.utils.parametrizations.orthogonal(layer)
    >>> is_parametrized(nn.Sequential(layer))
    True
    """
    return any(parametrize.is_parametrized(part) for part in module.modules())


def parametrizations(module: nn.Module) -> dict[str, list[str]]:
    """Return the names of the parametrised weights, each with the classes of its parametrisations in order.

    Parameters
    ----------
    module
        Module; its submodules are included.

    Returns
    -------
    dict
        Plain name of the weight, such as ``lstm.weight_hh_l0``, to class names; empty without parametrisations.

    Examples
    --------
    >>> parametrizations(nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))))
    {'0.weight': ['_WeightNorm']}
    """
    return {
        prefix + name: [type(function).__name__ for function in cast(nn.ModuleList, functions)]
        for prefix, part in _parametrized_parts(module)
        for name, functions in _functions(part).items()
    }


def dense_weights(module: nn.Module) -> dict[str, Tensor]:
    """Compute the parametrised weights of a module and of its submodules.

    Parametrisations are computed in evaluation mode, so that none of them changes its buffers (the power iteration of
    `torch.nn.utils.parametrizations.spectral_norm` does in training mode).

    Parameters
    ----------
    module
        Module; it is not changed.

    Returns
    -------
    dict
        New tensors without gradients, by the plain name of the weight.

    Examples
    --------
    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    >>> {name: tuple(weight.shape) for name, weight in dense_weights(layer).items()}
    {'weight': (2, 3)}
    """
    return {
        prefix + name: _compute(functions)
        for prefix, part in _parametrized_parts(module)
        for name, functions in _functions(part).items()
    }


def dense_copy(module: Module) -> Module:
    """Copy a module, with dense parameters in place of its parametrised weights.

    Parameters
    ----------
    module
        Module to copy; it is not changed.

    Returns
    -------
    Module
        A deep copy whose parametrised weights are parameters (or buffers, where the original tensor is a buffer) of
        the computed values.

    Notes
    -----
    `torch.nn.utils.parametrize.remove_parametrizations` cannot be used on a copy: it deletes the weight's property from
    the class, which the copy shares with its original.

    Examples
    --------
    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    >>> dense = dense_copy(layer)
    >>> sorted(dense.state_dict()), type(dense).__name__
    (['bias', 'weight'], 'Linear')
    >>> bool(torch.equal(dense.weight, layer.weight))
    True
    """
    copied = copy.deepcopy(module)
    for part in list(copied.modules()):
        if not parametrize.is_parametrized(part):
            continue
        weights = [(name, *_compute_with_kind(functions)) for name, functions in _functions(part).items()]
        part.__class__ = parametrize.type_before_parametrizations(part)
        del part._modules["parametrizations"]
        for name, weight, is_parameter, trained in weights:
            if is_parameter:
                part.register_parameter(name, nn.Parameter(weight, requires_grad=trained))
            else:
                part.register_buffer(name, weight)
    return copied


def check_hooks(module: nn.Module) -> None:
    """Check that no weight is computed by a hook, as `torch.nn.utils.prune` and the old ``weight_norm`` do.

    Raises
    ------
    InputError
        A weight is computed by a hook; the message names it.
    """
    for name, part in module.named_modules():
        for hook in part._forward_pre_hooks.values():
            if any(base.__module__.startswith("torch.nn.utils.") for base in type(hook).__mro__):
                raise InputError(
                    f"a weight of {name or type(part).__name__} is computed by a hook of {type(hook).__name__}: "
                    "use torch.nn.utils.parametrize, or make the weight permanent first"
                )


def computed_once() -> contextlib.AbstractContextManager[None]:
    """Compute each parametrised weight only at its first access within a ``with`` block.

    For layers that use a weight several times in one call. While torch compiles or exports it has no effect.
    """
    if torch.compiler.is_compiling():
        return contextlib.nullcontext()
    cached: contextlib.AbstractContextManager[None] = parametrize.cached()
    return cached


def _parametrized_parts(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield prefix in the state dict and submodule, for each submodule with parametrised weights."""
    for name, part in module.named_modules(remove_duplicate=False):
        if parametrize.is_parametrized(part):
            yield f"{name}." if name else "", part


def _functions(part: nn.Module) -> nn.ModuleDict:
    """Return the parametrisations of a module by the name of the weight."""
    return cast(nn.ModuleDict, part.parametrizations)


def _compute_with_kind(functions: nn.Module) -> tuple[Tensor, bool, bool]:
    """Return a weight, whether its original tensors are parameters, and whether any of them is trained."""
    originals = [x for name, x in functions.named_parameters(recurse=False) if name.startswith("original")]
    return _compute(functions), bool(originals), any(original.requires_grad for original in originals)


@torch.no_grad()
def _compute(functions: nn.Module) -> Tensor:
    """Compute one weight from its list of parametrisations, in evaluation mode."""
    modes = {part: part.training for part in functions.modules()}
    functions.eval()
    try:
        weight: Tensor = functions()
    finally:
        for part, training in modes.items():
            part.training = training
    return weight.detach().clone()
