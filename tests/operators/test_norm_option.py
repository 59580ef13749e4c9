"""The option ``norm`` of operators and column networks: the amplitude of a field stays, settings are saved."""

from __future__ import annotations

import itertools
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
from sciml.nn.norm_activation import NORMS
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


@pytest.mark.parametrize("norm", [None, "evonorm-s0", "evonorm-b0", "batchnorm-relu"])
@pytest.mark.parametrize("kind", ["bilstm", "transformer"])
def test_column_networks(kind: str, norm: str | None) -> None:
    edges = (0.0, 0.1, 0.3, 0.6, 1.0)
    with torch.random.fork_rng([]):
        torch.manual_seed(47)
        network: ColumnBiLSTM | ColumnTransformer
        if kind == "bilstm":
            network = ColumnBiLSTM(ColumnShape(hidden=4, layers=1, width=6, pooled=4, edges=edges, norm=norm))
        else:
            network = ColumnTransformer(
                TransformerShape(hidden=4, layers=1, heads=2, width=6, pooled=4, edges=edges, norm=norm)
            )
    drawn = torch.Generator().manual_seed(48)
    channels = torch.randn(3, 4, len(network.shape.channels), generator=drawn)
    scalars = torch.randn(3, len(network.shape.scalars), generator=drawn)
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


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["evonorm-s0", "evonorm-b0"])
def test_an_onnx_file(norm: str, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    network = made("mgno", norm).float()
    x = field(49).float()
    export_onnx(network, tmp_path / "m.onnx", (2, 1, 9, 9))
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"))
    answer = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    torch.testing.assert_close(torch.from_numpy(answer), network(x).detach(), atol=1e-4, rtol=1e-4)
