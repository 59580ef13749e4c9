"""Vectors of small energy and blocks of unknowns, from which smoothed aggregation makes its coarse spaces."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from sciml.checks import check_whole
from sciml.errors import InputError
from sciml.pde.grid import Field

__all__ = ["checked_modes", "size_of_blocks"]


def checked_modes(given: Any, size: int) -> Field | None:
    """Convert the near-nullspace of a matrix to (n, k) of float64; None stays None.

    Raises
    ------
    InputError
        The shape is wrong, values are not real or not finite, or a vector is zero.
    """
    if given is None:
        return None
    values = np.asarray(given)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or values.shape[0] != size or not 0 < values.shape[1] <= size:
        raise InputError(
            f"near_nullspace of shape {np.shape(given)}: give one column for each vector, ({size}, k)"
        )
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
        raise InputError(f"near_nullspace of {values.dtype}: give finite real numbers, as float64")
    if not np.abs(values).max(axis=0).min() > 0:
        at = int(np.abs(values).max(axis=0).argmin())
        raise InputError(f"column {at} of near_nullspace is zero: leave it out")
    return np.asarray(values, dtype=np.float64)


def size_of_blocks(given: Any, matrix: Any) -> int:
    """Return the number of unknowns of a node: as given, or for 0 that of a BSR matrix, else 1.

    Raises
    ------
    InputError
        It is not a whole number of 1 or more that divides the number of unknowns.
    """
    if given == 0 and not isinstance(given, bool):
        blocks = matrix.blocksize if sp.issparse(matrix) and matrix.format == "bsr" else (1, 1)
        return int(blocks[0]) if blocks[0] == blocks[1] else 1
    check_whole("block_size", given, 1)
    size = int(matrix.shape[0])
    if size % given:
        raise InputError(f"block_size={given}: {size} unknowns are not a multiple of it")
    return int(given)
