"""Rounding by the outputs of each layer on data, against nearest rounding and an exhaustive search."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sciml.compress import Plan, quantize
from sciml.compress.calibration import Run, calibrate
from sciml.compress.formats import pack, unpack
from sciml.convection.network import BiLSTM
from sciml.errors import InputError


def correlated(rows: int, columns: int, seed: int) -> Tensor:
    """Inputs with a large common part, as levels and variables of a column have it."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(3, columns, generator=generator)
    noise = 0.1 * torch.randn(rows, columns, generator=generator)
    return torch.randn(rows, 3, generator=generator) @ mixing + 1.0 + noise


def error(exact: nn.Module, made: nn.Module, x: Tensor) -> float:
    with torch.no_grad():
        return float((exact(x) - made(x)).square().mean())


def calibrated(model: nn.Module, plan: Plan, run: Run) -> nn.Module:
    made = copy.deepcopy(model)
    calibrate(made, plan, run)
    return made


def test_a_linear_layer_against_all_roundings() -> None:
    """Of the 2^5 roundings down or up of a row, each with its best bias, the result is among the best few."""
    torch.manual_seed(19)
    layer, x = nn.Linear(5, 40), correlated(400, 5, 3)
    weight = layer.weight.detach().numpy()
    made = calibrated(layer, Plan({"weight": "int4", "bias": "int16"}), lambda network: network(x))
    assert isinstance(made, nn.Linear)
    rounded = made.weight.detach().numpy()
    stored, described = pack({"weight": rounded}, {"weight": "int4"})
    np.testing.assert_array_equal(unpack(stored, described)["weight"], rounded)
    ranks = []
    for row, mine in zip(weight, rounded, strict=True):
        step = 2.0 ** np.ceil(np.log2(np.abs(row).max() / 7))
        down = np.floor(row / step)
        every = [np.clip(down + ups, -7, 7) * step - row for ups in itertools.product((0, 1), repeat=5)]
        errors = np.var(x.numpy() @ np.array(every).T, axis=0)
        ranks.append(int((errors < np.var(x.numpy() @ (mine - row)) * 0.999).sum()))
    assert np.mean(ranks) < 2
    with torch.no_grad():
        assert float((made(x) - layer(x)).mean().abs()) < 1e-4


def test_a_linear_layer_of_many_inputs() -> None:
    torch.manual_seed(33)
    layer, x = nn.Linear(48, 20), correlated(2000, 48, 4)
    nearest, made = (quantize(layer, 4, run=run) for run in (None, lambda network: network(x)))
    assert error(layer, made, x) < 0.2 * error(layer, nearest, x)


def test_a_bi_lstm_of_four_bits() -> None:
    torch.manual_seed(83)
    net = BiLSTM(9, 12, 2, 4, levels=6).eval()
    with torch.no_grad():
        for parameter in net.lstm.parameters():
            parameter.mul_(2)
    x, other = correlated(600 * 6, 9, 5).reshape(2, 300, 6, 9)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    made = {run is not None: quantize(net, 4, run=run) for run in (None, lambda network: network(x))}
    with torch.no_grad():
        exact = net(other)[0]
        errors = {key: float((network(other)[0] - exact).square().mean()) for key, network in made.items()}
    assert errors[True] < 0.35 * errors[False]
    # the second bias of a direction is part of the first
    assert float(made[True].lstm.bias_hh_l1_reverse.abs().max()) == 0
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_a_channel_of_small_variance_and_large_weights() -> None:
    """Copies of such a channel compensate each other, as those of the vertical velocity in the published network."""
    torch.manual_seed(29)
    net = BiLSTM(9, 8, 1, 4, levels=6).eval()
    with torch.no_grad():
        for name, weight in net.lstm.named_parameters():
            if name.startswith("weight_ih"):
                weight[:, :3] *= 40.0
    x, other = correlated(600 * 6, 9, 5).reshape(2, 300, 6, 9)
    for inputs in (x, other):
        inputs[..., :3] = 0.02 * inputs[..., :1]
    nearest, made = (quantize(net, 8, run=run) for run in (None, lambda network: network(x)))
    with torch.no_grad():
        exact, before, after = (network(other)[0] for network in (net, nearest, made))
    # 0.025 with the former damping of 1e-3
    assert float((after - exact).square().mean()) < 0.019 * float((before - exact).square().mean())


def test_a_layer_corrects_the_errors_of_those_below() -> None:
    torch.manual_seed(31)
    net, x = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 3)), correlated(500, 6, 6)
    storage = {"0.weight": "int4", "0.bias": "int16", "1.weight": "int8-1", "1.bias": "int16"}
    made = calibrated(net, Plan(storage), lambda network: network(x))
    assert isinstance(made, nn.Sequential)
    with torch.no_grad():
        uncorrected = float((net[1](made[0](x)) - net(x)).square().mean())
    assert error(net, made, x) < 0.3 * uncorrected


def test_bad_data() -> None:
    net = BiLSTM(3, 4, 1, 2)
    for run, match in [
        (lambda network: None, "do not reach the layer 'lstm': give a function that applies the network"),
        (
            lambda network: network(torch.full((2, 3, 3), torch.nan)),
            "inputs of the layer 'lstm' are not finite",
        ),
    ]:
        with pytest.raises(InputError, match=match):
            quantize(net, 8, run=run)
