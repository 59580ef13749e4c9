"""Writing of an augmented store: the columns of runs, then blocks of synthetic columns from small files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr

from sciml.columns.blocks import CHUNK, LONG_CHUNK, coords_of, put_chunks, save_arrays, stored_arrays
from sciml.columns.classes import KINDS, Classes
from sciml.columns.empty_store import create_array, digest_of
from sciml.columns.extract import check_finite
from sciml.columns.formats import COORDINATE_ATTRS, MIXED_SCHEMA, SYNTHETIC
from sciml.columns.mixture import MIXED, Mixture
from sciml.progress import Update
from sciml.storage import provenance
from sciml.storage.partial import PartialStore
from sciml.version import __version__
from sciml.wrf.variables import TABLE

__all__ = ["Part", "finished", "put_part", "read_summary", "write_store"]

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Part:
    """A finished block of synthetic columns: its file, and their classes (column,)."""

    path: Path
    kind: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.kind)


def put_part(
    partial: PartialStore, number: int, columns: xr.Dataset, names: Sequence[str], mixture: Mixture
) -> None:
    """Write a block of synthetic columns into a file of the unfinished store.

    Parameters
    ----------
    partial, number
        Unfinished store, and number of the block.
    columns
        Columns of one run, with their settings as attributes.
    names, mixture
        Variables of the store, and in what its runs differ.
    """
    save_arrays(_path(partial, number), dict(stored_arrays(columns, names, mixture)))
    partial.mark(number)  # last: the mark says that the file is complete


def finished(partial: PartialStore, number: int) -> Part:
    """Return a finished block."""
    path = _path(partial, number)
    with np.load(path) as arrays:
        return Part(path, arrays["KIND"])


def read_summary(store: Path) -> dict[str, Any]:
    """Read the numbers of columns of an augmented store, which `write_store` wrote."""
    about: Any = zarr.open_group(store, mode="r").attrs["augmentation"]
    return dict(about)


def write_store(
    partial: PartialStore,
    columns: xr.Dataset,
    parts: Sequence[Part],
    names: Sequence[str],
    mixture: Mixture,
    about: dict[str, Any],
    update: Update,
) -> None:
    """Write the store: the columns in their order, then the synthetic columns.

    Parameters
    ----------
    partial
        Unfinished store; what an interrupted call wrote is replaced.
    columns, parts
        Columns of the runs, and blocks of synthetic columns.
    names, mixture
        Variables of the store, and in what the runs differ.
    about
        Attribute ``augmentation`` of the store.
    update
        Progress in chunks.
    """
    total = columns.sizes["column"] + sum(map(len, parts))
    coords = {**coords_of(mixture), SYNTHETIC: ("int8", {})}
    kinds = np.concatenate([columns["KIND"].values, *(part.kind for part in parts)])
    group = zarr.create_group(
        partial.store,
        zarr_format=3,
        overwrite=True,
        attributes=_attributes(partial, columns, list(coords), mixture, about, Classes.count(kinds)),
    )
    for name in names:
        row = TABLE[name]
        shape = (total, mixture.levels) if row.dims == "3d" else (total,)
        standard = {"standard_name": row.standard_name} if row.standard_name else {}
        create_array(
            group, name, shape, "float32", {"long_name": row.long_name, "units": row.units, **standard}
        )
    for name, (dtype, attrs) in coords.items():
        create_array(group, name, (total,), dtype, {**COORDINATE_ATTRS.get(name, {}), **attrs})
    flat: dict[str, list[npt.NDArray[Any]]] = {}
    first = 0
    for start, arrays in _chunks(columns, parts, names, mixture):
        stop = min(start + CHUNK, total)
        for name, values in arrays.items():
            if values.ndim > 1:
                put_chunks(partial.store, name, start, values, CHUNK)
            else:
                flat.setdefault(name, []).append(values)
        if stop == total or stop % LONG_CHUNK == 0:
            for name, pieces in flat.items():
                put_chunks(partial.store, name, first, np.concatenate(pieces), LONG_CHUNK)
            flat, first = {}, stop
        update(-(-stop // CHUNK), -(-total // CHUNK))


def _chunks(
    columns: xr.Dataset, parts: Sequence[Part], names: Sequence[str], mixture: Mixture
) -> Iterator[tuple[int, Arrays]]:
    """Yield the number of the first column, and the arrays, of each chunk of the store."""
    start, left = 0, Arrays()
    for piece in _pieces(columns, parts, names, mixture):
        joined = {name: np.concatenate([left[name], piece[name]]) for name in piece} if left else piece
        size = len(joined["RUN"])
        whole = size // CHUNK * CHUNK
        for first in range(0, whole, CHUNK):
            yield start + first, {name: values[first : first + CHUNK] for name, values in joined.items()}
        start += whole
        left = {name: values[whole:] for name, values in joined.items()} if whole < size else {}
    if left:
        yield start, left


def _pieces(
    columns: xr.Dataset, parts: Sequence[Part], names: Sequence[str], mixture: Mixture
) -> Iterator[Arrays]:
    """Yield the arrays of the columns, then those of each block of synthetic columns."""
    for start in range(0, columns.sizes["column"], CHUNK):
        piece = columns[list(names)].isel(column=slice(start, start + CHUNK)).load()
        check_finite(piece)
        zeros = np.zeros(piece.sizes["column"], np.int8)
        yield {**dict(stored_arrays(piece, names, mixture)), SYNTHETIC: zeros}
    for part in parts:
        if len(part):
            with np.load(part.path) as arrays:
                yield {**arrays, SYNTHETIC: np.ones(len(part), np.int8)}


def _attributes(
    partial: PartialStore,
    columns: xr.Dataset,
    coords: list[str],
    mixture: Mixture,
    about: dict[str, Any],
    classes: Classes,
) -> dict[str, Any]:
    """Return the attributes of the store, which are those of `sciml wrf columns` and the numbers of augmentation."""
    shared = {
        name: (int if MIXED[name][0] == "int32" else float)(value) for name, value in mixture.attrs.items()
    }
    count = sum(about["synthetic"].values())
    history = (
        f"{count} synthetic columns, labelled by {about['teacher']}, added by 'sciml convection augment', "
        f"sciml {__version__}"
    )
    return {
        **shared,
        "sciml_schema": MIXED_SCHEMA,
        "SOURCE": str(columns.attrs.get("SOURCE", "")),
        "history": "\n".join(filter(None, [str(columns.attrs.get("history", "")), history])),
        "classes": {name: getattr(classes, name) for name in KINDS},
        "plan": digest_of(json.dumps(partial.plan())),
        "coordinates": " ".join(coords),
        "augmentation": about,
        **provenance.attribute(),
    }


def _path(partial: PartialStore, number: int) -> Path:
    return partial.folder / "done" / f"{number}.npz"
