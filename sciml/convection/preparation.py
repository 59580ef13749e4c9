"""Inputs and targets of all columns of a training, block by block."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from sciml.columns.extract import check_finite
from sciml.columns.mixture import MIXED
from sciml.convection.problem import INPUT_PROFILES, INPUT_SURFACE, Convection

__all__ = ["prepared", "take_in"]


def prepared(
    columns: xr.Dataset, kind: Any, shape: Any, block: int = 4096, digest: hashlib.blake2b | None = None
) -> Iterator[tuple[int, dict[str, Tensor] | None]]:
    """Call ``kind.prepare`` block by block, and yield the number of columns done and the result.

    Parameters
    ----------
    columns, kind, shape
        Columns of any lengths, class of a `sciml.convection.column_network.ColumnNetwork`, and its shape.
    block
        Number of columns that are read at a time.
    digest
        Updated with the data.

    Raises
    ------
    InputError
        A value of a variable is not finite, or outside the physical bounds.
    """
    total, levels = columns.sizes["column"], columns.sizes["level"]
    for start in range(0, total, block):
        read = columns.isel(column=slice(start, start + block)).load()
        parts = []
        for rows, some in Convection(read).blocks(block):
            check_finite(some)
            if digest is not None:
                take_in(digest, some, kind.targets)
            part = kind.prepare(some, shape, levels)
            if part is not None:
                part["row"] = torch.from_numpy(rows)[part["row"]] + start
                parts.append(part)
        joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]} if parts else None
        yield min(start + block, total), joined


def take_in(digest: hashlib.blake2b, columns: xr.Dataset, targets: Sequence[str]) -> None:
    """Update a digest with the columns that a training reads, before any arithmetic.

    The last bits of computed values may depend on the number of threads.
    """
    mixed = (name for name in MIXED if name in columns.coords)
    for name in (*INPUT_PROFILES, *INPUT_SURFACE, *targets, "KIND", *mixed):
        values = np.ascontiguousarray(columns[name].transpose("column", ...).values)
        digest.update(f"{name} {values.dtype.str} {values.shape}".encode())
        digest.update(values.data)
