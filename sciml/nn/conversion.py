"""Copies of networks with hypercomplex or binary weights, and with hardened binary weights."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from typing import Literal, TypeVar, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sciml.errors import InputError
from sciml.nn.binary_sign import binary_sign
from sciml.nn.binary_weight import CentredSign, Periodic, StraightThroughSign
from sciml.nn.dense_weights import check_hooks, dense_copy, dense_weights, is_parametrized
from sciml.nn.hypercomplex import Hypercomplex
from sciml.nn.lstm import LSTM
from sciml.nn.orthogonal_weight import Orthogonal
from sciml.nn.spectral_scale import SpectralScale

__all__ = [
    "BinaryKind",
    "binarize",
    "harden",
    "hypercomplexify",
    "periodic_penalty",
    "set_stage",
    "weight_kinds",
]

BinaryKind = Literal["periodic", "sign"]
Module = TypeVar("Module", bound=nn.Module)
_TRANSPOSED = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
_LAYERS = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d | _TRANSPOSED


def hypercomplexify(
    model: Module, n: int, *, algebra: Tensor | None = None, fresh: bool = False, pad_inputs: bool = False
) -> Module:
    """Copy a network, with hypercomplex weights where n divides the sizes.

    Parameters
    ----------
    model
        Network; weights of its linear layers, convolutions, transposed convolutions and LSTMs are converted. All other
        weights, and those with sizes that n does not divide, stay real; `weight_kinds` lists them.
    n
        Number of terms of `Hypercomplex`.
    algebra
        Fixed A, (n, n, n), such as that of `sciml.nn.hamilton`; None learns A.
    fresh
        Whether to draw the factors at random as the authors do, for a training from the beginning; a weight of zeros
        stays zero. Otherwise those of least squared error to the present weights are computed.
    pad_inputs
        Whether weights whose number of inputs n does not divide are hypercomplex too, as if inputs of zeros were added,
        such as the fourth channel of an image with quaternions.

    Returns
    -------
    Module
        The copy, which computes its weights from the factors. `sciml.nn.dense_copy` makes them permanent.

    Raises
    ------
    InputError
        n is no whole number above 0 or divides the sizes of no weight, or a weight is parametrised already.

    Examples
    --------
    >>> network = hypercomplexify(nn.Sequential(nn.Linear(8, 12), nn.Linear(12, 1)), 4)
    >>> weight_kinds(network)
    {'0.weight': 'hypercomplex 4', '1.weight': 'real (1, 12)'}
    """
    Hypercomplex(n, algebra)
    copied = _copied(model)
    done = 0
    for _, part, name in _weights(copied):
        transposed = isinstance(part, _TRANSPOSED)
        rows, columns = getattr(part, name).shape[:2][:: -1 if transposed else 1]
        if rows % n or (columns % n and not pad_inputs):
            continue
        inputs = columns if columns % n else None
        function = Hypercomplex(n, algebra, transposed=transposed, inputs=inputs)
        zero = not getattr(part, name).any()
        _register(part, name, function)
        if fresh:
            originals = _originals(part, name)
            function.initialise(*originals)
            if zero:
                nn.init.zeros_(originals[-1])
        done += 1
    if not done:
        shapes = ", ".join(
            f"{prefix}{name} {tuple(getattr(part, name).shape)}" for prefix, part, name in _weights(copied)
        )
        raise InputError(
            f"hypercomplexify(n={n}): {n} divides both sizes of no weight ({shapes or 'there is none'}); "
            "give another n"
        )
    return copied


def binarize(
    model: Module,
    kind: BinaryKind = "periodic",
    *,
    frequency: float = 20.0,
    stage: int = 1,
    fresh: bool = False,
    real: Collection[str] = (),
) -> Module:
    """Copy a network, with binary weights in all layers but the first and the last.

    Parameters
    ----------
    model
        Network; weights of its linear layers, convolutions, transposed convolutions and LSTMs are converted.
    kind
        ``periodic`` (`Periodic`, BiPer) or ``sign`` (`StraightThroughSign`, the baseline).
    frequency, stage
        Settings of `Periodic`, and of `StraightThroughSign`, which has no frequency; `set_stage` changes the stage.
    fresh
        Whether to take the present weights as latent weights, as the authors do, for a training from the beginning.
        Otherwise stage 1 computes the present weights.
    real
        Further layers or weights that stay real, by the beginning of their names.

    Returns
    -------
    Module
        The copy. Train it, then call `harden`.

    Raises
    ------
    InputError
        A setting is wrong, no weight would be binary, or a weight is parametrised already.

    Notes
    -----
    The first layer is that of the first weight in the order of registration; of an LSTM only the weights of the inputs
    of its first layer stay real. The last layer is that of the last weight. A network class with several of them names
    all in the attributes ``input_layers`` and ``output_layers``. `weight_kinds` lists what stays real.

    Examples
    --------
    >>> network = binarize(nn.Sequential(nn.Linear(3, 8), nn.Linear(8, 8), nn.Linear(8, 1)))
    >>> weight_kinds(network)
    {'0.weight': 'real (8, 3)', '1.weight': 'periodic 20, stage 1', '2.weight': 'real (1, 8)'}
    """
    if kind not in get_args(BinaryKind):
        raise InputError(f"binarize(kind={kind!r}): give {' or '.join(get_args(BinaryKind))}")
    Periodic(frequency, stage=stage)
    copied = _copied(model)
    left = (*_ends(copied), *real)
    done = 0
    for prefix, part, name in _weights(copied):
        if any(_begins(prefix + name, beginning) for beginning in left):
            continue
        transposed = isinstance(part, _TRANSPOSED)
        dense = getattr(part, name).detach().clone()
        if kind == "periodic":
            function = Periodic(frequency, stage=stage, transposed=transposed)
            _register(part, name, function)
            if fresh:
                latent, scale = _originals(part, name)
                function.initialise(latent, scale, dense)
        else:
            _register(part, name, StraightThroughSign(stage=stage, transposed=transposed))
        done += 1
    if not done:
        names = ", ".join(prefix + name for prefix, _, name in _weights(copied)) or "none"
        raise InputError(
            f"binarize: the first and the last layer stay real, and no other of the weights ({names}) is left; "
            "give a network of more layers"
        )
    return copied


def harden(model: Module) -> Module:
    """Copy a network with dense weights; those that were binary are exactly plus or minus a scale.

    Parameters
    ----------
    model
        Network of `binarize`, or with other parametrisations, which become dense as in `sciml.nn.dense_copy`.

    Returns
    -------
    Module
        The copy, without parametrisations. The scale of each output channel (of `CentredSign`: each row) is rounded to
        bfloat16, so that one bit for each weight and 16 for each row store it without error.

    Raises
    ------
    InputError
        No weight is binary.

    Examples
    --------
    >>> network = binarize(nn.Sequential(nn.Linear(3, 8), nn.Linear(8, 8), nn.Linear(8, 1)))
    >>> bool((harden(network)[1].weight.abs() == harden(network)[1].weight[:, :1].abs()).all())
    True
    """
    copied = copy.deepcopy(model)
    set_stage(copied, 2, rounded=True)
    binary = {}
    for prefix, part in _parts(copied):
        for name, functions in _registered(part):
            last = functions[len(functions) - 1]
            if isinstance(last, Periodic | StraightThroughSign | CentredSign):
                binary[prefix + name] = getattr(last, "transposed", False)
    if not binary:
        raise InputError("harden: the network has no binary weight; call binarize first")
    dense = dense_copy(copied)
    weights = dict(dense.named_parameters(remove_duplicate=False))
    with torch.no_grad():
        for name, transposed in binary.items():
            weight = weights[name]
            rows = weight.transpose(0, 1) if transposed else weight
            scale = rows.abs().flatten(1).amax(1).to(torch.bfloat16).to(weight.dtype)
            # in place of a row of zeros, +0 counts as plus
            rows.copy_(binary_sign(rows) * scale.reshape(-1, *[1] * (rows.ndim - 1)))
    return dense


def periodic_penalty(model: nn.Module) -> Tensor:
    """Compute the sum over the periodic weights of ``mean(1/2 - 1/2 cos(2 frequency w))``, for the loss.

    Parameters
    ----------
    model
        Network of `binarize`; without periodic weights the sum is 0.

    Returns
    -------
    Tensor
        Scalar with gradients to the latent weights.

    Notes
    -----
    BiPer's training on CIFAR-10 adds it times 0.04; that on ImageNet does not. It is the mean square of the sine, so it
    draws latent weights to the zeros of the square wave.

    Examples
    --------
    >>> periodic_penalty(nn.Linear(2, 2)).item()
    0.0
    """
    total = torch.zeros(())
    for _, part in _parts(model):
        for _, functions in _registered(part):
            for function in functions:
                if isinstance(function, Periodic):
                    total = total + function.penalty(cast(Tensor, functions.original0))
    return total


def set_stage(model: nn.Module, stage: int, *, rounded: bool = False) -> None:
    """Set the stage of all periodic weights and plain signs: 1 for real weights, 2 for binary ones.

    Parameters
    ----------
    model
        Network of `binarize`.
    stage
        1 or 2.
    rounded
        Whether the scales of periodic weights and plain signs are rounded to bfloat16, as `harden` does. It then
        computes the weights of the hardened network.

    Raises
    ------
    InputError
        The stage is another number.
    """
    if stage not in (1, 2):
        raise InputError(f"set_stage({stage!r}): give 1 (real weights) or 2 (binary)")
    for part in model.modules():
        if isinstance(part, Periodic | StraightThroughSign):
            part.stage, part.rounded = stage, rounded


def weight_kinds(model: nn.Module) -> dict[str, str]:
    """Return what each weight of two dimensions or more is, by its plain name.

    Parameters
    ----------
    model
        Any network.

    Returns
    -------
    dict
        Descriptions by name: the parametrisation of the weight, or ``real`` and its shape.

    Examples
    --------
    >>> weight_kinds(nn.Linear(3, 2))
    {'weight': 'real (2, 3)'}
    """
    kinds = {}
    for prefix, part in model.named_modules():
        start = f"{prefix}." if prefix else ""
        if ".parametrizations." in f".{start}":
            continue
        named = dict(_registered(part)) if parametrize.is_parametrized(part) else {}
        for name in [*(x for x, _ in part.named_parameters(recurse=False)), *named]:
            if name in named:
                kinds[start + name] = ", ".join(_described(function) for function in named[name])
            elif getattr(part, name).ndim > 1:
                kinds[start + name] = f"real {tuple(getattr(part, name).shape)}"
    return kinds


def _described(function: nn.Module) -> str:
    match function:
        case Hypercomplex():
            return f"hypercomplex {function.n}{'' if function.algebra is None else ', fixed algebra'}"
        case Periodic():
            return f"periodic {function.frequency:g}, stage {function.stage}"
        case StraightThroughSign():
            return f"sign, stage {function.stage}"
        case CentredSign():
            return "centred sign"
        case Orthogonal():
            return "orthogonal"
        case SpectralScale():
            return f"largest singular value {function.bound:g}"
    return type(function).__name__


def _copied(model: Module) -> Module:
    """Copy a network without parametrised weights; LSTMs of torch become those of this package."""
    check_hooks(model)
    if is_parametrized(model):
        raise InputError(
            f"weights are parametrised already ({', '.join(dense_weights(model))}): make them dense with dense_copy"
        )
    copied = copy.deepcopy(model)
    for part in copied.modules():
        if type(part) is nn.LSTM:
            part.__class__ = LSTM
    return copied


def _weights(model: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """Yield the prefix in the state dict, the layer and the name of the weight."""
    for prefix, part in list(model.named_modules()):
        start = f"{prefix}." if prefix else ""
        if isinstance(part, _LAYERS):
            yield start, part, "weight"
        elif isinstance(part, nn.LSTM):
            for names in part._all_weights:
                for name in names:
                    if name.startswith("weight_"):
                        yield start, part, name


def _ends(model: nn.Module) -> tuple[str, ...]:
    """Return the beginnings of the names of the weights of the first and of the last layers."""
    weights = list(_weights(model))
    if not weights:
        return ()
    (first, part, name), (last, *_) = weights[0], weights[-1]
    inputs = getattr(model, "input_layers", None) or (
        tuple(f"{first}weight_ih_l0{way}" for way in ("", "_reverse"))
        if isinstance(part, nn.LSTM)
        else (first + name,)
    )
    outputs = getattr(model, "output_layers", None) or ((f"{last}weight",) if last != first else ())
    return (*inputs, *outputs)


def _begins(name: str, beginning: str) -> bool:
    return name == beginning or name.startswith(f"{beginning.rstrip('.')}.")


def _register(part: nn.Module, name: str, function: nn.Module) -> None:
    parametrize.register_parametrization(part, name, function)


def _originals(part: nn.Module, name: str) -> list[Tensor]:
    functions = cast(nn.ModuleDict, part.parametrizations)[name]
    return [x for _, x in functions.named_parameters(recurse=False)]


def _parts(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield prefix in the state dict and layer of the layers with parametrised weights."""
    for prefix, part in model.named_modules(remove_duplicate=False):
        if parametrize.is_parametrized(part):
            yield f"{prefix}." if prefix else "", part


def _registered(part: nn.Module) -> list[tuple[str, nn.ModuleList]]:
    return list(cast("dict[str, nn.ModuleList]", part.parametrizations).items())
