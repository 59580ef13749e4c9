"""Networks of few bits, made from trained ones without training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import torch
from torch import nn

from sciml.compress.blocks import output_block
from sciml.compress.calibration import Run, calibrate
from sciml.compress.formats import BLOCK, pack, unpack
from sciml.compress.integer_linear import ReducedLinear
from sciml.compress.integer_lstm import ReducedLSTM
from sciml.compress.layers import join_biases, linear_layers, lstm_matrices
from sciml.compress.plan import Plan
from sciml.errors import InputError
from sciml.nn.lstm import LSTM
from sciml.nn.parametrize import dense_copy
from sciml.nn.state_dict import materialise

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Compression", "compression_of", "quantize", "reduce_layers"]

Model = TypeVar("Model")
ATTRIBUTE = "compression"  # of a quantized network


@dataclass(frozen=True, eq=False)
class Compression:
    """The plan of a quantized network, and its stored tensors.

    Parameters
    ----------
    plan
        Storage and arithmetic.
    packed
        Stored arrays by the name of the tensor, which files store again as they are.
    """

    plan: Plan
    packed: Mapping[str, npt.NDArray[Any]]

    def named(self, prefix: str) -> tuple[dict[str, str], dict[str, npt.NDArray[Any]]]:
        """Return formats and stored arrays by names with a prefix, for `sciml.train.checkpoint.save`."""
        formats = {prefix + name: chosen for name, chosen in self.plan.storage.items()}
        return formats, {prefix + name: array for name, array in self.packed.items()}


def compression_of(model: object) -> Compression | None:
    """Return how a network was quantized.

    Parameters
    ----------
    model
        A network, or an object with a network or an operator.

    Returns
    -------
    Compression or None
        None if it was not.
    """
    stored = getattr(_network(model), ATTRIBUTE, None)
    return stored if isinstance(stored, Compression) else None


def quantize(
    model: Model,
    plan: Plan | int | str,
    block: int | None = None,
    planes: int = 2,
    run: Run | None = None,
) -> Model:
    """Copy a trained network with weights of few bits and reduced arithmetic.

    Parameters
    ----------
    model
        A `torch.nn.Module`, or an emulator or operator that has one (`sciml.convection.Emulator`,
        `sciml.emulation.SchemeEmulator`, `sciml.operators.TrainedOperator`, `sciml.operators.Neural`); it is not
        changed.
    plan
        A `Plan`, or a width for the whole network: 16, 8, 4, 1, or the name of a format (see `Plan.of`).
    block
        Values in a block, where a width is given. By default 64; with ``run``, whose outputs decide then, 32 or 16
        where weights in blocks of 64 change them much more (`sciml.compress.blocks`).
    planes
        Planes of codes of the input of LSTMs, where a width is given; see `Plan`.
    run
        Function that applies the network to data like those of the training. With it, the integers of LSTMs and linear
        layers are chosen so that the outputs of each layer change least on these data
        (`sciml.compress.calibration`); without it, weights are rounded to the nearest value.

    Returns
    -------
    Module, emulator or operator
        A copy of the same class. All weights, and the normalisation of an emulator, have values of their stored
        format. LSTMs and their linear heads compute in their kind of arithmetic (`ReducedLSTM`, `ReducedLinear`); all
        other layers compute in floats. It has no gradients.

    Raises
    ------
    InputError
        The plan is of another network, a format cannot represent a tensor, a weight or an input is not finite, or the
        network is quantized already.

    Examples
    --------
    >>> from sciml.nn import LSTM
    >>> lstm = LSTM(6, 8, bidirectional=True, batch_first=True)
    >>> type(quantize(nn.Sequential(lstm), 8)[0]).__name__
    'ReducedLSTM'
    """
    if block is None:
        block = BLOCK if run is None or not isinstance(plan, int) else _block(model, plan, planes, run)
    owner = next((name for name in ("operator", "network") if _is_field(model, name)), None)
    if owner is not None:
        changes = {owner: quantize(getattr(model, owner), plan, block, planes, run)}
        scaling = getattr(model, "normalisation", None)
        if getattr(scaling, "formats", None):
            changes["normalisation"] = _rounded(scaling)
        return cast(Model, dataclasses.replace(cast(Any, model), **changes))
    if not isinstance(model, nn.Module):
        raise InputError(f"quantize({type(model).__name__}): give a network, an emulator or an operator")
    if compression_of(model) is not None:
        raise InputError("the network is quantized already: quantize the one that was trained")
    chosen = plan if isinstance(plan, Plan) else Plan.of(model, plan, block, planes)
    chosen.check(model)
    copy: nn.Module = dense_copy(model)
    if run is not None:
        calibrate(copy.eval(), chosen, run)
        join_biases(copy)  # of LSTMs that are not calibrated
    arrays = {name: np.asarray(t.detach().cpu()) for name, t in materialise(copy).items()}
    stored, described = pack(arrays, chosen.storage)
    values = unpack(stored, described)
    state = {name: torch.from_numpy(np.array(array)) for name, array in values.items()}
    copy.load_state_dict(state)
    packed = {name: stored[name] for name in described if name in stored}
    return cast(Model, reduce_layers(copy, Compression(chosen, packed)))


def _block(model: object, bits: int, planes: int, run: Run) -> int:
    """Choose the block of a width by the outputs of a network with weights that are rounded to the nearest value."""
    network = _network(model)
    if not isinstance(network, nn.Module) or compression_of(network) is not None:
        return BLOCK
    dense = dense_copy(network).eval()
    return output_block(dense, lambda block: quantize(dense, Plan.of(dense, bits, block, planes)), run)


def reduce_layers(model: nn.Module, compression: Compression) -> nn.Module:
    """Replace the layers of a network by their reduced forms, in place.

    Parameters
    ----------
    model
        Network whose weights have values of their stored formats.
    compression
        Its plan and stored tensors.

    Returns
    -------
    Module
        The network, or its reduced form if it is a single layer; in evaluation mode and without gradients.

    Raises
    ------
    InputError
        The plan is of another network.
    """
    plan = compression.plan
    plan.check(model)
    made: dict[str, nn.Module] = {}
    for name in dict.fromkeys(lstm_matrices(model).values()):
        layer = model.get_submodule(name)
        assert isinstance(layer, LSTM)
        own = f"{name}." if name else ""
        kinds = {
            key.removeprefix(own): kind
            for key, kind in plan.kinds.items()
            if key.rpartition(".")[0] == name and kind != "float32"
        }
        if kinds:
            made[name] = ReducedLSTM(layer, kinds, plan.block, plan.planes)
    for weight, name in linear_layers(model).items():
        if weight in plan.kinds:
            layer = model.get_submodule(name)
            assert isinstance(layer, nn.Linear)
            made[name] = ReducedLinear(layer, plan.kinds[weight], plan.block)
    for name, layer in made.items():
        if not name:
            model = layer
            continue
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, layer)
    setattr(model, ATTRIBUTE, compression)
    return model.requires_grad_(False).eval()


def _rounded(scaling: Any) -> Any:
    """Return a scaling with the values of its formats, so that a file has the same ones."""
    arrays = {name: np.asarray(tensor.detach().cpu()) for name, tensor in scaling.tensors().items()}
    values = unpack(*pack(arrays, scaling.formats))
    return type(scaling).from_tensors(
        {name: torch.from_numpy(np.array(array)) for name, array in values.items()}
    )


def _is_field(model: object, name: str) -> bool:
    if isinstance(model, nn.Module | type) or not dataclasses.is_dataclass(model):
        return False
    return name in {own.name for own in dataclasses.fields(model)}


def _network(model: object) -> object:
    for name in ("operator", "network"):
        if _is_field(model, name):
            return _network(getattr(model, name))
    return model
