"""The processes that share a training, by `torch.distributed`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sciml.train.adaptive import Exchanging, Objective
from sciml.train.batches import Batch
from sciml.train.losses import scalars
from sciml.train.settings import Communication

__all__ = ["Objective", "Processes", "is_first", "joined", "started_by_torchrun"]

T = TypeVar("T")
POWER_SGD_RANK, POWER_SGD_START = 4, 10


def started_by_torchrun() -> bool:
    """Return whether the environment describes a group of several processes, as torchrun sets it."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ and "MASTER_ADDR" in os.environ


def is_first() -> bool:
    """Return whether this process is the one that writes files and prints."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank() == 0
    return not started_by_torchrun() or os.environ["RANK"] == "0"


class Processes:
    """The processes of a training; this process alone by default.

    The batch of a step is divided by rows: process r has the rows r, r + size, ... The gradients are averaged in
    proportion to the numbers of rows, so that a step is that of one process up to rounding, for any number of them.

    Parameters
    ----------
    rank, size
        Number of this process, and of all.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    def rows(self, batch: Batch, part: int = 0, parts: int = 1) -> tuple[Batch, float]:
        """Return the rows of this process for a part of a step, and their weight among all rows of the batch.

        A process without rows gets the first row of the batch with the weight 0, so that it takes part in the step.
        """
        total = len(next(iter(batch.values())))
        every, first = self.size * parts, self.rank * parts + part
        count = len(range(first, total, every))
        if every == 1:
            return batch, 1.0
        if not count:
            return {name: tensor[:1] for name, tensor in batch.items()}, 0.0
        return {name: tensor[first::every] for name, tensor in batch.items()}, count / total

    def sums(self, values: Sequence[float], device: torch.device) -> list[float]:
        """Return the sums of numbers over all processes."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=device)
        dist.all_reduce(tensor)
        return [float(value) for value in tensor.tolist()]

    def any(self, value: bool, device: torch.device) -> bool:
        """Return whether a condition holds in a process."""
        return value if self.size == 1 else self.sums([float(value)], device)[0] > 0

    def of_first(self, compute: Callable[[], T]) -> T:
        """Compute a value in the first process, and return it in all."""
        if self.size == 1:
            return compute()
        held: list[Any] = [compute() if self.rank == 0 else None]
        dist.broadcast_object_list(held, 0)
        value: T = held[0]
        return value

    def seed(self, seed: int, epoch: int, step: int) -> None:
        """Seed torch's generator for a step, differently in each process; a process alone goes on drawing."""
        if self.size > 1:
            state = np.random.SeedSequence([seed, epoch, step, self.rank]).generate_state(1, np.uint64)[0]
            torch.manual_seed(int(state) >> 1)

    def backward(
        self,
        losses_of: Callable[[Batch, Objective], Mapping[str, Tensor]],
        objective: Objective,
        batch: Batch,
        parts: int,
        device: torch.device,
    ) -> dict[str, float]:
        """Add the gradient of a batch, in parts, and return its losses; both are those of all its rows.

        Parameters
        ----------
        losses_of
            Function of rows and objective that returns the losses.
        objective
            Result of `shared`.
        batch
            Rows of all processes.
        parts
            Number of parts of the rows of a process whose gradients are computed one after the other.
        device
            Device of the sums.
        """
        own: object = objective
        if isinstance(own, Exchanging):
            return own.backward(losses_of, batch, parts, device)
        parts = min(parts, len(next(iter(batch.values()))))
        totals: dict[str, float] = {}
        for part in range(parts):
            rows, weight = self.rows(batch, part, parts)
            waits = part < parts - 1 and self.size > 1
            with objective.no_sync() if waits else contextlib.nullcontext():  # type: ignore[attr-defined]
                losses = losses_of(rows, objective)
                factor = weight * self.size
                torch.autograd.backward(losses["loss"] if factor == 1 else losses["loss"] * factor)
            for name, value in scalars(losses).items():
                totals[name] = totals.get(name, 0.0) + (value * weight if weight else 0.0)
        return dict(zip(totals, self.sums(list(totals.values()), device), strict=True))

    def shared(
        self, model: nn.Module, objective: Objective, device: torch.device, communication: Communication
    ) -> Objective:
        """Return an objective whose backward pass averages the gradients over all processes.

        The loss of each process is to be multiplied by its weight and by the number of processes. An objective that
        exchanges gradients in its own way (`sciml.train.adaptive.Exchanging`) is returned itself.
        """
        own: object = objective
        if isinstance(own, Exchanging):
            own.join(self.size, model)
            return objective
        if self.size == 1:
            return objective
        wrapped = DistributedDataParallel(
            _Losses(model, objective),
            device_ids=[device.index] if device.type == "cuda" else None,
            find_unused_parameters=True,
        )
        if communication == "bfloat16":
            from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook

            wrapped.register_comm_hook(None, bf16_compress_hook)
        if communication == "powersgd":
            from torch.distributed.algorithms.ddp_comm_hooks import powerSGD_hook

            state = powerSGD_hook.PowerSGDState(
                None, matrix_approximation_rank=POWER_SGD_RANK, start_powerSGD_iter=POWER_SGD_START
            )
            wrapped.register_comm_hook(state, powerSGD_hook.powerSGD_hook)

        def averaged(_: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
            losses: Mapping[str, Tensor] = wrapped(batch)
            return losses

        averaged.no_sync = wrapped.no_sync  # type: ignore[attr-defined]
        return averaged


class _Losses(nn.Module):
    """The objective as a module, of which `DistributedDataParallel` sees the parameters."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the losses of a batch."""
        return self.objective(self.model, batch)


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Yield the processes of the group that exists, or that torchrun describes; else this process alone.

    Parameters
    ----------
    device
        Device of the training; a group that is made here uses nccl for a GPU and gloo for a CPU.
    """
    if dist.is_available() and dist.is_initialized():
        yield Processes(dist.get_rank(), dist.get_world_size())
        return
    if not started_by_torchrun():
        yield Processes()
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
