"""Ctrl-C and SIGTERM, handled between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any

__all__ = ["Interrupt", "Interrupted"]


class Interrupted(Exception):
    """A signal came during the validation."""


class Interrupt:
    """Within the block the first signal only sets `received`; a second Ctrl-C acts at once.

    A second SIGTERM is ignored: a batch system sends one to each process, and torchrun passes its own on.

    Outside the main thread, where Python cannot handle signals, it does nothing.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self.received is signal.SIGTERM is signal.Signals(number):
            return
        if self.received is not None:
            raise KeyboardInterrupt("stopped at once by a second signal; the last saved state stands")
        self.received = signal.Signals(number)

    def flags(self) -> list[float]:
        """Return whether Ctrl-C, and whether SIGTERM was received, as numbers that processes can add."""
        return [float(self.received is number) for number in (signal.SIGINT, signal.SIGTERM)]

    def agree(self, flags: Sequence[float]) -> bool:
        """Take on the signal that a process received, from the sums of `flags`; return whether there was one."""
        if self.received is None and any(flags):
            self.received = signal.SIGTERM if flags[1] else signal.SIGINT
        return any(flags)

    def act(self, message: str) -> None:
        """Act on the signal: `KeyboardInterrupt`, or `SystemExit` with status 143 for SIGTERM."""
        if self.received is signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)
        raise KeyboardInterrupt(message)
