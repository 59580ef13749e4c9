"""Carrying out many tasks: in this process, or by Dask with a bounded number of them under way."""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sciml.errors import ClusterError, InputError
from sciml.parallel import cluster
from sciml.parallel.freed_memory import run_and_trim

if TYPE_CHECKING:
    from distributed import Client, KilledWorker

__all__ = ["ALONE", "TaskRunner", "bounded", "in_order", "open_task_runner"]

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
        results = bounded(client, lambda item: client.submit(run_and_trim, function, item, pure=False), items)
        with contextlib.closing(results):
            for count, (index, result) in enumerate(results, start=1):
                yield index, result
                update(count, len(items))


ALONE: Final = TaskRunner(None)
"""Carries out all tasks in this process."""


REFRESH_S: Final = 1.0
"""Seconds between two questions to the scheduler for the number of threads, which takes as long as a short task."""


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
        cancelled. A task whose worker dies is given to another worker, and waits if there is none.

    Raises
    ------
    ClusterError
        The scheduler stopped, or several workers died while they computed the same item.
    """
    from distributed import as_completed

    waiting = iter(enumerate(items))
    under_way: dict[Any, int] = {}
    done = as_completed([], with_results=False)

    window, asked = 0, -REFRESH_S

    def fill() -> None:
        nonlocal window, asked
        if time.monotonic() - asked >= REFRESH_S:  # workers may come and go
            window, asked = 2 * max(1, sum(client.nthreads().values())) + 1, time.monotonic()
        for index, item in itertools.islice(waiting, max(0, window - len(under_way))):
            future = submit(item)
            under_way[future] = index
            done.add(future)

    try:
        with _cluster_errors():
            fill()
        for future in done:
            index = under_way.pop(future)
            with _cluster_errors():
                result = future.result()
            yield index, result
            future.release()
            with _cluster_errors():
                fill()
    finally:
        if under_way:
            with contextlib.suppress(Exception):
                client.cancel(list(under_way))


@contextlib.contextmanager
def _cluster_errors() -> Iterator[None]:
    """Explain the errors of a cluster; those of the tasks pass."""
    from distributed import CancelledError, KilledWorker
    from distributed.comm.core import CommClosedError

    try:
        yield
    except KilledWorker as error:
        count = error.allowed_failures + 1
        raise ClusterError(
            f"{f'{count} workers' if count > 1 else 'a worker'} died while computing the same block, most often "
            f"because it needs more memory than they have{_memory(error)}: give the workers more memory or take "
            "smaller blocks, and run the same command again to resume"
        ) from error
    except (CancelledError, CommClosedError) as error:
        logging.getLogger("distributed.client").setLevel(
            logging.CRITICAL
        )  # it would log its vain reconnection
        raise ClusterError(
            "the Dask scheduler stopped, or cancelled the work: start it again, and run the same command again to "
            "resume"
        ) from error


def _memory(error: KilledWorker) -> str:
    """Return the memory limit of the last worker that died as text; empty if it is not known."""
    limit = getattr(error.last_worker, "memory_limit", 0)
    return f" ({limit / 2**20:.0f} MiB)" if limit else ""


def in_order(results: Iterator[tuple[int, R]]) -> Iterator[R]:
    """Yield results in the order of their items; those that are early wait in memory.

    Examples
    --------
    >>> list(in_order(iter([(1, "b"), (0, "a"), (2, "c")])))
    ['a', 'b', 'c']
    """
    early: dict[int, R] = {}
    following = 0
    for index, result in results:
        early[index] = result
        while following in early:
            yield early.pop(following)
            following += 1


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
            yield ALONE
        finally:
            finish()
        return
    with cluster.client(n_workers=workers) as client:
        yield TaskRunner(client)
        # A scheduler that was there lives on: its workers must not hold the files. One that has just died need not.
        client.run(finish, on_error="ignore")
