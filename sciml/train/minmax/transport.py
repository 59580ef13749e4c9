"""Transport of messages between devices and a server: within a process, or between processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor

from sciml.checks import check_whole
from sciml.errors import InputError

__all__ = ["Local", "Processes", "Traffic", "Transport"]


@dataclass(frozen=True)
class Traffic:
    """Bytes of messages.

    Parameters
    ----------
    up
        Bytes that all devices together have sent to the server.
    down
        Bytes that the server has sent to each device.
    """

    up: int = 0
    down: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(self.up + other.up, self.down + other.down)

    def __sub__(self, other: Traffic) -> Traffic:
        return Traffic(self.up - other.up, self.down - other.down)


class Transport(Protocol):
    """Connections between devices and a server, which count the bytes.

    Attributes
    ----------
    devices
        Number of all devices.
    numbers
        Numbers of the devices of this process.
    is_server
        Whether this process is also the server.
    traffic
        Bytes of all messages so far, also of those between other processes.
    """

    traffic: Traffic

    @property
    def devices(self) -> int: ...

    @property
    def numbers(self) -> Sequence[int]: ...

    @property
    def is_server(self) -> bool: ...

    def gather(self, buffers: Mapping[int, Tensor], senders: Sequence[int], size: int) -> list[Tensor]:
        """Send the bytes of this process's devices to the server.

        Parameters
        ----------
        buffers
            Bytes to send, uint8 (size,), by the number of the device.
        senders
            Numbers of the devices that send, of all processes.
        size
            Number of bytes of each.

        Returns
        -------
        list of Tensor
            At the server the bytes of the senders in their order, elsewhere empty.
        """
        ...

    def broadcast(self, buffer: Tensor | None, like: Tensor) -> Tensor:
        """Send bytes of the server to all; ``like`` has their size and device."""
        ...


class Local:
    """All devices in this process; the bytes are counted as if they were sent.

    Parameters
    ----------
    devices
        Number of devices.

    Raises
    ------
    InputError
        There is no device.
    """

    is_server = True

    def __init__(self, devices: int) -> None:
        check_whole("devices", devices, 1, owner="Local")
        self.devices = devices
        self.numbers = range(devices)
        self.traffic = Traffic()

    def gather(self, buffers: Mapping[int, Tensor], senders: Sequence[int], size: int) -> list[Tensor]:
        """Return the bytes of the senders."""
        self.traffic += Traffic(up=sum(buffers[number].numel() for number in senders))
        return [buffers[number] for number in senders]

    def broadcast(self, buffer: Tensor | None, like: Tensor) -> Tensor:
        """Return the bytes."""
        assert buffer is not None
        self.traffic += Traffic(down=buffer.numel())
        return buffer


class Processes:
    """One device in each process of a group of `torch.distributed`; the first is also the server.

    Parameters
    ----------
    group
        Process group; by default all processes.

    Raises
    ------
    InputError
        `torch.distributed` is not initialised.
    """

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        if not dist.is_initialized():
            raise InputError(
                "Processes needs torch.distributed: start with torchrun and call init_process_group('gloo'), or use "
                "Local(devices)"
            )
        self.group = group
        self.devices = dist.get_world_size(group)
        self.numbers: Sequence[int] = (dist.get_rank(group),)
        self.is_server = self.numbers[0] == 0
        self.traffic = Traffic()

    def _rank(self, number: int) -> int:
        return number if self.group is None else dist.get_global_rank(self.group, number)

    def gather(self, buffers: Mapping[int, Tensor], senders: Sequence[int], size: int) -> list[Tensor]:
        """Send the bytes of this process to the server, which returns those of the senders."""
        (own,) = self.numbers
        self.traffic += Traffic(up=size * len(senders))
        if not self.is_server:
            if own in senders:
                dist.send(buffers[own], self._rank(0), self.group)
            return []
        like = next(iter(buffers.values()), None)
        device = like.device if like is not None else torch.device("cpu")
        arrived = []
        for number in senders:
            if number == own:
                arrived.append(buffers[own])
                continue
            buffer = torch.empty(size, dtype=torch.uint8, device=device)
            dist.recv(buffer, self._rank(number), self.group)
            arrived.append(buffer)
        return arrived

    def broadcast(self, buffer: Tensor | None, like: Tensor) -> Tensor:
        """Send the bytes of the server to all processes."""
        arrived = torch.empty_like(like) if buffer is None else buffer
        self.traffic += Traffic(down=arrived.numel())
        dist.broadcast(arrived, self._rank(0), self.group)
        return arrived
