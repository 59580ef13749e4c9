"""The nearest stored columns of a column: standardised profiles, and an exact search block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["features", "merge", "profiles", "search"]

Array = NDArray[Any]

QUERIES = 256  # columns whose distances are computed at a time


def profiles(columns: xr.Dataset, inputs: Sequence[str]) -> Array:
    """Read profiles, (column, input, level), float64; the grid-scale ascent enters by its cube root."""
    parts = []
    for name in inputs:
        x = np.asarray(columns[name].transpose("column", "level").values, np.float64)
        bad = int((~np.isfinite(x)).sum())
        if bad:
            raise InputError(f"{bad} values of {name} are not finite: drop these columns")
        parts.append(np.cbrt(x) if name == "W0AVG" else x)
    return np.stack(parts, 1)


def features(columns: xr.Dataset, inputs: Sequence[str], mean: Array, scale: Array) -> Array:
    """Standardise profiles and divide by the root of their number, (column, feature)."""
    x = (profiles(columns, inputs) - mean) / scale
    standardised: Array = x.reshape(len(x), -1) / np.sqrt(mean.size)
    return standardised


def search(
    stored: xr.Dataset,
    inputs: Sequence[str],
    scaling: tuple[Array, Array],
    queries: Array,
    members: int,
    own: Array | None,
    part: slice,
) -> tuple[Array, Array]:
    """Return the squared distances and numbers of the nearest columns of one block."""
    from scipy.spatial.distance import cdist

    keys = features(stored.isel(column=part), inputs, *scaling)
    numbers = part.start + np.arange(len(keys))
    best = [
        _some(queries[rows], keys, numbers, members, None if own is None else own[rows], cdist)
        for rows in _slices(len(queries))
    ]
    return np.concatenate([d for d, _ in best]), np.concatenate([i for _, i in best])


def _slices(count: int) -> Iterator[slice]:
    return (slice(start, start + QUERIES) for start in range(0, count, QUERIES))


def _some(
    queries: Array, keys: Array, numbers: Array, members: int, own: Array | None, cdist: Any
) -> tuple[Array, Array]:
    distance = cdist(
        queries, keys, "sqeuclidean"
    )  # each pair by itself, so that blocks do not change its bits
    if own is not None:
        distance[own[:, None] == numbers] = np.inf
    return _smallest(distance, np.broadcast_to(numbers, distance.shape), members)


def _smallest(distance: Array, index: Array, members: int) -> tuple[Array, Array]:
    """Return the smallest distances of each row in ascending order; the lower number first where they are equal."""
    if distance.shape[1] > 4 * members:
        limit = np.partition(distance, members - 1, 1)[:, members - 1]
        rows = [np.flatnonzero(row <= least) for row, least in zip(distance, limit, strict=True)]
        chosen = [
            some[np.lexsort((own[some], row[some]))[:members]]
            for some, row, own in zip(rows, distance, index, strict=True)
        ]
        order = np.stack(chosen)
    else:
        order = np.lexsort((index, distance), axis=-1)[:, :members]
    return np.take_along_axis(distance, order, 1), np.take_along_axis(index, order, 1)


def merge(first: tuple[Array, Array], second: tuple[Array, Array], members: int) -> tuple[Array, Array]:
    """Return the nearest of two results of `search`."""
    distance, index = (np.concatenate(pair, 1) for pair in zip(first, second, strict=True))
    return _smallest(distance, index, members)
