"""The store in which the processes that torchrun started find each other."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time
from datetime import timedelta
from typing import Any, Final

from torch._C._distributed_c10d import TCPStore

from sciml.errors import SciMLError

__all__ = ["agent_store", "own_store"]

PLACE: Final = "sciml/port of the first process"
WAIT: Final = timedelta(minutes=10)
PAUSE: Final = 0.1


def agent_store(timeout: timedelta = timedelta(seconds=10)) -> Any:
    """Return the store of torchrun, which lasts as long as torchrun.

    Raises
    ------
    RuntimeError
        There is none: the processes were started in another way.
    """
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    try:
        socket.create_connection((host, port), timeout=5).close()  # torch would try for longer, with warnings
    except OSError as error:
        raise RuntimeError(f"no store at {host}:{port}") from error
    return TCPStore(host, port, is_master=False, wait_for_workers=False, timeout=timeout)


def own_store(rank: int, size: int) -> Any:
    """Return a new store of the processes that run now, in the first of them.

    Raises
    ------
    SciMLError
        A process does not come within ten minutes.

    Notes
    -----
    The store of torchrun still has the addresses of processes that were killed before a restart, and the numbers of
    restarts differ between nodes (issue 135712 of PyTorch). Here a process accepts a store only if its first process
    has seen it.
    """
    until = time.monotonic() + WAIT.total_seconds()
    try:
        return _opened(size) if rank == 0 else _joined(rank, until)
    except RuntimeError as error:
        raise SciMLError(
            f"process {rank} of {size} cannot meet the others ({str(error).splitlines()[0]}): start all of them again"
        ) from error


def _opened(size: int) -> Any:
    """Make the store, and wait for the others."""
    store = TCPStore(os.environ["MASTER_ADDR"], 0, is_master=True, wait_for_workers=False, timeout=WAIT)
    agent_store().set(PLACE, str(store.port))
    store.set("present", " ".join(store.get(f"process {rank}").decode() for rank in range(1, size)))
    return store


def _joined(rank: int, until: float) -> Any:
    """Connect to the store of the present first process."""
    name = secrets.token_hex(8)
    while True:
        place = agent_store(WAIT)
        with contextlib.suppress(RuntimeError, OSError):  # of a first process that was killed
            port = int(place.get(PLACE))
            socket.create_connection((os.environ["MASTER_ADDR"], port), timeout=5).close()
            store = TCPStore(
                os.environ["MASTER_ADDR"], port, is_master=False, wait_for_workers=False, timeout=WAIT
            )
            store.set(f"process {rank}", name)
            if name in store.get("present").decode().split():
                return store
        if time.monotonic() > until:
            raise RuntimeError("the first process does not answer")
        time.sleep(PAUSE)
