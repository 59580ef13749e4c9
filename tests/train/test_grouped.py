"""Batches with the same number of samples of each group."""

from __future__ import annotations

import itertools

import pytest
import torch

from sciml.errors import InputError
from sciml.train.batches import TensorSource
from sciml.train.grouped import GroupedSource, of_group


def source() -> GroupedSource:
    """Groups of 3, 10 and 7 samples, numbered on."""
    starts = itertools.pairwise((0, 3, 13, 20))
    return GroupedSource([TensorSource({"x": torch.arange(float(a), float(b))}) for a, b in starts])


def batches(seed: int = 11, start: int = 0) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return list(source().batches_from(6, generator, start))


def test_each_batch_has_equally_many_of_each_group():
    made = batches()
    assert len(source()) == 20 and len(made) == 4
    for batch in made:
        groups = [of_group(batch, number)["x"] for number in range(3)]
        assert [len(group) <= 2 for group in groups] == [True] * 3
        for group, (low, high) in zip(groups, itertools.pairwise((0, 3, 13, 20)), strict=True):
            assert ((group >= low) & (group < high)).all() and len(group)
    small = torch.cat([of_group(batch, 0)["x"] for batch in made])
    assert sorted(small[:3].tolist()) == [0, 1, 2]  # a pass over the small group
    assert sorted(small[3:].tolist()) == [0, 1, 2]  # and another one


def test_the_order_depends_on_the_seed_alone_and_can_be_entered_at_any_batch():
    whole = batches()
    for start in range(4):
        for a, b in zip(batches(start=start), whole[start:], strict=True):
            assert torch.equal(a["x"], b["x"]) and torch.equal(a["group"], b["group"])
    assert not all(torch.equal(a["x"], b["x"]) for a, b in zip(batches(12), whole, strict=True))


def test_without_a_generator_each_sample_comes_once():
    made = list(source().batches(4))
    assert torch.cat([batch["x"] for batch in made]).tolist() == list(range(20))
    assert torch.cat([batch["group"] for batch in made]).tolist() == [0] * 3 + [1] * 10 + [2] * 7


def test_too_small_batches_and_absent_groups_are_errors():
    with pytest.raises(InputError, match="batch_size=2 for 3 groups"):
        next(source().batches(2, torch.Generator()))
    with pytest.raises(InputError, match="at least one"):
        GroupedSource([])
    with pytest.raises(InputError, match="no sample of group 5"):
        of_group(batches()[0], 5)
