"""Reduced layers against their definition, written with loops over numbers, and against the float layers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from sciml.compress.integer_linear import ReducedLinear
from sciml.compress.integer_lstm import ReducedLSTM
from sciml.compress.tables import table_sigmoid, table_tanh
from sciml.errors import InputError
from sciml.nn.lstm import LSTM

F = np.float32
Row = list[np.float32]


def shift_of(values: Row, most: int) -> int:
    """Largest s with ``m 2^s <= most``."""
    m = max(abs(float(v)) for v in values)
    return 0 if m == 0 else min(math.floor(math.log2(most / m)), 112)


def blocks(values: Row, block: int, most: int, planes: int = 1) -> list[tuple[list[int], int]]:
    result = []
    for at in range(0, len(values), block):
        part = [float(v) for v in values[at : at + block]]
        s = shift_of([F(v) for v in part], most)
        codes = [round(v * 2.0**s) for v in part]
        result.append((codes, s))
        if planes == 2:
            result.append(([round((v * 2.0**s - q) * 128) for v, q in zip(part, codes, strict=True)], s + 7))
    return result


def bfloat16(v: np.float32) -> np.float32:
    return F(torch.tensor(float(v), dtype=torch.bfloat16).float().item())


def add(total: np.float32, x: Row, w: Row, kind: str, block: int, planes: int = 1) -> np.float32:
    """One row of section "sums"."""
    if kind == "bf16":
        acc = F(0)
        for at in range(0, len(x), 32):
            pair = [F(0), F(0)]
            for n in range(at, min(at + 32, len(x))):
                pair[n % 2] = pair[n % 2] + bfloat16(x[n]) * bfloat16(w[n])
            acc = acc + (pair[0] + pair[1])
        return total + acc
    codes = blocks(x, block, 127, planes)
    if kind == "sign":
        scale = bfloat16(F(np.mean(np.abs(np.float64(w)))))
        weights = [
            ([1 if v >= 0 else -1 for v in w[at : at + block]], scale) for at in range(0, len(w), block)
        ]
    else:
        most = 127 if kind == "int8" else 7
        weights = [(q, F(2.0**-s)) for q, s in blocks(w, block, most)]
    for n, (q, s) in enumerate(codes):
        other, scale = weights[n // planes]
        product = sum(a * b for a, b in zip(q, other, strict=True))
        total = total + (F(product) * F(2.0**-s)) * scale
    return total


def gate(s: np.float32, of: Callable[[np.ndarray], np.ndarray], scale: float) -> int:
    z = max(-32767, min(32767, round(float(s * F(scale)))))
    return int(of(np.array([z], np.int32))[0])


def reference(lstm: LSTM, kinds: dict[str, str], block: int, planes: int, x: np.ndarray) -> np.ndarray:
    state = {name: tensor.numpy() for name, tensor in lstm.state_dict().items()}
    rows = [[F(v) for v in level] for level in x]
    unit = F(2.0**-15)
    for layer in range(lstm.num_layers):
        sides = []
        for suffix in ("", "_reverse"):
            names = [f"weight_{part}_l{layer}{suffix}" for part in ("ih", "hh")]
            bias = state[f"bias_ih_l{layer}{suffix}"] + state[f"bias_hh_l{layer}{suffix}"]
            h: Row | None = None
            c = [F(0)] * lstm.hidden_size
            out: dict[int, Row] = {}
            order = range(len(rows))
            for level in reversed(order) if suffix else order:
                sums = []
                for row in range(4 * lstm.hidden_size):
                    count = planes if layer == 0 else 1
                    s = add(bias[row], rows[level], list(state[names[0]][row]), kinds[names[0]], block, count)
                    if h is not None:
                        s = add(s, h, list(state[names[1]][row]), kinds[names[1]], block)
                    sums.append(s)
                i, f, g, o = (sums[n * lstm.hidden_size : (n + 1) * lstm.hidden_size] for n in range(4))
                new = []
                for n in range(lstm.hidden_size):
                    enters = (F(gate(i[n], table_sigmoid, 2048)) * unit) * (
                        F(gate(g[n], table_tanh, 4096)) * unit
                    )
                    forget = F(gate(f[n], table_sigmoid, 2048)) * unit
                    c[n] = enters if h is None else forget * c[n] + enters
                    product = gate(o[n], table_sigmoid, 2048) * gate(c[n], table_tanh, 4096)
                    new.append(F((product + 16384) >> 15) * unit)
                h = new
                out[level] = new
            sides.append(out)
        rows = [sides[0][level] + sides[1][level] for level in range(len(rows))]
    return np.array(rows)


def network(seed: int, inputs: int = 5, hidden: int = 3, layers: int = 2) -> LSTM:
    torch.manual_seed(seed)
    lstm = LSTM(inputs, hidden, layers, bidirectional=True, batch_first=True)
    with torch.no_grad():
        for weight in lstm.parameters():
            weight.mul_(3)
    return lstm.requires_grad_(False)


def kinds_of(lstm: LSTM, *kinds: str) -> dict[str, str]:
    names = [name for name in lstm.state_dict() if name.startswith("weight")]
    return {name: kinds[n % len(kinds)] for n, name in enumerate(names)}


@pytest.mark.parametrize(
    ("kinds", "block", "planes"),
    [
        (("int8",), 64, 1),
        (("int8",), 2, 2),
        (("int4",), 64, 2),
        (("sign",), 4, 1),
        (("bf16",), 64, 1),
        (("int8", "int4", "sign", "bf16", "int8"), 3, 2),
    ],
)
def test_an_lstm_is_its_definition(kinds: tuple[str, ...], block: int, planes: int) -> None:
    lstm = network(811, inputs=5 if kinds != ("bf16",) else 37)
    x = torch.randn(2, 4, lstm.input_size) * torch.tensor([1e-3, 30.0])[:, None, None]
    x[0, 1] = 0
    chosen = kinds_of(lstm, *kinds)
    output, (hidden, cell) = ReducedLSTM(lstm, chosen, block, planes)(x)
    for column in range(2):
        wanted = reference(lstm, chosen, block, planes, x[column].numpy())
        np.testing.assert_array_equal(output[column].numpy(), wanted)
    np.testing.assert_array_equal(hidden[-2], output[:, -1, :3])
    np.testing.assert_array_equal(hidden[-1], output[:, 0, 3:])
    assert hidden.shape == cell.shape == (4, 2, 3)


@pytest.mark.parametrize("kind", ["int8", "int4", "sign", "bf16", "float32"])
def test_a_linear_layer_is_its_definition(kind: str) -> None:
    torch.manual_seed(47)
    linear = nn.Linear(7, 3)
    x = torch.randn(4, 2, 7)
    output = ReducedLinear(linear, kind, 3)(x)
    for at, row in enumerate(x.reshape(8, 7).numpy()):
        for n in range(3):
            bias, weight = linear.bias.detach().numpy()[n], linear.weight.detach().numpy()[n]
            if kind == "float32":
                wanted = bias
                for a, b in zip(row, weight, strict=True):
                    wanted = wanted + a * b
            else:
                wanted = add(bias, list(row), list(weight), kind, 3)
            assert output.reshape(8, 3)[at, n] == wanted


def test_columns_do_not_affect_each_other() -> None:
    """The same bits whatever is computed beside a column, and NaN stays in its column."""
    lstm = network(12, layers=1)
    reduced = ReducedLSTM(lstm, kinds_of(lstm, "int8"))
    x = torch.randn(1030, 6, 5)
    whole, _ = reduced(x)
    torch.testing.assert_close(reduced(x[700:701])[0], whole[700:701], rtol=0, atol=0)
    torch.testing.assert_close(reduced(x[3])[0], whole[3], rtol=0, atol=0)
    torch.testing.assert_close(reduced(x.double())[0], whole.double(), rtol=0, atol=0)
    x[5, 2, 1], x[9, 0, 0] = torch.nan, torch.inf
    output, (hidden, cell) = reduced(x)
    bad = torch.tensor([5, 9])
    for values in (output, hidden.movedim(1, 0), cell.movedim(1, 0)):
        assert bool(values[bad].isnan().all())
        assert int(values.isnan().flatten(1).any(1).sum()) == 2
    clean = torch.ones(1030, dtype=torch.bool)
    clean[bad] = False
    torch.testing.assert_close(output[clean], whole[clean], rtol=0, atol=0)


def test_two_planes_are_more_accurate_than_one() -> None:
    """With weights that 4 bits represent exactly, the codes of the input are the error of the first layer."""
    lstm = network(640, layers=1)
    with torch.no_grad():
        for name, weight in lstm.named_parameters():
            if name.startswith("weight"):
                weight.copy_(torch.randint(-7, 8, weight.shape) / 8)
    x = torch.randn(200, 1, 5)
    exact, _ = lstm(x)
    errors = [
        float((ReducedLSTM(lstm, kinds_of(lstm, "int4"), planes=planes)(x)[0] - exact).abs().max())
        for planes in (1, 2)
    ]
    assert errors[1] < 4e-4 < 2e-3 < errors[0]


def test_gradients_are_one_clear_error() -> None:
    lstm = network(5)
    reduced = ReducedLSTM(lstm, kinds_of(lstm, "int8"))
    x = torch.randn(2, 3, 5)
    for call in (
        lambda: reduced(x.clone().requires_grad_()),
        lambda: torch.func.jvp(lambda y: reduced(y)[0], (x,), (x,)),
        lambda: torch.func.jacrev(lambda y: reduced(y)[0])(x),
    ):
        with pytest.raises(
            InputError, match=r"a gradient through a reduced LSTM, which rounds.*before it was quant"
        ):
            call()
    with torch.no_grad():
        reduced(x.clone().requires_grad_())
    with pytest.raises(InputError, match="a gradient through a reduced linear layer"):
        ReducedLinear(nn.Linear(5, 2), "int8")(x.clone().requires_grad_())


def test_bad_requests() -> None:
    lstm = network(5)
    kinds = kinds_of(lstm, "int8")
    broken = network(5)
    broken.weight_hh_l0[0, 0] = torch.inf
    for call, match in [
        (
            lambda: ReducedLSTM(lstm, {**kinds, "weight_hh_l1": "int3"}),
            "'int3' of weight_hh_l1: give one of float32",
        ),
        (lambda: ReducedLSTM(lstm, {**kinds, "weight_hh_l1": "float32"}), "'float32' of 'weight_hh_l1'"),
        (lambda: ReducedLSTM(lstm, {"weight_ih_l0": "int8"}), "'weight_hh_l0' is missing"),
        (lambda: ReducedLSTM(lstm, kinds, block=4096), "block 4096"),
        (lambda: ReducedLSTM(lstm, kinds, planes=3), "3 planes of the input: give 1 or 2"),
        (lambda: ReducedLSTM(LSTM(5, 3), {}), "without batch_first has no reduced form"),
        (lambda: ReducedLSTM(lstm, kinds)(torch.zeros(2, 3, 4)), r"shape \(2, 3, 4\): this LSTM needs"),
        (
            lambda: ReducedLSTM(lstm, kinds)(torch.zeros(2, 3, 5), (torch.zeros(4, 2, 3),) * 2),
            "leave the state out",
        ),
        (lambda: ReducedLSTM(broken, kinds)(torch.zeros(2, 3, 5)), "a weight is not finite"),
        (lambda: ReducedLinear(nn.Linear(5, 2), "int8")(torch.zeros(3, 4)), "needs 5 features"),
    ]:
        with pytest.raises(InputError, match=match):
            call()
