"""Binary weights: the square wave of BiPer, the centred sign of BiPFT, and the plain sign."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sciml.errors import InputError
from sciml.nn.binary_activation import BinaryActivation
from sciml.nn.binary_weight import CentredSign, Periodic, StraightThroughSign
from tests.nn.vectors import assert_near, case, cases


def without(value: Tensor, at: Tensor) -> Tensor:
    """Return zeros where the official sign is 0 and ours 1, with the derivative of the value."""
    return value - (value * at).detach()


@pytest.mark.parametrize("name", cases("biper", "/reg_mean"))
def test_the_convolutions_of_the_authors(name: str) -> None:
    v = case("biper", name)
    kind, stage, mode, frequency, geometry = name.split("/")
    groups, stride, padding = (int(geometry[at]) for at in (1, 3, 5))
    alpha = v["param/alpha"]
    function = Periodic(float(frequency.removeprefix("freq")), stage=int(stage[-1]))
    latent, scale = v["param/weight"].requires_grad_(), alpha.flatten().requires_grad_()
    x = v["in/x"].requires_grad_()
    weight = function(latent, scale)
    weight.retain_grad()
    shown = without(weight, (latent == 0) & (function.stage == 2))
    a = x if kind.endswith("_32a") else without(BinaryActivation().train(mode == "train")(x), x == 0)
    bias = v["param/bias"].requires_grad_() if "param/bias" in v else None
    shift = None if bias is None else bias * scale  # the official scale multiplies the bias too
    out = nn.functional.conv2d(a, shown, shift, stride, padding, 1, groups)
    assert_near(out, v["out"], 2e-5)
    out.backward(v["cotangent"])
    assert_near(x.grad, v["grad/in/x"], 2e-5)
    assert_near(latent.grad, v["grad/param/weight"], 2e-5)
    if bias is not None:
        assert_near(bias.grad, v["grad/param/bias"], 2e-5)
    zeros = (latent == 0) & (function.stage == 2)  # the scale's derivative has our sign there
    by_scale = scale.grad - (weight.grad * zeros).flatten(1).sum(1)
    assert_near(by_scale.reshape(alpha.shape), v["grad/param/alpha"], 2e-5)
    fresh = v["param/weight"].detach().requires_grad_()
    penalty = function.penalty(fresh)
    assert_near(penalty, v["reg_mean"], 2e-5)
    penalty.backward()
    assert_near(fresh.grad, v["reg_grad_weight"], 2e-5)
    wave = torch.sin(function.frequency * latent).detach()
    assert_near(wave.abs().mean(), v["gamma_star_mean_abs_sin"], 2e-5)


def test_the_errors_of_the_square_wave_for_laplace_weights() -> None:
    """Closed forms: E|sin| = a / (1 + a^2) coth(pi / 2a) and E sin^2 = 2 a^2 / (1 + 4 a^2), with a = frequency b."""
    b, w = 0.02, torch.distributions.Laplace(0.0, 0.02).icdf((torch.arange(200_000).double() + 0.5) / 200_000)
    absolute = []
    for frequency in (1.0, 20.0, 50.0, 400.0):
        a = frequency * b
        size, square = a / (1 + a * a) / math.tanh(math.pi / (2 * a)), 2 * a * a / (1 + 4 * a * a)
        real, binary = (Periodic(frequency, stage=s)(w[None], torch.ones(1).double()) for s in (1, 2))
        assert float((real * binary).mean()) == pytest.approx(size, abs=1e-4)
        assert float(Periodic(frequency).penalty(w)) == pytest.approx(square, abs=1e-4)
        absolute.append(float((real - size * binary).square().mean()))
    assert absolute[0] < absolute[1] < absolute[2] > absolute[3]  # the error rises before it falls
    assert absolute[3] == pytest.approx(0.5 - 4 / math.pi**2, abs=2e-3)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_dense_weight_becomes_latent(transposed: bool) -> None:
    torch.manual_seed(3)
    layer = nn.ConvTranspose2d(3, 5, 2) if transposed else nn.Conv2d(3, 5, 2)
    layer.weight.data[0, 0] = 0.0
    dense = layer.weight.detach().clone()
    function = Periodic(30.0, stage=1, transposed=transposed)
    parametrize.register_parametrization(layer, "weight", function)
    torch.testing.assert_close(layer.weight, dense, rtol=1e-5, atol=1e-7)
    function.stage = 2
    layer.weight = dense
    weight = layer.weight.detach()
    outputs = (weight.transpose(0, 1) if transposed else weight).flatten(1)
    given = (dense.transpose(0, 1) if transposed else dense).flatten(1)
    torch.testing.assert_close(outputs.abs(), given.abs().mean(1, keepdim=True).expand_as(outputs))
    assert torch.equal(outputs > 0, given >= 0)


def test_the_plain_sign() -> None:
    torch.manual_seed(5)
    layer = parametrize.register_parametrization(nn.Linear(4, 3), "weight", StraightThroughSign())
    latent, scale = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    g = torch.randn(3, 4)
    (layer.weight * g).sum().backward()
    torch.testing.assert_close(latent.grad, scale[:, None] * g)
    torch.testing.assert_close(scale.grad, (g * latent.sign()).sum(1))
    torch.testing.assert_close(scale, latent.abs().mean(1))


@pytest.mark.parametrize("layerwise", [True, False])
def test_the_quantiser_of_bipft(layerwise: bool) -> None:
    v = case("bipft", f"BwnQuantizer_layerwise{layerwise}")
    x = v["in"].requires_grad_()
    out = CentredSign(rowwise=not layerwise)(x)
    assert_near(out, v["out"], 1e-5)
    out.backward(v["cotangent"])
    assert torch.equal(x.grad, v["grad"])


def test_no_weight_is_zero_and_none_hides_nan() -> None:
    w, scale = torch.tensor([[0.0, -0.0, 1.0, math.nan]]), torch.ones(1)
    for weight in (Periodic(20.0)(w, scale), StraightThroughSign()(w, scale)):
        assert weight[0, :3].tolist() == [1.0, 1.0, 1.0]
        assert weight[0, 3].isnan()
    assert CentredSign()(torch.zeros(2, 2)).tolist() == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize(("settings", "match"), [((0.0,), "frequency=0"), ((math.nan,), "above 0")])
def test_bad_settings(settings: tuple[float], match: str) -> None:
    with pytest.raises(InputError, match=match):
        Periodic(*settings)
    with pytest.raises(InputError, match=r"1 \(sine\) or 2"):
        Periodic(20.0, stage=3)
