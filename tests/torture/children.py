"""Commands in forked processes: the modules are imported once, and a command costs its own work alone."""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["LIMIT", "Ended", "Kill", "command", "forked", "preload"]

LIMIT: Final = 180.0
"""Seconds after which a command hangs."""
OUTPUT: Final = "printed.txt"
MODULES: Final = (
    "sciml.cli.wrf sciml.cli.convection sciml.cli.coupling sciml.cli.scheme sciml.cli.pde sciml.cli.compress torch "
    "zarr netCDF4 h5netcdf distributed matplotlib.pyplot scipy.sparse.linalg sciml.columns.open sciml.columns.write "
    "sciml.convection.training sciml.convection.pretraining sciml.convection.augmentation sciml.convection.analogs "
    "sciml.verify.emulator.evaluate sciml.verify.emulator.page sciml.verify.emulator.figures sciml.operators.training "
    "sciml.emulation.training sciml.compress sciml.verify.compression.subjects sciml.pde.generation sciml.pde.writing "
    "sciml.coupling.build sciml.coupling.export sciml.wrf.perturb sciml.verify.forecast torch.optim xarray.backends "
    "sciml.verify.emulator.analog_page sciml.plot dask.array pydantic pydantic.fields torch._dynamo torch.distributed "
    "torch.distributed.fsdp pyamg scipy.io scipy.stats scipy.optimize scores scores.continuous scores.probability "
    "sciml.convection.augmented_store sciml.convection.synthetic_columns scipy.ndimage multiprocessing.synchronize"
).split()
CHANGES: Final = {
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.truncate",
    "os.link",
    "os.symlink",
    "os.chmod",
    "shutil.rmtree",
    "shutil.copyfile",
    "fcntl.flock",
    "subprocess.Popen",
    "os.posix_spawn",
}
"""Audit events of changes to files, besides those of `open` for writing."""


@dataclass(frozen=True)
class Kill:
    """When a command is killed: at its operation number `operation`, and `delay` seconds later; or by time alone."""

    operation: int | None = None
    delay: float = 0.0
    group: bool = True

    def __str__(self) -> str:
        whom = "" if self.group else " of the first process"
        if self.operation is None:
            return f"SIGKILL{whom} after {self.delay:.3f} s"
        later = f" and {1e3 * self.delay:.2f} ms" if self.delay else ""
        return f"SIGKILL{whom} at file operation {self.operation}{later}"


@dataclass(frozen=True)
class Ended:
    """How a process ended: its status (negative: the signal), what it printed, seconds, operations, processor time."""

    status: int
    printed: str
    seconds: float
    operations: int = 0
    processor: float = 0.0


def preload() -> None:
    """Import what the commands import, without starting threads."""
    for name in MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    import torch

    torch.set_num_threads(1)
    from sciml.storage.revision import revision

    revision()  # of the beginning: an edit of the checkout does not change what the commands record


def command(words: Sequence[str]) -> Callable[[], None]:
    """Return the function that runs a command of `sciml` in this process."""

    def run() -> None:
        from sciml.cli import main

        main(list(words))

    return run


def forked(
    work: Callable[[], None],
    where: Path,
    kill: Kill | None = None,
    *,
    limit: float = LIMIT,
    memory: int | None = None,
    watch: Callable[[], None] | None = None,
) -> Ended:
    """Run a function in a forked process of its own group, in a folder.

    Parameters
    ----------
    work
        What the process does; it may raise SystemExit.
    where
        The current folder of the process.
    kill
        When it is killed.
    limit
        Seconds after which it is killed, and the status is that of SIGALRM.
    memory
        Bytes of address space that it may take more than this process.
    watch
        Called again and again while the process runs.
    """
    log = where.parent / f"{where.name}-{OUTPUT}"
    reader, writer = os.pipe()
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _be_child(work, where, log, writer, kill, memory)
    os.close(writer)
    status = _wait(child, begun, kill, limit, watch)
    with os.fdopen(reader, "rb") as pipe:
        os.set_blocking(pipe.fileno(), False)
        counted = pipe.read() or b""
    printed = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    log.unlink(missing_ok=True)
    seconds, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ended(status, printed, seconds, int(counted or b"0"), used)


def _be_child(
    work: Callable[[], None], where: Path, log: Path, writer: int, kill: Kill | None, memory: int | None
) -> None:
    """Run in the forked process, and end it."""
    status = 70
    try:
        os.setsid()
        os.chdir(where)
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(target, 1)
        os.dup2(target, 2)
        sys.stdout, sys.stderr = (os.fdopen(os.dup(number), "w") for number in (1, 2))  # also under pytest
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if memory is not None:
            pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (pages + memory, pages + memory))
        counter = _Counter(kill)
        sys.addaudithook(counter.hear)
        try:
            work()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        counter.off = True
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(writer, str(counter.count).encode())
    except BaseException:
        import traceback

        traceback.print_exc()
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
    finally:
        os._exit(status)


class _Counter:
    """Counts the changes to files that Python makes, and kills the process at one of them."""

    def __init__(self, kill: Kill | None) -> None:
        self.kill, self.count, self.off = kill, 0, False

    def hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.off or not (event in CHANGES or (event == "open" and _writes(arguments))):
            return
        self.count += 1
        if self.kill is not None and self.count == self.kill.operation:
            if self.kill.delay > 0:
                signal.setitimer(
                    signal.ITIMER_REAL, self.kill.delay
                )  # SIGALRM ends the process as SIGKILL does
                return
            if self.kill.group:
                os.killpg(0, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)


def _writes(arguments: tuple[object, ...]) -> bool:
    flags = arguments[2]
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _wait(child: int, begun: float, kill: Kill | None, limit: float, watch: Callable[[], None] | None) -> int:
    timed = kill is not None and kill.operation is None
    pause = 0.001
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        spent = time.monotonic() - begun
        if timed and kill is not None and spent >= kill.delay:
            _end(child, kill.group)
            timed = False
        if spent > limit:
            _end(child, True)
            os.waitpid(child, 0)
            return -signal.SIGALRM
        if watch is not None:
            watch()
        time.sleep(pause)
        pause = min(0.01, 1.5 * pause)
    if kill is not None and kill.group:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)  # the workers of a command that ended by SIGALRM
    return os.waitstatus_to_exitcode(status)


def _end(child: int, group: bool) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(child, signal.SIGKILL)  # a child that has no group of its own yet, too
        if group:
            os.killpg(child, signal.SIGKILL)
