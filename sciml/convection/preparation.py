"""Inputs and targets of all columns of a training, block by block."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from sciml.columns.extract import check_finite
from sciml.columns.mixture import MIXED
from sciml.convection.problem import INPUT_PROFILES, INPUT_SURFACE, Convection
from sciml.train.processes import Processes

__all__ = ["prepared", "take_in"]


def prepared(
    columns: xr.Dataset, kind: Any, shape: Any, block: int = 4096, digest: hashlib.blake2b | None = None
) -> Iterator[tuple[int, dict[str, Tensor] | None]]:
    """Call ``kind.prepare`` block by block, and yield the number of columns done and the result.

    Processes that share a training share the blocks; each gets the results of all.

    Parameters
    ----------
    columns, kind, shape
        Columns of any lengths, class of a `sciml.convection.column_network.ColumnNetwork`, and its shape.
    block
        Number of columns that are read at a time.
    digest
        Updated with a digest of the data of each block.

    Raises
    ------
    InputError
        A value of a variable is not finite, or outside the physical bounds.
    """
    total, levels = columns.sizes["column"], columns.sizes["level"]
    processes = Processes.of_group()
    starts = range(0, total, block)

    def compute(start: int | None) -> tuple[bytes, dict[str, Tensor] | None]:
        own = hashlib.blake2b(digest_size=16)
        if start is None:
            return own.digest(), None
        read = columns.isel(column=slice(start, start + block)).load()
        parts = []
        for rows, some in Convection(read).blocks(block):
            check_finite(some)
            if digest is not None:
                take_in(own, some, kind.targets)
            part = kind.prepare(some, shape, levels)
            if part is not None:
                part["row"] = torch.from_numpy(rows)[part["row"]] + start
                parts.append(part)
        joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]} if parts else None
        return own.digest(), joined

    for first in range(0, len(starts), processes.size):
        turn = starts[first : first + processes.size]
        start = turn[processes.rank] if processes.rank < len(turn) else None
        for at, (data, joined) in zip(turn, processes.together(partial(compute, start)), strict=False):
            if digest is not None:
                digest.update(data)
            yield min(at + block, total), joined


def take_in(digest: hashlib.blake2b, columns: xr.Dataset, targets: Sequence[str]) -> None:
    """Update a digest with the columns that a training reads, before any arithmetic.

    The last bits of computed values may depend on the number of threads.
    """
    mixed = (name for name in MIXED if name in columns.coords)
    for name in (*INPUT_PROFILES, *INPUT_SURFACE, *targets, "KIND", *mixed):
        values = np.ascontiguousarray(columns[name].transpose("column", ...).values)
        digest.update(f"{name} {values.dtype.str} {values.shape}".encode())
        digest.update(values.data)
