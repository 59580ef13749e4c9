"""The number of weights that share a shift, chosen from data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from sciml.compress.widths import BLOCK

__all__ = ["BLOCKS", "choose_block", "score_block", "output_block"]

BLOCKS: Final = (BLOCK, BLOCK // 2, BLOCK // 4)
"""Blocks to choose from. A shift has 4 bits: they add 1/16, 1/8 and 1/4 bit to each weight."""
TOLERANCE = 1.5
"""Largest loss of a block relative to that of the best one. Weights with normal distribution in blocks of 64 have 1.3
(4 bits) to 1.5 (8 bits) times the squared error of those in blocks of 16; those with outliers have more."""
NEGLIGIBLE = 2e-4
"""Squared change of outputs, relative to their square, that smaller blocks need not reduce: it lowers R2 by a tenth of
what 8 bits may lose."""


def choose_block(loss: Callable[[int], float], allowed: float = 0.0, blocks: Sequence[int] = BLOCKS) -> int:
    """Choose the largest block whose loss is near that of the best block.

    Parameters
    ----------
    loss
        Loss of the quantised network by its block, zero or more.
    allowed
        Loss that is small enough in any case.
    blocks
        Blocks, from the largest to the smallest.

    Examples
    --------
    >>> choose_block({64: 7.7, 32: 3.4, 16: 1.7}.get), choose_block({64: 1.2, 32: 1.1, 16: 1.0}.get)
    (16, 64)
    >>> choose_block({64: 7.7, 32: 3.4, 16: 1.7}.get, allowed=5.0)
    32
    """
    first = loss(blocks[0])
    if first <= allowed:
        return blocks[0]
    losses = {blocks[0]: first, **{block: loss(block) for block in blocks[1:]}}
    enough = max(TOLERANCE * min(losses.values()), allowed)
    return next(block for block in blocks if losses[block] <= enough)


def output_block(
    model: nn.Module, quantised: Callable[[int], nn.Module], run: Callable[[nn.Module], object]
) -> int:
    """Choose the block by the change of the outputs of a network.

    Parameters
    ----------
    model
        Network.
    quantised
        Function of a block that returns the quantised network.
    run
        Function that applies a network to data and returns its outputs. Without outputs the largest block is chosen.
    """
    with torch.no_grad():
        before = _tensors(run(model))
        total = sum(float(part.double().square().sum()) for part in before)
        if not total > 0:
            return BLOCKS[0]

        def change(block: int) -> float:
            after = _tensors(run(quantised(block)))
            squares = [(a - b).double().square().sum() for a, b in zip(after, before, strict=True)]
            return float(sum(squares)) / total

        return choose_block(change, NEGLIGIBLE)


def score_block(lost: Callable[[int], float], keep: float) -> int:
    """Choose the block by the largest share of a score that is lost.

    Parameters
    ----------
    lost
        Function of a block that returns the largest lost share of a score of the quantised network.
    keep
        Share of each score that must be retained; a quarter of what it allows to lose is small enough.
    """
    return choose_block(lambda block: max(lost(block), 0.0), (1.0 - keep) / 4)


def _tensors(outputs: object) -> list[Tensor]:
    """Return the tensors of floats of nested outputs."""
    if isinstance(outputs, Tensor):
        return [outputs.detach()] if outputs.is_floating_point() else []
    if isinstance(outputs, Mapping):
        return _tensors(list(outputs.values()))
    return (
        [tensor for part in outputs for tensor in _tensors(part)] if isinstance(outputs, list | tuple) else []
    )
