"""What the processes of a training decide together: whether to leave, to stop or to save."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from sciml.train.processes import Processes
from sciml.train.settings import Fit
from sciml.train.signals import Interrupt

__all__ = ["Agreement"]


class Agreement:
    """Decisions that are the same in all processes, although their signals and clocks are not.

    Parameters
    ----------
    processes, interrupt, settings, device
        Processes, signals of this one, settings of the training, and device of the sums.
    """

    def __init__(
        self, processes: Processes, interrupt: Interrupt, settings: Fit, device: torch.device
    ) -> None:
        self.processes, self.interrupt, self.settings, self.device = processes, interrupt, settings, device
        self.signalled = self.late = self.due = False
        self.began = self.saved = time.monotonic()

    def flags(self) -> list[float]:
        """Return the signals of this process, whether its time is up, and whether the first one has to save."""
        limit, now = self.settings.time_limit_s, time.monotonic()
        late = limit is not None and now - self.began >= limit
        due = self.processes.rank == 0 and now - self.saved >= self.settings.checkpoint_every
        return [*self.interrupt.flags(), late, due]

    def take(self, flags: Sequence[float]) -> None:
        """Decide, from the sums of the flags of all processes."""
        self.signalled = self.interrupt.agree(flags[:2])
        self.late, self.due = flags[2] > 0, flags[3] > 0

    def interrupted(self) -> bool:
        """Exchange the flags, and return whether a process received a signal."""
        self.take(self.processes.sums(self.flags(), self.device))
        return self.signalled
