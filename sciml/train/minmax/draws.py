"""Random numbers that every process draws alike, without communication."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sciml.checks import check_whole

__all__ = ["SERVER", "Draw", "Draws"]

SERVER = -1
"""Number of the server as a sender; devices are 0, 1, ..."""
_INDICES, _UNIFORMS, _COIN, _DEVICES, _TERMS = range(5)


@dataclass(frozen=True)
class Draws:
    """Random numbers of an iteration and a sender, from a counter-based generator.

    The numbers depend only on the seed, the iteration and the sender, so that a receiver knows which components a
    sender chose, all processes toss the same coin, and a resumed run continues with the same numbers.

    Parameters
    ----------
    seed
        Seed of all draws.

    Raises
    ------
    InputError
        The seed is not a whole number of 0 or more.

    Examples
    --------
    >>> Draws(7).indices(3, 0, 100, 2).tolist() == Draws(7).indices(3, 0, 100, 2).tolist()
    True
    """

    seed: int = 7

    def __post_init__(self) -> None:
        check_whole("seed", self.seed, 0, owner="Draws")

    def _generator(self, iteration: int, sender: int, purpose: int) -> np.random.Generator:
        counter = np.array([0, iteration, sender + 1, purpose], np.uint64)
        return np.random.Generator(np.random.Philox(key=self.seed, counter=counter))

    def indices(self, iteration: int, sender: int, size: int, count: int) -> Tensor:
        """Draw components without repetition, (count,), int64."""
        chosen = self._generator(iteration, sender, _INDICES).choice(size, count, replace=False)
        return torch.from_numpy(chosen.astype(np.int64))

    def uniforms(self, iteration: int, sender: int, size: int) -> Tensor:
        """Draw numbers between 0 and 1, (size,), float64."""
        return torch.from_numpy(self._generator(iteration, sender, _UNIFORMS).random(size))

    def coin(self, iteration: int) -> float:
        """Draw the number between 0 and 1 that decides whether the reference point is renewed."""
        return float(self._generator(iteration, SERVER, _COIN).random())

    def devices(self, iteration: int, devices: int, count: int) -> list[int]:
        """Draw the devices that take part in an iteration, ascending."""
        drawn = self._generator(iteration, SERVER, _DEVICES).choice(devices, count, replace=False)
        return sorted(int(number) for number in drawn)

    def terms(self, iteration: int, sender: int, size: int, count: int) -> Tensor:
        """Draw the terms of a device's mean that an iteration uses, (count,), int64."""
        drawn = self._generator(iteration, sender, _TERMS).choice(size, count, replace=False)
        return torch.from_numpy(drawn.astype(np.int64))


@dataclass(frozen=True)
class Draw:
    """The random numbers of one message.

    Parameters
    ----------
    draws
        Random numbers of all messages.
    iteration, sender
        Number of the iteration, and of the sender.
    """

    draws: Draws
    iteration: int
    sender: int

    def indices(self, size: int, count: int) -> Tensor:
        """Draw components without repetition, (count,), int64."""
        return self.draws.indices(self.iteration, self.sender, size, count)

    def uniforms(self, size: int) -> Tensor:
        """Draw numbers between 0 and 1, (size,), float64."""
        return self.draws.uniforms(self.iteration, self.sender, size)
