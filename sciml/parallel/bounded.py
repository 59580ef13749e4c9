"""Carrying out many tasks: in this process, or by Dask with a bounded number of them under way."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sciml.errors import InputError
from sciml.parallel import cluster

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["TaskRunner", "bounded", "open_task_runner"]

R = TypeVar("R")


class TaskRunner:
    """Carries out a function on many items: in this process, or by Dask with a bounded number under way."""

    def __init__(self, client: Client | None) -> None:
        self._client = client

    def __call__(
        self, function: Callable[[Any], R], items: Sequence[Any], update: Callable[[int, int], None]
    ) -> Iterator[tuple[int, R]]:
        update(0, len(items))
        if self._client is None:
            for index, item in enumerate(items):
                yield index, function(item)
                update(index + 1, len(items))
            return
        client = self._client
        results = bounded(client, lambda item: client.submit(function, item, pure=False), items)
        with contextlib.closing(results):
            for count, (index, result) in enumerate(results, start=1):
                yield index, result
                update(count, len(items))


def bounded(
    client: Client, submit: Callable[[Any], Any], items: Sequence[Any]
) -> Generator[tuple[int, Any], None, None]:
    """Compute many items by Dask, with a bounded number of futures at a time; yield each as it is done.

    Parameters
    ----------
    client
        Its threads determine the number of futures, also of workers that come later: two for each, and one.
    submit
        Makes the future of an item.
    items
        Items to compute.

    Yields
    ------
    index, result
        Position of the item, and the result of its future. Futures that are left when the iteration ends are
        cancelled.
    """
    from distributed import as_completed

    waiting = iter(enumerate(items))
    under_way: dict[Any, int] = {}
    done = as_completed([], with_results=False)

    def fill() -> None:
        window = 2 * max(1, sum(client.nthreads().values())) + 1  # workers may come and go
        for index, item in itertools.islice(waiting, max(0, window - len(under_way))):
            future = submit(item)
            under_way[future] = index
            done.add(future)

    fill()
    try:
        for future in done:
            index = under_way.pop(future)
            yield index, future.result()
            future.release()
            fill()
    finally:
        if under_way:
            with contextlib.suppress(Exception):
                client.cancel(list(under_way))


@contextlib.contextmanager
def open_task_runner(workers: int | None, blocks: int, finish: Callable[[], None]) -> Iterator[TaskRunner]:
    """Who works: the scheduler that is there, else `workers` processes, else this process alone.

    Parameters
    ----------
    workers
        1 is this process; None is one process a core if there are at least four blocks, else this process.
    blocks
        How many tasks there will be.
    finish
        Called at the end in every process that worked, to close files for example.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers={workers}: give at least 1, or leave it out")
    alone = workers == 1 or (workers is None and blocks < 4)
    if alone and not cluster.scheduler_there():
        try:
            yield TaskRunner(None)
        finally:
            finish()
        return
    with cluster.client(n_workers=workers) as client:
        yield TaskRunner(client)
        # A scheduler that was there lives on: its workers must not hold the files.
        client.run(finish)
