"""Networks as linear operators: the oracle, each network class of the package, adjoints, spectra, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import aslinearoperator, gmres
from torch import Tensor, nn
from torch.nn import functional as F

from sciml.analysis import LinearAction, linearize
from sciml.errors import InputError
from tests.nn.vectors import case

Net = Callable[[Tensor], Tensor]


def parameters(name: str) -> dict[str, Tensor]:
    v = case("own_linearscope", name)
    return {key.removeprefix("param/"): x for key, x in v.items() if key.startswith("param/")}


def relu_unet(x: Tensor) -> Tensor:
    p = parameters("relu_unet")
    fine = F.relu(F.conv2d(x[None], p["W1"], p["b1"], padding=1))
    coarse = F.leaky_relu(F.conv2d(F.max_pool2d(fine, 2), p["W2"], p["b2"], padding=1), 0.1)
    up = F.conv_transpose2d(coarse, p["W3"], p["b3"], stride=2)
    return F.conv2d(torch.cat([up, x[None]], 1), p["W4"], p["b4"], padding=1)[0]


def smooth(x: Tensor) -> Tensor:
    p, x = parameters("smooth"), x[None]
    functions = (F.gelu, F.silu, torch.tanh, torch.sigmoid)
    for number, function in enumerate(functions, 1):
        x = F.conv2d(x, p[f"W{number}"], p[f"b{number}"], padding=1, stride=2 if number == 2 else 1)
        x = function(x)
    return x[0]


def instancenorm(x: Tensor) -> Tensor:
    p = parameters("instancenorm")
    x = F.conv2d(x[None], p["W1"], p["b1"], padding=1)
    x = F.relu(F.instance_norm(x, weight=p["g1"], bias=p["h1"]))
    return F.conv2d(x, p["W2"], p["b2"], padding=1)[0]


def attention(x: Tensor) -> Tensor:
    p = parameters("attention")
    q, k, v = (F.linear(x, p[f"W{name}"], p[f"b{name}"]) for name in "qkv")
    return F.linear(torch.softmax(q @ k.T / 2.0, -1) @ v, p["Wo"], p["bo"])


def fused_attention(x: Tensor) -> Tensor:
    p = parameters("attention")
    q, k, v = (F.linear(x, p[f"W{name}"], p[f"b{name}"])[None] for name in "qkv")
    return F.linear(F.scaled_dot_product_attention(q, k, v)[0], p["Wo"], p["bo"])


def lstm(x: Tensor) -> Tensor:
    p = parameters("lstm")
    layer = nn.LSTM(3, 4, batch_first=True).double()
    names = {"Wih": "weight_ih_l0", "Whh": "weight_hh_l0", "bih": "bias_ih_l0", "bhh": "bias_hh_l0"}
    layer.load_state_dict({names[key]: value for key, value in p.items()})
    output: Tensor = layer(x[None])[0][0]
    return output


def gates_by_hand(x: Tensor) -> Tensor:
    """The LSTM of plain functions: products with sigmoids freeze the sigmoids."""
    p = parameters("lstm")
    hidden = cell = torch.zeros(4, dtype=x.dtype)
    made = []
    for row in x:
        i, f, g, o = (F.linear(row, p["Wih"], p["bih"]) + F.linear(hidden, p["Whh"], p["bhh"])).chunk(4)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        hidden = torch.sigmoid(o) * torch.tanh(cell)
        made.append(hidden)
    return torch.stack(made)


ORACLE: dict[str, tuple[str, Net]] = {
    "relu_unet": ("relu_unet", relu_unet),
    "smooth": ("smooth", smooth),
    "instancenorm": ("instancenorm", instancenorm),
    "attention": ("attention", attention),
    "fused_attention": ("attention", fused_attention),
    "lstm": ("lstm", lstm),
    "gates_by_hand": ("lstm", gates_by_hand),
}


@pytest.mark.parametrize("name", ORACLE)
def test_the_oracle(name: str) -> None:
    group, net = ORACLE[name]
    v = case("own_linearscope", group)
    exact = {key: v[f"out/{key}"].numpy() for key in ("y", "A", "r", "jacobian", "singular_values")}
    frozen = linearize(net, v["in/x0"])
    assert frozen.input_shapes == (tuple(v["in/x0"].shape),)
    assert frozen.output_shapes == (exact["y"].shape,)
    for mine, right in (
        (frozen.output, exact["y"].ravel()),
        (frozen.residual, exact["r"].ravel()),
        (frozen.columns(np.arange(frozen.shape[1])), exact["A"]),
        (frozen.rows(np.arange(frozen.shape[0])), exact["A"]),
        (frozen.svds(5)[1], exact["singular_values"][:5]),
        (linearize(net, v["in/x0"], "tangent").dense(), exact["jacobian"]),
    ):
        np.testing.assert_allclose(mine, right, rtol=0, atol=1e-12 * np.abs(right).max())
    assert frozen.replay() <= 1e-14
    gap = np.linalg.norm(exact["A"] - exact["jacobian"]) / np.linalg.norm(exact["jacobian"])
    assert gap < 1e-14 if group == "relu_unet" else gap > 0.3  # frozen is not tangent


def test_adjoint_products_and_solvers_of_scipy() -> None:
    v = case("own_linearscope", "lstm")
    rng = np.random.default_rng(23)
    for mode in ("frozen", "tangent"):
        a = linearize(lstm, v["in/x0"], mode)  # type: ignore[arg-type]
        x, y = rng.normal(size=a.shape[1]), rng.normal(size=a.shape[0])
        left, right = y @ (a @ x), (a.H @ y) @ x
        assert abs(left - right) <= 1e-12 * np.linalg.norm(x) * np.linalg.norm(y)
        np.testing.assert_allclose(a @ np.eye(a.shape[1])[:, :3], a.columns([0, 1, 2]), atol=1e-15)
    square = linearize(attention, case("own_linearscope", "attention")["in/x0"])
    matrix = square.dense()
    values, vectors = square.eigs(3)
    exact = np.linalg.eigvals(matrix)
    np.testing.assert_allclose(np.abs(values), np.sort(np.abs(exact))[::-1][:3], rtol=1e-10)
    np.testing.assert_allclose(matrix @ vectors, vectors * values, atol=1e-10)
    shifted = square + aslinearoperator(5.0 * np.eye(20))
    solution, fail = gmres(shifted, np.ones(20), rtol=1e-12)
    assert fail == 0
    np.testing.assert_allclose(solution, np.linalg.solve(matrix + 5.0 * np.eye(20), np.ones(20)), rtol=1e-8)
    u, s, vt = square.svds(2)
    np.testing.assert_allclose(matrix @ vt.T, u * s, atol=1e-10)
    assert square.asymmetry() == pytest.approx(np.linalg.norm(matrix - matrix.T) / np.linalg.norm(matrix))


def at_zero(function: Callable[[Tensor], Tensor], x: Any = 0.0) -> tuple[float, float]:
    a = linearize(function, torch.tensor([x], dtype=torch.float64))
    return float(a.dense()[0, 0]), float(a.residual[0])


@pytest.mark.parametrize(
    ("function", "slope", "residual"),
    [
        (F.relu, 0.0, 0.0),
        (F.gelu, 0.5, 0.0),
        (F.silu, 0.5, 0.0),
        (torch.tanh, 1.0, 0.0),
        (torch.sigmoid, 0.25, 0.5),
        (torch.cos, 0.0, 1.0),
        (torch.exp, 1.0, 1.0),
        (torch.square, 0.0, 0.0),
        (lambda x: F.leaky_relu(x, 0.1), 0.1, 0.0),
        (lambda x: x * x, 0.0, 0.0),
        (lambda x: F.softplus(x) - 1.0, 0.5, np.log(2.0) - 1.0),
        (lambda x: 3.0 - x / 2, -0.5, 3.0),
    ],
)
def test_values_where_the_input_is_zero(function: Net, slope: float, residual: float) -> None:
    assert at_zero(function) == (pytest.approx(slope, abs=1e-15), pytest.approx(residual, abs=1e-15))


@pytest.mark.parametrize("x", [1e-3, 1e-7, 1e-11, 1e-300, -1e-9, 7.0])
@pytest.mark.parametrize(
    "function",
    [torch.sigmoid, F.gelu, torch.cos, F.softplus, torch.sign],
    ids=lambda function: function.__name__,
)
def test_masks_close_to_zero(function: Net, x: float) -> None:
    """The quotient of rounded numbers would be wrong in all digits; the derivative at half of x is not."""
    slope, residual = at_zero(function, x)
    y = float(function(torch.tensor(x, dtype=torch.float64)))
    assert slope * x + residual == pytest.approx(y, rel=1e-15)
    if function is torch.sigmoid and abs(x) < 1e-2:
        assert slope == pytest.approx(0.25 - x * x / 48, rel=1e-10)


class Tower(nn.Module):
    """Layers that no network of the package has."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv1d(2, 6, 3, padding=1), nn.BatchNorm1d(6), nn.PReLU(6), nn.MaxPool1d(2, 1)
        )
        self.second = nn.Sequential(nn.GroupNorm(3, 6), nn.Hardswish(inplace=True), nn.AdaptiveAvgPool1d(8))
        self.third = nn.Sequential(
            nn.InstanceNorm1d(6, affine=True), nn.ELU(), nn.AdaptiveMaxPool1d(5), nn.Dropout()
        )
        self.heads = nn.MultiheadAttention(6, 2, batch_first=True)
        self.memory = nn.GRU(6, 4, 2, bidirectional=True)
        self.last = nn.Sequential(nn.Linear(8, 5), nn.LayerNorm(5), nn.Softplus(), nn.RMSNorm(5))
        for layer in (self.first[1], self.third[0]):
            layer.weight.data.uniform_(0.5, 2.0)
            layer.bias.data.normal_()

    def forward(self, x: Tensor) -> Tensor:
        x = self.third(self.second(self.first(x))).mT
        x = x + self.heads(x, x, x, need_weights=False)[0]
        x = self.last(self.memory(x)[0])
        x = torch.cat(
            [x.amax(1), x.max(1)[0], x.topk(2, 1)[0].flatten(1), F.normalize(x, dim=-1).mean(1)], -1
        )
        x.mul_(torch.where(x > 0, x, -0.5 * x)).add_(x.std(1, keepdim=True))
        x /= 1.0 + x.detach().norm()
        return torch.maximum(x, x.roll(1, -1)).sqrt() + x.abs().log()


@pytest.mark.parametrize("tracked", [True, False], ids=["running", "batch"])
def test_layers_of_torch(tracked: bool) -> None:
    torch.manual_seed(29)
    net = Tower().double()
    if not tracked:
        net.first[1] = nn.BatchNorm1d(6, track_running_stats=False).double()
    net.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    a = linearize(net, torch.randn(3, 2, 12, dtype=torch.float64))
    check(a, 31)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert np.abs(a.dense()).max() > 1e-3


def check(a: LinearAction, seed: int) -> None:
    """The replay is exact, and the products with the operator and its transpose agree."""
    assert a.replay() <= 1e-12
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=a.shape[1]), rng.normal(size=a.shape[0])
    forward, back = a @ x, a.rmatvec(y)
    size = np.linalg.norm(y) * np.linalg.norm(forward) + np.linalg.norm(x) * np.linalg.norm(back)
    assert abs(y @ forward - back @ x) <= 1e-12 * size


def test_products_of_two_fields() -> None:
    """Half of each factor, unless one of them is a gate."""
    x = torch.tensor([0.7, -1.3], dtype=torch.float64)
    a = linearize(lambda x: torch.tanh(x) * x.flip(0), x)
    m = torch.tanh(x) / x
    exact = [[x[1] * m[0] / 2, torch.tanh(x[0]) / 2], [torch.tanh(x[1]) / 2, x[0] * m[1] / 2]]
    np.testing.assert_allclose(a.dense(), exact, rtol=1e-14)
    gated = linearize(lambda x: (1 - torch.sigmoid(x)) * x, x)
    np.testing.assert_allclose(gated.dense(), np.diag(1 - torch.sigmoid(x)), rtol=1e-14)
    assert gated.residual.tolist() == [0.0, 0.0]
    check(linearize(lambda x: torch.outer(x, x) @ torch.outer(x, x), x), 37)


def test_types_and_shapes_of_the_input_are_no_values_of_it() -> None:
    """A constant that is converted to the type or the shape of the input stays a constant."""
    x = torch.tensor([[0.7, -1.3], [2.0, 0.1]], dtype=torch.float64)
    weight = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    made = (
        lambda x: weight.to(x) @ x,
        lambda x: weight.type_as(x) @ x,
        lambda x: weight.double().flatten().view_as(x) @ x,
        lambda x: weight.double().flatten().reshape_as(x) @ x,
    )
    for net in made:
        a = linearize(net, x)
        np.testing.assert_allclose(a.dense(), np.kron(weight, np.eye(2)), rtol=1e-15)
        check(a, 41)
    column = linearize(lambda x: weight[:, :1].double().expand_as(x) * x, x)
    np.testing.assert_allclose(column.dense(), np.diag([1.0, 1.0, 3.0, 3.0]), rtol=1e-15)


def test_the_path_is_that_of_the_point() -> None:
    """A comparison, a detached value and a branch are frozen too."""
    x = torch.tensor([0.5, -2.0], dtype=torch.float64)
    a = linearize(lambda x: (x * 2 if bool((x > 0).any()) else x.tanh()) * torch.sin(x.detach()), x)
    np.testing.assert_allclose(a.dense(), np.diag(2 * torch.sin(x)), rtol=1e-15)
    assert not a.residual.any()


def test_several_inputs_and_outputs() -> None:
    torch.manual_seed(41)
    x, y = torch.randn(2, 3).double(), torch.randn(4).double()
    weight = torch.randn(3, 4).double()
    a = linearize(lambda x, y: {0: (x @ weight, torch.tanh(y))}[0], (x, y))
    assert a.input_shapes == ((2, 3), (4,))
    assert a.output_shapes == ((2, 4), (4,))
    matrix = np.zeros((12, 10))
    matrix[:8, :6] = np.kron(np.eye(2), weight.T)
    matrix[8:, 6:] = np.diag(torch.tanh(y) / y)
    np.testing.assert_allclose(a.dense(), matrix, atol=1e-14)


def test_constants_and_single_precision() -> None:
    none = linearize(lambda x: torch.ones(3) * 2, torch.zeros(2))
    assert none.dense().tolist() == [[0.0, 0.0]] * 3
    assert none.residual.tolist() == [2.0] * 3
    chances = linearize(lambda x: torch.softmax(x, 0), torch.tensor([1.0, 2.0]))  # frozen as a whole
    assert not chances.dense().any()
    torch.manual_seed(43)
    net = nn.Sequential(nn.Linear(5, 9), nn.GELU(), nn.Linear(9, 3))
    a = linearize(net, torch.randn(4, 5))
    assert a.dtype == np.float32
    assert a.replay() < 1e-6


class Odd(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.special.i0(x)


class Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.sign()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


class Foreign(torch.autograd.Function):
    """A function whose result is made of numbers of another library."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.from_numpy(np.sign(x.detach().numpy()))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


class Outside(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Foreign.apply(x) + 1  # type: ignore[no-any-return, no-untyped-call]


class Hidden(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Sign.apply(x) + 1  # type: ignore[no-any-return, no-untyped-call]


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (
            nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.ReLU(), Odd())),
            r"i0 in 1\.1 \(Odd\) has no frozen action",
        ),
        (nn.Sequential(nn.Linear(3, 3), Hidden()), r"sign without gradients .*Function\) in 1 \(Hidden\)"),
        (
            nn.Sequential(nn.Linear(3, 3), Outside()),
            r"Foreign, a torch\.autograd\.Function, in 1 \(Outside\)",
        ),
        (
            nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 3)),
            r"dropout in 0 \(Dropout\)|dropout in training mode",
        ),
        (lambda x: nn.BatchNorm1d(3)(x[None])[0], "batch_norm in BatchNorm1d|batch_norm in training mode"),
        (lambda x: x > 0, "returns no tensors of real"),
        (lambda x: None, "returns no tensors"),
        (lambda x: torch.einsum("i,i,i->i", x, x, x), "more than two fields"),
        (lambda x: x + torch.rand(3), "relative error"),
    ],
)
def test_refusals(net: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        linearize(net.train() if isinstance(net, nn.Module) else net, torch.tensor([1.0, 2.0, -3.0]))


def test_invalid_arguments() -> None:
    x = torch.ones(3)
    with pytest.raises(InputError, match=r"mode='jacobian': give 'frozen' or 'tangent'"):
        linearize(F.relu, x, "jacobian")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"x0 of torch\.int64"):
        linearize(F.relu, torch.ones(3, dtype=torch.int64))
    with pytest.raises(InputError, match="x0 of nothing"):
        linearize(F.relu, ())
    with pytest.raises(InputError, match="1 numbers of x0 are not finite"):
        linearize(F.relu, torch.tensor([1.0, torch.nan]))
    a = linearize(lambda x: x[:2], x)
    with pytest.raises(InputError, match="number 3 of 3 inputs"):
        a.columns([0, 3])
    with pytest.raises(InputError, match="give whole numbers in a sequence"):
        a.rows(np.array([0.5]))
    with pytest.raises(InputError, match="not square"):
        a.eigs(1)
    with pytest.raises(InputError, match="not square"):
        a.asymmetry()
    with pytest.raises(InputError, match="k=3 singular values"):
        a.svds(3)


def test_nothing_is_changed() -> None:
    """Parameters keep their gradients and flags, x0 its memory, although the network works in place."""
    torch.manual_seed(47)
    net, x = nn.Sequential(nn.ReLU(inplace=True), nn.LSTM(3, 2)).double(), torch.randn(4, 3).double()
    before = x.clone()
    for mode in ("frozen", "tangent"):
        linearize(lambda x: net(x.clone())[0], x, mode)  # type: ignore[arg-type]
    linearize(lambda x: net(x)[0], x)
    assert torch.equal(x, before)
    assert all(p.requires_grad and p.grad is None for p in net.parameters())
