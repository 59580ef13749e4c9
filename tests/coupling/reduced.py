"""Networks of small integers and bfloat16: their weights files, and the same networks in torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from sciml.compress import ReducedLinear, ReducedLSTM
from sciml.coupling.weights_file import Weights
from sciml.nn.lstm import LSTM
from tests.coupling.published import Net

Floats = npt.NDArray[np.float32]


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


def compute(net: Net, kinds: Sequence[str], block: int, planes: int, x: Floats) -> tuple[Floats, Floats]:
    """The outputs of the reduced network in torch: on the levels, and pooled in the order of the library."""
    old = net.lstm
    lstm = LSTM(old.input_size, old.hidden_size, old.num_layers, batch_first=True, bidirectional=True)
    lstm.load_state_dict(old.state_dict())
    names = [
        f"weight_{part}_l{layer}{suffix}"
        for layer in range(old.num_layers)
        for suffix in ("", "_reverse")
        for part in ("ih", "hh")
    ]
    arrays = {name: torch.from_numpy(np.array(array)) for name, array in net.weights().arrays.items()}
    head = torch.nn.Linear(2 * old.hidden_size, len(arrays["head.bias"]))
    head.load_state_dict({"weight": arrays["head.weight"], "bias": arrays["head.bias"]})
    with torch.no_grad():
        states = ReducedLSTM(lstm, dict(zip(names, kinds, strict=False)), block, planes)(torch.from_numpy(x))[
            0
        ]
        outputs = ReducedLinear(head, kinds[-1], block)(states).numpy()
    if net.trigger is None:
        return outputs, np.zeros((len(x), 0), np.float32)
    pool = arrays["pool.weight"].numpy()
    pooled = np.repeat(arrays["pool.bias"].numpy()[None], len(x), 0)
    for k in range(x.shape[1]):
        pooled = pooled + pool[None, :, 0, k] * outputs[:, k, -1:]
    return outputs[..., :-1], pooled
