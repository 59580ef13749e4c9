"""Inputs and targets of the columns of a training, in memory or in a store on disk."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from sciml.convection.preparation import prepared
from sciml.errors import InputError
from sciml.train import BatchSource, TensorSource
from sciml.train.processes import Processes
from sciml.train.progress import Progress
from sciml.train.streaming import StoreSource

__all__ = ["PreparedColumns", "scratch_folder"]

# Prepared columns (3.5 kB each) beyond this many bytes are stored on disk during the training.
MEMORY = 3 << 30
PREPARED = "prepared.zarr"


@contextlib.contextmanager
def scratch_folder(output: Path) -> Iterator[Path]:
    """Folder beside the output for columns that do not fit into memory.

    A killed training leaves it; the next training with the same output removes it. Of several processes the first one
    writes and removes it.
    """
    path, processes = output.with_name(f".{output.name}.scratch"), Processes.of_group()

    def clear() -> None:
        if path.is_dir() and any(entry.name != PREPARED for entry in path.iterdir()):
            raise InputError(
                f"{path} contains other files than those of a training: move it away, or give another output"
            )
        shutil.rmtree(path, ignore_errors=True)

    processes.of_first(clear)
    try:
        yield path
        processes.together(lambda: None)  # all have read it
    finally:
        if processes.rank == 0:
            shutil.rmtree(path, ignore_errors=True)


class PreparedColumns:
    """Inputs and targets of all columns that a network looks at, in memory, or on disk if they are too large."""

    def __init__(self, columns: xr.Dataset, kind: Any, shape: Any, scratch: Path, progress: Progress) -> None:
        processes = Processes.of_group()
        self.path: Path | None = None
        self.tensors: dict[str, Tensor] = {}
        parts: list[dict[str, Tensor]] = []
        rows: list[Tensor] = []
        size, total = 0, columns.sizes["column"]
        digest = hashlib.blake2b(digest_size=6)
        for done, part in prepared(columns, kind, shape, digest=digest):
            progress.say(f"prepared {done} of {total} columns")
            if part is None:
                continue
            rows.append(part.pop("row"))
            size += sum(x.numel() * x.element_size() for x in part.values())
            parts.append(part)
            if size > MEMORY or self.path is not None:
                self.path = scratch / PREPARED
                if processes.rank == 0:
                    scratch.mkdir(exist_ok=True)
                    _append(self.path, parts)
                parts = []
        processes.together(lambda: None)  # the store is complete
        if not rows:
            raise InputError(f"no {kind.selects} in any of {total} columns: there is nothing to learn from")
        self.digest = digest.hexdigest()
        self.row = torch.cat(rows).numpy()
        if parts:
            self.tensors = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def features(self, rows: np.ndarray[Any, Any], most: int = 400_000) -> tuple[Tensor, Tensor]:
        """Channels (level, channel, column) and scalars (scalar, column) of rows, a regular subset of very many."""
        chosen = np.flatnonzero(rows)
        chosen = chosen[:: max(1, len(chosen) // most)]
        if self.path is None:
            channels, scalars = self.tensors["channels"][chosen], self.tensors["scalars"][chosen]
        else:
            store = xr.open_zarr(self.path, consolidated=False)[["channels", "scalars"]].isel(column=chosen)
            channels, scalars = (torch.from_numpy(store[name].values) for name in ("channels", "scalars"))
        return channels.double().permute(1, 2, 0), scalars.double().T

    def source(
        self, rows: np.ndarray[Any, Any], normalisation: Any, weights: np.ndarray[Any, Any] | None = None
    ) -> BatchSource:
        """Batches of the chosen rows, standardised, drawn with these weights if they are given."""
        transform = _Standardised(normalisation)
        if self.path is None:
            chosen = torch.from_numpy(np.flatnonzero(rows))
            return TensorSource(transform({name: x[chosen] for name, x in self.tensors.items()}), weights)
        names = tuple(str(name) for name in xr.open_zarr(self.path, consolidated=False).data_vars)
        return StoreSource(self.path, names, rows=rows, weights=weights, transform=transform)


class _Standardised:
    """Replaces the raw features of a batch by the network's inputs."""

    def __init__(self, normalisation: Any) -> None:
        self.normalisation = normalisation

    def __call__(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        raw = batch["channels"].double().permute(1, 2, 0), batch["scalars"].double().T
        x, y = self.normalisation.standardise(*raw)
        rest = {name: value for name, value in batch.items() if name not in ("channels", "scalars")}
        return {**rest, "x": x.float(), "y": y.float()}


def _append(path: Path, parts: list[dict[str, Tensor]]) -> None:
    joined = {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}
    block = xr.Dataset(
        {
            name: (("column", *(f"{name}_{i}" for i in range(1, value.ndim))), value)
            for name, value in joined.items()
        }
    ).chunk(column=4096)
    if path.exists():
        block.to_zarr(path, append_dim="column", safe_chunks=False, consolidated=False)
    else:
        block.to_zarr(path, consolidated=False)
