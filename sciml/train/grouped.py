"""Batches with the same number of samples of each group."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from sciml.errors import InputError
from sciml.train.batches import Batch, BatchSource, batches_from, check_batch_size

__all__ = ["GROUP", "GroupedSource", "of_group"]

GROUP = "group"
"""Name of the tensor of a batch with the number of each sample's group, int64 (sample,)."""


class GroupedSource:
    """Groups of samples, of which each batch has equally many.

    An epoch has as many batches as if each sample was used once. A small group is used several times in it, each time
    in another order, and a large one in part.

    Parameters
    ----------
    sources
        Source of each group.

    Raises
    ------
    InputError
        There is no group, or a group is empty. Raised by `batches`: the batch size is below the number of groups.

    Examples
    --------
    >>> from sciml.train.batches import TensorSource
    >>> parts = [TensorSource({"x": torch.arange(2.0)}), TensorSource({"x": torch.arange(10.0, 16.0)})]
    >>> source = GroupedSource(parts)
    >>> [batch["group"].tolist() for batch in source.batches(4, torch.Generator().manual_seed(7))]
    [[0, 0, 1, 1], [0, 0, 1, 1]]
    """

    def __init__(self, sources: Sequence[BatchSource]) -> None:
        self.sources = list(sources)
        if not self.sources or any(len(source) < 1 for source in self.sources):
            raise InputError(
                f"groups of {[len(source) for source in self.sources]} samples: give at least one, none empty"
            )

    def __len__(self) -> int:
        return sum(len(source) for source in self.sources)

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """Yield the batches of one epoch; without a generator, each sample once, group after group."""
        if generator is not None:
            return self.batches_from(batch_size, generator, 0)
        check_batch_size(batch_size)
        return itertools.chain.from_iterable(
            (_labelled(batch, number) for batch in source.batches(batch_size))
            for number, source in enumerate(self.sources)
        )

    def batches_from(self, batch_size: int, generator: torch.Generator, start: int) -> Iterator[Batch]:
        """Yield the batches of one epoch from number ``start`` on."""
        check_batch_size(batch_size)
        each = batch_size // len(self.sources)
        if each < 1:
            raise InputError(
                f"batch_size={batch_size} for {len(self.sources)} groups: give at least one sample of each"
            )
        seeds = torch.randint(1 << 62, (len(self.sources),), generator=generator).tolist()
        streams = [
            _repeated(source, each, seed, start) for source, seed in zip(self.sources, seeds, strict=True)
        ]
        for _ in range(start, math.ceil(len(self) / batch_size)):
            parts = [_labelled(next(stream), number) for number, stream in enumerate(streams)]
            yield {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def of_group(batch: Batch, number: int) -> Batch:
    """Return the samples of a group, without their group numbers.

    Raises
    ------
    InputError
        The batch has no group numbers, or no sample of the group.
    """
    if GROUP not in batch or not bool((own := batch[GROUP] == number).any()):
        raise InputError(f"a batch has no sample of group {number}: give batches of a GroupedSource")
    return {name: tensor[own] for name, tensor in batch.items() if name != GROUP}


def _labelled(batch: Batch, number: int) -> Batch:
    first: Tensor = next(iter(batch.values()))
    return {**batch, GROUP: torch.full((len(first),), number, dtype=torch.int64, device=first.device)}


def _repeated(source: BatchSource, size: int, seed: int, start: int) -> Iterator[Batch]:
    """Yield batches of a source without end, each pass in another order, from number ``start`` on."""
    every = math.ceil(len(source) / size)
    for turn in itertools.count(start // every):
        generator = torch.Generator().manual_seed((seed + turn) % (1 << 63))
        yield from batches_from(source, size, generator, start % every if turn == start // every else 0)
