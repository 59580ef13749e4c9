"""Layers that do not expand, and bounds of Lipschitz constants of networks."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.nn.bounded_weights import scale_spectrally
from sciml.nn.convolution_spectrum import supremum
from sciml.nn.lipschitz import Absolute, ConvexPotentialStep, GroupSort, lipschitz_factors
from sciml.nn.norm_activation import norm_activation
from sciml.nn.parametrize import dense_copy
from tests.nn.dense_matrices import matrix

CIRCULAR = {"padding": 1, "padding_mode": "circular"}


def drawn(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_groups_are_sorted() -> None:
    x = drawn((2, 6, 3), 5)
    for size in (2, 3):
        made = GroupSort(size)(x).unflatten(1, (-1, size))
        assert torch.equal(made, x.unflatten(1, (-1, size)).sort(2, descending=True).values)
    assert GroupSort(3)(x).norm() == pytest.approx(float(x.norm()))
    with pytest.raises(InputError, match="does not divide 6 channels"):
        GroupSort(4)(x)


def test_the_step_by_dense_matrices() -> None:
    step = ConvexPotentialStep(2, 3, 3).double()
    x = drawn((1, 2, 4, 5), 6)
    dense = matrix(step.conv, (4, 5))
    # The wrapped kernel of `matrix` starts at the point itself, that of the layer one point before it.
    moved = torch.roll(x, (1, 1), (2, 3)).flatten()
    inner = dense @ moved + step.conv.bias.repeat_interleave(20)
    back = (dense.T @ inner.clamp_min(0)).reshape(1, 2, 4, 5)
    torch.testing.assert_close(step(x), x - 2 * torch.roll(back, (-1, -1), (2, 3)), rtol=1e-12, atol=1e-12)


@settings(max_examples=12, deadline=None)
@given(st.integers(3, 10**6), st.floats(0.1, 3.0))
def test_a_step_expands_by_no_more_than_its_factor(seed: int, size: float) -> None:
    step = ConvexPotentialStep(2, 4, 3).double()
    with torch.no_grad():
        step.conv.weight.copy_(drawn((4, 2, 3, 3), seed))
        step.conv.weight.mul_(size / supremum(step.conv))
    factor = step.factor((6, 6))
    assert factor == 1.0 if size <= 1 else factor <= 2 * size**2 - 1
    x = drawn((1, 2, 6, 6), seed + 1).requires_grad_()
    jacobian = torch.autograd.functional.jacobian(step, x).reshape(72, 72)
    assert float(torch.linalg.matrix_norm(jacobian, 2)) <= factor * (1 + 1e-12)


def test_the_factors_of_a_network() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, **CIRCULAR),
        GroupSort(),
        nn.Sequential(ConvexPotentialStep(4, 3), nn.Tanh(), Absolute()),
        nn.Conv2d(4, 1, 3, padding=1),
    ).double()
    exact = lipschitz_factors(network, (6, 6))
    assert list(exact) == ["0", "2.0", "3"]
    assert exact["3"] == supremum(network[3])  # zero padding: the periodic norm is no bound
    assert exact["0"] < lipschitz_factors(network)["0"] == supremum(network[0])
    x, y = drawn((1, 1, 6, 6), 7), drawn((1, 1, 6, 6), 8)
    bound = math.prod(exact.values())
    with torch.no_grad():
        assert float((network(x) - network(y)).norm()) <= bound * float((x - y).norm())


@settings(max_examples=10, deadline=None)
@given(st.integers(3, 10**6))
def test_scaled_networks_do_not_expand(seed: int) -> None:
    plain = nn.Sequential(nn.Conv1d(1, 4, 3, **CIRCULAR), GroupSort(), nn.Conv1d(4, 1, 3, **CIRCULAR))
    for number in (0, 2):
        nn.init.normal_(plain[number].weight, generator=torch.Generator().manual_seed(seed))
    network = dense_copy(scale_spectrally(plain, 9))
    assert math.prod(lipschitz_factors(network, (9,)).values()) <= 1.0
    x, y = drawn((2, 1, 9), seed + 1), drawn((2, 1, 9), seed + 2)
    with torch.no_grad():
        ends = network.double()(torch.cat([x, y])).chunk(2)
    assert float((ends[0] - ends[1]).norm()) <= float((x - y).norm())


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.Conv1d(1, 1, 1), nn.GELU()), "layer 1, a GELU"),
        (nn.Sequential(nn.Conv1d(1, 4, 1), norm_activation("evonorm-s0", 4, 1)), "layer 1, a EvoNorm"),
        (nn.Conv1d(1, 1, 1), "Conv1d has no bound"),
    ],
)
def test_refusals(network: nn.Module, message: str) -> None:
    with pytest.raises(InputError, match=message):
        lipschitz_factors(network)
    with pytest.raises(InputError, match="odd size"):
        ConvexPotentialStep(1, 1, 4)
