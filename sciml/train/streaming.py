"""Batches from a store larger than memory, shuffled by chunk and then within a buffer."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from sciml.checks import check_whole
from sciml.errors import InputError, MissingVariable
from sciml.storage.containment import check_hdf5, check_store
from sciml.storage.damage import DAMAGE, reason_of
from sciml.storage.lazy_values import named_errors
from sciml.train.batches import Batch, Share, TensorSource, check_batch_size, check_weights, draw_by_weight

__all__ = ["StoreSource", "Transform"]

Transform = Callable[[Batch], Batch]
Rows = npt.NDArray[np.int64]


class StoreSource:
    """Samples of a zarr store, a netCDF file, or a lazy dataset, read block by block.

    An epoch reads the blocks in a random order, ``buffer`` of them at a time, and mixes the samples of those. A buffer
    should therefore hold many more samples than a batch, and a store in the order of time should have small chunks.

    Parameters
    ----------
    data
        Path of a zarr store or netCDF file, or a dataset (which must be picklable if there are workers).
    variables
        Names of the variables to read; each has the dimension ``dim``, which is the first one of its tensor.
    dim
        Dimension of the samples.
    rows
        Samples to use, as a boolean mask over ``dim`` or as numbers (each is used once); None for all.
    weights
        Sampling weights of the chosen rows, in their order in the store, as those of `TensorSource`: each epoch draws
        as many samples as the source has, with replacement and in proportion to the weights.
    transform
        ``transform(batch) -> batch`` on the samples of one block, with the same number and order of samples, for
        example to compute features. It runs in the workers; it must depend on the batch alone, and be picklable if
        there are workers.
    block
        Number of samples in a block; None uses the chunks of the store.
    buffer
        Number of blocks that are mixed, and in memory, at a time.
    workers
        Number of processes that read and transform, or 0 for none. They pass blocks in shared memory (``/dev/shm``).
    start_method
        How they start. ``fork`` is fast and allows any function as ``transform``, but is unsafe with threads.

    Raises
    ------
    InputError
        The store does not exist or has no samples, a variable has no ``dim`` or a type that torch does not have, the
        weights are invalid, or the transform changes the number of samples.
    MissingVariable
        The store has no such variable.
    """

    def __init__(
        self,
        data: str | Path | xr.Dataset,
        variables: Sequence[str],
        *,
        dim: str = "column",
        rows: npt.ArrayLike | None = None,
        weights: Tensor | npt.NDArray[Any] | None = None,
        transform: Transform | None = None,
        block: int | None = None,
        buffer: int = 16,
        workers: int = 0,
        start_method: Literal["forkserver", "spawn", "fork"] = "forkserver",
    ) -> None:
        opened = data if isinstance(data, xr.Dataset) else _open(data)
        _check(opened, variables, dim, data)
        check_whole("buffer", buffer, 1)
        check_whole("workers", workers, 0)
        if block is not None:
            check_whole("block", block, 1, remedy="or leave it out")
        size = block or _chunk(opened[variables[0]], dim)
        edges = _blocks(_rows(rows, opened.sizes[dim]), size)
        if not edges:
            raise InputError(
                f"{_name(data)} has {opened.sizes[dim]} samples, none of them chosen: check rows"
            )
        self.buffer = buffer
        self._blocks = _Blocks(data, tuple(variables), dim, edges, transform)
        self._lengths = np.array([len(rows) for rows in edges])
        self._weights = None if weights is None else check_weights(weights, int(self._lengths.sum()))
        self._order = _Order()
        self._loader: DataLoader[Batch] = DataLoader(
            self._blocks,
            batch_size=None,
            sampler=self._order,
            num_workers=workers,
            persistent_workers=workers > 0,
            multiprocessing_context=start_method if workers else None,
            worker_init_fn=_leave_signals if workers else None,
            generator=torch.Generator(),  # else each epoch would draw from the global one of torch
        )

    def __len__(self) -> int:
        return int(self._lengths.sum())

    def __repr__(self) -> str:
        blocks, name = len(self._lengths), _name(self._blocks.data)
        return (
            f"StoreSource: {len(self)} samples of {', '.join(self._blocks.variables)} in {blocks} blocks, "
            f"{self.buffer} at a time, {self._loader.num_workers} workers, from {name}"
        )

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """Yield the batches of one epoch: shuffled with a generator, in order without one."""
        return self.batches_from(batch_size, generator, 0)

    def batches_from(self, batch_size: int, generator: torch.Generator | None, start: int) -> Iterator[Batch]:
        """Yield the batches of one epoch from number ``start`` on; earlier blocks are not read."""
        for share in self.shares(batch_size, generator, start, 0, 1):
            yield share.batch

    def shares(
        self, batch_size: int, generator: torch.Generator | None, start: int, rank: int, size: int
    ) -> Iterator[Share]:
        """Yield the rows of one of several processes of the batches of one epoch from number ``start`` on.

        The batches are those of one process; without a generator several processes mix the samples in a fixed order.
        The blocks are dealt out to the processes, and each reads its own. A block is cut into parts if there are more
        processes than blocks in a buffer.
        """
        check_batch_size(batch_size)
        order, seeds = self._plan(generator)
        if generator is None and size > 1:
            seeds = list(range(len(seeds)))
        drawn = self._drawn(generator)
        lengths = self._lengths if drawn is None else np.array([int(times.sum()) for times in drawn])
        groups = [order[first : first + self.buffer] for first in range(0, len(order), self.buffer)]
        ends = np.cumsum([lengths[group].sum() for group in groups])
        skipped = start * batch_size
        first = int(np.searchsorted(ends, skipped, side="right"))
        skipped -= int(ends[first - 1]) if first else 0

        def deal_of(number: int) -> _Deal:
            return _Deal.of(self._lengths[groups[number]], rank, size, number)

        read = [groups[number][deal_of(number).blocks] for number in range(first, len(groups))]
        self._order.blocks = [int(block) for blocks in read for block in blocks]
        loaded = iter(self._loader)
        rows: list[Batch] = []
        total = 0
        spare: Batch | None = None
        for number in range(first, len(groups)):
            deal, group = deal_of(number), groups[number]
            pool = _join([next(loaded) for _ in deal.blocks]) if len(deal.blocks) else {}
            if spare is None and size > 1:
                spare = {name: x[:1] for name, x in (pool or self._blocks[int(order[0])]).items()}
            mixed = _mix(int(lengths[group].sum()), seeds[number])[skipped:]
            if drawn is not None:
                times = torch.cat([drawn[int(block)] for block in group])
                mixed = torch.repeat_interleave(times)[mixed]
            skipped = 0
            for piece in _pieces(batch_size - total, mixed, batch_size):
                total += len(piece)
                own = deal.places[piece]
                own = own[own >= 0]
                if len(own):
                    rows.append({name: tensor.index_select(0, own) for name, tensor in pool.items()})
                if total == batch_size:
                    yield _share(rows, spare, total)
                    rows, total = [], 0
        if total:
            yield _share(rows, spare, total)

    def in_memory(self) -> TensorSource:
        """Read all samples, transformed, into a `TensorSource`, which is fastest if they fit into memory."""
        self._order.blocks = list(range(len(self._lengths)))
        return TensorSource(_join(list(self._loader)))

    def _drawn(self, generator: torch.Generator | None) -> tuple[Tensor, ...] | None:
        """Draw how often each sample of each block is used; None if each is used once."""
        if self._weights is None or generator is None:
            return None
        numbers = draw_by_weight(self._weights, generator)
        times = torch.bincount(numbers, minlength=len(self))
        return tuple(torch.split(times, self._lengths.tolist()))

    def _plan(self, generator: torch.Generator | None) -> tuple[Rows, list[int | None]]:
        """Draw the order of the blocks, and a seed for each buffer of them."""
        count = len(self._lengths)
        groups = -(-count // self.buffer)
        if generator is None:
            return np.arange(count), [None] * groups
        order = torch.randperm(count, generator=generator).numpy()
        return order, [int(seed) for seed in torch.randint(2**62, (groups,), generator=generator)]


class _Order(Sampler[int]):
    """The blocks of the epoch to come."""

    def __init__(self) -> None:
        self.blocks: list[int] = []

    def __iter__(self) -> Iterator[int]:
        return iter(list(self.blocks))

    def __len__(self) -> int:
        return len(self.blocks)


class _Blocks(Dataset[Batch]):
    """Reads and transforms one block; each process opens the store itself."""

    def __init__(
        self,
        data: str | Path | xr.Dataset,
        variables: tuple[str, ...],
        dim: str,
        blocks: list[Rows],
        transform: Transform | None,
    ) -> None:
        self.data, self.variables, self.dim, self.blocks, self.transform = (
            data,
            variables,
            dim,
            blocks,
            transform,
        )
        self._opened: xr.Dataset | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def __getitem__(self, index: int) -> Batch:
        if self._opened is None:
            self._opened = self.data if isinstance(self.data, xr.Dataset) else _open(self.data)
        rows = self.blocks[index]
        first, last = int(rows[0]), int(rows[-1]) + 1
        chosen = self._opened[list(self.variables)].isel({self.dim: slice(first, last)}).load()
        batch = {
            name: _tensor(chosen[name].transpose(self.dim, ...), rows - first) for name in self.variables
        }
        if self.transform is None:
            return batch
        batch = self.transform(batch)
        lengths = {name: len(tensor) for name, tensor in batch.items()}
        if set(lengths.values()) != {len(rows)}:
            raise InputError(
                f"the transform made {lengths} samples of {len(rows)}: it must keep their number"
            )
        return batch


def _open(data: str | Path) -> xr.Dataset:
    path = Path(data)
    if not path.exists():
        raise InputError(f"no store {str(path)!r}: give the path of a zarr store or a netCDF file")
    (check_store if path.is_dir() else check_hdf5)(path)
    try:
        opened = (
            xr.open_zarr(path, chunks=None, consolidated=False)
            if path.is_dir()
            else xr.open_dataset(path, cache=False)
        )
        return named_errors(opened, path)
    except DAMAGE as error:
        raise InputError(f"{path} is neither a zarr store nor a netCDF file ({reason_of(error)})") from error


def _check(opened: xr.Dataset, variables: Sequence[str], dim: str, data: object) -> None:
    if dim not in opened.sizes or not variables:
        raise InputError(
            f"{_name(data)} has the dimensions {dict(opened.sizes)}: give dim and one variable or more"
        )
    for name in variables:
        if name not in opened:
            raise MissingVariable(
                f"{_name(data)} has no variable {name!r}: it has {', '.join(map(str, opened.variables))}"
            )
        if dim not in opened[name].dims:
            raise InputError(f"{name} has the dimensions {opened[name].dims}, not {dim!r}: leave it out")
        if opened[name].dtype.kind not in "fiub":
            raise InputError(f"{name} has dtype {opened[name].dtype}, which torch cannot hold: leave it out")


def _chunk(variable: xr.DataArray, dim: str) -> int:
    """Return the number of samples in a chunk of the store, or in a chunk of dask if it has none, else 4096."""
    if variable.chunks is not None:
        return int(variable.chunksizes[dim][0])
    stored = variable.encoding.get("preferred_chunks", {}).get(dim)
    return int(stored) if stored else 4096


def _rows(rows: npt.ArrayLike | None, count: int) -> Rows:
    if rows is None:
        return np.arange(count)
    chosen = np.asarray(rows)
    if chosen.dtype == bool:
        if chosen.shape != (count,):
            raise InputError(f"rows is a mask of shape {chosen.shape}: give one for each of {count} samples")
        return np.flatnonzero(chosen)
    chosen = np.unique(chosen.astype(np.int64))
    if len(chosen) and not 0 <= chosen[0] <= chosen[-1] < count:
        raise InputError(f"rows reach from {chosen[0]} to {chosen[-1]}: give numbers in [0, {count})")
    return chosen


def _blocks(rows: Rows, size: int) -> list[Rows]:
    """Return the rows in each block of the store; blocks without rows are omitted."""
    cuts = np.flatnonzero(np.diff(rows // size)) + 1
    return [block for block in np.split(rows, cuts) if len(block)]


def _tensor(values: xr.DataArray, rows: Rows) -> Tensor:
    array = values.to_numpy()
    whole = len(rows) == len(array)
    array = np.array(array, order="C") if whole else array[rows]
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))


def _join(batches: list[Batch]) -> Batch:
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


def _length(batch: Batch) -> int:
    return len(next(iter(batch.values())))


def _mix(count: int, seed: int | None) -> Tensor:
    if seed is None:
        return torch.arange(count)
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def _pieces(missing: int, mixed: Tensor, batch_size: int) -> list[Tensor]:
    """Cut an order into batches; the first one only completes the samples that remain from before."""
    pieces = [mixed[:missing], *torch.split(mixed[missing:], batch_size)]
    return [piece for piece in pieces if len(piece)]


def _share(rows: list[Batch], spare: Batch | None, total: int) -> Share:
    """Return the rows of a process; the spare one if it has none."""
    if not rows:
        assert spare is not None  # one process has all rows
        return Share(spare, 0, total)
    batch = rows[0] if len(rows) == 1 else _join(rows)
    return Share(batch, _length(batch), total)


@dataclass(frozen=True)
class _Deal:
    """The samples of a buffer that one of several processes has.

    Parameters
    ----------
    blocks
        Numbers of the blocks in the buffer of which it has samples.
    places
        For each sample of the buffer its place among those of these blocks, or -1 if another process has it.
    """

    blocks: Rows
    places: Tensor

    @classmethod
    def of(cls, lengths: Rows, rank: int, size: int, number: int) -> _Deal:
        """Deal out the samples of the buffer of this number, whose blocks have these lengths."""
        parts = -(-size // len(lengths))
        edges = [np.arange(parts + 1) * length // parts for length in lengths]
        first = number * parts * len(lengths)
        owners = [
            np.repeat((first + block * parts + np.arange(parts)) % size, np.diff(edge))
            for block, edge in enumerate(edges)
        ]
        blocks = np.flatnonzero([(owner == rank).any() for owner in owners])
        starts = np.cumsum(lengths[blocks]) - lengths[blocks]
        places = [np.full(length, -1) for length in lengths]
        for block, start in zip(blocks, starts, strict=True):
            places[block] = np.where(owners[block] == rank, start + np.arange(lengths[block]), -1)
        return cls(blocks, torch.from_numpy(np.concatenate(places)))


def _leave_signals(_worker: int) -> None:
    """Ignore Ctrl-C, which reaches every process of a terminal: the main process stops its workers itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _name(data: object) -> str:
    return "the dataset" if isinstance(data, xr.Dataset) else str(data)
