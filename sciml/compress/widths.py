"""Widths of weights in bits, and the rounding that each of them stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from sciml.checks import is_whole
from sciml.errors import InputError

__all__ = ["BLOCK", "Quantiser", "check_widths", "round_to_width"]

BLOCK = 64
"""Number of weights that share a shift."""
WIDEST = 16
Quantiser: TypeAlias = Callable[[str, Tensor, int], Tensor]
"""A function of the name of a tensor, its values and a width in bits that returns the values after quantisation."""


def check_widths(widths: Sequence[int]) -> tuple[int, ...]:
    """Return distinct widths in increasing order.

    Raises
    ------
    InputError
        There are fewer than two widths, or one is no whole number from 2 to 16.
    """
    wrong = [width for width in widths if not is_whole(width, 2) or width > WIDEST]
    if wrong:
        raise InputError(f"width {wrong[0]!r}: give whole numbers from 2 to {WIDEST}, such as 4, 8 and 16")
    chosen = tuple(sorted({int(width) for width in widths}))
    if len(chosen) < 2:
        raise InputError(
            f"widths {', '.join(map(str, chosen)) or 'none'}: give two or more, such as 4, 8 and 16"
        )
    return chosen


def round_to_width(name: str, weight: Tensor, width: int, block: int = BLOCK) -> Tensor:
    """Round a tensor to a width: bfloat16 at 16 bits, block-shift integers below.

    Parameters
    ----------
    name
        Name of the tensor, which does not matter here.
    weight
        Values; the blocks run along all dimensions but the first and do not cross a row, as in
        `sciml.compress.formats`.
    width
        Width in bits.
    block
        Number of weights that share a shift.

    Returns
    -------
    Tensor
        Values of the integers times their power of two, of the dtype of the weights.

    Examples
    --------
    >>> round_to_width("w", torch.tensor([[0.1, -0.55, 1.0]]), 4)
    tensor([[ 0.0000, -0.5000,  1.0000]])
    """
    if width == WIDEST:
        return weight.to(torch.bfloat16).to(weight)
    rows = weight.double().reshape(weight.shape[0] if weight.ndim > 1 else 1, -1)
    largest = 2 ** (width - 1) - 1
    parts = []
    for at in range(0, rows.shape[1], block):
        part = rows[:, at : at + block]
        top = part.abs().amax(1, keepdim=True)
        shift = torch.where(top > 0, torch.floor(torch.log2(largest / top.clamp_min(1e-300))), 0.0)
        scale = torch.exp2(shift)
        parts.append(torch.round(part * scale) / scale)
    return torch.cat(parts, 1).reshape(weight.shape).to(weight)
