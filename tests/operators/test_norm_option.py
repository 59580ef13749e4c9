"""The option ``norm`` of operators and column networks: the amplitude of a field stays, settings are saved."""

from __future__ import annotations

import copy
import itertools
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sciml.convection.bilstm import ColumnBiLSTM
from sciml.convection.column_shape import ColumnShape
from sciml.convection.transformer import ColumnTransformer
from sciml.convection.transformer_shape import TransformerShape
from sciml.errors import InputError
from sciml.nn import EvoNorm, load_weights, materialise
from sciml.nn.norm_activation import NORMS, norm_activation
from sciml.operators.export import export_onnx
from sciml.operators.fno import FNO
from sciml.operators.mgno import MgNO
from sciml.operators.registry import build

OPERATORS: dict[str, Callable[[str | None], nn.Module]] = {
    "mgno": lambda norm: MgNO(channels=6, layers=3, levels=2, norm=norm),
    "fno": lambda norm: FNO(modes=4, width=6, layers=3, coordinates=False, norm=norm),
}


def made(kind: str, norm: str | None) -> nn.Module:
    with torch.random.fork_rng([]):
        torch.manual_seed(41)
        return OPERATORS[kind](norm).double().eval()


def field(seed: int) -> Tensor:
    return torch.randn(2, 1, 9, 9, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", OPERATORS)
def test_the_amplitude_of_a_field_is_not_removed(kind: str, norm: str) -> None:
    network, f = made(kind, norm), field(42)
    with torch.no_grad():
        sizes = [network(scale * f).norm().item() for scale in (1e2, 1e3, 1e4)]
    assert all(9.5 < large / small < 10.5 for small, large in itertools.pairwise(sizes))
    # With the normalisation alone between the layers the answer would hardly change.
    with torch.no_grad():
        alone = [nn.Sequential(EvoNorm(1, "S0").double())(scale * f).norm().item() for scale in (10.0, 100.0)]
    assert alone[1] / alone[0] < 1.5


@pytest.mark.parametrize("norm", ["evonorm-s0", "evonorm-s2", "groupnorm-relu"])
def test_large_fields_see_a_linear_operator(norm: str) -> None:
    network, f, g = made("mgno", norm), 1e6 * field(43), 1e6 * field(44)
    with torch.no_grad():
        both, parts = network(f + g), network(f) + network(g)
    assert float((both - parts).norm() / both.norm()) < 1e-4


class Zero(nn.Module):
    """Returns zeros of the same shape."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


@pytest.mark.parametrize("norm", ["evonorm-s0", "evonorm-s1", "evonorm-s2", "groupnorm-relu"])
def test_the_limit_of_large_fields_is_the_path_beside_the_norm(norm: str) -> None:
    """N(s x) / s = L x + O(1 / s), with L the network without its normalisations and constants."""
    network, x = made("mgno", norm), field(51)
    beside = copy.deepcopy(network)
    beside.norms = nn.ModuleList(Zero() for _ in range(3))
    with torch.no_grad():
        linear = beside(x) - beside(0 * x)
        distance = [float((network(s * x) / s - linear).norm() / linear.norm()) for s in (1.0, 1e2, 1e4, 1e6)]
        # At the amplitude of a normalised field the answer is mostly that to the constant channel and the biases.
        assert network(0 * x).norm() > 5 * linear.norm()
        assert float(network(10 * x).norm() / network(x).norm()) < 2
    assert distance[0] > 5
    assert distance[1] < 0.1
    assert distance[1] / distance[2] == pytest.approx(100, rel=0.05)
    assert distance[2] / distance[3] == pytest.approx(100, rel=0.01)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", OPERATORS)
def test_large_fields_see_a_homogeneous_operator(kind: str, norm: str) -> None:
    network, x = made(kind, norm), field(52)
    with torch.no_grad():
        answer = network(1e7 * x)
        assert float((network(1e8 * x) / 10 - answer).norm() / answer.norm()) < 1e-4


@pytest.mark.parametrize("kind", OPERATORS)
def test_settings_and_weights_are_saved(kind: str, tmp_path: Path) -> None:
    network = made(kind, "evonorm-b0").float().train()
    network(field(45).float())
    network.eval()
    again = build(network.config()).eval()  # type: ignore[operator]
    load_weights(again, materialise(network), "a test")  # with the running variance
    assert torch.equal(again(field(46).float()), network(field(46).float()))
    assert "norm" not in made(kind, None).config()  # type: ignore[operator]
    with pytest.raises(InputError, match="norm='layernorm'"):
        OPERATORS[kind]("layernorm")


@pytest.mark.parametrize("network", ["HierarchyNet", "NonExpansive"])
def test_a_network_without_the_option(network: str) -> None:
    with pytest.raises(InputError, match=f"{network} has no norm: it takes "):
        build({"class": network, "norm": "evonorm-s0"})


def column_network(kind: str, norm: str | None) -> ColumnBiLSTM | ColumnTransformer:
    edges = (0.0, 0.1, 0.3, 0.6, 1.0)
    with torch.random.fork_rng([]):
        torch.manual_seed(47)
        if kind == "bilstm":
            return ColumnBiLSTM(ColumnShape(hidden=4, layers=1, width=6, pooled=4, edges=edges, norm=norm))
        return ColumnTransformer(
            TransformerShape(hidden=4, layers=1, heads=2, width=6, pooled=4, edges=edges, norm=norm)
        )


def profiles(shape: ColumnShape | TransformerShape, count: int) -> tuple[Tensor, Tensor]:
    drawn = torch.Generator().manual_seed(48)
    channels = torch.randn(count, 4, len(shape.channels), generator=drawn)
    return channels, torch.randn(count, len(shape.scalars), generator=drawn)


@pytest.mark.parametrize("norm", [None, "evonorm-s0", "evonorm-b0", "batchnorm-relu"])
@pytest.mark.parametrize("kind", ["bilstm", "transformer"])
def test_column_networks(kind: str, norm: str | None) -> None:
    network = column_network(kind, norm)
    channels, scalars = profiles(network.shape, 3)
    level, column, beside = network.train()(channels, scalars)
    assert level.shape[:2] == (3, 4)
    assert column.shape[0] == beside.shape[0] == 3
    level.square().sum().backward()
    again = type(network).from_json(network.shape.to_json()).eval()
    load_weights(again, materialise(network), "a test")
    assert torch.equal(again(channels, scalars)[0], network.eval()(channels, scalars)[0])
    assert network.kernel == ("bilstm" if kind == "bilstm" and norm is None else None)
    assert any(isinstance(part, EvoNorm) for part in network.modules()) == bool(norm and "evonorm" in norm)


def test_an_unknown_norm_of_columns() -> None:
    with pytest.raises(InputError, match=r"ColumnShape\(norm='evonorm-x'\)"):
        ColumnShape(norm="evonorm-x")


def onnx_answers(path: Path, *inputs: Tensor) -> list[Tensor]:
    """Evaluate an ONNX file with onnxruntime."""
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(path))
    names = [given.name for given in session.get_inputs()]
    answers = session.run(None, {name: x.numpy() for name, x in zip(names, inputs, strict=True)})
    return [torch.from_numpy(answer) for answer in answers]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "norm"), [("mgno", "evonorm-s0"), ("fno", "evonorm-b0")])
def test_an_onnx_file_of_an_operator(kind: str, norm: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    network = made(kind, norm).float().train()
    network(field(50).float())  # a running variance that is not 1
    network.eval()
    export_onnx(network, tmp_path / "m.onnx", (2, 1, 9, 9))
    x = torch.cat([field(49), field(53)]).float()  # another number of samples
    (answer,) = onnx_answers(tmp_path / "m.onnx", x)
    torch.testing.assert_close(answer, network(x).detach(), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "norm"), [("bilstm", "evonorm-s0"), ("transformer", "evonorm-b0")])
def test_an_onnx_file_of_a_column_network(kind: str, norm: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    network = column_network(kind, norm).eval()
    channels, scalars = profiles(network.shape, 3)
    path = tmp_path / "m.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own code
        torch.onnx.export(network, (channels, scalars), str(path), dynamo=True, verbose=False)
    for answer, wanted in zip(onnx_answers(path, channels, scalars), network(channels, scalars), strict=True):
        torch.testing.assert_close(answer, wanted.detach(), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["evonorm-s0", "evonorm-b0"])
def test_a_compiled_norm(norm: str) -> None:
    """In one graph without breaks, in both modes, and for another number of samples."""
    layer = norm_activation(norm, 6, 2)
    compiled = torch.compile(copy.deepcopy(layer), fullgraph=True, backend="aot_eager", dynamic=True)
    for training, count in ((True, 2), (False, 2), (False, 3)):
        layer.train(training)
        compiled.train(training)
        x = torch.randn(count, 6, 5, 4, generator=torch.Generator().manual_seed(54))
        torch.testing.assert_close(compiled(x), layer(x))
