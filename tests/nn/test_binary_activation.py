"""Binary activations against the programs of their authors."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from sciml.errors import InputError
from sciml.nn.binary_activation import BinaryActivation, ElasticSign, ElasticStep
from sciml.nn.binary_weight import CentredSign
from tests.nn.vectors import assert_near, case


def test_the_derivative_of_biper() -> None:
    v = case("biper", "BinaryQuantize_a")
    a = v["in"].requires_grad_()
    out = BinaryActivation().eval()(a)
    assert_near(out[a != 0], v["out"][a != 0], 0.0)
    assert (out[a == 0] == 1).all()
    out.sum().backward()
    assert_near(a.grad, v["grad_of_sum"], 2e-5)


@pytest.mark.parametrize("start", ["auto", "given"])
@pytest.mark.parametrize("name", ["Signed", "Unsigned"])
def test_the_elastic_binarisers(name: str, start: str) -> None:
    v = case("bipft", f"Elastic{name}_{start}")
    layer = ElasticSign() if name == "Signed" else ElasticStep()
    if start == "given":
        layer.step.data.copy_(v["alpha"])
        layer.started.fill_(True)
    x = v["in"].requires_grad_()
    out = layer(x)
    assert_near(layer.step, v["alpha"], 1e-5)
    zeros = (x == 0) & (name == "Signed")
    assert_near(out * ~zeros, v["out"], 1e-5)
    out.backward(v["cotangent"])
    assert_near(x.grad, v["grad_in"], 1e-5)
    own = (v["cotangent"] * zeros).sum() / x.numel() ** 0.5  # our sign of zero is 1
    assert_near(layer.step.grad - own, v["grad_alpha"], 2e-5)


def test_the_linear_layer_of_bipft() -> None:
    v = case("bipft", "QuantizeLinear")
    linear = nn.Linear(10, 7)
    linear.weight.data.copy_(v["param/weight"])
    linear.bias.data.copy_(v["param/bias"])
    parametrize.register_parametrization(linear, "weight", CentredSign())
    sign = ElasticSign(10)
    sign.shift.data.copy_(v["param/move.bias"])
    sign.step.data.copy_(v["param/input_clip_val"])
    sign.started.fill_(True)
    x = v["in/hidden"].requires_grad_()
    out = linear(sign(x))
    assert_near(out, v["out"], 1e-5)
    out.backward(v["cotangent"])
    for mine, name in (
        (x.grad, "in/hidden"),
        (linear.parametrizations.weight.original.grad, "param/weight"),
        (linear.bias.grad, "param/bias"),
        (sign.step.grad, "param/input_clip_val"),
        (sign.shift.grad, "param/move.bias"),
    ):
        assert_near(mine, v[f"grad/{name}"], 2e-5)


def test_the_first_call_starts_the_step_once() -> None:
    layer = ElasticStep()
    layer(torch.tensor([0.1, 0.3]))
    layer(torch.tensor([7.0, 7.0]))
    assert layer.step.item() == pytest.approx(0.8)
    again = ElasticStep()
    again.load_state_dict(layer.state_dict())
    again(torch.tensor([7.0]))
    assert again.step.item() == pytest.approx(0.8)


def test_a_sample_of_one_number_has_no_deviation() -> None:
    layer = BinaryActivation()
    with pytest.raises(InputError, match=r"shape \(3, 1\): give samples of 2 numbers or more"):
        layer(torch.ones(3, 1))
    assert torch.equal(layer.eval()(torch.zeros(3, 1)), torch.ones(3, 1))
