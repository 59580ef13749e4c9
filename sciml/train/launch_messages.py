"""Messages of processes that torchrun started: an error ends all of them, and one prints it."""

from __future__ import annotations

import contextlib
import hashlib
from typing import Final

import torch.distributed as dist

from sciml.errors import SciMLError
from sciml.parallel.launch import restarts, started_by_torchrun
from sciml.train.meeting import agent_store

__all__ = ["failure", "lost_connection", "prints", "report_failure"]

RESUME: Final = "run the same command again to resume"
PLACES: Final = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")
"""Parts of the messages of `torch.distributed` about a connection to another process."""


def lost_connection(error: BaseException) -> bool:
    """Return whether an error of `torch.distributed` means that another process has ended."""
    if isinstance(error, dist.DistError):
        return True
    return isinstance(error, RuntimeError) and any(place in str(error) for place in PLACES)


def report_failure(error: BaseException, group: str) -> None:
    """Store the message of an error for the other processes of a group."""
    if isinstance(error, Exception):
        message = str(error) if isinstance(error, SciMLError) else f"another process failed: {RESUME}"
        with contextlib.suppress(RuntimeError):
            agent_store().set(f"sciml/{group}/failure", message)


def failure(group: str) -> str:
    """Return the message of the process of a group that failed first; one that was killed has none."""
    with contextlib.suppress(RuntimeError):
        store = agent_store()
        if store.check([f"sciml/{group}/failure"]):
            return str(store.get(f"sciml/{group}/failure").decode())
    return f"another process of the training was killed or lost: {RESUME}"


def prints(line: str) -> bool:
    """Return whether this process prints a line that several of the processes may want to print.

    Of those that ask with the same line, one gets True.
    """
    if not started_by_torchrun():
        return True
    number = hashlib.blake2b(line.encode(), digest_size=8).hexdigest()
    try:
        return bool(agent_store().add(f"sciml/{restarts()}/{number}", 1) == 1)
    except RuntimeError:  # there is no store: a process may have been started by hand
        return True
