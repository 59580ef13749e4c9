"""Numbers of columns that depend on their values only, for draws that the order of a file does not change."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["digests"]

Array = NDArray[Any]


def digests(columns: xr.Dataset, names: Sequence[str], seed: int, part: slice) -> Array:
    """Return a number of each column, (column,), that depends on its values and the seed."""
    some, parts = columns.isel(column=part), []
    for name in names:
        x = np.ascontiguousarray(some[name].transpose("column", ...).values)
        bad = int((~np.isfinite(x)).sum())
        if bad:
            raise InputError(f"{bad} values of {name} are not finite: drop these columns")
        parts.append(x.reshape(len(x), -1).view(np.uint8))
    rows, key = np.concatenate(parts, 1), seed.to_bytes(8, "little")
    made = [hashlib.blake2b(row.tobytes(), digest_size=8, key=key).digest() for row in rows]
    return np.frombuffer(b"".join(made), "<u8")
