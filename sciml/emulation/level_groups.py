"""A source of batches of columns of several numbers of levels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from sciml.errors import InputError
from sciml.train import Batch, TensorSource

__all__ = ["LevelGroups"]


class LevelGroups:
    """Columns of several numbers of levels: each batch has columns of one number.

    Each group is cut into batches of nearly equal sizes, in all ``ceil(len(source) / batch_size)``, but at least one
    for each group.

    Parameters
    ----------
    groups
        Columns of one number of levels each.

    Examples
    --------
    >>> groups = [TensorSource({"x": torch.zeros(5, 3)}), TensorSource({"x": torch.zeros(3, 4)})]
    >>> [tuple(batch["x"].shape) for batch in LevelGroups(groups).batches(3)]
    [(3, 3), (2, 3), (3, 4)]
    """

    def __init__(self, groups: Sequence[TensorSource]) -> None:
        self.groups = tuple(groups)

    def __len__(self) -> int:
        return sum(map(len, self.groups))

    def check_batch_size(self, batch_size: int) -> None:
        """Check that an epoch has a batch for each group.

        Raises
        ------
        InputError
            There are more numbers of levels than batches.
        """
        count = math.ceil(len(self) / batch_size)
        if count < len(self.groups):
            raise InputError(
                f"batch_size {batch_size} makes {count} batches of {len(self)} columns, which have {len(self.groups)} "
                "numbers of levels: give a smaller batch_size or more columns"
            )

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """Yield the batches of one epoch: in random order with a generator, else group by group."""
        return self.batches_from(batch_size, generator, 0)

    def batches_from(self, batch_size: int, generator: torch.Generator | None, start: int) -> Iterator[Batch]:
        """Yield the batches of one epoch from number ``start`` on."""
        cuts = []
        for group, count in zip(self.groups, self._counts(batch_size), strict=True):
            order = (
                torch.arange(len(group))
                if generator is None
                else torch.randperm(len(group), generator=generator)
            )
            cuts += [(group, rows) for rows in order.tensor_split(count)]
        turns = range(len(cuts)) if generator is None else torch.randperm(len(cuts), generator=generator)
        for turn in list(turns)[start:]:
            group, rows = cuts[int(turn)]
            yield {name: tensor.index_select(0, rows) for name, tensor in group.tensors.items()}

    def _counts(self, batch_size: int) -> list[int]:
        """Return the number of batches of each group: one at least, the others where batches are the largest."""
        counts = [1] * len(self.groups)
        for _ in range(math.ceil(len(self) / batch_size) - len(counts)):
            sizes = [len(group) / count for group, count in zip(self.groups, counts, strict=True)]
            counts[sizes.index(max(sizes))] += 1
        return counts
