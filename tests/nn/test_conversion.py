"""Networks with hypercomplex and binary weights, and hardened ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sciml.compress import pack, unpack
from sciml.convection.bilstm import ColumnBiLSTM
from sciml.convection.network import BiLSTM, Closure
from sciml.errors import InputError
from sciml.nn import (
    LSTM,
    CentredSign,
    binarize,
    dense_copy,
    hamilton,
    harden,
    hypercomplexify,
    materialise,
    periodic_penalty,
    set_stage,
    weight_kinds,
)
from sciml.nn.parametrize import is_parametrized
from sciml.operators.fno import FNO
from sciml.operators.mgno import MgNO


class Mixed(nn.Module):
    """A layer of each kind, with sizes that 2 divides."""

    def __init__(self, recurrent: type[nn.LSTM] = nn.LSTM) -> None:
        super().__init__()
        self.first = nn.Conv1d(3, 4, 3, padding=1)
        self.lstm = recurrent(4, 6, 2, bidirectional=True, batch_first=True)
        self.inner = nn.Conv1d(12, 4, 1)
        self.up = nn.ConvTranspose1d(4, 6, 3, padding=1)
        self.last = nn.Linear(6, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.lstm(torch.tanh(self.first(x)).transpose(1, 2))[0].transpose(1, 2)
        made: torch.Tensor = self.last(torch.tanh(self.up(self.inner(y))).mean(2))
        return made


def mixed(**options: Any) -> tuple[Mixed, torch.Tensor]:
    torch.manual_seed(3)
    return Mixed(**options), torch.randn(5, 3, 7)


def test_hypercomplex_networks_have_a_fraction_of_the_parameters() -> None:
    network, x = mixed()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    made = hypercomplexify(network, 2)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    kinds = weight_kinds(made)
    assert kinds.pop("first.weight") == "real (4, 3, 3)"
    assert kinds.pop("last.weight") == "real (1, 6)"
    assert set(kinds.values()) == {"hypercomplex 2"}
    assert len(kinds) == 8 + 2
    numbers = sum(p.numel() for p in network.parameters() if p.ndim > 1) - 36 - 6
    count = sum(p.numel() for p in made.parameters() if p.ndim > 1) - 36 - 6
    assert count == numbers // 2 + 10 * 2**3
    assert type(made.lstm).__mro__[1] is LSTM  # that of torch computes with weights of an earlier call
    dense = dense_copy(made)
    torch.testing.assert_close(dense(x), made(x))
    made(x).sum().backward()
    assert all(p.grad is not None for p in made.parameters())
    # Four products of blocks are all there are for n = 2, so two are an approximation; that of its copy is exact
    again = dense_copy(hypercomplexify(dense, 2))
    torch.testing.assert_close(again(x), dense(x), rtol=1e-4, atol=1e-5)


def test_inputs_are_padded_where_it_is_asked_for() -> None:
    torch.manual_seed(3)
    network = nn.Sequential(nn.Linear(7, 8), nn.Linear(8, 3), nn.ConvTranspose1d(3, 4, 3))
    made = hypercomplexify(network, 4, pad_inputs=True, fresh=True)
    assert weight_kinds(made) == {
        "0.weight": "hypercomplex 4",
        "1.weight": "real (3, 8)",
        "2.weight": "hypercomplex 4",
    }
    dense = dense_copy(made)
    assert [tuple(layer.weight.shape) for layer in dense] == [(8, 7), (3, 8), (3, 4, 3)]
    again = dense_copy(hypercomplexify(dense, 4, pad_inputs=True))
    torch.testing.assert_close(again[0].weight, dense[0].weight, rtol=1e-5, atol=1e-6)


def test_new_factors_are_drawn_and_zero_weights_stay_zero() -> None:
    network = Closure()
    nn.init.zeros_(network.pool.weight)
    torch.manual_seed(11)
    made = hypercomplexify(network, 4, fresh=True)
    torch.manual_seed(11)
    again = hypercomplexify(network, 4, fresh=True)
    assert all(torch.equal(a, b) for a, b in zip(made.parameters(), again.parameters(), strict=True))
    factored = hypercomplexify(network, 4)
    name = "lstm.weight_hh_l0"
    assert not torch.equal(materialise(made)[name], materialise(factored)[name])
    assert weight_kinds(made)["pool.weight"].startswith("real")
    zero = hypercomplexify(nn.Sequential(nn.Linear(4, 4), network.pool), 4, fresh=True)
    assert zero[0].weight.any()
    two = nn.Linear(4, 4)
    nn.init.zeros_(two.weight)
    assert not hypercomplexify(two, 2, fresh=True).weight.any()


def test_a_given_algebra_is_not_trained() -> None:
    made = hypercomplexify(nn.Linear(8, 8, bias=False), 4, algebra=hamilton())
    assert [tuple(p.shape) for p in made.parameters()] == [(4, 2, 2)]
    assert weight_kinds(made) == {"weight": "hypercomplex 4, fixed algebra"}


@pytest.mark.parametrize("kind", ["periodic", "sign"])
def test_binary_networks_leave_the_first_and_the_last_layer_real(kind: Any) -> None:
    network, x = mixed()
    made = binarize(network, kind, frequency=30.0)
    kinds = weight_kinds(made)
    assert {name for name, text in kinds.items() if text.startswith("real")} == {
        "first.weight",
        "last.weight",
    }
    torch.testing.assert_close(made(x), network(x), rtol=1e-4, atol=1e-5)
    assert kinds["up.weight"] == ("periodic 30, stage 1" if kind == "periodic" else "sign, stage 1")
    set_stage(made, 2)
    binary = [w for name, w in materialise(made).items() if not kinds.get(name, "real").startswith("real")]
    assert all(len(w.abs().unique()) <= max(w.shape[:2]) for w in binary)
    assert (float(periodic_penalty(made).detach()) > 0) == (kind == "periodic")
    set_stage(made, 2, rounded=True)
    hard = harden(made)
    torch.testing.assert_close(hard(x), made(x))
    assert not is_parametrized(hard)
    assert is_parametrized(made)
    for name, weight in materialise(hard).items():
        if kinds.get(name, "real").startswith("real"):
            continue
        rows = (weight.transpose(0, 1) if name == "up.weight" else weight).flatten(1)
        assert torch.equal(rows.abs(), rows[:, :1].abs().expand_as(rows))
        assert torch.equal(rows.bfloat16().float(), rows)
        if name != "up.weight":  # the file has a scale for each first index
            parts, formats = pack({name: weight.detach().numpy()}, {name: "sign"})
            np.testing.assert_array_equal(unpack(parts, formats, "here")[name], weight.detach().numpy())


@pytest.mark.parametrize(
    ("network", "real"),
    [
        (Closure(), {"lstm.weight_ih_l0", "lstm.weight_ih_l0_reverse", "level.weight", "column.weight"}),
        (ColumnBiLSTM(), {"lstm.weight_ih_l0", "lstm.weight_ih_l0_reverse", "level.weight", "column.weight"}),
        (
            BiLSTM.published(9),
            {
                "lstm.weight_ih_l0",
                "lstm.weight_ih_l0_reverse",
                "profiles.weight",
                "channel.weight",
                "trigger.weight",
            },
        ),
        (
            MgNO(channels=4, layers=2, levels=2),
            {"cycles.0.smoother.0.weight", "cycles.0.smoother.1.weight", "cycles.0.matrix.0.weight"}
            | {"cycles.0.matrix.1.weight", "points.0.weight", "head.weight"},
        ),
    ],
)
def test_the_ends_of_the_networks_of_this_package(network: nn.Module, real: set[str]) -> None:
    kinds = weight_kinds(binarize(network, "sign", fresh=True))
    assert {name for name, text in kinds.items() if text.startswith("real")} == real
    more = weight_kinds(binarize(network, real=["pool", "points"]))
    assert any(text.startswith("periodic") for text in more.values())
    assert all(text.startswith("real") for name, text in more.items() if name.startswith(("pool", "points")))


def test_centred_signs_are_hardened_too() -> None:
    torch.manual_seed(7)
    layer = nn.Linear(5, 3)
    nn.utils.parametrize.register_parametrization(layer, "weight", CentredSign(rowwise=True))
    hard = harden(layer).weight
    assert torch.equal(hard > 0, layer.weight > 0)
    torch.testing.assert_close(hard, layer.weight, rtol=4e-3, atol=0)
    assert torch.equal(hard.bfloat16().float(), hard)


def test_spectral_weights_stay_real_and_are_listed() -> None:
    kinds = weight_kinds(hypercomplexify(FNO(modes=4, width=8, layers=1), 4))
    assert kinds["spectral.0.weight"].startswith("real (8, 8")
    assert kinds["skips.0.weight"] == "hypercomplex 4"


def test_bad_conversions() -> None:
    network, _ = mixed()
    for n in (0, 2.0, True):
        with pytest.raises(InputError, match="whole number"):
            hypercomplexify(network, n)  # type: ignore[arg-type]
    with pytest.raises(
        InputError, match=r"7 divides both sizes of no weight \(first.weight \(4, 3, 3\), .* another n"
    ):
        hypercomplexify(network, 7)
    with pytest.raises(InputError, match="there is none"):
        hypercomplexify(nn.BatchNorm2d(4), 2)
    with pytest.raises(InputError, match=r"algebra of shape \(4, 4, 4\): give \(2, 2, 2\)"):
        hypercomplexify(network, 2, algebra=hamilton())
    with pytest.raises(InputError, match=r"no other of the weights \(weight\)"):
        binarize(nn.Linear(3, 3))
    with pytest.raises(InputError, match=r"kind='ternary'\): give periodic or sign"):
        binarize(network, "ternary")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no binary weight"):
        harden(network)
    with pytest.raises(InputError, match=r"parametrised already \(inner.weight"):
        binarize(hypercomplexify(nn.ModuleDict({"inner": nn.Linear(4, 4)}), 2))
    with pytest.raises(InputError, match="set_stage"):
        set_stage(network, 0)
