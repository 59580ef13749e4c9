"""Sizes of the files of quantized networks, by the file system, against those of the same networks in float32."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sciml.compress.quantization import compression_of, quantize
from sciml.convection.bilstm import ColumnBiLSTM
from sciml.convection.column_shape import ColumnShape
from sciml.convection.emulator import Emulator
from sciml.convection.feature_scaling import FeatureScaling
from sciml.convection.published_bilstm import AbsoluteScaling, PublishedBiLSTM, PublishedShape
from sciml.coupling.export import emulator_weights
from sciml.coupling.weights_file import write_weights
from sciml.nn import binarize, harden, hypercomplexify
from sciml.nn.state_dict import materialise

ABOUT: dict[str, Any] = {name: [1e4, 1e4] for name in ("dx", "dt", "cudt")} | {"log_error": -3.6, "seed": 7}


def bilstm(hidden: int) -> tuple[ColumnBiLSTM, FeatureScaling]:
    """A network of 40 layers with normal weights, whose codes are distributed as those of trained ones."""
    network = ColumnBiLSTM(ColumnShape(hidden=hidden, edges=tuple(np.linspace(0.0, 0.95, 41).tolist())))
    sizes = {"": (40, len(network.shape.channels)), "scalar_": (len(network.shape.scalars),)}
    parts = {
        f"{kind}{name}": torch.randn(sizes[kind]).abs() + 0.1
        for kind in sizes
        for name in ("mean", "scale", "middle", "reach")
    }
    return network, FeatureScaling(**parts)


def emulator(kind: str) -> Emulator[Any]:
    torch.manual_seed(7)
    network: Any
    scaling: Any
    if kind == "published":
        network, scaling = PublishedBiLSTM(PublishedShape(44)), AbsoluteScaling(torch.rand(27) + 0.1)
    else:
        network, scaling = bilstm(32 if kind == "bilstm" else 64)
    if kind == "hypercomplex":
        network = hypercomplexify(network, 4, pad_inputs=True)
    for parameter in network.parameters():
        parameter.data = 0.8 / parameter.shape[-1] ** 0.5 * torch.randn(parameter.shape)
    if kind == "binary":
        network = harden(binarize(network))
    return Emulator(network.eval(), scaling, ABOUT)


def sizes(made: Emulator[Any], folder: Path) -> np.ndarray[Any, Any]:
    """Bytes of the checkpoint and of the weights file."""
    write_weights(folder / "w.nc", emulator_weights(made))
    return np.array([os.path.getsize(made.save(folder / "m.sciml")), os.path.getsize(folder / "w.nc")])


@pytest.mark.parametrize(
    ("kind", "bits", "least"),
    [
        ("published", 8, 3.9),
        ("published", 4, 7.6),
        ("bilstm", 8, 3.9),
        ("bilstm", 4, 7.6),
        ("hypercomplex", "hypercomplex4", 14.0),
    ],
)
def test_checkpoint_and_weights_file(kind: str, bits: int | str, least: float, tmp_path: Path) -> None:
    whole = emulator(kind)
    run = None
    if kind == "hypercomplex":  # with a run, an LSTM has one bias

        def run(network: Any) -> object:
            return network(torch.randn(40, 9, 20), torch.randn(40, 35))

    ratios = sizes(whole, tmp_path) / sizes(quantize(whole, bits, run=run), tmp_path)
    assert ratios.min() >= least


def test_recurrent_weights_of_one_bit() -> None:
    """Bits, scales and headers; rows of 64 weights have a scale of 16 bits."""
    small = quantize(emulator("binary"), 1)
    compression = compression_of(small)
    assert compression is not None
    names = [name for name in compression.packed if "weight_hh" in name]
    assert {compression.plan.storage[name] for name in names} == {"sign"}
    floats = sum(4 * materialise(small.network)[name].numel() for name in names)
    assert floats / sum(compression.packed[name].nbytes for name in names) >= 25
