"""Orthogonal and spectrally scaled weights: exact singular values, gradients, dense copies, files and exports."""

from __future__ import annotations

import copy
from pathlib import Path

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sciml.errors import InputError
from sciml.nn import (
    Orthogonal,
    SpectralScale,
    dense_copy,
    load_weights,
    materialise,
    orthogonalize,
    parametrizations,
    scale_spectrally,
    singular_values,
    weight_kinds,
)
from sciml.nn.orthogonality import largest_singular_value, penalty, spectrum, supremum

CIRCULAR = {"padding": 1, "padding_mode": "circular"}


def network() -> nn.Sequential:
    with torch.random.fork_rng([]):
        torch.manual_seed(21)
        return nn.Sequential(
            nn.Conv2d(1, 6, 3, **CIRCULAR), nn.ReLU(), nn.Conv2d(6, 6, 3, **CIRCULAR), nn.Conv2d(6, 1, 1)
        )


def shaken(layer: nn.Module, seed: int) -> nn.Module:
    """Change the original tensors of a parametrised layer at random."""
    drawn = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(torch.randn(p.shape, generator=drawn, dtype=p.dtype))
    return layer


LAYERS = {
    "square": lambda: nn.Conv2d(6, 6, 3, **CIRCULAR),
    "rows": lambda: nn.Conv2d(7, 3, 5, **CIRCULAR),
    "columns": lambda: nn.Conv2d(3, 7, 3, **CIRCULAR),
    "square, stride": lambda: nn.Conv2d(2, 8, 3, stride=2, **CIRCULAR),
    "rows, stride": lambda: nn.Conv2d(4, 7, 3, stride=2, **CIRCULAR),
    "the case where AOC fails": lambda: nn.Conv2d(4, 20, 4, stride=2, **CIRCULAR),
    "columns, factors on both sides": lambda: nn.Conv2d(1, 6, 5, stride=2, **CIRCULAR),
    "stride above the kernel": lambda: nn.Conv2d(1, 9, 3, stride=4, **CIRCULAR),
    "groups": lambda: nn.Conv2d(4, 6, (3, 5), groups=2, **CIRCULAR),
    "dilation": lambda: nn.Conv2d(3, 3, 3, dilation=2, **CIRCULAR),
    "one channel": lambda: nn.Conv2d(1, 1, 3, **CIRCULAR),
    "1-D": lambda: nn.Conv1d(5, 5, 4, **CIRCULAR),
    "3-D": lambda: nn.Conv3d(3, 4, 3, **CIRCULAR),
    "no padding": lambda: nn.Conv2d(5, 4, 3),
    "linear": lambda: nn.Linear(4, 7),
}


@pytest.mark.parametrize("name", LAYERS)
def test_orthogonal_weights_are_orthogonal(name: str) -> None:
    layer = LAYERS[name]().double()
    shape = layer.weight.shape
    parametrize.register_parametrization(layer, "weight", Orthogonal(layer))
    for seed in (3, 4):
        values = spectrum(shaken(layer, seed), 8 if layer.weight.ndim > 2 else ())
        assert layer.weight.shape == shape
        assert float((values - 1).abs().max()) <= 1e-12
    assert abs(supremum(layer) - 1) <= 1e-12
    if any(k % 2 == 0 for k in layer.weight.shape[2:]):
        return
    assert abs(float(penalty(layer).detach())) <= 1e-12


def test_a_transposed_convolution_is_the_adjoint() -> None:
    layer = nn.ConvTranspose2d(8, 2, 3, stride=2)
    parametrize.register_parametrization(layer, "weight", Orthogonal(layer, "circular"))
    assert float((spectrum(shaken(layer, 5), 4) - 1).abs().max()) <= 1e-6


@pytest.mark.parametrize("name", ["square", "columns, factors on both sides", "rows, stride", "3-D"])
def test_the_gradient_of_orthogonal_weights(name: str) -> None:
    layer = LAYERS[name]().double()
    parametrize.register_parametrization(layer, "weight", Orthogonal(layer))
    function = layer.parametrizations.weight[0]
    originals = [p.detach().requires_grad_() for p in shaken(layer, 6).parametrizations.weight.parameters()]
    drawn = torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda *x: (function(*x) * drawn).sum(), originals)


def test_assigning_takes_the_nearest_block() -> None:
    layer = LAYERS["square"]()
    nn.init.dirac_(layer.weight)
    parametrize.register_parametrization(layer, "weight", Orthogonal(layer))
    middle = nn.init.dirac_(torch.empty(6, 6, 3, 3))
    torch.testing.assert_close(layer.weight.detach(), middle, atol=1e-6, rtol=0)


def test_an_orthogonal_layer_is_trained_and_stays_orthogonal() -> None:
    # The square case, which a training by the penalty does not solve.
    with torch.random.fork_rng([]):
        torch.manual_seed(21)
        target, layer = (orthogonalize(nn.Conv2d(4, 4, 3, **CIRCULAR)).double() for _ in range(2))
    wanted = shaken(target, 8).weight.detach()

    def loss() -> Tensor:
        return (layer.weight - wanted).square().sum()

    start = loss().item()
    steps = torch.optim.Adam(layer.parameters(), 0.06)
    for _ in range(60):
        steps.zero_grad()
        loss().backward()
        steps.step()
    assert loss().item() < 0.6 * start
    assert float((spectrum(layer, 7) - 1).abs().max()) <= 1e-12


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from([1, 2, 3]),
    st.floats(0.01, 30.0),
    st.integers(3, 10**6),
)
def test_scaled_weights_never_exceed_the_bound(m: int, c: int, s: int, size: float, seed: int) -> None:
    layer = nn.Conv2d(c, m, 3, stride=s, **CIRCULAR)
    nn.init.normal_(layer.weight, std=size, generator=torch.Generator().manual_seed(seed))
    before, n = largest_singular_value(layer, 6 * s), 6 * s
    weight = layer.weight.detach().clone()
    parametrize.register_parametrization(layer, "weight", SpectralScale(layer, n))
    after = largest_singular_value(layer, n)  # of weights in float32
    assert after <= 1.0
    if before < 0.999:
        assert torch.equal(layer.weight, weight)
    elif before > 1:
        assert after > 1 - 1e-5


def test_scaling_for_all_grids_and_zero_padding() -> None:
    layer = nn.Conv2d(3, 4, 3, padding=1)
    nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(9))
    parametrize.register_parametrization(layer, "weight", SpectralScale(layer, bound=0.5))
    assert 0.49 < supremum(layer) <= 0.5
    unit = torch.eye(3 * 16).reshape(-1, 3, 4, 4)
    with torch.no_grad():
        dense = (layer(unit) - layer(torch.zeros_like(unit))).flatten(1).double()
    assert float(torch.linalg.svdvals(dense)[0]) <= 0.5


def test_the_gradient_of_scaled_weights() -> None:
    layer = nn.Conv2d(2, 3, 3, **CIRCULAR).double()
    nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(10))
    function = SpectralScale(layer, 5)
    drawn = torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(11), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda w: (function(w) * drawn).sum(), (layer.weight,))


def test_whole_networks() -> None:
    plain = network()
    before = copy.deepcopy(plain.state_dict())
    for bounded, n in ((orthogonalize(plain), 8), (scale_spectrally(plain, 8, 0.2), 8)):
        largest = 1.0 if "Orthogonal" in str(parametrizations(bounded)) else 0.2
        assert all(
            value == pytest.approx(largest, abs=1e-5) for value in singular_values(bounded, n).values()
        )
        x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(12))
        dense = dense_copy(bounded)
        assert not parametrizations(dense)
        torch.testing.assert_close(dense(x), bounded(x))
        again = network()
        load_weights(again, materialise(bounded), "a test")
        torch.testing.assert_close(again(x), bounded(x))
        restored = copy.deepcopy(bounded)
        shaken(restored, 13)
        restored.load_state_dict(bounded.state_dict())  # as a resumed training does
        assert torch.equal(restored(x), bounded(x))
    assert all(torch.equal(before[name], value) for name, value in plain.state_dict().items())
    assert set(weight_kinds(orthogonalize(plain)).values()) == {"orthogonal"}
    assert set(weight_kinds(scale_spectrally(plain)).values()) == {"largest singular value 1"}


@pytest.mark.slow
def test_an_onnx_file_of_a_bounded_network(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    bounded = dense_copy(orthogonalize(network())).eval()
    x = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(14))
    program = torch.onnx.export(bounded, (x,), dynamo=True, verbose=False)
    assert program is not None
    program.save(str(tmp_path / "m.onnx"))
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"))
    made = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    torch.testing.assert_close(torch.from_numpy(made), bounded(x).detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.Conv2d(3, 3, 3, padding=1), "'same' zero padding is trivial"),
        (nn.Conv2d(3, 7, 3), "'valid' padding"),
        (nn.Conv2d(1, 10, 3, stride=4, **CIRCULAR), "M <= C k"),
        (nn.Conv2d(1, 17, 3, stride=4, **CIRCULAR), "S <= k"),
        (nn.Conv2d(3, 3, 3, padding=1, padding_mode="replicate"), "replicate"),
        (nn.Conv1d(3, 3, 3, stride=2, dilation=2, **CIRCULAR), "dilation"),
        (nn.GELU(), "no convolution"),
    ],
)
def test_layers_that_cannot_be_orthogonal(layer: nn.Module, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Orthogonal(layer)


def test_other_refusals() -> None:
    with pytest.raises(InputError, match="layer 0: Orthogonal with zero padding"):
        orthogonalize(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1)))
    with pytest.raises(InputError, match="parametrised already"):
        scale_spectrally(orthogonalize(network()))
    with pytest.raises(InputError, match="no convolution and no linear layer"):
        orthogonalize(nn.Sequential(nn.ReLU()))
    with pytest.raises(InputError, match="periodic grid"):
        SpectralScale(nn.Conv2d(1, 1, 3, padding=1), 8)
    with pytest.raises(InputError, match="amplify"):
        SpectralScale(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"))
    with pytest.raises(InputError, match="bound"):
        SpectralScale(nn.Conv2d(1, 1, 1), bound=0.0)
