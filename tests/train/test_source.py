"""Batches: all samples once, in an order of the generator alone, and from any batch on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.errors import InputError
from sciml.train import BatchSource, TensorSource
from sciml.train.batches import batches_from, epoch_generator


def numbers(batches) -> list[list[int]]:
    return [batch["n"].tolist() for batch in batches]


@settings(deadline=None)
@given(
    samples=st.integers(1, 60),
    size=st.integers(1, 20),
    start=st.integers(0, 70),
    seed=st.integers(2, 2**31),
    weighted=st.booleans(),
)
def test_every_sample_once_and_any_start(samples, size, start, seed, weighted):
    n = torch.arange(samples)
    source = TensorSource({"n": n, "x": n[:, None] * 2.0}, weights=(n + 1.0) if weighted else None)
    order = numbers(source.batches(size, epoch_generator(seed, 3)))
    assert len(order) == -(-samples // size)
    assert order == numbers(source.batches(size, epoch_generator(seed, 3)))
    assert order[start:] == numbers(batches_from(source, size, epoch_generator(seed, 3), start))
    if not weighted:
        assert sorted(itertools.chain(*order)) == list(range(samples))
    assert list(itertools.chain(*numbers(source.batches(size)))) == list(range(samples))
    for batch in source.batches(size, epoch_generator(seed, 4)):
        assert torch.equal(batch["x"][:, 0], batch["n"] * 2.0)


def test_a_source_that_cannot_skip_is_read():
    class Plain:
        def __len__(self):
            return 7

        def batches(self, batch_size, generator=None):
            yield from ({"n": torch.tensor([i])} for i in range(7))

    assert isinstance(Plain(), BatchSource)
    assert numbers(batches_from(Plain(), 1, epoch_generator(5, 5), 4)) == [[4], [5], [6]]


def test_weights_are_sampling_frequencies():
    weights = np.array([0.0, 1.0, 0.0, 3.0, 0.0])
    source = TensorSource({"n": torch.arange(5)}, weights=weights)
    drawn = [
        n for epoch in range(800) for b in numbers(source.batches(5, epoch_generator(9, epoch))) for n in b
    ]
    assert set(drawn) == {1, 3}
    assert np.mean(np.array(drawn) == 3) == pytest.approx(0.75, abs=0.03)


def test_epochs_differ():
    source = TensorSource({"n": torch.arange(50)})
    assert numbers(source.batches(50, epoch_generator(3, 1))) != numbers(
        source.batches(50, epoch_generator(3, 2))
    )
    assert numbers(source.batches(50, epoch_generator(3, 1))) != numbers(
        source.batches(50, epoch_generator(4, 1))
    )


def test_take():
    source = TensorSource({"n": np.arange(6)}, weights=np.arange(6.0))
    assert source.take(np.array([False, True, True, False, True, False])).tensors["n"].tolist() == [1, 2, 4]
    some = source.take([5, 3])
    assert some.tensors["n"].tolist() == [5, 3]
    assert some.weights is not None
    assert some.weights.tolist() == [5.0, 3.0]
    assert "TensorSource: 2 samples" in repr(some)
    assert len(source.to("cpu")) == 6


@pytest.mark.parametrize(
    ("tensors", "weights", "match"),
    [
        ({}, None, "one equal length"),
        ({"x": np.zeros((0, 3))}, None, "'x': 0"),
        ({"x": np.zeros(3), "y": np.zeros(4)}, None, "'x': 3, 'y': 4"),
        ({"x": np.zeros(3)}, np.ones(2), r"shape \(2,\): give one for each of 3"),
        ({"x": np.zeros(3)}, np.array([1, -1, 3.0]), "finite ones >= 0"),
        ({"x": np.zeros(3)}, np.zeros(3), "some above 0"),
    ],
)
def test_bad_input(tensors, weights, match):
    with pytest.raises(InputError, match=match):
        TensorSource(tensors, weights)
