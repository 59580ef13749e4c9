"""Sources of batches: the protocol, and data in memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sciml.checks import check_whole
from sciml.errors import InputError
from sciml.tables import aligned

__all__ = [
    "Batch",
    "BatchSource",
    "Share",
    "TensorSource",
    "batches_from",
    "check_batch_size",
    "check_weights",
    "draw_by_weight",
    "epoch_generator",
]

Batch: TypeAlias = dict[str, Tensor]
"""Tensors by name; the first dimension of each is the sample."""


@dataclass(frozen=True)
class Share:
    """The rows of a batch that one of several processes has.

    Parameters
    ----------
    batch
        The rows. A process without rows has one row, so that it can take part in a step, with the weight 0.
    count, total
        Number of rows of this process, and of the whole batch.
    """

    batch: Batch
    count: int
    total: int

    @classmethod
    def of(cls, batch: Batch, rank: int, size: int) -> Share:
        """Return the rows rank, rank + size, ... of a batch."""
        total = len(next(iter(batch.values())))
        if size == 1:
            return cls(batch, total, total)
        count = len(range(rank, total, size))
        rows = slice(rank, None, size) if count else slice(1)
        return cls({name: tensor[rows].contiguous() for name, tensor in batch.items()}, count, total)

    def part(self, number: int, parts: int) -> tuple[Batch, float]:
        """Return one of several parts of the rows, and its share of the rows of the whole batch."""
        if parts == 1:
            return self.batch, self.count / self.total
        rows = {name: tensor[number::parts] for name, tensor in self.batch.items()}
        return rows, len(range(number, self.count, parts)) / self.total


@runtime_checkable
class BatchSource(Protocol):
    """A source of batches, for `fit` to train on or validate with.

    `batches` yields ``ceil(len(source) / batch_size)`` batches: in a random order that depends on the generator
    alone, or in the order of the data without a generator. A source that can skip ahead cheaply also offers
    ``batches_from(batch_size, generator, start)``, equal to the batches from number ``start`` on.
    """

    def __len__(self) -> int:
        """Number of samples in an epoch."""
        ...

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """Yield the batches of one epoch."""
        ...


class TensorSource:
    """Samples in memory, as tensors whose first dimension is the sample.

    Parameters
    ----------
    tensors
        Tensors by name, with equal first dimensions, on any device; NumPy arrays are wrapped without a copy.
    weights
        Sampling weights (sample,): each epoch draws as many samples as the source has, with replacement and in
        proportion to the weights. Without a generator (validation) every sample is used once, without weights.

    Raises
    ------
    InputError
        No tensors, no samples, unequal lengths, or weights that are negative, not finite or all zero.

    Examples
    --------
    >>> source = TensorSource({"x": torch.arange(5.0)})
    >>> [batch["x"].tolist() for batch in source.batches(2)]
    [[0.0, 1.0], [2.0, 3.0], [4.0]]
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor | npt.NDArray[Any]],
        weights: Tensor | npt.NDArray[Any] | None = None,
    ) -> None:
        self.tensors: Batch = {name: torch.as_tensor(value) for name, value in tensors.items()}
        lengths = {name: len(value) if value.ndim else 0 for name, value in self.tensors.items()}
        if len(set(lengths.values())) != 1 or 0 in lengths.values():
            raise InputError(f"samples by name: {lengths}: give tensors of one equal length of 1 or more")
        self.weights = None if weights is None else check_weights(weights, len(self))

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def __repr__(self) -> str:
        rows = [(name, tuple(tensor.shape), tensor.dtype) for name, tensor in self.tensors.items()]
        lines = aligned(rows, align="<", widths=(24, 20), gap=" ", indent="  ")
        return "\n".join([f"TensorSource: {len(self)} samples", *lines])

    def take(self, index: Tensor | npt.NDArray[Any]) -> TensorSource:
        """Select samples by a boolean mask or by their numbers."""
        chosen = torch.as_tensor(np.asarray(index))
        tensors = {name: tensor[chosen.to(tensor.device)] for name, tensor in self.tensors.items()}
        return TensorSource(tensors, None if self.weights is None else self.weights[chosen])

    def to(self, device: str | torch.device) -> TensorSource:
        """Copy the samples to a device, so that batches need no transfer."""
        return TensorSource({name: tensor.to(device) for name, tensor in self.tensors.items()}, self.weights)

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """Yield the batches of one epoch: shuffled (or drawn by weight) with a generator, in order without one."""
        return self.batches_from(batch_size, generator, 0)

    def batches_from(self, batch_size: int, generator: torch.Generator | None, start: int) -> Iterator[Batch]:
        """Yield the batches of one epoch from number ``start`` on."""
        check_batch_size(batch_size)
        order = None if generator is None else self._draw(generator)
        for first in range(start * batch_size, len(self), batch_size):
            last = min(first + batch_size, len(self))
            if order is None:
                yield {name: tensor[first:last] for name, tensor in self.tensors.items()}
            else:
                yield {
                    name: tensor.index_select(0, order[first:last].to(tensor.device))
                    for name, tensor in self.tensors.items()
                }

    def _draw(self, generator: torch.Generator) -> Tensor:
        if self.weights is None:
            return torch.randperm(len(self), generator=generator)
        return draw_by_weight(self.weights, generator)


def check_weights(weights: Tensor | npt.NDArray[Any], count: int) -> Tensor:
    """Return the sampling weights of ``count`` samples in float64.

    Raises
    ------
    InputError
        There is not one for each sample, or they are negative, not finite or all zero.
    """
    values = torch.as_tensor(weights, dtype=torch.float64).cpu()
    if values.shape != (count,):
        raise InputError(f"weights have shape {tuple(values.shape)}: give one for each of {count}")
    if not (values.isfinite().all() and (values >= 0).all() and values.sum() > 0):
        raise InputError(f"weights with sum {float(values.sum())}: give finite ones >= 0, some above 0")
    return values


def draw_by_weight(weights: Tensor, generator: torch.Generator) -> Tensor:
    """Draw as many numbers of samples as there are weights, with replacement and in proportion to the weights."""
    edges = weights.cumsum(0)
    places = torch.rand(len(weights), generator=generator, dtype=torch.float64) * edges[-1]
    # right=True: a value on an edge belongs to the next sample, so that zero weights are never drawn
    return torch.searchsorted(edges, places, right=True).clamp_(max=int(weights.nonzero()[-1]))


def check_batch_size(batch_size: int) -> None:
    """Check that the batch size is at least 1.

    Raises
    ------
    InputError
        The batch size is less than 1.
    """
    check_whole("batch_size", batch_size, 1)


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """Make the generator of one epoch's order, from the seed and the epoch's number alone."""
    state = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


def batches_from(
    source: BatchSource, batch_size: int, generator: torch.Generator, start: int
) -> Iterator[Batch]:
    """Yield batches from number ``start`` on; the earlier ones are skipped, or read and dropped."""
    skip = getattr(source, "batches_from", None)
    if skip is not None:
        batches: Iterator[Batch] = skip(batch_size, generator, start)
        return batches
    return itertools.islice(source.batches(batch_size, generator), start, None)
