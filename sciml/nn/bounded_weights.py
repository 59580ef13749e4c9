"""Copies of networks whose convolutions are orthogonal or have bounded singular values."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TypeVar

from torch import Tensor, nn
from torch.nn.utils import parametrize

from sciml.errors import InputError
from sciml.nn.convolution_shape import Layer
from sciml.nn.convolution_spectrum import largest_singular_value, supremum
from sciml.nn.dense_weights import check_hooks, dense_weights, is_parametrized
from sciml.nn.orthogonal_weight import Orthogonal
from sciml.nn.orthogonality import penalty
from sciml.nn.spectral_scale import SpectralScale

__all__ = ["orthogonality_penalty", "orthogonalize", "scale_spectrally", "singular_values"]

Module = TypeVar("Module", bound=nn.Module)


def orthogonalize(model: Module) -> Module:
    """Copy a network, with `sciml.nn.Orthogonal` weights in its convolutions and linear layers.

    Parameters
    ----------
    model
        Network without parametrised weights.

    Returns
    -------
    Module
        The copy; the weights are orthogonal matrices close to the present ones, see `Orthogonal`.
        `sciml.nn.dense_copy` makes them permanent.

    Raises
    ------
    InputError
        A layer cannot be orthogonal, the message names it; a weight is parametrised already, or there is no layer.

    Examples
    --------
    >>> network = orthogonalize(nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1)))
    >>> [round(value, 5) for value in singular_values(network, 1).values()]
    [1.0, 1.0]
    """
    return _registered(model, "orthogonalize", Orthogonal)


def scale_spectrally(model: Module, n: int | tuple[int, ...] | None = None, bound: float = 1.0) -> Module:
    """Copy a network, with `sciml.nn.SpectralScale` weights in its convolutions and linear layers.

    Parameters
    ----------
    model
        Network without parametrised weights.
    n
        Points along each axis of the periodic grid of all layers; None bounds the singular values on all grids.
    bound
        Largest singular value of each layer.

    Returns
    -------
    Module
        The copy, which scales its weights at each access. `sciml.nn.dense_copy` makes them permanent.

    Raises
    ------
    InputError
        See `SpectralScale`, the message names the layer; a weight is parametrised already, or there is no layer.

    Examples
    --------
    >>> network = scale_spectrally(nn.Sequential(nn.Conv1d(1, 4, 3), nn.Conv1d(4, 1, 3)), bound=0.5)
    >>> all(value <= 0.5 for value in singular_values(network).values())
    True
    """
    return _registered(model, "scale_spectrally", lambda layer: SpectralScale(layer, _for(layer, n), bound))


def singular_values(model: nn.Module, n: int | tuple[int, ...] | None = None) -> dict[str, float]:
    """Return the largest singular value of each convolution and linear layer by its name.

    Parameters
    ----------
    model
        Network; all its layers act on the same grid.
    n
        Points along each axis of the periodic grid; None bounds the values on all grids.

    Returns
    -------
    dict
        Largest singular values by the name of the layer.
    """
    return {
        name: supremum(layer) if n is None else largest_singular_value(layer, _for(layer, n) or 1)
        for name, layer in _layers(model)
    }


def orthogonality_penalty(model: nn.Module) -> Tensor:
    """Compute the sum of `sciml.nn.orthogonality.penalty` of all convolutions and linear layers, for a loss.

    Parameters
    ----------
    model
        Network whose kernels have odd sizes.

    Returns
    -------
    Tensor
        Sum of the L_orth, ().

    Raises
    ------
    InputError
        There is no layer, or the kernel of one is even.
    """
    values = [penalty(layer) for _, layer in _layers(model)]
    if not values:
        raise InputError(
            f"{type(model).__name__} has no convolution and no linear layer: there is no penalty"
        )
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def _for(layer: nn.Module, n: int | tuple[int, ...] | None) -> int | tuple[int, ...] | None:
    return () if isinstance(layer, nn.Linear) else n


def _layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, layer in model.named_modules():
        if isinstance(layer, Layer) and isinstance(getattr(layer, "weight", None), Tensor):
            yield name, layer


def _registered(model: Module, called: str, made: Callable[[nn.Module], nn.Module]) -> Module:
    check_hooks(model)
    if is_parametrized(model):
        raise InputError(
            f"weights are parametrised already ({', '.join(dense_weights(model))}): make them dense with dense_copy"
        )
    copied = copy.deepcopy(model)
    layers = list(_layers(copied))
    if not layers:
        raise InputError(f"{called}: {type(model).__name__} has no convolution and no linear layer")
    for name, layer in layers:
        try:
            function = made(layer)
        except InputError as error:
            raise InputError(f"layer {name or type(layer).__name__}: {error}") from error
        parametrize.register_parametrization(layer, "weight", function)
    return copied
