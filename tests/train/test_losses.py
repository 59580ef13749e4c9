"""Losses against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sciml.errors import InputError
from sciml.train import relative_l2


def draws(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_relative_l2_equals_its_definition():
    prediction, target = draws(3, 5, 4, 6), draws(4, 5, 4, 6)
    expected = np.mean(
        [np.linalg.norm(p - t) / np.linalg.norm(t) for p, t in zip(prediction, target, strict=True)]
    )
    assert relative_l2(prediction, target).item() == pytest.approx(expected, rel=1e-14)
    assert relative_l2(prediction * 1e3, target * 1e3).item() == pytest.approx(expected, rel=1e-14)


def test_its_gradient():
    target = draws(5, 3, 4)
    assert torch.autograd.gradcheck(lambda p: relative_l2(p, target), draws(6, 3, 4).requires_grad_())


def test_targets_of_zero():
    zero = torch.zeros(2, 3, requires_grad=True)
    loss = relative_l2(zero, torch.zeros(2, 3))
    loss.backward()
    assert loss.item() == 0.0
    assert zero.grad is not None
    assert torch.equal(zero.grad, torch.zeros(2, 3))
    assert relative_l2(torch.ones(1, 3), torch.zeros(1, 3)).isinf()
    assert relative_l2(torch.ones(1, 4), torch.zeros(1, 4), floor=0.5).item() == 4.0


def test_precision_and_shape():
    assert relative_l2(torch.ones(2, 3).bfloat16(), torch.full((2, 3), 2.0).bfloat16()).dtype == torch.float32
    with pytest.raises(InputError, match=r"\(2, 3\) against target \(3,\)"):
        relative_l2(torch.ones(2, 3), torch.ones(3))
