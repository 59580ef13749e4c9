"""The block of a quantised network, chosen by what its outputs and its scores lose."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sciml.compress import Plan, compression_of, quantize
from sciml.compress.blocks import choose_block, output_block, score_block


def network(outliers: bool) -> nn.Module:
    torch.manual_seed(23)
    net = nn.Sequential(nn.Linear(128, 64), nn.Tanh(), nn.Linear(64, 3))
    with torch.no_grad():
        for layer in (net[0], net[2]):
            weight = layer.weight
            weight.copy_(torch.rand_like(weight) - 0.5)
            if outliers:
                weight[:, ::64] *= 14.0  # one weight of each block of 64, which makes its step large
    return net


X = torch.randn(200, 128, generator=torch.Generator().manual_seed(29))


def run(model: nn.Module) -> Tensor:
    out: Tensor = model(X)
    return out


@pytest.mark.parametrize(("outliers", "bits", "expected"), [(True, 4, 16), (False, 4, 64), (False, 8, 64)])
def test_data_choose_the_block_of_a_width(outliers: bool, bits: int, expected: int) -> None:
    net = network(outliers)
    small = quantize(net, bits, run=lambda model: {"out": (run(model),)})
    compression = compression_of(small)
    assert compression is not None
    assert compression.plan == Plan.of(net, bits, expected)
    assert torch.equal(run(small), run(quantize(net, bits, expected, run=run)))


def silent(model: nn.Module) -> None:
    """Apply a network and return no outputs."""
    run(model)


def test_without_data_or_with_a_block_nothing_is_chosen() -> None:
    net = network(True)
    for made, block in (
        (quantize(net, 4), 64),
        (quantize(net, 4, 32, run=run), 32),
        (quantize(net, Plan.of(net, 4), run=run), 64),
        (quantize(net, 4, run=silent), 64),
    ):
        compression = compression_of(made)
        assert compression is not None
        assert compression.plan.block == block


def test_the_largest_block_that_loses_little_more_than_the_best() -> None:
    lost = {64: 0.008, 32: 0.0030, 16: 0.0028}
    evaluated: list[int] = []

    def of_block(block: int) -> float:
        evaluated.append(block)
        return lost[block]

    assert choose_block(of_block) == 32
    assert score_block(of_block, 0.99) == 32
    evaluated.clear()
    assert score_block(of_block, 0.96) == 64
    assert evaluated == [64]  # small enough at once
    assert score_block(lambda block: -1e-3, 0.999) == 64
    assert output_block(network(False), lambda block: network(False), run) == 64
