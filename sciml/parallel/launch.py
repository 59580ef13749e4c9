"""What torchrun says about this process, in its environment; nothing here imports torch."""

from __future__ import annotations

import os

__all__ = ["is_first_started", "restarts", "started_by_torchrun"]


def started_by_torchrun() -> bool:
    """Return whether the environment describes a group of several processes, as torchrun sets it."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ and "MASTER_ADDR" in os.environ


def is_first_started() -> bool:
    """Return whether this process is alone, or the first of those that torchrun started."""
    return not started_by_torchrun() or os.environ["RANK"] == "0"


def restarts() -> int:
    """Return how often torchrun has restarted the processes after a failure."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
