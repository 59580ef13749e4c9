"""Packed tensors: one array of bytes with a short header and the integers of a tensor.

A tensor of shape (..., K) is a matrix of R rows and K columns; a tensor of one dimension has one row. All numbers are
little-endian. The first byte of the header is the code of the layout:

1. Block-shift integers: ``[1, bits, block (uint16), base (int8), width]``, the differences of the shifts from `base`
   (unsigned integers of `width` bits, blocks of zeros 0), the codes (two's complement).
2. Signs: ``[2, 0]``, a scale for each row (bfloat16), a bit for each value: 1 for + and 0 for -.
3. Hypercomplex: ``[3, n]``, and blobs of code 1 of the factors A and F of ``sum_i kron(A_i, F_i)``, whose last columns
   are left out if n does not divide the number of columns.
4. MX integers: ``[4, bits, block (uint16)]``, the exponents of the blocks plus 127, the codes of 8 or 4 bits.

Integers of 4 bits lie two in a byte, the first in the lower half. Bits lie eight in a byte, the first in the lowest.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from sciml.compress.arithmetic import BlockIntegers, quantize_blocks
from sciml.compress.kronecker import kronecker_factors, kronecker_sum

__all__ = [
    "bfloat16_bits",
    "bfloat16_values",
    "decode",
    "encode_block_shift",
    "encode_hypercomplex",
    "encode_mx",
    "encode_sign",
    "integer_parts",
    "matrix_shape",
]

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]

BLOCK_SHIFT, SIGN, HYPERCOMPLEX, MX = 1, 2, 3, 4
LARGEST = np.float32(2.0**126)  # larger values may round to values beyond float32
FACTOR_BITS, FACTOR_BLOCK = 8, 64  # of the factors of a hypercomplex tensor
_SHIFT_HEADER = struct.Struct("<BBHbB")
_MX_HEADER = struct.Struct("<BBH")


def matrix_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the rows and columns of a tensor."""
    columns = shape[-1] if shape else 1
    return (math.prod(shape[:-1]), columns)


def bfloat16_bits(values: Array) -> npt.NDArray[np.uint16]:
    """Return the upper half of each float32, rounded to nearest, ties to even; NaN stays NaN."""
    values = np.ascontiguousarray(values, np.float32)
    bits = values.view(np.uint32)
    rounded = (bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))) >> np.uint32(16)
    quiet = (bits >> np.uint32(16)) | np.uint32(0x40)
    return np.where(np.isnan(values), quiet, rounded).astype(np.uint16)


def bfloat16_values(bits: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """Return the float32 of bfloat16 bits."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def encode_block_shift(array: Array, bits: int, block: int) -> Bytes:
    """Encode a tensor as block-shift integers.

    Raises
    ------
    InputError
        A value is not finite.
    ValueError
        A value is 2^126 or more.
    """
    rows, columns = matrix_shape(array.shape)
    matrix = np.asarray(array, np.float32).reshape(rows, columns)
    if np.isfinite(matrix).all() and np.abs(matrix).max(initial=0) >= LARGEST:
        raise ValueError("it has values of 2^126 and more, which round to values beyond float32")
    coded = quantize_blocks(matrix, bits, block)
    starts = np.arange(0, columns, block)
    used = np.logical_or.reduceat(coded.codes != 0, starts, axis=1) if coded.codes.size else coded.shifts != 0
    base = int(coded.shifts[used].min()) if used.any() else 0
    differences = np.where(used, coded.shifts - base, 0).astype(np.uint8)
    width = 4 if differences.max(initial=0) <= 15 else 8
    header = np.frombuffer(_SHIFT_HEADER.pack(BLOCK_SHIFT, bits, block, base, width), np.uint8)
    packed = _nibbles(differences) if width == 4 else differences.reshape(-1)
    codes = _nibbles(coded.codes.view(np.uint8) & 15) if bits == 4 else _as_bytes(coded.codes)
    return np.concatenate([header, packed, codes])


def encode_sign(array: Array) -> Bytes:
    """Encode a tensor as signs, with the mean magnitude of each row, rounded to bfloat16, as the scale.

    Raises
    ------
    ValueError
        A value is not finite.
    """
    matrix = np.asarray(array, np.float32).reshape(matrix_shape(array.shape))
    if not np.isfinite(matrix).all():
        raise ValueError("it has values that are not finite")
    scales = bfloat16_bits(np.abs(matrix.astype(np.float64)).sum(1) / max(matrix.shape[1], 1))
    bits = np.packbits(matrix.reshape(-1) >= 0, bitorder="little")
    return np.concatenate([np.array([SIGN, 0], np.uint8), _as_bytes(scales), bits])


def encode_mx(array: Array, bits: int = 8, block: int = 32) -> Bytes:
    """Encode a tensor as MX integers (OCP Microscaling Formats v1.0; 4 bits alike, as microxcaling has them).

    A block of largest magnitude ``m`` has the exponent ``E = floor(log2 m)`` and codes ``q`` of values
    ``q 2^(E - bits + 2)``, rounded with ties to even and clipped.

    Raises
    ------
    ValueError
        A value is not finite.
    """
    rows, columns = matrix_shape(array.shape)
    matrix = np.asarray(array, np.float32).reshape(rows, columns)
    if not np.isfinite(matrix).all():
        raise ValueError("it has values that are not finite")
    largest = np.maximum.reduceat(np.abs(matrix), np.arange(0, columns, block), axis=1)
    exponents = np.where(largest == 0, -127, np.maximum(np.frexp(largest)[1] - 1, -127))
    spread = np.repeat(exponents, block, axis=1)[:, :columns]
    most = 2 ** (bits - 1) - 1
    scaled = np.ldexp(matrix.astype(np.float64), bits - 2 - spread)
    codes = np.clip(np.rint(scaled), -most, most).astype(np.int8)
    header = np.frombuffer(_MX_HEADER.pack(MX, bits, block), np.uint8)
    packed = _nibbles(codes.view(np.uint8) & 15) if bits == 4 else _as_bytes(codes)
    return np.concatenate([header, (exponents + 127).astype(np.uint8).reshape(-1), packed])


def encode_hypercomplex(array: Array, n: int, *, padded: bool = False) -> Bytes:
    """Encode a tensor as the factors of a hypercomplex weight (PHNN), in integers of 8 bits.

    Parameters
    ----------
    array
        Tensor.
    n
        Number of terms.
    padded
        Whether n need not divide the number of columns; see `sciml.nn.hypercomplexify`.

    Raises
    ------
    ValueError
        n does not divide rows and columns, or a value is not finite.
    """
    rows, columns = matrix_shape(array.shape)
    if rows % n or (columns % n and not padded):
        raise ValueError(f"{n} does not divide its {rows} rows and {columns} columns")
    matrix = np.asarray(array, np.float32).reshape(rows, columns)
    if not np.isfinite(matrix).all():
        raise ValueError("it has values that are not finite")
    a, f = kronecker_factors(matrix, n)
    parts = [
        encode_block_shift(part, FACTOR_BITS, FACTOR_BLOCK)
        for part in (a.reshape(n * n, n), f.reshape(n, -1))
    ]
    return np.concatenate([np.array([HYPERCOMPLEX, n], np.uint8), *parts])


def decode(blob: Array, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Return the tensor of a blob.

    Parameters
    ----------
    blob
        Bytes, uint8 or int8.
    shape
        Shape of the tensor.

    Raises
    ------
    ValueError
        The blob has an unknown code or header, another length than the shape needs, or values that are not finite.
    """
    data = np.ascontiguousarray(blob).view(np.uint8).reshape(-1)
    rows, columns = matrix_shape(shape)
    with np.errstate(over="ignore", invalid="ignore"):
        matrix, end = _decode(data, rows, columns)
    if end != data.size:
        raise ValueError(f"{data.size} bytes, {end} needed for the shape {shape}")
    if not np.isfinite(matrix).all():
        raise ValueError("values that are not finite")
    return matrix.reshape(shape)


def integer_parts(blob: Array, shape: tuple[int, ...]) -> tuple[BlockIntegers, ...]:
    """Return the integers of a blob, for formats of other programs.

    Parameters
    ----------
    blob, shape
        As for `decode`.

    Returns
    -------
    tuple
        The codes of the tensor; those of the factors A (n^2, n) and F (n, values) of a hypercomplex weight; nothing for
        signs, whose scales are no powers of two.

    Raises
    ------
    ValueError
        As for `decode`.
    """
    decode(blob, shape)
    data = np.ascontiguousarray(blob).view(np.uint8).reshape(-1)
    rows, columns = matrix_shape(shape)
    code = int(data[0])
    if code == HYPERCOMPLEX:
        return _factors(data, rows, columns)[:2]
    if code == SIGN:
        return ()
    read = _mx_integers if code == MX else _block_integers
    return (read(data, rows, columns)[0],)


def _decode(data: Bytes, rows: int, columns: int) -> tuple[npt.NDArray[np.float32], int]:
    code = int(_cut(data, 0, 1)[0])
    if code == BLOCK_SHIFT:
        return _decode_block_shift(data, rows, columns)
    if code == SIGN:
        end = 2 + 2 * rows
        scales = bfloat16_values(_cut(data, 2, 2 * rows).view("<u2").astype(np.uint16))[:, None]
        size = (rows * columns + 7) // 8
        bits = np.unpackbits(_cut(data, end, size), bitorder="little")[: rows * columns]
        # A sum with 0 makes the negative zeros of a row of zeros positive.
        return np.where(bits.reshape(rows, columns) == 1, scales, -scales) + np.float32(0), end + size
    if code == HYPERCOMPLEX:
        a, f, end = _factors(data, rows, columns)
        n = len(f.codes)
        factors = f.values().reshape(n, rows // n, -1)
        return kronecker_sum(a.values().reshape(n, n, n), factors)[:, :columns], end
    if code == MX:
        coded, end = _mx_integers(data, rows, columns)
        return coded.values(), end
    raise ValueError(f"layout {code}, which this version does not know")


def _decode_block_shift(data: Bytes, rows: int, columns: int) -> tuple[npt.NDArray[np.float32], int]:
    coded, end = _block_integers(data, rows, columns)
    return coded.values(), end


def _block_integers(data: Bytes, rows: int, columns: int) -> tuple[BlockIntegers, int]:
    code, bits, block, base, width = _SHIFT_HEADER.unpack(_cut(data, 0, 6).tobytes())
    if code != BLOCK_SHIFT or bits not in (4, 8, 16) or width not in (4, 8) or block == 0:
        raise ValueError(f"a header with {bits} bits, blocks of {block} and shifts of {width} bits")
    blocks = -(-columns // block)
    count = rows * blocks
    begin, size = 6, (count * width + 7) // 8
    packed = _cut(data, begin, size)
    differences = _halves(packed, count) if width == 4 else packed
    codes, end = _codes(data, begin + size, rows * columns, bits)
    shifts = (base + differences.astype(np.int16)).reshape(rows, blocks)
    return BlockIntegers(codes.reshape(rows, columns), shifts, bits, block), end


def _mx_integers(data: Bytes, rows: int, columns: int) -> tuple[BlockIntegers, int]:
    """Return the codes of MX integers, with their exponents as shifts."""
    _, bits, block = _MX_HEADER.unpack(_cut(data, 0, 4).tobytes())
    if bits not in (4, 8) or block == 0:
        raise ValueError(f"a header with {bits} bits and blocks of {block}")
    count = rows * -(-columns // block)
    exponents = _cut(data, 4, count).astype(np.int16).reshape(rows, -1) - np.int16(127)
    codes, end = _codes(data, 4 + count, rows * columns, bits)
    return BlockIntegers(codes.reshape(rows, columns), np.int16(bits - 2) - exponents, bits, block), end


def _codes(data: Bytes, begin: int, count: int, bits: int) -> tuple[Array, int]:
    """Return integers of 4, 8 or 16 bits, and where the next bytes begin."""
    size = (count * bits + 7) // 8
    packed = _cut(data, begin, size)
    if bits == 4:
        codes: Array = ((_halves(packed, count) ^ 8).astype(np.int8) - np.int8(8)).astype(np.int8)
    elif bits == 8:
        codes = packed.view(np.int8)
    else:
        codes = packed.view("<i2").astype(np.int16)
    return codes, begin + size


def _factors(data: Bytes, rows: int, columns: int) -> tuple[BlockIntegers, BlockIntegers, int]:
    """Return the factors A (n^2, n) and F (n, values) of a hypercomplex weight, and where the next bytes begin."""
    n = int(_cut(data, 1, 1)[0])
    if n == 0 or rows % n:
        raise ValueError(f"{n} terms for {rows} rows and {columns} columns")
    a, middle = _block_integers(data[2:], n * n, n)
    f, end = _block_integers(data[2 + middle :], n, (rows // n) * -(-columns // n))
    return a, f, 2 + middle + end


def _cut(data: Bytes, begin: int, size: int) -> Bytes:
    part = data[begin : begin + size]
    if part.size != size:
        raise ValueError(f"{data.size} bytes, at least {begin + size} needed")
    return part.copy()


def _as_bytes(values: Array) -> Bytes:
    return np.frombuffer(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes(), np.uint8)


def _nibbles(values: Array) -> Bytes:
    flat: Bytes = values.reshape(-1).astype(np.uint8)
    flat = np.append(flat, np.zeros(flat.size % 2, np.uint8))
    pairs: Bytes = flat[::2] | (flat[1::2] << np.uint8(4))
    return pairs


def _halves(packed: Bytes, count: int) -> Bytes:
    return np.stack([packed & 15, packed >> 4], -1).reshape(-1)[:count]
