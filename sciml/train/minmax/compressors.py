"""Compression of vectors into messages: random components, largest components, rounding to powers of two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from sciml.checks import is_number
from sciml.errors import InputError
from sciml.train.minmax.draws import Draw

__all__ = ["Compressor", "Identity", "Message", "NaturalRounding", "RandK", "TopK", "pack", "unpack"]

Message = tuple[Tensor, ...]
Layout = Sequence[tuple[int, torch.dtype]]


class Compressor(Protocol):
    """What an algorithm needs of a compressor.

    Attributes
    ----------
    unbiased
        Whether the mean of the expanded message is the vector.
    """

    unbiased: ClassVar[bool]

    def variance(self, size: int) -> float:
        """Return q with ``E |Q v|^2 <= q |v|^2`` of an unbiased compressor, for vectors of a size."""
        ...

    def compress(self, vector: Tensor, draw: Draw) -> Message:
        """Make the tensors to send of a vector (size,)."""
        ...

    def expand(self, message: Message, size: int, draw: Draw) -> Tensor:
        """Make the vector (size,) of the tensors that were sent."""
        ...

    def layout(self, size: int, dtype: torch.dtype) -> Layout:
        """Return length and type of each tensor to send, for vectors of a size and type."""
        ...


@dataclass(frozen=True)
class Identity:
    """No compression.

    Examples
    --------
    >>> Identity().variance(100)
    1.0
    """

    unbiased: ClassVar[bool] = True

    def variance(self, size: int) -> float:
        """Return 1."""
        return 1.0

    def compress(self, vector: Tensor, draw: Draw) -> Message:
        """Return the vector."""
        return (vector,)

    def expand(self, message: Message, size: int, draw: Draw) -> Tensor:
        """Return the vector."""
        return message[0]

    def layout(self, size: int, dtype: torch.dtype) -> Layout:
        """Return the layout of the vector."""
        return ((size, dtype),)


@dataclass(frozen=True)
class RandK:
    """Random components, multiplied by the inverse of their share: unbiased.

    Sender and receiver draw the same components (`Draws`), so that only the values are sent.

    Parameters
    ----------
    share
        Share of the components to send, above 0 and at most 1.

    Raises
    ------
    InputError
        The share is out of range.

    Examples
    --------
    >>> RandK(0.25).variance(20), RandK(0.25).layout(20, torch.float32)
    (4.0, ((5, torch.float32),))
    """

    share: float
    unbiased: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_share("RandK", self.share)

    def variance(self, size: int) -> float:
        """Return size / k."""
        return size / _count(self.share, size)

    def compress(self, vector: Tensor, draw: Draw) -> Message:
        """Return k values of the vector."""
        size = len(vector)
        return (vector[draw.indices(size, _count(self.share, size)).to(vector.device)],)

    def expand(self, message: Message, size: int, draw: Draw) -> Tensor:
        """Return a vector with size / k times the values in their places, else 0."""
        (values,) = message
        made = values.new_zeros(size)
        made[draw.indices(size, len(values)).to(values.device)] = values * self.variance(size)
        return made

    def layout(self, size: int, dtype: torch.dtype) -> Layout:
        """Return the layout of the values."""
        return ((_count(self.share, size), dtype),)


@dataclass(frozen=True)
class TopK:
    """The largest components in size, with their places: biased, a contraction.

    Parameters
    ----------
    share
        Share of the components to send, above 0 and at most 1.

    Raises
    ------
    InputError
        The share is out of range.

    Examples
    --------
    >>> TopK(0.25).layout(20, torch.float32)
    ((5, torch.int16), (5, torch.float32))
    """

    share: float
    unbiased: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_share("TopK", self.share)

    def variance(self, size: int) -> float:
        """Return 1: no message is longer than its vector."""
        return 1.0

    def compress(self, vector: Tensor, draw: Draw) -> Message:
        """Return places and values of the k largest components."""
        places = torch.topk(vector.abs(), _count(self.share, len(vector))).indices
        return places.to(_place_type(len(vector))), vector[places]

    def expand(self, message: Message, size: int, draw: Draw) -> Tensor:
        """Return a vector with the values in their places, else 0."""
        places, values = message
        made = values.new_zeros(size)
        made[places.long()] = values
        return made

    def layout(self, size: int, dtype: torch.dtype) -> Layout:
        """Return the layout of places and values."""
        count = _count(self.share, size)
        return (count, _place_type(size)), (count, dtype)


@dataclass(frozen=True)
class NaturalRounding:
    """Rounding to one of the two nearest powers of two at random: unbiased, 9 bits for a number.

    Numbers below 2^-126 become 0 or 2^-126, and numbers above 2^127 become that.

    Notes
    -----
    Horvath et al. (2022), Natural compression for distributed deep learning: the variance is 9/8.

    Examples
    --------
    >>> NaturalRounding().layout(20, torch.float32)
    ((20, torch.uint8), (3, torch.uint8))
    """

    unbiased: ClassVar[bool] = True
    smallest: ClassVar[int] = -126

    def variance(self, size: int) -> float:
        """Return 9/8."""
        return 9 / 8

    def compress(self, vector: Tensor, draw: Draw) -> Message:
        """Return exponents, 0 for a number that is 0, and the signs as bits."""
        size = vector.abs().double()
        mantissa, exponent = torch.frexp(size)  # size = mantissa 2^exponent, mantissa in [1/2, 1)
        low = exponent - 1
        uniform = draw.uniforms(len(vector)).to(vector.device)
        up = uniform < 2 * mantissa - 1
        code = (low + up - self.smallest + 1).clamp(1, 254)
        tiny = low < self.smallest
        code = torch.where(tiny, (uniform < size * 2.0**-self.smallest).to(code.dtype), code)
        code = torch.where(size == 0, torch.zeros_like(code), code)
        return code.to(torch.uint8), _packed(vector < 0)

    def expand(self, message: Message, size: int, draw: Draw) -> Tensor:
        """Return the powers of two with their signs, float32."""
        code, signs = message
        powers = torch.ldexp(torch.ones(size, device=code.device), code.to(torch.int32) + (self.smallest - 1))
        powers = torch.where(code == 0, torch.zeros_like(powers), powers)
        return torch.where(_unpacked(signs, size), -powers, powers)

    def layout(self, size: int, dtype: torch.dtype) -> Layout:
        """Return the layout of exponents and signs."""
        return (size, torch.uint8), (-(-size // 8), torch.uint8)


def pack(message: Message) -> Tensor:
    """Join the tensors of a message to the bytes that are sent, uint8."""
    return torch.cat([part.contiguous().view(torch.uint8) for part in message])


def unpack(buffer: Tensor, layout: Layout) -> Message:
    """Separate the tensors of a message, the inverse of `pack`."""
    sizes = [length * dtype.itemsize for length, dtype in layout]
    pieces = torch.split(buffer, sizes)
    return tuple(piece.clone().view(dtype) for piece, (_, dtype) in zip(pieces, layout, strict=True))


def _count(share: float, size: int) -> int:
    return max(1, math.floor(share * size + 0.5))


def _check_share(owner: str, share: float) -> None:
    if not (is_number(share) and 0 < share <= 1):
        raise InputError(f"{owner}(share={share!r}): give a share above 0 and at most 1, such as 0.05")


def _place_type(size: int) -> torch.dtype:
    return torch.int16 if size <= 1 << 15 else torch.int32


def _packed(bits: Tensor) -> Tensor:
    padded = torch.zeros(-(-len(bits) // 8) * 8, dtype=torch.uint8, device=bits.device)
    padded[: len(bits)] = bits
    weights = 2 ** torch.arange(8, dtype=torch.uint8, device=bits.device)
    return (padded.reshape(-1, 8) * weights).sum(1).to(torch.uint8)


def _unpacked(packed: Tensor, size: int) -> Tensor:
    places = torch.arange(8, dtype=torch.uint8, device=packed.device)
    bits = (packed[:, None] >> places) & 1
    return bits.flatten()[:size].bool()
