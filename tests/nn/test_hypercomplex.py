"""Hypercomplex weights: the layers of the authors, quaternion networks, and dense weights that are factored."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sciml.errors import InputError
from sciml.nn import LSTM, materialise
from sciml.nn.hypercomplex import Hypercomplex, hamilton
from tests.nn.vectors import assert_near, case, cases

LAYERS = {
    "PHMLinear": (nn.Linear, {}),
    "PHConv1D": (nn.Conv1d, {"stride": 2, "dilation": 2, "padding": 2}),
    "s1_p1": (nn.Conv2d, {"stride": 1, "padding": 1}),
    "s2_p0_k2": (nn.Conv2d, {"stride": 2}),
    "PHConv3D": (nn.Conv3d, {"padding": 1}),
}


def with_factors(
    layer: nn.Module, name: str, *originals: Tensor, algebra: Tensor | None = None
) -> list[Tensor]:
    """Parametrise a weight with given original tensors, and return these."""
    function = Hypercomplex(originals[-1].shape[0], algebra)
    parametrize.register_parametrization(layer, name, function)
    made = list(layer.parametrizations[name].parameters())
    with torch.no_grad():
        for mine, given in zip(made, originals, strict=True):
            mine.copy_(given)
    return made


@pytest.mark.parametrize("name", [x for x in cases("phnn") if x.startswith("PH")])
def test_the_layers_of_the_authors(name: str) -> None:
    v = case("phnn", name)
    kind, settings = next(value for key, value in LAYERS.items() if key in name)
    a, f = (v[f"param/{key}"] for key in (("a", "s") if "Linear" in name else ("A", "F")))
    rows, columns, *taps = v["weight"].shape
    layer = kind(columns, rows, *([tuple(taps)] if taps else []), bias=not taps, **settings)
    algebra, factors = with_factors(layer, "weight", a, f)
    if not taps:
        layer.bias.data.copy_(v["param/bias"])
    x = v["in/x"].requires_grad_()
    assert_near(layer.weight, v["weight"], 1e-6)
    out = layer(x)
    assert_near(out, v["out"], 1e-6)
    out.backward(v["cotangent"])
    names = ("a", "s") if "Linear" in name else ("A", "F")
    for mine, official in ((algebra, names[0]), (factors, names[1])):
        assert_near(mine.grad, v[f"grad/param/{official}"], 1e-6)
    assert_near(x.grad, v["grad/in/x"], 1e-6)


def test_quaternion_layers_have_a_fixed_algebra() -> None:
    v = case("phnn", "quaternion_conv")
    assert torch.equal(hamilton(), v["hamilton_A"])
    layer = nn.Conv2d(8, 12, 3, padding=(v["out"].shape[-1] - v["in/x"].shape[-1] + 2) // 2)
    with_factors(layer, "weight", torch.stack([v[f"param/{part}"] for part in "rijk"]), algebra=hamilton())
    layer.bias.data.copy_(v["param/bias"])
    assert_near(layer(v["in/x"]), v["out"], 1e-6)
    assert sorted(materialise(layer)) == ["bias", "weight"]
    v = case("phnn", "quaternion_linear")  # its parts are (inputs, outputs)
    linear = nn.Linear(8, 12)
    parts = torch.stack([v[f"param/{part}"].T for part in "rijk"])
    with_factors(linear, "weight", parts, algebra=hamilton())
    linear.bias.data.copy_(v["param/bias"])
    assert_near(linear(v["in/x"]), v["out"], 1e-6)
    v = case("phnn", "hamilton_product")
    product = torch.einsum("apq,na,nq->np", hamilton(), v["in/q0"], v["in/q1"])
    assert_near(product, v["out"], 1e-6)


def test_a_stacked_bidirectional_lstm() -> None:
    v = case("phnn", "own_phlstm_stacked")
    for kind in (nn.LSTM, LSTM):
        lstm = kind(8, 12, 2, bidirectional=True, batch_first=True)
        for name in list(lstm.state_dict()):
            if name.startswith("bias"):
                getattr(lstm, name).data.copy_(v[f"param/{name}"])
            else:
                with_factors(lstm, name, v[f"param/{name}/A"], v[f"param/{name}/F"])
        if kind is nn.LSTM:
            continue  # it computes with weights that it collected earlier
        out, (h, c) = lstm(v["in/x"])
        for mine, name in ((out, "out"), (h, "h"), (c, "c")):
            assert_near(mine, v[name], 1e-6)


def hamilton_of_gates() -> Tensor:
    """Return the quaternion algebra for blocks of rows in torch's order of gates: i, f, c, o from i, f, o, c."""
    return hamilton()[:, [0, 1, 3, 2]]


@pytest.mark.parametrize("name", cases("phnn_qlstm"))
def test_quaternion_lstms(name: str) -> None:
    v = case("phnn_qlstm", name)
    both, layers = "bi1" in name, int(name[-1])
    lstm = LSTM(8, 12, layers, bidirectional=both, batch_first=True)
    made: dict[str, list[Tensor]] = {}
    for layer in range(layers):
        for direction in ("", "_reverse") if both else ("",):  # they share their weights
            for kind, theirs in (("ih", "w"), ("hh", "u")):
                ending = f"{kind}_l{layer}{direction}"
                parts = [v[f"param/rnn.{layer}.{theirs}.{part}_weight"].T for part in "rijk"]
                factors = with_factors(
                    lstm, f"weight_{ending}", torch.stack(parts), algebra=hamilton_of_gates()
                )
                bias = v[f"param/rnn.{layer}.{theirs}.bias"].reshape(4, 12)[[0, 1, 3, 2]].reshape(-1)
                getattr(lstm, f"bias_{ending}").data.copy_(bias)
                made.setdefault(f"rnn.{layer}.{theirs}", []).append(factors[0])
    x = v["in/x"].requires_grad_()
    out = lstm(x)[0]
    assert_near(out, v["out"], 1e-5)
    out.backward(v["cotangent"])
    assert_near(x.grad, v["grad/in/x"], 1e-5)
    for theirs, factors in made.items():
        gradient = sum(factor.grad for factor in factors)
        for number, part in enumerate("rijk"):
            assert_near(gradient[number].T, v[f"grad/param/{theirs}.{part}_weight"], 1e-5)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_sum_of_products_is_factored_without_error(fixed: bool, transposed: bool) -> None:
    torch.manual_seed(3)
    function = Hypercomplex(4, hamilton() if fixed else None, transposed=transposed).double()
    factors = torch.randn(4, 2, 3, 3, 2, dtype=torch.float64)
    originals = (factors,) if fixed else (torch.randn(4, 4, 4, dtype=torch.float64), factors)
    weight = function(*originals)
    assert weight.shape == ((12, 8, 3, 2) if transposed else (8, 12, 3, 2))
    again = function.right_inverse(weight)
    assert_near(function(*((again,) if fixed else again)), weight, 1e-12)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("inputs", [11, 9, 6, 3])
def test_inputs_that_n_does_not_divide(fixed: bool, transposed: bool, inputs: int) -> None:
    """The weight is that of a layer with more inputs, without its last columns; it gives its factors back."""
    torch.manual_seed(3)
    columns = -(-inputs // 4)
    algebra = hamilton() if fixed else None
    function = Hypercomplex(4, algebra, transposed=transposed, inputs=inputs).double()
    factors = torch.randn(4, 2, columns, 3, dtype=torch.float64)
    originals = (factors,) if fixed else (torch.randn(4, 4, 4, dtype=torch.float64), factors)
    weight = function(*originals)
    whole = Hypercomplex(4, algebra, transposed=transposed).double()(*originals)
    assert torch.equal(weight, whole[:inputs] if transposed else whole[:, :inputs])
    again = function.right_inverse(weight)
    if inputs > 3 or fixed:  # else no column has all positions, which determine the algebra
        assert_near(function(*((again,) if fixed else again)), weight, 1e-12)


def test_the_factors_of_a_dense_weight_have_the_least_error() -> None:
    torch.manual_seed(5)
    function, weight = Hypercomplex(3), torch.randn(6, 9, dtype=torch.float64)
    a, f = (x.requires_grad_() for x in function.right_inverse(weight))
    error = (function(a, f) - weight).square().sum()
    error.backward()
    assert max(float(x.grad.abs().max()) for x in (a, f)) < 1e-12  # a stationary point
    blocks = weight.reshape(3, 2, 3, 3).transpose(1, 2).reshape(9, 6)
    assert error.item() == pytest.approx(float(torch.linalg.svdvals(blocks)[3:].square().sum()), rel=1e-10)


def test_a_zero_weight_can_be_learned() -> None:
    layer = nn.Linear(4, 4)
    nn.init.zeros_(layer.weight)
    parametrize.register_parametrization(layer, "weight", Hypercomplex(2))
    layer(torch.ones(3, 4)).sum().backward()
    assert not layer.weight.any()
    assert layer.parametrizations.weight.original1.grad.abs().max() > 0


def test_transposed_convolutions() -> None:
    torch.manual_seed(7)
    forward, back = nn.Conv2d(6, 4, 3, bias=False), nn.ConvTranspose2d(4, 6, 3, bias=False)
    parametrize.register_parametrization(forward, "weight", Hypercomplex(2))
    parametrize.register_parametrization(back, "weight", Hypercomplex(2, transposed=True))
    assert back.parametrizations.weight.original1.shape == (2, 3, 2, 3, 3)  # outputs first
    parametrize.register_parametrization(
        nn.ConvTranspose1d(4, 6, 3), "weight", Hypercomplex(2, transposed=True)
    )
    x, y = torch.randn(1, 6, 5, 5), torch.randn(1, 4, 3, 3)
    back.weight = forward.weight.detach()
    torch.testing.assert_close((forward(x) * y).sum(), (x * back(y)).sum())


def test_the_initial_values_are_those_of_the_authors() -> None:
    torch.manual_seed(9)
    function = Hypercomplex(4)
    a, f = torch.empty(4, 4, 4), torch.empty(4, 16, 12)
    function.initialise(a, f)
    for made, bound in ((a, (6 / 32) ** 0.5), (f, (6 / (16 * 12 + 4 * 12)) ** 0.5)):
        assert 0.9 * bound < float(made.abs().max()) <= bound


def test_sizes_that_n_does_not_divide() -> None:
    with pytest.raises(InputError, match=r"4 does not divide its first two sizes; give another n"):
        parametrize.register_parametrization(nn.Linear(4, 6), "weight", Hypercomplex(4))
    with pytest.raises(InputError, match=r"algebra of shape \(4, 4, 4\): give \(2, 2, 2\)"):
        Hypercomplex(2, hamilton())
    with pytest.raises(InputError, match="Hypercomplex"):
        Hypercomplex(0)
    with pytest.raises(InputError, match="inputs"):
        Hypercomplex(4, inputs=0)
    with pytest.raises(InputError, match=r"weight \(8, 9\)"):
        parametrize.register_parametrization(nn.Linear(9, 8), "weight", Hypercomplex(4, inputs=10))
