"""Block-shift integers: small integers with one power of two for each block (BCT, arXiv 2304.01483).

Blocks run along the last axis, never cross a row, and the last one of a row may be shorter. The codes of a block are
``q = rint(x 2^s)`` with ties to even, and stand for ``q 2^-s``. The shift ``s`` comes from the largest magnitude of the
block alone, so that nothing is calibrated or trained again. The text of the paper was not available: the block sizes
and the rule of the shift are our form. This module does not import torch; `sciml.compress.matrices` does the same on
tensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sciml.errors import InputError

__all__ = [
    "KINDS",
    "LARGEST_BLOCK",
    "LARGEST_INPUT",
    "LARGEST_WEIGHT",
    "MOST_SHIFT",
    "BlockIntegers",
    "Variant",
    "add_floats",
    "add_integers",
    "block_shifts",
    "check_block",
    "check_sums",
    "partial_sums",
    "quantize_blocks",
]

Array = npt.NDArray[Any]
Variant = Literal["floor", "round"]

KINDS = ("float32", "bf16", "int8", "int4", "sign")
"""Kinds of arithmetic of a matrix."""

MOST_SHIFT = 112
"""Largest shift; blocks of smaller magnitudes have smaller codes, so that ``2^-s`` stays a normal float32."""

LARGEST_INPUT = 2.0**80
"""Inputs of reduced layers of this magnitude or more have outputs NaN, as those that are not finite."""

LARGEST_WEIGHT = 2.0**24
"""Weights of reduced layers are smaller, so that no sum of products of inputs overflows float32."""

LARGEST_BLOCK = 1024
"""Largest block: sums of products of two int8 codes in a block stay below 2^24, which float32 represents exactly."""

_BITS = (4, 8, 16)


@dataclass(frozen=True, eq=False)
class BlockIntegers:
    """Codes and shifts of an array.

    Parameters
    ----------
    codes
        Integers of the shape of the array: int8 for up to 8 bits, else int16.
    shifts
        Shift of each block, int16 (..., blocks).
    bits
        Bits of a code: 4, 8 or 16.
    block
        Values in a block.
    """

    codes: Array
    shifts: Array
    bits: int
    block: int

    def values(self) -> Array:
        """Return the values ``q 2^-s``, float32; exact for 4 and 8 bits."""
        spread = np.repeat(self.shifts.astype(np.int32), self.block, axis=-1)[..., : self.codes.shape[-1]]
        return np.ldexp(self.codes.astype(np.float32), -spread)


def check_block(block: int) -> int:
    """Return the length of a block.

    Raises
    ------
    InputError
        It is no whole number from 1 to `LARGEST_BLOCK`.
    """
    if isinstance(block, bool) or not isinstance(block, int) or not 1 <= block <= LARGEST_BLOCK:
        raise InputError(f"block {block!r}: give a whole number from 1 to {LARGEST_BLOCK}, such as 64")
    return block


def block_shifts(largest: Array, bits: int, variant: Variant = "floor") -> Array:
    """Compute the shift of each block from its largest magnitude.

    Parameters
    ----------
    largest
        Largest magnitude ``m`` of each block, finite.
    bits
        Bits of a code.
    variant
        ``floor``: the largest shift for which no code exceeds ``Q = 2^(bits-1) - 1``, that is
        ``floor(log2(Q / m))``. ``round``: ``log2(Q / m)`` rounded to the nearest integer; codes beyond Q are clipped.

    Returns
    -------
    ndarray
        Shifts, int16; 0 for a block of zeros, at most `MOST_SHIFT`.

    Examples
    --------
    >>> block_shifts(np.array([0.0, 1.0, 127 / 64, 1.99]), 8)
    array([0, 6, 6, 5], dtype=int16)
    """
    largest = np.asarray(largest)
    fraction, exponent = np.frexp(largest)
    limit = (2 ** (bits - 1) - 1) * (np.sqrt(2.0) if variant == "round" else 1.0)
    power = bits - 1 if variant == "round" else bits - 2
    fits = 2.0 * fraction.astype(np.float64) <= limit / 2.0**power
    shift = np.where(fits, power, power - 1) - (exponent - 1)
    return np.where(largest == 0, 0, np.minimum(shift, MOST_SHIFT)).astype(np.int16)


def quantize_blocks(array: Array, bits: int, block: int, variant: Variant = "floor") -> BlockIntegers:
    """Convert floats to block-shift integers.

    Parameters
    ----------
    array
        Floats (..., values).
    bits
        Bits of a code: 4, 8 or 16.
    block
        Values in a block.
    variant
        Rule of the shift; see `block_shifts`.

    Returns
    -------
    BlockIntegers
        Codes and shifts.

    Raises
    ------
    InputError
        The bits or the block are not available, or a value is not finite.

    Examples
    --------
    >>> coded = quantize_blocks(np.array([[1.0, -0.4, 0.0, 3.0]]), 4, 2)
    >>> coded.codes, coded.shifts
    (array([[ 4, -2,  0,  6]], dtype=int8), array([[2, 1]], dtype=int16))
    >>> coded.values()
    array([[ 1. , -0.5,  0. ,  3. ]], dtype=float32)
    """
    if bits not in _BITS:
        raise InputError(f"{bits!r} bits: give one of {', '.join(map(str, _BITS))}")
    check_block(block)
    array = np.asarray(array)
    if not np.isfinite(array).all():
        raise InputError("an array has values that are not finite, which integers do not have: replace them")
    starts = np.arange(0, array.shape[-1], block)
    largest = (
        np.maximum.reduceat(np.abs(array), starts, axis=-1)
        if array.size
        else np.zeros((*array.shape[:-1], 0))
    )
    shifts = block_shifts(largest, bits, variant)
    spread = np.repeat(shifts.astype(np.int32), block, axis=-1)[..., : array.shape[-1]]
    most = 2 ** (bits - 1) - 1
    codes = np.clip(np.rint(np.ldexp(array.astype(np.float64), spread)), -most, most)
    return BlockIntegers(codes.astype(np.int8 if bits <= 8 else np.int16), shifts, bits, block)


def partial_sums(left: BlockIntegers, right: BlockIntegers) -> Array:
    """Multiply two matrices of codes block by block.

    Parameters
    ----------
    left, right
        Codes (n, values) and (m, values) with equal blocks.

    Returns
    -------
    ndarray
        Sums of products of codes of each block, int32 (n, m, blocks).

    Raises
    ------
    InputError
        Blocks or numbers of values differ, or a sum could exceed int32.
    """
    if left.block != right.block or left.codes.shape[-1] != right.codes.shape[-1]:
        raise InputError(
            f"codes {left.codes.shape} in blocks of {left.block}, and {right.codes.shape} in blocks of {right.block}: "
            "give equal blocks and equal numbers of values"
        )
    check_sums(left.bits, right.bits, left.block)
    count = left.codes.shape[-1]
    sums = [
        left.codes[:, at : at + left.block].astype(np.int64)
        @ right.codes[:, at : at + left.block].T.astype(np.int64)
        for at in range(0, count, left.block)
    ]
    return np.stack(sums, -1).astype(np.int32)


def check_sums(left_bits: int, right_bits: int, block: int) -> int:
    """Return the largest sum of products of codes in a block, after a check that int32 holds it.

    Raises
    ------
    InputError
        It may exceed int32.
    """
    bound = ((1 << (left_bits - 1)) - 1) * ((1 << (right_bits - 1)) - 1) * block
    if bound >= 2**31:
        raise InputError(
            f"codes of {left_bits} and {right_bits} bits in blocks of {block} have sums up to {bound}, beyond int32: "
            f"give blocks of at most {(2**31 - 1) * block // bound}"
        )
    return bound


def add_floats(sums: Array, left: BlockIntegers, right: BlockIntegers) -> Array:
    """Return the product of two matrices from its partial sums, float64 (n, m)."""
    shifts = left.shifts.astype(np.int32)[:, None, :] + right.shifts.astype(np.int32)[None]
    total: Array = np.ldexp(sums.astype(np.float64), -shifts).sum(-1)
    return total


def add_integers(sums: Array, left: BlockIntegers, right: BlockIntegers) -> tuple[Array, Array]:
    """Add partial sums in integers only.

    All sums of an output are shifted to the smallest shift among them, with an arithmetic right shift.

    Returns
    -------
    tuple
        Sums ``a``, int32 (n, m), and their shifts ``s``: the values are ``a 2^-s``.

    Raises
    ------
    InputError
        A sum could exceed int32.

    Examples
    --------
    >>> x = quantize_blocks(np.array([[1.0, 2.0, 0.25]]), 8, 2)
    >>> add_integers(partial_sums(x, x), x, x)
    (array([[5184]], dtype=int32), array([[10]], dtype=int32))
    """
    check_sums(left.bits, right.bits, left.block * sums.shape[-1])
    shifts = left.shifts.astype(np.int32)[:, None, :] + right.shifts.astype(np.int32)[None]
    least = shifts.min(-1)
    # A shift of 31 leaves the sign alone, as any larger one does.
    total = (sums >> np.minimum(shifts - least[..., None], 31)).sum(-1)
    return total.astype(np.int32), least
