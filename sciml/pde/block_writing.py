"""Writing of the blocks of a dataset, in this process or by the workers of a Dask scheduler."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sciml.parallel import cluster
from sciml.parallel.bounded import bounded
from sciml.parallel.freed_memory import trim

__all__ = ["written_blocks"]


def written_blocks(
    store: Path,
    block: int,
    lazy: Callable[[int], dict[str, Any]],
    numbers: Sequence[int],
    alone: bool,
    workers: int | None,
) -> Iterator[int]:
    """Compute and write blocks of a dataset, here or by the workers of a Dask scheduler.

    Parameters
    ----------
    store
        Path of the zarr store, which exists and is empty; the workers write into it.
    block
        Number of samples in a block.
    lazy
        Returns the lazy arrays of a block by name.
    numbers
        Numbers of the blocks.
    alone
        Whether to work in this process, unless a scheduler is there.
    workers
        Number of processes of a local cluster.

    Yields
    ------
    int
        The number of each block when it is in the store.
    """
    import zarr
    from dask.base import compute
    from dask.delayed import delayed

    if alone and not cluster.scheduler_there():
        group: Any = zarr.open_group(store, mode="r+")
        for number in numbers:
            _write_rows(group, number * block, compute(lazy(number), scheduler="synchronous")[0])
            yield number
        return
    with cluster.client(n_workers=workers) as client:
        write = delayed(_open_and_write)
        results = bounded(
            client, lambda number: client.compute(write(str(store), number * block, lazy(number))), numbers
        )
        with contextlib.closing(results):
            for index, _ in results:
                yield numbers[index]


def _open_and_write(store: str, start: int, values: Mapping[str, Any]) -> None:
    """Write a block in a worker, so that no array passes through the process that waits for it."""
    import zarr

    _write_rows(zarr.open_group(store, mode="r+"), start, values)
    trim()


def _write_rows(group: Any, start: int, values: Mapping[str, Any]) -> None:
    """Write a block, which is one chunk of each array; no other block shares it."""
    for name, array in values.items():
        group[name][start : start + len(array)] = np.asarray(array)
