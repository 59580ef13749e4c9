"""Device, threads and random generators of a training."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.parallel.launch import started_by_torchrun
from sciml.train.settings import Fit

__all__ = ["ONE_THREAD", "chosen_device", "environment", "set_threads", "step_size", "thread_count"]

ONE_THREAD: Final = 5e9
"""Size of a step (`step_size`) below which a training on the CPU takes one thread; measured by ``bench/threads.py``.

The threads wait for each other at the end of every operation. Operations of a small network take microseconds, so that
several threads gain little on a quiet machine and lose much on a busy one.
"""


def step_size(model: nn.Module, batch: Mapping[str, Tensor], samples: int | None = None) -> float:
    """Parameters times values of the largest tensor of a batch: in proportion to the arithmetic of a training step.

    Parameters
    ----------
    samples
        Number of samples of a step; by default those of this batch.

    Examples
    --------
    >>> step_size(nn.Linear(3, 2), {"x": torch.zeros(10, 3), "y": torch.zeros(10, 2)})
    240.0
    """
    parameters = sum(parameter.numel() for parameter in model.parameters())
    largest = max(batch.values(), key=Tensor.numel)
    return float(parameters * largest[0].numel() * (samples or len(largest)))


def thread_count(settings: Fit, device: torch.device, size: float) -> int:
    """Return the number of CPU threads for steps of this size: as set, or 1 if it is small, or torch's number."""
    if settings.threads is not None:
        return settings.threads
    return 1 if device.type == "cpu" and size < ONE_THREAD else torch.get_num_threads()


def chosen_device(name: str) -> torch.device:
    """Return the device of a name; ``auto`` is a GPU if there is one.

    Each of several processes that torchrun started gets a GPU of its own.

    Raises
    ------
    InputError
        The device is not available, or there are fewer GPUs than processes.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and started_by_torchrun() and torch.cuda.is_available():
        number, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if number >= count:
            raise InputError(
                f"process {number} of this machine has no GPU, there are {count}: "
                f"give --nproc-per-node={count} to torchrun, or the device cpu"
            )
        name = f"cuda:{number}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError, ImportError) as error:
        raise InputError(
            f"device {name!r} cannot be used ({str(error).splitlines()[0]}): try 'auto'"
        ) from error
    if device.type == "meta":  # the meta device has shapes but no values
        raise InputError(f"device {name!r} cannot be used (it computes nothing): try 'auto'")
    return device


def set_threads(
    model: nn.Module, batch: Mapping[str, Tensor], samples: int, settings: Fit, device: torch.device
) -> int:
    """Set torch's number of threads for steps of at most ``samples`` samples, and return it."""
    count = thread_count(settings, device, step_size(model, batch, min(settings.batch_size, samples)))
    torch.set_num_threads(count)
    return count


@contextlib.contextmanager
def environment(settings: Fit, device: torch.device) -> Iterator[None]:
    """Set generators and deterministic algorithms for a training; restore them, and the threads, afterwards."""
    threads = torch.get_num_threads()
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    deterministic: Any = torch.utils.deterministic  # its attributes are properties that mypy does not see
    fill = deterministic.fill_uninitialized_memory
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with it
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(settings.seed)
        if settings.deterministic:
            torch.use_deterministic_algorithms(True, warn_only=True)
            deterministic.fill_uninitialized_memory = False  # no NaN fills, which only take time
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])
            deterministic.fill_uninitialized_memory = fill
