"""Choice of the Dask scheduler: a running one, else a local one."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from sciml.errors import InputError
from sciml.parallel.cluster_file import ClusterSettings, announce, connect, read_cluster, to_stderr

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["address", "chosen_cluster", "client", "scheduler_there"]


@dataclass(frozen=True)
class _Chosen:
    """Cluster of a context of `chosen_cluster`, and what is closed at the end of the context."""

    settings: ClusterSettings | None
    say: Callable[[str], None]
    stack: contextlib.ExitStack


_CHOSEN: ContextVar[_Chosen | None] = ContextVar("_CHOSEN", default=None)


@contextlib.contextmanager
def chosen_cluster(where: str | Path | None = None, say: Callable[[str], None] = to_stderr) -> Iterator[None]:
    """Choose the cluster of all work in this context.

    The first `client` in the context connects to the cluster, or starts a local one; later ones use the same
    connection, which ends with the context. If nothing needs a client, no job is submitted.

    Parameters
    ----------
    where
        As for `client`; None leaves the choice to the environment.
    say
        Function that shows a line of text: the link of the dashboard, and that the work waits for a worker.

    Raises
    ------
    InputError
        The file does not describe a cluster.

    Examples
    --------
    >>> with chosen_cluster():
    ...     with client(n_workers=1, processes=False) as first:
    ...         pass
    ...     with client() as second:
    ...         same = second is first
    >>> same
    True
    """
    settings = None if where is None else read_cluster(where)
    with contextlib.ExitStack() as stack:
        token = _CHOSEN.set(_Chosen(settings, say, stack))
        try:
            yield
        finally:
            _CHOSEN.reset(token)


def address() -> str | None:
    """Return the address of the scheduler that the environment or Dask's configuration names, or None.

    ``DASK_SCHEDULER_ADDRESS`` is read now, not when dask was imported, and wins over ``scheduler-address`` in
    Dask's configuration files.

    Examples
    --------
    >>> import dask
    >>> with dask.config.set({"scheduler-address": "tcp://127.0.0.1:8786"}):
    ...     running = address() is not None
    >>> running
    True
    """
    import dask

    named = os.environ.get("DASK_SCHEDULER_ADDRESS") or dask.config.get("scheduler-address", None)
    return str(named) if named else None


def _named(where: str | Path | None) -> ClusterSettings | None:
    """Return the settings of the cluster that the argument or the environment names, or None."""
    chosen = _CHOSEN.get()
    if where is None and chosen is not None and chosen.settings is not None:
        return chosen.settings
    where = where or os.environ.get("SCIML_CLUSTER")
    if where:
        return read_cluster(where)
    named = address()
    return None if named is None else ClusterSettings("address", named)


def scheduler_there() -> bool:
    """Return whether this process has a Dask client, or a scheduler or a cluster is named.

    The name is that of `chosen_cluster` or of the environment.
    """
    chosen = _CHOSEN.get()
    if chosen is not None and chosen.settings is not None:
        return True
    if address() is not None or os.environ.get("SCIML_CLUSTER"):
        return True
    if "distributed" not in sys.modules:
        return False
    try:
        sys.modules["distributed"].get_client()
    except ValueError:
        return False
    return True


def dask_setup(worker: object) -> None:
    """Leave Ctrl-C to the process that owns the cluster; Dask calls this in each worker process it starts.

    A terminal sends the signal to all of them, and each worker would print a traceback of its own, or another one if
    the scheduler ends between two of its heartbeats.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("distributed.worker").addFilter(
        lambda record: "during heartbeat" not in record.getMessage()
    )


def cores() -> int:
    """Return how many cores this process may use (a batch system may give fewer than the machine has)."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


@contextlib.contextmanager
def _hushed_when_interrupted() -> Iterator[None]:
    """Report Ctrl-C by its exception alone.

    The tasks that wait for the workers are then cancelled on purpose, and asyncio and tornado would log each of them as
    an error, in the thread of their loop: their logs are silenced before the exception is raised.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return

    def hush(signum: int, frame: FrameType | None) -> None:
        for name in ("asyncio", "tornado.application"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        before(signum, frame)

    signal.signal(signal.SIGINT, hush)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _main_hidden() -> Iterator[None]:
    """Start processes that do not run the caller's script again.

    Python's way of starting them ("spawn") imports the script in each, so that one without the guard
    ``if __name__ == "__main__":`` would start its work again, and a script on standard input cannot be imported.
    Dask needs no such import, because it sends the functions of a script to the workers by value.
    """
    main = sys.modules["__main__"]
    names = ("__file__", "__spec__")
    before = {name: vars(main)[name] for name in names if name in vars(main)}
    for name in before:
        setattr(main, name, None)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(main, name, value)


@contextlib.contextmanager
def client(
    where: str | Path | None = None,
    *,
    n_workers: int | None = None,
    threads_per_worker: int = 1,
    memory_limit: str | float = "auto",
    processes: bool = True,
    dashboard: bool = False,
    connect_timeout: float = 30.0,
) -> Iterator[Client]:
    """Yield a Dask client of a running scheduler, else of a local one that is started for it.

    In this order: the client that this process (or the Dask task it runs in) already has; the cluster that ``where``,
    `chosen_cluster` or the environment variable ``SCIML_CLUSTER`` names; the scheduler named by
    ``DASK_SCHEDULER_ADDRESS`` or by ``scheduler-address`` in Dask's configuration; a new ``distributed.LocalCluster``.
    At the end this function closes only what it started. The arguments from ``n_workers`` to ``dashboard`` apply to the
    local cluster only; the workers of a running scheduler are unchanged. The link of the dashboard of a named cluster
    is printed on the standard error.

    Parameters
    ----------
    where
        Address of a scheduler, its scheduler file (``.json``), or a TOML file that describes a cluster
        (`sciml.parallel.cluster_file.ClusterSettings`).
    n_workers
        Number of worker processes; by default one for each core that this process may use.
    threads_per_worker
        Number of threads in each. One by default, since the netCDF library reads one file at a time in a process.
    memory_limit
        Memory of each worker, in bytes or as text (``"2GiB"``); ``"auto"`` divides the memory of the machine.
    processes
        Whether the workers are processes or threads of this process. A script needs no ``if __name__ == "__main__":``.
    dashboard
        Whether to serve Dask's dashboard (needs bokeh) on a free port of this machine, see ``client.dashboard_link``.
    connect_timeout
        Seconds to wait for a named scheduler to answer.

    Yields
    ------
    distributed.Client
        Client of the scheduler.

    Raises
    ------
    InputError
        A scheduler is named but does not answer, a file does not describe a cluster, no job starts, or ``n_workers`` or
        ``threads_per_worker`` is below one.

    Examples
    --------
    >>> with client(n_workers=1, processes=False) as workers:
    ...     workers.submit(max, 3, 7).result()
    7
    """
    for name, count in (("n_workers", n_workers), ("threads_per_worker", threads_per_worker)):
        if count is not None and count < 1:
            raise InputError(f"{name}={count}: give at least 1, or leave it out")

    import dask
    import distributed

    try:
        here = distributed.get_client()
    except ValueError:
        here = None
    if here is not None:
        yield here
        return

    settings, chosen = _named(where), _CHOSEN.get()
    say = to_stderr if chosen is None else chosen.say
    with contextlib.ExitStack() as own:
        stack = own if chosen is None else chosen.stack
        if settings is not None and settings.kind != "local":
            yield stack.enter_context(connect(settings, connect_timeout=connect_timeout, say=say))
            return
        if settings is not None:
            n_workers = n_workers or settings.processes_of_a_job
            memory_limit = settings.memory_of_a_process or memory_limit
            dashboard = dashboard or find_spec("bokeh") is not None
        stack.enter_context(_hushed_when_interrupted())
        # The tasks store nothing in the workers, so that a paused worker would never have less memory; a worker that
        # exceeds its limit is ended, with an error that names the limit.
        unpaused = {"distributed": {"worker": {"memory": {"pause": False}}}}
        own_config = {"config": dask.config.merge(dask.config.global_config, unpaused)} if processes else {}
        with _main_hidden():
            cluster = distributed.LocalCluster(
                n_workers=n_workers or max(1, cores() // threads_per_worker),
                threads_per_worker=threads_per_worker,
                memory_limit=memory_limit,
                processes=processes,
                # A free port, because the scheduler's default port may be in use by another cluster on this machine.
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": dashboard},
                silence_logs=logging.ERROR,
                preload=[__name__] if processes else [],
                **own_config,  # also of workers that replace others
            )
            stack.enter_context(cluster)
        made = stack.enter_context(distributed.Client(cluster))
        if settings is not None and dashboard:
            announce(made, say)
        yield made
