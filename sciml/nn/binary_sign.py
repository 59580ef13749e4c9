"""The sign without a zero, which one bit can store."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["binary_sign"]


def binary_sign(x: Tensor) -> Tensor:
    """Return -1 where x is negative, +1 elsewhere, also at zeros, and NaN at NaN.

    The published codes of BiPer and BiPFT have sign(0) = 0, which one bit cannot store.

    Examples
    --------
    >>> binary_sign(torch.tensor([-0.5, -0.0, 0.0, 2.0])).tolist()
    [-1.0, 1.0, 1.0, 1.0]
    """
    ones = torch.ones_like(x)
    return torch.where(x.isnan(), x, torch.where(x < 0, -ones, ones))
