"""Tasks that write the store. Each reads a block of a file and writes its columns."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numcodecs
import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml.columns.classes import KIND_ATTRS
from sciml.columns.extract import Keep, check_finite, make_columns
from sciml.columns.mixture import MIXED, Mixture
from sciml.columns.plan import PAIRS, Block, SourceFile, before_slab, companion_slab
from sciml.errors import InputError
from sciml.wrf.hyperslab import read_slab
from sciml.wrf.precision import lossy_lines
from sciml.wrf.times import frame_times, gregorian
from sciml.wrf.variables import TABLE

__all__ = [
    "CHUNK",
    "CODEC",
    "COORDS",
    "KEY_SEPARATOR",
    "LONG_CHUNK",
    "block_columns",
    "coords_of",
    "left_by",
    "put_chunks",
    "save_arrays",
    "seams",
    "stored_arrays",
    "write_block",
    "write_seam",
]

CHUNK: Final = 4096
"""Number of columns in a chunk of a profile variable."""
LONG_CHUNK: Final = 16 * CHUNK
"""Number of columns in a chunk of a variable without levels. Opening a file takes longer than writing 16 kB."""
KEY_SEPARATOR: Final = "."
"""Separator in the key of a chunk. With the default of zarr, a slash, each chunk would need its own folder."""
CODEC: Final[dict[str, Any]] = {"cname": "lz4", "clevel": 1}
# A fast codec: decompression of the wrfouts limits reading, and training reads the store often.
COORDS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "Time": ("float64", {"units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian"}),
    "XTIME": ("float32", {}),
    "south_north": ("int32", {}),
    "west_east": ("int32", {}),
    "RUN": ("int32", {}),
    "KIND": ("int8", {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in KIND_ATTRS.items()}),
    "WEIGHT": ("float32", {}),
}


def block_columns(source: SourceFile, block: Block, keep: Keep) -> tuple[xr.Dataset, list[str]]:
    """Read and check the columns of a block; also a line for each variable that looks rounded."""
    with_truth = bool(source.truth)
    ds = read_slab(source.path, source.fields, block.slab)
    lines = lossy_lines(ds, 16384)
    companion = None
    if with_truth:
        wanted = ("Times", "XTIME", *source.targets)
        companion = companion_slab(source, frame_times(ds), wanted, block.slab)
    columns = make_columns(ds, companion, run=source.run, before=before_slab(source, block.slab))
    if block.slab.rows is not None:
        rows = columns["south_north"].values + np.int32(block.slab.rows[0])
        columns = columns.assign_coords(south_north=("column", rows))
    if keep == "pairs":
        chosen = np.isin(columns["KIND"].values, PAIRS)
        if not chosen.all():
            columns = columns.isel(column=np.flatnonzero(chosen))
    if columns.sizes["column"] != block.last - block.first:
        raise InputError(f"{source.path} has changed while it was read: run the command again")
    check_finite(columns)
    return columns, lines


def coords_of(mixture: Mixture) -> dict[str, tuple[str, dict[str, Any]]]:
    """Type and attributes of the coordinates of a store by name."""
    return {**COORDS, **{name: MIXED[name] for name in mixture.names}}


def stored_arrays(
    columns: xr.Dataset, names: Sequence[str], mixture: Mixture
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Names and values to store, in the order and precision of the store."""
    columns = mixture.arrange(columns)
    for name in names:
        yield name, np.ascontiguousarray(columns[name].values, dtype=np.float32)
    for name, (dtype, _) in coords_of(mixture).items():
        values = columns[name].values
        if name == "Time":
            values = gregorian(values)
        if values.dtype.kind == "M":
            seconds = values.astype("datetime64[us]").astype(np.int64) / 1e6
            values = np.where(np.isnat(values), np.nan, seconds)
        yield name, values.astype(dtype)


def write_block(item: tuple[str, SourceFile, Block, Keep, int, list[str], Mixture]) -> tuple[str, list[str]]:
    """Read a block, write its whole chunks and leave its edges for `write_seam`.

    Returns
    -------
    str, list[str]
        The file, and a line for each variable that looks rounded.
    """
    place, source, block, keep, total, names, mixture = item
    columns, lines = block_columns(source, block, keep)
    partial = Path(place)
    store = partial / "store"
    inner, edges = _split(block.first, block.last, total)
    left: dict[str, npt.NDArray[Any]] = {}
    for name, values in stored_arrays(columns, names, mixture):
        if values.ndim == 1:
            left[name] = values
            continue
        if inner is not None:
            put_chunks(store, name, inner[0], values[inner[0] - block.first : inner[1] - block.first], CHUNK)
        for a, b in edges:
            left[f"{name}:{a}-{b}"] = values[a - block.first : b - block.first]
    save_arrays(left_by(partial, block.first, block.last), left)  # marks the block as finished
    return source.path, lines


def save_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays to a file of numpy (``.npz``); it appears under its name when it is complete."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")  # workers of a killed process may not have ended yet
    with temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy's stub takes no dict of arrays
    os.replace(temporary, path)


def left_by(partial: Path, first: int, last: int) -> Path:
    """Return the path of the file with the edges of a block and its variables without levels.

    The file marks the block as finished.
    """
    return partial / "done" / f"{first}-{last}.npz"


def put_chunks(store: Path, name: str, first: int, values: npt.NDArray[Any], chunk: int) -> None:
    """Write whole chunks of an array, starting at column `first`.

    The files follow the specification of zarr 3 (key ``c.i[.0]``, content from the codecs). They are not written with
    zarr-python, whose scheduling takes four times as long as the compression of a chunk. A chunk of zeros is the fill
    value and is not written.
    """
    codec, folder = _codec(), store / name
    folder.mkdir(parents=True, exist_ok=True)
    for begin in range(0, len(values), chunk):
        piece = values[begin : begin + chunk]
        if not piece.any():
            continue
        if len(piece) < chunk:
            # The last chunk of an array is stored with its full length.
            whole = np.zeros((chunk, *values.shape[1:]), values.dtype)
            whole[: len(piece)] = piece
            piece = whole
        key = f"c{KEY_SEPARATOR}{(first + begin) // chunk}" + f"{KEY_SEPARATOR}0" * (values.ndim - 1)
        (folder / key).write_bytes(codec.encode(np.ascontiguousarray(piece)))


def _codec() -> numcodecs.Blosc:
    return numcodecs.Blosc(cname=CODEC["cname"], clevel=CODEC["clevel"], shuffle=numcodecs.Blosc.SHUFFLE)


def _split(first: int, last: int, total: int) -> tuple[tuple[int, int] | None, list[tuple[int, int]]]:
    """Range of whole chunks of the store in [first, last), and the edges that are parts of chunks."""
    low = -(-first // CHUNK) * CHUNK
    high = last if last == total else last // CHUNK * CHUNK
    if low >= last:
        return None, [(first, last)]
    edges = [(first, low)] if first < low else []
    if high < last:
        edges.append((high, last))
    return (low, high) if low < high else None, edges


Seam = tuple[str, str, int, list[tuple[int, int, int, int]], list[str]]


def seams(
    partial: Path, blocks: Sequence[Block], total: int, names: Sequence[str], mixture: Mixture
) -> list[Seam]:
    """Return the tasks for `write_seam`, which run when all blocks are finished.

    Each has the folder, "edges" or "whole", the first column of the chunk, the pieces (first and last column, and the
    block that left them), and the variables.
    """
    profiles = [name for name in names if TABLE[name].dims == "3d"]
    flat = [*(name for name in names if TABLE[name].dims != "3d"), *coords_of(mixture)]
    edges: dict[int, list[tuple[int, int, int, int]]] = {}
    whole: dict[int, list[tuple[int, int, int, int]]] = {}
    for block in blocks:
        if block.last == block.first:
            continue
        own = (block.first, block.last)
        for a, b in _split(*own, total)[1]:
            edges.setdefault(a // CHUNK, []).append((a, b, *own))
        for k in range(block.first // LONG_CHUNK, (block.last - 1) // LONG_CHUNK + 1):
            a, b = max(block.first, k * LONG_CHUNK), min(block.last, (k + 1) * LONG_CHUNK)
            whole.setdefault(k, []).append((a, b, *own))
    place = str(partial)
    out: list[Seam] = [
        (place, "edges", pieces[0][0], pieces, profiles) for _, pieces in sorted(edges.items())
    ]
    out += [(place, "whole", pieces[0][0], pieces, flat) for _, pieces in sorted(whole.items())]
    return out


def write_seam(seam: Seam) -> None:
    """Write a chunk that several blocks share, from the files that these blocks wrote."""
    place, what, first, pieces, names = seam
    partial = Path(place)
    files = [np.load(left_by(partial, *piece[2:])) for piece in pieces]
    try:
        for name in names:
            if what == "edges":
                parts = [file[f"{name}:{a}-{b}"] for file, (a, b, _, _) in zip(files, pieces, strict=True)]
            else:
                parts = [file[name][a - f : b - f] for file, (a, b, f, _) in zip(files, pieces, strict=True)]
            chunk = CHUNK if what == "edges" else LONG_CHUNK
            put_chunks(partial / "store", name, first, np.concatenate(parts), chunk)
    finally:
        for file in files:
            file.close()
