"""Opening of columns from a store, or directly from files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import xarray as xr

from sciml.columns.blocks import CHUNK
from sciml.columns.extract import Keep, convection_columns, only_pairs
from sciml.columns.formats import COLUMNS_SCHEMA, COORDINATE_ATTRS, MIXED_SCHEMA, SYNTHETIC
from sciml.columns.mixture import Mixture, describe_mixture, ranges
from sciml.columns.plan import before_slab, describe_sources
from sciml.columns.write import write_columns
from sciml.errors import InputError, SchemaError
from sciml.storage.containment import check_store
from sciml.storage.damage import DAMAGE, reason_of
from sciml.storage.lazy_values import named_errors
from sciml.wrf.hyperslab import Slab, close_files
from sciml.wrf.opening import open_lazily, open_wrfout

__all__ = ["is_store", "open_columns", "write_columns"]


def open_columns(
    paths: str | Path | Iterable[str | Path],
    *,
    truth: str | Path | Iterable[str | Path] | None = None,
    keep: Keep = "pairs",
    run: int | None = None,
) -> xr.Dataset:
    """Open a store, or captures, drawn pairs and wrfouts, as one columns dataset.

    Parameters
    ----------
    paths
        Stores (``*.zarr``), and files as for `open_wrfout`, in any mixture of forms.
    truth
        Companions (``mskf_offline_*``) of wrfouts among the files.
    keep
        "pairs" returns only columns that can be used for training, "all" returns all columns.
    run
        Number of the run of the columns, if the names of the files do not have it.

    Returns
    -------
    xr.Dataset
        Lazy columns dataset, as from `convection_columns`, with the variables that all files have. Of DX [m],
        DT [s], CUDT [min] and STEPCU those in which the runs differ are coordinates (column,); the others are
        attributes. If the numbers of levels differ, the coordinate LEVELS (column,) has that of each column, the
        dimension ``level`` is as long as the longest column, and profiles are NaN above a shorter one. SYNTHETIC
        (column,) is 1 in the columns that `sciml.convection.augmentation.augment` made, if a store has any.

    Raises
    ------
    SchemaError
        A store has another schema.
    InputError
        The files cannot be used, have outputs of different schemes, or have no columns to return.
    """
    listed = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if len(listed) == 1 and is_store(listed[0]):
        return _open_store(Path(listed[0]), keep)
    parts = [_open_store(Path(path), "all") for path in listed if is_store(path)]
    files = [path for path in listed if not is_store(path)]
    sources = describe_sources(files, truth, run) if files or not parts else []
    for source in sources:
        ds = open_lazily(Path(source.path))
        if source.form == "wrfout":
            ds = open_wrfout(ds).isel(Time=slice(*source.frames))
        before = before_slab(source, Slab(*source.frames))
        parts.append(convection_columns(ds, source.truth or None, keep="all", run=source.run, before=before))
    close_files()
    return _chosen(_joined(parts), keep)


def is_store(path: str | Path) -> bool:
    """Whether a path is a folder with a zarr store."""
    return isinstance(path, (str, Path)) and Path(path).is_dir() and (Path(path) / "zarr.json").exists()


def _chosen(columns: xr.Dataset, keep: Keep) -> xr.Dataset:
    return only_pairs(columns) if keep == "pairs" else columns


def _open_store(path: Path, keep: Keep) -> xr.Dataset:
    check_store(path)
    try:
        ds = named_errors(xr.open_zarr(path, chunks=None, consolidated=False), path).chunk(column=16 * CHUNK)
    except DAMAGE as error:
        raise InputError(
            f"{path} cannot be opened as a zarr store ({reason_of(error)}): write it again"
        ) from error
    if "sciml_schema" not in ds.attrs:
        raise SchemaError(
            f"{path} is a zarr store but not one of columns (it has no schema number, sciml_schema): make one with "
            "'sciml wrf columns'"
        )
    return convection_columns(ds, keep=keep)


def _joined(parts: list[xr.Dataset]) -> xr.Dataset:
    if len(parts) == 1:
        return parts[0]
    shared = [n for n in parts[0].data_vars if all(n in part for part in parts)]
    if any(SYNTHETIC in part.coords for part in parts):
        parts = [_with_origin(part) for part in parts]
    mixture = Mixture.of_datasets(parts)
    out = xr.concat(
        [mixture.arrange(part[shared]) for part in parts],
        dim="column",
        combine_attrs="override",
        coords="minimal",
        compat="override",
    )
    differing = describe_mixture(ranges(out))
    out.attrs = {
        **mixture.attrs,
        "sciml_schema": MIXED_SCHEMA if mixture.names or SYNTHETIC in out.coords else COLUMNS_SCHEMA,
        "SOURCE": ", ".join(part.attrs["SOURCE"] for part in parts),
        "history": f"columns of {len(parts)} files{differing and f' ({differing})'} by sciml",
    }
    return out


def _with_origin(columns: xr.Dataset) -> xr.Dataset:
    """Mark columns of a run as not synthetic, where they are joined with an augmented store."""
    if SYNTHETIC in columns.coords:
        return columns
    zeros = np.zeros(columns.sizes["column"], np.int8)
    return columns.assign_coords({SYNTHETIC: ("column", zeros, COORDINATE_ATTRS[SYNTHETIC])})
