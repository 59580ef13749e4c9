"""The second-order expansion: an own reference with an exact Hessian, LSTMs, parametrised weights and bad input."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sciml.compress import measured_losses, sensitivity
from sciml.compress.arithmetic import quantize_blocks
from sciml.compress.formats import FORMATS
from sciml.compress.pareto import bisect_last
from sciml.compress.second_order import expand_loss, mean_traces
from sciml.compress.widths import round_to_width
from sciml.errors import InputError
from sciml.nn import LSTM
from tests.paths import REPO

SHAPES = ((8, 6), (8, 8), (8, 8), (3, 8))
TOLERANCE: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-10}


@cache
def oracle() -> dict[str, Any]:
    with np.load(REPO / "tests/oracles/own_interlayer_hessian.npz") as file:
        return {name: file[name] for name in file.files}


def network() -> nn.Module:
    layers: list[nn.Module] = []
    for number, (rows, columns) in enumerate(SHAPES):
        layer = nn.Linear(columns, rows, bias=False).double()
        first, last = oracle()["layer_offsets"][number : number + 2]
        layer.weight.data = torch.from_numpy(oracle()["w"][first:last].reshape(rows, columns))
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def squared_error(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return torch.nn.functional.mse_loss(model(batch[0]), batch[1])


def reference_quantiser(name: str, weight: Tensor, width: int) -> Tensor:
    layer, index = int(name.split(".")[0]) // 2, [4, 6, 8].index(width)
    first, last = oracle()["layer_offsets"][layer : layer + 2]
    return weight + torch.from_numpy(oracle()["delta"][3 * layer + index, first:last].reshape(weight.shape))


def batches(parts: int) -> list[tuple[Tensor, Tensor]]:
    x, t = (torch.from_numpy(oracle()[name]) for name in ("X", "T"))
    return [(x[n::parts], t[n::parts]) for n in range(parts)]


@cache
def terms() -> Any:
    return sensitivity(
        network(), batches(3), squared_error, (4, 6, 8), quantiser=reference_quantiser, probes=None
    )


def test_terms_equal_those_of_the_exact_hessian() -> None:
    made = terms()
    np.testing.assert_allclose(made.loss, oracle()["loss_base"], **TOLERANCE)
    np.testing.assert_allclose(made.slope.ravel(), oracle()["g_dot_delta"], **TOLERANCE)
    np.testing.assert_allclose(made.curvature.reshape(12, 12), oracle()["delta_H_delta"], **TOLERANCE)
    np.testing.assert_allclose(made.mean_trace, oracle()["mean_trace"], **TOLERANCE)
    gradient, _ = expand_loss(network(), batches(2), squared_error, ("0.weight", "6.weight"), [])
    np.testing.assert_allclose(gradient["0.weight"].ravel(), oracle()["grad"][:48], **TOLERANCE)
    np.testing.assert_allclose(gradient["6.weight"].ravel(), oracle()["grad"][176:], **TOLERANCE)


@pytest.mark.parametrize(
    ("method", "name"),
    [("trace", "trace"), ("diagonal", "diag"), ("cross", "cross"), ("inter-layer", "grad_cross")],
)
def test_predictions_of_all_assignments(method: Any, name: str) -> None:
    predicted = terms().model(method).predict(oracle()["assignments"])
    np.testing.assert_allclose(predicted, oracle()[f"pred_{name}"], **TOLERANCE)


def test_measured_losses_and_pairs() -> None:
    made = measured_losses(
        network(), batches(3), squared_error, (4, 6, 8), quantiser=reference_quantiser, pairs=True
    )
    assert made.pairs is not None
    table = made.pairs.reshape(12, 12) + np.diag(made.single.ravel())
    np.testing.assert_allclose(table, oracle()["omega_clado"], **TOLERANCE)
    pairs = np.array([[0, 0, 2, 2], [2, 0, 2, 1]])
    first, second = made.predict(pairs) - made.predict([[2, 2, 2, 2]])
    assert first == pytest.approx(made.predict([0, 0, 2, 2])[0] - made.predict([2, 2, 2, 2])[0])
    assert second < first


@pytest.mark.parametrize(
    ("scores", "name"), [("trace", "trace"), ("diagonal", "diag"), ("row-sum", "rowsum")]
)
def test_bisection_along_an_order_of_the_tensors(scores: Any, name: str) -> None:
    expected = {
        key: oracle()[f"bisection/{name}/{key}"] for key in ("sensitivity", "order", "m", "trace_m_loss")
    }
    made = terms().layer_scores(scores)
    np.testing.assert_allclose(made, expected["sensitivity"], **TOLERANCE)
    order = np.argsort(made)
    np.testing.assert_array_equal(order, expected["order"])
    visited = []

    def passes(count: int) -> bool:
        choice = np.full(4, 2)
        choice[order[:count]] = 0
        row = int(np.flatnonzero((oracle()["assignments"] == choice).all(1))[0])
        visited.append((count, oracle()["true_dloss"][row]))
        return bool(visited[-1][1] <= oracle()["bisection/tol"])

    assert bisect_last(4, passes) == expected["m"]
    np.testing.assert_allclose(visited, expected["trace_m_loss"], **TOLERANCE)


@pytest.mark.parametrize("kind", [nn.LSTM, LSTM])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_terms_of_an_lstm_equal_finite_differences(kind: type[nn.LSTM], dtype: torch.dtype) -> None:
    torch.manual_seed(5)
    lstm = kind(3, 4, bidirectional=True, batch_first=True, num_layers=2).to(dtype)
    data = [torch.randn(6, 5, 3, dtype=dtype), torch.randn(3, 5, 3, dtype=dtype)]

    def loss(model: nn.Module, batch: Tensor) -> Tensor:
        return (model(batch)[0] - batch.mean(-1, keepdim=True)).square().mean()

    before = {name: value.clone() for name, value in lstm.state_dict().items()}
    made = sensitivity(lstm, data, loss, (4, 8), tensors=("weight_hh_l0", "weight_ih_l1_reverse"))
    assert all(torch.equal(before[name], value) for name, value in lstm.state_dict().items())
    assert all(weight.requires_grad and weight.grad is None for weight in lstm.parameters())
    exact = kind(3, 4, bidirectional=True, batch_first=True, num_layers=2).double()
    exact.load_state_dict(lstm.state_dict())
    errors = [
        (name, round_to_width(name, before[name], width).double() - before[name].double())
        for name in made.tensors
        for width in (4, 8)
    ]
    exact.requires_grad_(False)
    step = 1e-3
    for i, (first, one_error) in enumerate(errors):
        for j, (second, other_error) in enumerate(errors):
            total = 0.0
            for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                shifted = {name: value.double() for name, value in before.items()}
                shifted[first] = shifted[first] + a * step * one_error / one_error.norm()
                shifted[second] = shifted[second] + b * step * other_error / other_error.norm()
                exact.load_state_dict(shifted)
                total += a * b * sum(len(x) * float(loss(exact, x.double())) for x in data) / 9
            wanted = total / (4 * step**2) * float(one_error.norm() * other_error.norm())
            scale = float(one_error.norm() * other_error.norm())
            assert made.curvature.reshape(4, 4)[i, j] == pytest.approx(wanted, abs=2e-5 * scale)


def test_hutchinson_approaches_the_trace() -> None:
    names = [f"{n}.weight" for n in (0, 2, 4, 6)]
    made = mean_traces(network(), batches(2), squared_error, names, probes=200, seed=11)
    np.testing.assert_allclose(list(made.values()), oracle()["mean_trace"], rtol=0.15)


def test_parametrised_weights_are_dense_ones() -> None:
    torch.manual_seed(3)
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))
    net = nn.Sequential(layer, nn.Tanh(), nn.Linear(4, 1))

    def loss(model: nn.Module, batch: Tensor) -> Tensor:
        return model(batch).square().mean()

    made = sensitivity(net, torch.randn(8, 3), loss, (4, 8))
    assert made.tensors == ("0.weight", "2.weight")
    assert made.sizes.tolist() == [12, 4]


def test_a_warning_where_the_expansion_does_not_hold() -> None:
    with pytest.warns(UserWarning, match=r"with all tensors at 2 bit the loss increases by .* predicts"):
        made = sensitivity(network(), batches(2), squared_error, (2, 8))
    assert not made.holds
    assert made.predicted > 1.5 * made.measured
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sensitivity(network(), batches(2), squared_error, (8, 16)).holds


def test_rounding_is_that_of_the_formats() -> None:
    rng = np.random.default_rng(17)
    weight = (rng.normal(size=(5, 150)) * 10.0 ** rng.uniform(-6, 3, (5, 1))).astype(np.float32)
    weight[2, :64] = 0.0
    for width in (4, 8):
        codes = quantize_blocks(weight, width, 64)
        decoded = FORMATS[f"int{width}"].decode(FORMATS[f"int{width}"].encode(weight), weight.shape)
        made = round_to_width("w", torch.from_numpy(weight), width).numpy()
        np.testing.assert_array_equal(made, decoded)
        assert codes.codes.shape == made.shape
    kernel = rng.normal(size=(4, 3, 5, 5)).astype(np.float32)
    packed = FORMATS["int4"].encode(kernel.reshape(4, 75))
    expected = FORMATS["int4"].decode(packed, (4, 75)).reshape(kernel.shape)
    np.testing.assert_array_equal(round_to_width("w", torch.from_numpy(kernel), 4).numpy(), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widths": (4,)}, "widths 4: give two or more"),
        ({"widths": (4, 32)}, "width 32: give whole numbers"),
        ({"widths": (4.0, 8)}, r"width 4\.0"),
        ({"tensors": ["9.weight"]}, r"tensor '9\.weight' is not in the network"),
        ({"tensors": []}, "nothing to choose"),
        ({"data": 3}, "data=int has no batches"),
        ({"data": []}, "data=list has no batches"),
        ({"data": [torch.zeros(0, 6)]}, "a batch has no tensor with a sample"),
        ({"loss": lambda model, batch: model(batch[0])}, "loss returns Tensor"),
        ({"loss": lambda model, batch: model(batch[0]).sum() * torch.nan}, "the loss of a batch is nan"),
        ({"quantiser": lambda name, weight, width: weight[:2]}, "the quantiser returns"),
    ],
)
def test_bad_input(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"data": batches(2), "loss": squared_error, "widths": (4, 8), **change}
    with pytest.raises(InputError, match=message):
        sensitivity(network(), **given)
