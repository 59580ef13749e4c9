"""Model of work on many workers: a simulation with a shared file system and a scheduler that serves one task at a time.

A command is a sequence of stages. A stage has tasks of equal size, or is serial work of the process that waits for the
workers. Each worker carries out one task after another: it reads, computes and writes. Three resources are shared:

- the file system: a transfer gets at most the rate of one worker, and all together at most the bandwidth;
- the scheduler: it serves the start and the end of tasks one at a time;
- the memory bandwidth and the clock of a machine: not in the model, which assumes a core of its own for each worker.

The parameters are measured (bench/cluster.py); the bandwidth of the file system is given.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from dataclasses import dataclass, replace

__all__ = ["Stage", "Usage", "simulate"]

MOST = 30
"""Most tasks for each worker that are simulated; a longer stage is a multiple of them."""


@dataclass(frozen=True)
class Stage:
    """Stage of a command.

    Parameters
    ----------
    name
        Name in tables.
    tasks
        Number of tasks; 0 for serial work.
    grows
        Whether the stage grows with the input.
    read, write
        Bytes that a task reads from and writes to the shared file system.
    read_s, compute_s, write_s
        CPU seconds of a worker for a task, in reading (with decompression), computing and writing.
    central_s
        CPU seconds of the scheduler and of the waiting process for a task, or for the serial work.
    """

    name: str
    tasks: int
    read: float = 0.0
    write: float = 0.0
    read_s: float = 0.0
    compute_s: float = 0.0
    write_s: float = 0.0
    central_s: float = 0.0
    grows: bool = True

    def times(self, factor: float) -> Stage:
        """Return the stage for an input of another size in blocks of the same size."""
        if not self.grows:
            return self
        if self.tasks:
            return replace(self, tasks=max(1, round(self.tasks * factor)))
        return replace(self, central_s=self.central_s * factor)


@dataclass(frozen=True)
class Usage:
    """Result of a simulation: seconds, and the share of them in which each resource was busy."""

    seconds: float
    workers: float
    file_system: float
    central: float

    @property
    def limit(self) -> str:
        """Name of the busiest resource."""
        shares = {"workers": self.workers, "file system": self.file_system, "scheduler": self.central}
        return max(shares, key=lambda name: shares[name])


class _FileSystem:
    """Transfers that share a bandwidth equally, each limited by the rate of its worker."""

    def __init__(self, bandwidth: float) -> None:
        self.bandwidth, self.moved, self.now = bandwidth, 0.0, 0.0
        self._left: dict[int, list[float]] = {}  # bytes that are left, and the greatest rate

    def start(self, worker: int, size: float, rate: float) -> None:
        self._left[worker] = [size, rate]

    def advance(self, now: float) -> None:
        for worker, rate in self._rates().items():
            step = min(self._left[worker][0], rate * (now - self.now))
            self._left[worker][0] -= step
            self.moved += step
        self.now = now

    def next_end(self) -> tuple[float, int] | None:
        """Time and worker of the first transfer to end, if nothing else starts before."""
        ends = [(self.now + self._left[worker][0] / rate, worker) for worker, rate in self._rates().items()]
        return min(ends, default=None)

    def end(self, worker: int) -> None:
        del self._left[worker]

    def _rates(self) -> dict[int, float]:
        """Greatest equal share under which the sum is the bandwidth; slower workers take what they can."""
        rates, free = {}, self.bandwidth
        order = sorted(self._left, key=lambda worker: self._left[worker][1])
        for position, worker in enumerate(order):
            rates[worker] = min(self._left[worker][1], free / (len(order) - position))
            free -= rates[worker]
        return rates


def simulate(stages: list[Stage], workers: int, bandwidth: float) -> Usage:
    """Simulate a command.

    Parameters
    ----------
    stages
        Its stages, in order.
    workers
        Number of workers, each with a core of its own.
    bandwidth
        Bandwidth of the file system, bytes per second.
    """
    seconds = busy = moved = central = 0.0
    for stage in stages:
        if not stage.tasks:
            seconds, central = seconds + stage.central_s, central + stage.central_s
            continue
        shorter = replace(stage, tasks=min(stage.tasks, MOST * workers))
        share = stage.tasks / shorter.tasks
        took, moved_here = _run(shorter, workers, bandwidth)
        seconds, moved = seconds + share * took, moved + share * moved_here
        busy += stage.tasks * (stage.read_s + stage.compute_s + stage.write_s)
        central += stage.tasks * stage.central_s
    return Usage(seconds, busy / (workers * seconds), moved / bandwidth / seconds, central / seconds)


def _run(stage: Stage, workers: int, bandwidth: float) -> tuple[float, float]:
    """Simulate the tasks of a stage; return the seconds and the bytes moved."""
    files, now, begun, ended = _FileSystem(bandwidth), 0.0, 0, 0
    timers: list[tuple[float, int, str, int]] = []  # time, order, what ends, worker
    order, queue = itertools.count(), deque(range(workers))  # workers that wait for the scheduler
    serving = False

    def serve() -> None:
        nonlocal serving, begun
        if not serving and queue and begun < stage.tasks:
            serving, begun = True, begun + 1
            heapq.heappush(timers, (now + stage.central_s, next(order), "served", queue.popleft()))

    def transfer(worker: int, size: float, cpu: float, following: str) -> None:
        """Read or write: the bytes need the file system, and at least the CPU seconds of the worker."""
        phases[worker] = following
        if size > 0:
            files.start(worker, size, size / max(cpu, 1e-12))
        else:
            heapq.heappush(timers, (now + cpu, next(order), following, worker))

    phases: dict[int, str] = {}
    serve()
    while ended < stage.tasks:
        moving = files.next_end()
        if moving is not None and (not timers or moving[0] <= timers[0][0]):
            now, worker = moving
            files.advance(now)
            files.end(worker)
            what = phases[worker]
        else:
            now, _, what, worker = heapq.heappop(timers)
            files.advance(now)
        if what == "served":
            serving = False
            transfer(worker, stage.read, stage.read_s, "read")
        elif what == "read":
            heapq.heappush(timers, (now + stage.compute_s, next(order), "computed", worker))
        elif what == "computed":
            transfer(worker, stage.write, stage.write_s, "written")
        else:
            ended += 1
            queue.append(worker)
        serve()
    return now, files.moved
