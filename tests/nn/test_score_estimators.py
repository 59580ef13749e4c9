"""Fitted estimators of binary attention against plain least squares, and what each form of them can reach."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sciml.errors import InputError
from sciml.nn.binary_attention import BinaryAttention
from sciml.nn.score_estimators import ScoreMoments, fit_estimators


def attention_of(rank: int, estimators: str) -> BinaryAttention:
    torch.manual_seed(19)
    return BinaryAttention(6, 3, rank=rank, binary_projections=False, estimators=estimators)


def states() -> Tensor:
    return torch.randn(40, 5, 6, generator=torch.Generator().manual_seed(13))


def real_scores(attention: BinaryAttention, x: Tensor) -> Tensor:
    q, k = attention.real_parts(x)
    return q @ k.mT / q.shape[-1] ** 0.5


def error(attention: BinaryAttention, x: Tensor) -> float:
    with torch.no_grad():
        return float((attention.scores(x) - real_scores(attention, x)).square().mean())


def test_the_step_without_estimators_is_the_least_squares_one() -> None:
    attention, x = attention_of(0, "shared"), states()
    fit_estimators(attention, x)
    with torch.no_grad():
        q, k = attention.real_parts(x)
        signs = (torch.sign(q) @ torch.sign(k).mT).flatten().double()
        exact = float((q @ k.mT).flatten().double() @ signs / (signs @ signs))
        scale = float(attention.sign_q.step * attention.sign_k.step)
    assert scale == pytest.approx(exact, rel=1e-5)


def test_shared_estimators_of_full_rank_are_the_least_squares_form() -> None:
    attention, x = attention_of(4, "shared"), states()
    fit_estimators(attention, x)
    with torch.no_grad():
        q, k = (part.double() for part in attention.real_parts(x))
    inputs = torch.cat([x, torch.ones(40, 5, 1)], -1).double()
    pairs = torch.einsum("nia,njb->nijab", inputs, inputs).flatten(3)
    pairs = pairs.unsqueeze(1).expand(-1, 3, -1, -1, -1).reshape(-1, 49)
    signs = (torch.sign(q) @ torch.sign(k).mT).reshape(-1, 1)
    design, wanted = torch.cat([signs, pairs], 1).numpy(), (q @ k.mT).reshape(-1).numpy()
    least = np.linalg.lstsq(design, wanted, rcond=None)[1].item() / len(wanted) / q.shape[-1]
    assert error(attention, x) == pytest.approx(least, rel=1e-4)


def test_estimators_of_each_head_leave_less_and_nothing_at_the_rank_of_a_head() -> None:
    x, left = states(), {}
    for estimators in ("shared", "heads"):
        for rank in (0, 1):
            attention = attention_of(rank, estimators)
            fit_estimators(attention, x)
            left[estimators, rank] = error(attention, x)
    assert left["shared", 0] == pytest.approx(left["heads", 0])
    # A head of two features has a bilinear form of rank 2, which estimators of rank 1 can be.
    assert left["heads", 1] < 1e-6 * left["shared", 1] < left["shared", 0]


def test_the_error_of_the_moments_is_that_of_the_scores() -> None:
    attention, x = attention_of(1, "heads"), states()
    fit_estimators(attention, x[:20])
    first = ScoreMoments.of(attention, x[:20])
    second = ScoreMoments.of(attention, x[20:], first.basis)
    scale, left, right = first.fitted(1)
    attention.set_estimators(first.basis @ left, first.basis @ right)
    with torch.no_grad():
        for sign in (attention.sign_q, attention.sign_k):
            sign.step.fill_(scale**0.5)
    assert error(attention, x[20:]) == pytest.approx(second.error(scale, left, right) / 2, rel=1e-4)
    assert second.error(*first.fitted(1)) < second.error(*first.fitted(0))


def test_states_that_cannot_be_fitted() -> None:
    for x in (torch.zeros(0, 5, 6), torch.full((2, 5, 6), float("nan"))):
        with pytest.raises(InputError, match="give finite ones"):
            fit_estimators(attention_of(1, "heads"), x)
    with pytest.raises(InputError, match=r"estimators='own'.*shared or heads"):
        BinaryAttention(6, 3, estimators="own")
