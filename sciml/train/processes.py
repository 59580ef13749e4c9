"""The processes that share a training, by `torch.distributed`."""

from __future__ import annotations

import contextlib
import datetime
import os
import secrets
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sciml.errors import SciMLError
from sciml.parallel.launch import is_first_started, started_by_torchrun
from sciml.train.adaptive import Exchanging, LossesOf, Objective
from sciml.train.batches import Batch, BatchSource, Share, batches_from
from sciml.train.communication import Exchange
from sciml.train.launch_messages import failure, lost_connection, report_failure
from sciml.train.losses import scalars
from sciml.train.meeting import own_store
from sciml.train.settings import Communication

__all__ = ["Objective", "Processes", "Shared", "is_first", "joined"]

T = TypeVar("T")
WAIT: Final = datetime.timedelta(hours=2)
"""Longest wait for another process, such as one that reads the data; torchrun ends them earlier if one has failed."""


def is_first() -> bool:
    """Return whether this process is the one that writes files and prints."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank() == 0
    return is_first_started()


class Processes:
    """The processes of a training; this process alone by default.

    The batch of a step is divided by rows, and the gradients are averaged in proportion to the numbers of rows, so that
    a step is that of one process up to rounding, for any number of processes.

    Parameters
    ----------
    rank, size
        Number of this process, and of all.

    Notes
    -----
    Two things depend on the number of processes: each draws its own random numbers (dropout), from the seed, the step
    and its number; and each normalises by the moments of its own rows (batch norm). The running moments are those of
    the first process.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @classmethod
    def of_group(cls) -> Processes:
        """Return the processes of the group of `torch.distributed`, or this process alone."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    def shares(
        self, source: BatchSource, batch_size: int, generator: torch.Generator | None, start: int = 0
    ) -> Iterator[Share]:
        """Yield the rows of this process of the batches of one epoch, from number ``start`` on with a generator.

        A source with a method ``shares(batch_size, generator, start, rank, size)`` chooses the rows; else process r has
        the rows r, r + size, ... of each batch.
        """
        chosen = getattr(source, "shares", None)
        if self.size > 1 and chosen is not None:
            yield from chosen(batch_size, generator, start, self.rank, self.size)
            return
        if generator is None:
            batches = source.batches(batch_size)
        else:
            batches = batches_from(source, batch_size, generator, start)
        for batch in batches:
            yield Share.of(batch, self.rank, self.size)

    def sums(self, values: Sequence[float], device: torch.device) -> list[float]:
        """Return the sums of numbers over all processes."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=device)
        dist.all_reduce(tensor)
        return [float(value) for value in tensor.tolist()]

    def together(self, compute: Callable[[], T]) -> list[T]:
        """Compute a value in each process, and return those of all in all; an error is raised in all of them."""
        if self.size == 1:
            return [compute()]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, _result(compute))
        return [_value(value) for value in values]

    def of_first(self, compute: Callable[[], T]) -> T:
        """Compute a value in the first process, and return it in all; an error is raised in all of them."""
        if self.size == 1:
            return compute()
        held: list[Any] = [_result(compute) if self.rank == 0 else None]
        dist.broadcast_object_list(held, 0)
        value: T = _value(held[0])
        return value

    def seed(self, seed: int, epoch: int, step: int) -> None:
        """Seed torch's generator for a step, differently in each process; a process alone goes on drawing."""
        if self.size > 1:
            state = np.random.SeedSequence([seed, epoch, step, self.rank]).generate_state(1, np.uint64)[0]
            # `torch.manual_seed` takes 1 ms to store a traceback for CUDA.
            torch.default_generator.manual_seed(int(state) >> 1)
            if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
                torch.cuda.manual_seed(int(state) >> 1)

    @torch.no_grad()
    def copy_from_first(self, tensors: Iterable[Tensor]) -> None:
        """Give tensors the values that they have in the first process."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor.detach(), 0)

    def backward(
        self,
        losses_of: LossesOf,
        shared: Shared,
        share: Share,
        parts: int,
        device: torch.device,
        flags: Callable[[], Sequence[float]] = tuple,
    ) -> tuple[dict[str, float], list[float]]:
        """Add the gradient of a batch, in parts.

        Parameters
        ----------
        losses_of
            Function of rows and objective that returns the losses.
        shared
            Result of `shared`.
        share
            Rows of this process.
        parts
            Number of parts of the rows whose gradients are computed one after the other.
        device
            Device of the sums.
        flags
            Function that returns numbers of this process, called after its gradients are computed.

        Returns
        -------
        dict, list
            Losses of all rows of the batch, and the sums of the flags over all processes.
        """
        own: object = shared.objective
        if isinstance(own, Exchanging):
            losses = own.backward(losses_of, share.batch, parts, device)
            return losses, self.sums(flags(), device)
        parts = max(1, min(parts, share.count))
        totals: dict[str, float] = {}
        for part in range(parts):
            rows, weight = share.part(part, parts)
            with shared.without_exchange() if part < parts - 1 else contextlib.nullcontext():
                named = losses_of(rows, shared.objective)
                factor = weight * self.size
                torch.autograd.backward(named["loss"] if factor == 1 else named["loss"] * factor)
            for name, value in scalars(named).items():
                totals[name] = totals.get(name, 0.0) + (value * weight if weight else 0.0)
        sums = self.sums([*totals.values(), *flags()], device)
        return dict(zip(totals, sums, strict=False)), sums[len(totals) :]

    def shared(
        self, model: nn.Module, objective: Objective, device: torch.device, communication: Communication
    ) -> Shared:
        """Return the objective of a model whose gradients are those of all processes.

        An objective that exchanges gradients in its own way (`sciml.train.adaptive.Exchanging`) is returned itself.
        """
        own: object = objective
        if isinstance(own, Exchanging):
            own.join(self.size, model)
            return Shared(objective, Processes())  # each process takes what it needs of the whole batch
        if self.size == 1:
            return Shared(objective, self)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # new names of arguments
            wrapped = DistributedDataParallel(
                _Losses(model, objective),
                device_ids=[device.index] if device.type == "cuda" else None,
                broadcast_buffers=False,  # `fit` copies them once an epoch
                find_unused_parameters=True,  # the order of the gradients is then the same in every step
            )
        exchange = Exchange(wrapped, communication)
        return Shared(lambda _, batch: wrapped(batch), self, wrapped.no_sync, exchange)


@dataclass(frozen=True)
class Shared:
    """An objective whose backward pass averages the gradients of all processes.

    Parameters
    ----------
    objective
        Objective to call. Its loss is to be multiplied by the number of processes and by the share of the rows.
    among
        Processes that divide the rows of a batch.
    without_exchange
        Function that returns a context in which the gradients are only added.
    exchange
        Exchange of the gradients; None for a process alone.
    """

    objective: Objective
    among: Processes
    without_exchange: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    exchange: Exchange | None = None


class _Losses(nn.Module):
    """The objective as a module, of which `DistributedDataParallel` sees the parameters."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective
        like = next(model.parameters())
        self.unused = nn.Parameter(like.detach().new_zeros(1))  # torch warns if every parameter is used

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the losses of a batch."""
        return self.objective(self.model, batch)


@dataclass(frozen=True)
class _Error:
    """An error to raise in every process."""

    error: Exception


def _result(compute: Callable[[], T]) -> T | _Error:
    try:
        return compute()
    except SciMLError as error:
        return _Error(error)


def _value(result: Any) -> Any:
    if isinstance(result, _Error):
        raise result.error
    return result


@contextlib.contextmanager
def joined() -> Iterator[Processes]:
    """Yield the processes of the group that exists, or that torchrun describes; else this process alone.

    A group that is made here uses nccl for tensors on a GPU and gloo for others. The context is also a decorator.

    Raises
    ------
    SciMLError
        Another process has failed; the message is that of its error if it reported one.
    """
    if not started_by_torchrun() or (dist.is_available() and dist.is_initialized()):
        yield Processes.of_group()
        return
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        store = own_store(rank, size)
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=WAIT)
    else:
        dist.init_process_group(backend, timeout=WAIT)
    group = ""
    try:
        processes = Processes.of_group()
        group = processes.of_first(lambda: secrets.token_hex(8))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Grad strides do not match")  # of a convolution of one channel
            yield processes
    except BaseException as error:
        if lost_connection(error):
            raise SciMLError(failure(group)) from error
        report_failure(error, group)
        raise
    finally:
        dist.destroy_process_group()
