"""Existence, L_orth and its bounds: official values, dense matrices, random kernels."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.nn.bounded_weights import orthogonality_penalty
from sciml.nn.convolution_shape import ConvolutionShape
from sciml.nn.orthogonality import (
    alpha,
    exists,
    frobenius_error,
    penalty,
    singular_value_range,
    spectral_error_bound,
    spectrum,
)
from tests.nn.dense_matrices import matrix
from tests.nn.vectors import assert_near, case, cases
from tests.paths import REPO

NAMES = cases("lorth", "/lorth_official_f32")


def convolution(kernel: Tensor, stride: int) -> nn.Conv2d:
    layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], kernel.shape[2], stride=stride, bias=False)
    layer.weight.data = kernel
    return layer


def gram_error(layer: nn.Module, n: tuple[int, ...]) -> Tensor:
    """K K^T - I or K^T K - I of the dense matrix, whichever can be zero."""
    dense = matrix(layer, n)
    rows = ConvolutionShape.of(layer).rows_orthonormal
    gram = dense @ dense.T if rows else dense.T @ dense
    return gram - torch.eye(len(gram), dtype=gram.dtype)


def test_the_table_of_existence() -> None:
    with np.load(REPO / "tests" / "oracles" / "lorth.npz") as stored:
        table = stored["existence_table_M_C_k_S_ok"].tolist()
    assert len(table) == 468
    wrong = [
        row
        for row in table
        if exists(nn.Conv2d(row[1], row[0], row[2], stride=row[3], device="meta"), "circular") != bool(row[4])
    ]
    assert not wrong


@pytest.mark.parametrize("name", NAMES)
def test_the_official_penalty(name: str) -> None:
    v = case("lorth", name)
    layer = convolution(v["kernel_MCkk"], int(name[-1]))
    value = penalty(layer)
    assert_near(value, v["lorth_official_f32"], 1e-5)
    value.backward()
    assert_near(layer.weight.grad, v["grad_lorth_official_f32"], 1e-4)
    m, c, k, _ = v["kernel_MCkk"].shape
    if int(v["alpha_spectral_official"]) != k * c * m:  # the start of its minimum, which is no bound
        assert alpha(layer) == int(v["alpha_spectral_official"])


@pytest.mark.parametrize("name", NAMES)
def test_the_identity_and_the_bound_of_the_oracle(name: str) -> None:
    v, stride = case("lorth", name), int(name[-1])
    layer, n = convolution(v["kernel_MCkk"], stride), int(v["N"]) * stride
    assert frobenius_error(layer, n) == pytest.approx(float(v["errF2"]), rel=1e-10)
    assert float(v["errspec2"]) <= spectral_error_bound(layer)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([1, 2, 3]),
    st.integers(1, 5),
    st.integers(1, 3),
    st.sampled_from([1, 3, 5]),
    st.integers(1, 3),
    st.booleans(),
    st.integers(3, 10**6),
)
def test_the_theorems_on_random_kernels(
    dims: int, outputs: int, inputs: int, k: int, s: int, transposed: bool, seed: int
) -> None:
    if dims == 3:
        k, s = min(k, 3), min(s, 2)
    kinds = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    plain = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    layer = (
        kinds[dims - 1](outputs, inputs, k, stride=s)
        if transposed
        else plain[dims - 1](inputs, outputs, k, stride=s)
    )
    nn.init.normal_(layer.weight, std=0.4, generator=torch.Generator().manual_seed(seed))
    coarse = math.ceil((2 * k - 1) / s)
    n = coarse if transposed else coarse * s
    values = spectrum(layer, n)
    errors = (values.square() - 1).square()
    # K K^T (or K^T K) has no other eigenvalues than the squares of the singular values.
    assert frobenius_error(layer, n) == pytest.approx(float(errors.sum()), rel=1e-10, abs=1e-10)
    assert float(errors.max()) <= spectral_error_bound(layer) * (1 + 1e-10) + 1e-12
    low, high = singular_value_range(layer)
    assert low - 1e-9 <= float(values[-1])
    assert float(values[0]) <= high + 1e-9


@pytest.mark.parametrize(
    ("layer", "n"),
    [
        (nn.Conv1d(2, 3, 3, stride=2), (6,)),
        (nn.Conv2d(2, 5, 3, stride=1), (5, 5)),
        (nn.Conv2d(4, 6, 3, groups=2), (5, 6)),
        (nn.Conv2d(2, 3, (1, 3), stride=(2, 1)), (4, 5)),
        (nn.ConvTranspose2d(3, 2, 3, stride=2), (3, 3)),
    ],
)
def test_the_identity_by_the_dense_matrix(layer: nn.Module, n: tuple[int, ...]) -> None:
    nn.init.normal_(layer.weight, std=0.5, generator=torch.Generator().manual_seed(9))  # type: ignore[arg-type]
    error = gram_error(layer, n)
    shape = ConvolutionShape.of(layer)
    dense = float(error.square().sum())
    assert frobenius_error(layer, n) == pytest.approx(dense, rel=1e-10)
    largest = float(torch.linalg.matrix_norm(error, 2)) ** 2
    assert largest <= spectral_error_bound(layer)
    assert frobenius_error(layer, n) / math.prod(shape.grid(n)) == pytest.approx(
        float(penalty(layer.double()).detach()), rel=1e-10
    )


def test_an_exact_kernel_and_linear_layers() -> None:
    v = case("lorth", "exact")
    assert float(penalty(convolution(v["kernel_MCkk"], 1)).detach()) == float(v["lorth"]) == 0.0
    for name in ("dense_4x7", "dense_7x4"):
        v = case("lorth", name)
        layer = nn.Linear(*v["w"].shape)
        layer.weight.data = v["w"].T.contiguous()
        assert_near(penalty(layer), v["orth"], 1e-5)


@pytest.mark.parametrize("name", cases("orthconv_other", "/wang_deconv_orth_dist_pad_full"))
def test_the_norm_of_wang_is_the_root_without_the_offset(name: str) -> None:
    v = case("orthconv_other", name)
    layer = convolution(v["kernel"], int(name[-1]))
    m, c, _, _ = v["kernel"].shape
    offset = max(0, m - c * int(name[-1]) ** 2)
    assert_near((penalty(layer) + offset).sqrt(), v["wang_deconv_orth_dist_pad_full"], 1e-5)
    # With padding 1 it leaves out products at other shifts.
    assert (
        abs(float(v["wang_deconv_orth_dist_default_pad1"]) - float((penalty(layer) + offset).sqrt())) > 1e-2
    )


def test_the_gradient_by_finite_differences() -> None:
    layer = nn.ConvTranspose2d(3, 2, 3, stride=2, bias=False).double()
    nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(12))

    def value(weight: Tensor) -> Tensor:
        return torch.func.functional_call(_Penalty(layer), {"layer.weight": weight}, ())  # type: ignore[no-any-return]

    assert torch.autograd.gradcheck(value, (layer.weight,))


class _Penalty(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self) -> Tensor:
        return penalty(self.layer)


def test_the_sum_over_a_network() -> None:
    network = nn.Sequential(nn.Conv1d(1, 3, 3), nn.ReLU(), nn.Linear(3, 2))
    parts = penalty(network[0]) + penalty(network[2])
    assert torch.equal(orthogonality_penalty(network), parts)
    with pytest.raises(InputError, match="no convolution"):
        orthogonality_penalty(nn.ReLU())


@pytest.mark.parametrize("padding", ["circular", "zero", "valid"])
def test_one_tap_exists_with_any_padding(padding: str) -> None:
    assert exists(nn.Conv2d(3, 3, 1), padding)


def test_no_padding_in_the_ro_case_and_for_blocks() -> None:
    assert exists(nn.Conv2d(4, 3, 3))  # rows that are orthogonal inside are so everywhere
    assert exists(nn.Conv2d(2, 20, 3, stride=3))  # blocks that do not overlap
    with pytest.raises(InputError, match="'valid' padding and M > C S"):
        exists(nn.Conv2d(3, 4, 3))


@pytest.mark.parametrize("padding", [1, "same"])
def test_zero_padding_is_refused_with_the_theorem(padding: int | str) -> None:
    with pytest.raises(InputError, match=r"JMLR 23, 2022.*'same' zero padding is trivial"):
        exists(nn.Conv2d(4, 4, 3, padding=padding))  # type: ignore[arg-type]


@pytest.mark.parametrize("question", [exists, penalty, alpha, spectral_error_bound])
def test_even_kernels_and_other_layers_are_refused(question: object) -> None:
    assert callable(question)
    with pytest.raises(InputError, match="odd sizes"):
        question(nn.Conv2d(2, 2, (3, 4), padding=1, padding_mode="circular"))
    with pytest.raises(InputError, match=r"stride .* and dilation"):
        question(nn.Conv1d(2, 2, 3, stride=2, dilation=2))
    with pytest.raises(InputError, match="no convolution"):
        question(nn.BatchNorm2d(2))


def test_other_refusals() -> None:
    with pytest.raises(InputError, match="no theorem"):
        exists(nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"))
    with pytest.raises(InputError, match="padding='same'"):
        exists(nn.Conv2d(2, 2, 3), "same")
    with pytest.raises(InputError, match="the identity needs 5"):
        frobenius_error(nn.Conv2d(2, 2, 3), 4)
