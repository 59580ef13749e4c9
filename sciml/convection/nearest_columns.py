"""The nearest stored columns of a column: an exact search block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray as xr

    from sciml.convection.analog_features import Features

__all__ = ["Search", "merge"]

Array = NDArray[Any]

QUERIES = 512  # columns whose distances are computed at a time


@dataclass(frozen=True)
class Search:
    """A search for the nearest stored columns; call it with a block.

    Attributes
    ----------
    stored
        Stored columns with the inputs of the features.
    features
        Features of columns.
    rank
        Rank of each stored column, (stored,), by which equal distances are ordered.
    queries
        Features of the columns whose neighbours are searched, (query, feature).
    members
        Number of neighbours.
    apart
        None, or a group of each query (query,) and of each stored column (stored,); columns of the query's own group
        are no neighbours.
    """

    stored: xr.Dataset
    features: Features
    rank: Array
    queries: Array
    members: int
    apart: tuple[Array, Array] | None = None

    def __call__(self, part: slice) -> tuple[Array, Array]:
        """Return the squared distances, in steps of the features, and ranks of the nearest columns of one block."""
        keys, rank = self.features(self.stored.isel(column=part)), self.rank[part]
        length = np.square(keys).sum(1)
        best = []
        for rows in _slices(len(self.queries)):
            some = self.queries[rows]
            # whole numbers below 2^53, so that the order of the sums does not matter
            distance = np.square(some).sum(1)[:, None] + length - 2.0 * (some @ keys.T)
            if self.apart is not None:
                distance[self.apart[0][rows, None] == self.apart[1][part]] = np.inf
            best.append(_smallest(distance, np.broadcast_to(rank, distance.shape), self.members))
        return np.concatenate([d for d, _ in best]), np.concatenate([i for _, i in best])


def _slices(count: int) -> Iterator[slice]:
    return (slice(start, start + QUERIES) for start in range(0, count, QUERIES))


def _smallest(distance: Array, rank: Array, members: int) -> tuple[Array, Array]:
    """Return the smallest distances of each row in ascending order; the lower rank first where they are equal."""
    if distance.shape[1] > 4 * members:
        limit = np.partition(distance, members - 1, 1)[:, members - 1]
        rows = [np.flatnonzero(row <= least) for row, least in zip(distance, limit, strict=True)]
        chosen = [
            some[np.lexsort((own[some], row[some]))[:members]]
            for some, row, own in zip(rows, distance, rank, strict=True)
        ]
        order = np.stack(chosen)
    else:
        order = np.lexsort((rank, distance), axis=-1)[:, :members]
    return np.take_along_axis(distance, order, 1), np.take_along_axis(rank, order, 1)


def merge(first: tuple[Array, Array], second: tuple[Array, Array], members: int) -> tuple[Array, Array]:
    """Return the nearest of two results of a search."""
    distance, rank = (np.concatenate(pair, 1) for pair in zip(first, second, strict=True))
    return _smallest(distance, rank, members)
