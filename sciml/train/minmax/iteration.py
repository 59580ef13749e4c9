"""What all min-max methods share: the iterate, the channel between devices and server, and the solution."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from sciml.errors import InputError
from sciml.solve import Result
from sciml.tables import aligned
from sciml.train.minmax.compressors import Compressor, pack, unpack
from sciml.train.minmax.draws import SERVER, Draw, Draws
from sciml.train.minmax.inequality import VariationalInequality
from sciml.train.minmax.transport import Local, Traffic, Transport

__all__ = ["Channel", "Iterate", "Record", "SaddleSolution", "iterate", "transport_of"]


@dataclass(frozen=True, eq=False)
class Iterate:
    """State of a method after an iteration, from which it continues.

    Parameters
    ----------
    number
        Number of iterations done.
    z
        Iterate (size,).
    reference, mean
        Reference point w (size,), and F(w) as it arrived from the server; None in methods without one.
    errors
        What the compressor did not send yet, by the number of the device of this process.
    server_error
        The same of the server.
    traffic
        Bytes sent so far.
    """

    number: int
    z: Tensor
    reference: Tensor | None = None
    mean: Tensor | None = None
    errors: Mapping[int, Tensor] = field(default_factory=dict)
    server_error: Tensor | None = None
    traffic: Traffic = Traffic()  # noqa: RUF009


@dataclass(frozen=True)
class Record:
    """Progress of a method.

    Parameters
    ----------
    iteration
        Number of iterations done.
    traffic
        Bytes sent so far.
    error
        Distance to the known answer relative to that of the start, or, without an answer, the change of the iterate
        relative to the first change.
    """

    iteration: int
    traffic: Traffic
    error: float


@dataclass(frozen=True, eq=False)
class SaddleSolution:
    """Solution of a variational inequality.

    Parameters
    ----------
    z
        Last iterate (size,).
    result
        SUCCESS, MAX_ITERATIONS or NOT_FINITE.
    stats
        ``iterations``, ``bytes_up`` (of all devices together), ``bytes_down`` (of the server to each device), ``error``
        and ``seconds``.
    history
        Records of the iterations.
    state
        Last state, for ``solve(problem, algorithm, state=...)``, which continues.
    """

    z: Tensor
    result: Result
    stats: Mapping[str, float]
    history: Sequence[Record]
    state: Iterate

    def __str__(self) -> str:
        rows = [(name, f"{value:g}") for name, value in self.stats.items()]
        return "\n".join([f"{self.result.name}: {len(self.z)} components", *aligned(rows)])


@dataclass(frozen=True)
class Channel:
    """Compressed messages up to the server and down to the devices.

    Parameters
    ----------
    transport, draws
        Transport, and random numbers.
    up, down
        Compressors.
    payload
        Type of the numbers that are sent; None sends those of the vectors.
    """

    transport: Transport
    draws: Draws
    up: Compressor
    down: Compressor
    payload: torch.dtype | None = None

    def collect(
        self, vectors: Mapping[int, Tensor], senders: Sequence[int], number: int, like: Tensor
    ) -> tuple[Tensor | None, dict[int, Tensor]]:
        """Send vectors to the server.

        Parameters
        ----------
        vectors
            Vectors (size,) of the devices of this process by their number.
        senders
            Devices that send.
        number
            Number of the iteration.
        like
            A vector of the same size and type.

        Returns
        -------
        tuple
            The mean of what arrived at the server, None elsewhere; and what arrived of each device of this process.
        """
        size, dtype = len(like), self.payload or like.dtype
        layout = self.up.layout(size, dtype)
        length = sum(count * kind.itemsize for count, kind in layout)
        buffers, arrived = {}, {}
        for device, vector in vectors.items():
            if device in senders:
                draw = Draw(self.draws, number, device)
                message = self.up.compress(vector.to(dtype), draw)
                buffers[device] = pack(message)
                arrived[device] = self.up.expand(message, size, draw).to(like.dtype)
        collected = self.transport.gather(buffers, senders, length)
        if not self.transport.is_server:
            return None, arrived
        total = torch.zeros_like(like)
        for device, buffer in zip(senders, collected, strict=True):
            draw = Draw(self.draws, number, device)
            total = total + self.up.expand(unpack(buffer, layout), size, draw).to(like.dtype)
        return total / len(senders), arrived

    def distribute(self, vector: Tensor | None, number: int, like: Tensor) -> Tensor:
        """Send a vector of the server to all devices; return what arrives."""
        size, dtype = len(like), self.payload or like.dtype
        layout = self.down.layout(size, dtype)
        length = sum(count * kind.itemsize for count, kind in layout)
        draw = Draw(self.draws, number, SERVER)
        buffer = None if vector is None else pack(self.down.compress(vector.to(dtype), draw))
        space = torch.empty(length, dtype=torch.uint8, device=like.device)
        arrived = self.transport.broadcast(buffer, space)
        return self.down.expand(unpack(arrived, layout), size, draw).to(like.dtype)

    def mean(self, problem: VariationalInequality, z: Tensor, number: int) -> Tensor:
        """Return the mean of the operators of all devices at z, as it arrives from the server."""
        values = {device: problem.evaluate(place, z) for place, device in enumerate(self.transport.numbers)}
        total, _ = self.collect(values, range(self.transport.devices), number, z)
        return self.distribute(total, number, z)


def transport_of(problem: VariationalInequality, transport: Transport | None) -> Transport:
    """Return the transport, by default that of a process with all devices.

    Raises
    ------
    InputError
        The problem has another number of operators than this process has devices.
    """
    chosen: Transport = Local(len(problem.operators)) if transport is None else transport
    if len(problem.operators) != len(chosen.numbers):
        raise InputError(
            f"{len(problem.operators)} operators for {len(chosen.numbers)} devices of this process: give one for each"
        )
    return chosen


def iterate(
    problem: VariationalInequality,
    transport: Transport,
    state: Iterate,
    step: Callable[[Iterate], Iterate],
    max_iterations: int,
    rtol: float,
) -> SaddleSolution:
    """Repeat a step until the error or the change is small.

    Parameters
    ----------
    problem
        The problem.
    transport
        Transport of the messages of a step, which counts their bytes.
    state
        First state.
    step
        Function from state to state.
    max_iterations
        Largest number of iterations of this call.
    rtol
        Error at which to stop, see `Record`.

    Returns
    -------
    SaddleSolution
        The solution.
    """
    begin = time.perf_counter()
    scale = None if problem.answer is None else float((problem.start - problem.answer).norm())
    history: list[Record] = []
    result, error = Result.MAX_ITERATIONS, float("inf")
    for _ in range(max_iterations):
        before, traffic = state, transport.traffic
        state = step(before)
        state = replace(
            state, number=before.number + 1, traffic=before.traffic + (transport.traffic - traffic)
        )
        if problem.answer is not None:
            error = float((state.z - problem.answer).norm()) / (scale or 1.0)
        else:
            change = float((state.z - before.z).norm())
            scale = scale or change or 1.0
            error = change / scale
        history.append(Record(state.number, state.traffic, error))
        if not error < float("inf"):
            result = Result.NOT_FINITE
            break
        if error <= rtol:
            result = Result.SUCCESS
            break
    stats = {
        "iterations": state.number,
        "bytes_up": state.traffic.up,
        "bytes_down": state.traffic.down,
        "error": error,
        "seconds": time.perf_counter() - begin,
    }
    return SaddleSolution(state.z, result, stats, history, state)
