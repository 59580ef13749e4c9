"""Packed tensors of 16-bit integers with their bytes in another order, in which neighbours are alike.

First the headers and shifts of all tensors; then the upper bytes of their codes, column by column, as differences from
the row before; then the lower bytes, column by column. Rows of a scaling are layers, which differ little.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["join_codes", "matrix_of_codes", "split_codes"]

Array = npt.NDArray[Any]
Sizes = tuple[int, int, int]
"""Rows, columns, and bytes of a tensor."""


def matrix_of_codes(blob: Array, rows: int, columns: int) -> Sizes | None:
    """Return the sizes of a packed tensor of block-shift integers of 16 bits, or None for any other.

    Examples
    --------
    >>> from sciml.compress.blobs import encode_block_shift
    >>> matrix_of_codes(encode_block_shift(np.ones((3, 2), np.float32), 16, 64), 3, 2)
    (3, 2, 20)
    """
    coded = blob.dtype == np.uint8 and blob.ndim == 1 and blob[:2].tolist() == [1, 16]
    return (rows, columns, blob.size) if coded and blob.size >= 2 * rows * columns else None


def split_codes(blobs: Sequence[Array], sizes: Sequence[Sizes]) -> list[bytes]:
    """Return the three parts of packed tensors."""
    heads, upper, lower = [], [], []
    for blob, (rows, columns, _) in zip(blobs, sizes, strict=True):
        end = blob.size - 2 * rows * columns
        codes = blob[end:].reshape(rows, columns, 2)
        heads.append(blob[:end].tobytes())
        upper.append(np.diff(codes[..., 1].T, axis=1, prepend=np.zeros((columns, 1), np.uint8)).tobytes())
        lower.append(codes[..., 0].T.tobytes())
    return [b"".join(heads), b"".join(upper), b"".join(lower)]


def join_codes(content: bytes, sizes: Sequence[Sizes]) -> list[Array]:
    """Return the packed tensors of the three parts, one after the other.

    Raises
    ------
    ValueError
        The tensors have less bytes than their codes.
    """
    data = np.frombuffer(content, np.uint8)
    counts = np.array([rows * columns for rows, columns, _ in sizes], np.int64)
    ends = np.array([size for *_, size in sizes], np.int64) - 2 * counts
    if (ends < 0).any():
        raise ValueError("a tensor of 16-bit integers with less bytes than its codes")
    heads, upper, lower = np.split(data, [ends.sum(), ends.sum() + counts.sum()])
    joined = []
    for (rows, columns, _), count, end in zip(sizes, counts, ends, strict=True):
        codes = np.empty((rows, columns, 2), np.uint8)
        codes[..., 1] = np.cumsum(upper[:count].reshape(columns, rows), axis=1, dtype=np.uint8).T
        codes[..., 0] = lower[:count].reshape(columns, rows).T
        joined.append(np.concatenate([heads[:end], codes.reshape(-1)]))
        heads, upper, lower = heads[end:], upper[count:], lower[count:]
    return joined
