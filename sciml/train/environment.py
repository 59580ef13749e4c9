"""Where a training runs: its device, threads and generators."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch

from sciml.errors import InputError
from sciml.train.settings import Fit

__all__ = ["chosen_device", "environment"]


def chosen_device(name: str) -> torch.device:
    """The device of a name, or with ``auto`` a GPU if there is one.

    Raises
    ------
    InputError
        The device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError, ImportError) as error:
        raise InputError(
            f"device {name!r} cannot be used ({str(error).splitlines()[0]}): try 'auto'"
        ) from error
    if device.type == "meta":  # it has shapes and no values
        raise InputError(f"device {name!r} cannot be used (it computes nothing): try 'auto'")
    return device


@contextlib.contextmanager
def environment(settings: Fit, device: torch.device) -> Iterator[None]:
    """Threads, generators and deterministic algorithms for the training; all as before afterwards."""
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
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        if settings.deterministic:
            torch.use_deterministic_algorithms(True, warn_only=True)
            deterministic.fill_uninitialized_memory = False  # no NaN fills: they only cost time
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])
            deterministic.fill_uninitialized_memory = fill
