"""Singular values of convolutions: dense decompositions, an official set, bounds for all grids and zero padding."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn
from torch.nn import functional

from sciml.errors import InputError
from sciml.nn.convolution_shape import ConvolutionShape
from sciml.nn.convolution_spectrum import spectral_norm
from sciml.nn.orthogonality import largest_singular_value, spectrum, supremum
from tests.nn.dense_matrices import matrix
from tests.nn.vectors import case, cases

LAYERS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "1-D": (nn.Conv1d(3, 5, 3), (7,)),
    "1-D, even kernel, stride": (nn.Conv1d(3, 5, 4, stride=2), (8,)),
    "2-D": (nn.Conv2d(3, 2, 3), (5, 6)),
    "2-D, stride, tall": (nn.Conv2d(2, 9, 3, stride=2), (8, 6)),
    "2-D, groups, different axes": (nn.Conv2d(4, 6, (3, 5), stride=(2, 1), groups=2), (4, 3)),
    "2-D, dilation": (nn.Conv2d(2, 2, 3, dilation=2), (7, 8)),
    "2-D, stride and dilation": (nn.Conv2d(2, 2, 3, dilation=2, stride=2), (8, 8)),
    "2-D, kernel wider than the grid": (nn.Conv2d(2, 3, 5), (3, 4)),
    "2-D, one point": (nn.Conv2d(2, 3, 3), (1, 2)),
    "3-D, stride": (nn.Conv3d(2, 3, 3, stride=2), (4, 4, 6)),
    "transposed 1-D": (nn.ConvTranspose1d(4, 3, 3, stride=3), (4,)),
    "transposed 2-D": (nn.ConvTranspose2d(3, 2, 4, stride=2), (3, 4)),
    "transposed 2-D, groups": (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (3, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_equals_the_dense_decomposition(name: str) -> None:
    layer, n = LAYERS[name]
    nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(5))  # type: ignore[arg-type]
    dense = torch.linalg.svdvals(matrix(layer, n))
    mine = spectrum(layer, n)
    assert mine.shape == dense.shape
    assert float((mine - dense).abs().max() / dense[0]) <= 1e-12
    assert largest_singular_value(layer, n) == pytest.approx(float(dense[0]), rel=1e-12)
    assert largest_singular_value(layer, n) <= supremum(layer) * (1 + 1e-12)


@pytest.mark.parametrize("name", cases("lorth", "/sv_circular"))
def test_equals_the_values_of_the_oracle(name: str) -> None:
    v, stride = case("lorth", name), int(name[-1])
    kernel = v["kernel_MCkk"]
    layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], kernel.shape[2], stride=stride)
    layer.weight.data = kernel
    values = spectrum(layer, int(v["N"]) * stride)
    assert float((values - v["sv_circular"].sort(descending=True).values).abs().max()) <= 1e-12
    if "sv_zeropad" in v:
        padded = nn.Conv2d(*kernel.shape[1::-1], kernel.shape[2], stride=stride, padding=kernel.shape[2] // 2)
        padded.weight.data = kernel
        assert float(v["sv_zeropad"].max()) <= supremum(padded) * (1 + 1e-12)


@pytest.mark.parametrize("name", [x for x in cases("orthconv_other", "/sv") if x.startswith("aoc")])
def test_equals_the_values_of_a_published_orthogonal_layer(name: str) -> None:
    v, stride = case("orthconv_other", name), int(name[-1])
    kernel = v["kernel"]
    layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], kernel.shape[2], stride=stride)
    layer.weight.data = kernel
    values, official = spectrum(layer, v["in/x"].shape[-1]), v["sv"].double().sort(descending=True).values
    if len(values) == len(official):
        assert float((values - official).abs().max()) <= 1e-5
    orthogonal = float(values[-1]) > 1 - 1e-3
    assert orthogonal == (name != "aoc_M20_C4_k4_S2")  # which its package offers as orthogonal


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([1, 2]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(3, 10**6),
)
def test_the_bound_for_all_grids(dims: int, outputs: int, inputs: int, k: int, s: int, seed: int) -> None:
    layer = (nn.Conv1d, nn.Conv2d)[dims - 1](inputs, outputs, k, stride=s)
    nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(seed))
    bound = supremum(layer)
    for coarse in (1, 2, 3, 5, 8, 13):
        assert largest_singular_value(layer, coarse * s) <= bound * (1 + 1e-12)
    fine = largest_singular_value(layer, s * (600 if dims == 1 else 150))
    assert bound <= fine * 1.0055**dims


def test_zero_padding_stays_below_the_bound() -> None:
    layer = nn.Conv2d(2, 3, 3, padding=1, bias=False)
    nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(8))
    unit = torch.eye(2 * 25).reshape(-1, 2, 5, 5)
    with torch.no_grad():
        values = torch.linalg.svdvals(layer(unit).flatten(1).double())
    assert 0.8 * supremum(layer) < float(values[0]) <= supremum(layer)


@pytest.mark.parametrize("grid", [(5, 6), None])
def test_the_gradient(grid: tuple[int, ...] | None) -> None:
    shape = ConvolutionShape.of(nn.Conv2d(3, 2, 3, stride=2))
    drawn = torch.Generator().manual_seed(4)
    weight = torch.randn(2, 3, 3, 3, dtype=torch.float64, generator=drawn).requires_grad_()
    assert torch.autograd.gradcheck(lambda w: spectral_norm(w, shape, grid), (weight,))


def test_slabs_give_the_same_values(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, n = LAYERS["2-D, stride, tall"]
    nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(6))  # type: ignore[arg-type]
    whole = spectrum(layer, n)
    monkeypatch.setattr("sciml.nn.convolution_spectrum.NUMBERS", 1)
    torch.testing.assert_close(spectrum(layer, n), whole, rtol=1e-13, atol=1e-13)


@settings(max_examples=15, deadline=None)
@given(st.integers(3, 10**6), st.integers(1, 4))
def test_no_field_is_amplified_more(seed: int, stride: int) -> None:
    drawn = torch.Generator().manual_seed(seed)
    layer = nn.Conv1d(2, 3, 5, stride=stride, bias=False).double()
    nn.init.normal_(layer.weight, generator=drawn)
    x = torch.randn(1, 2, 4 * stride, dtype=torch.float64, generator=drawn)
    wide = torch.cat([x, x, x], -1)[..., : 4 * stride + 4]
    with torch.no_grad():
        y: Tensor = functional.conv1d(wide, layer.weight, stride=stride)
    assert y.norm() <= x.norm() * largest_singular_value(layer, 4 * stride) * (1 + 1e-12)


@pytest.mark.parametrize(
    ("layer", "n", "message"),
    [
        (nn.ReLU(), 4, "ReLU is no convolution"),
        (nn.Conv2d(1, 1, 3, stride=2), 7, "stride 2"),
        (nn.Conv2d(1, 1, 3), (4, 4, 4), "for 2 axes"),
        (nn.Conv2d(1, 1, 3), 0, "above 0"),
    ],
)
def test_refusals(layer: nn.Module, n: int | tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        spectrum(layer, n)


def test_no_bound_for_reflection_and_no_values_for_nan() -> None:
    with pytest.raises(InputError, match="reflect"):
        supremum(nn.Conv1d(1, 1, 3, padding=1, padding_mode="reflect"))
    layer = nn.Conv1d(1, 1, 3)
    with torch.no_grad():
        layer.weight[0, 0, 1] = math.nan
    with pytest.raises(InputError, match="not finite"):
        spectrum(layer, 4)
