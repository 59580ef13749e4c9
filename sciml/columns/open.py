"""Opening of columns from a store, or directly from files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import xarray as xr

from sciml.columns.blocks import CHUNK
from sciml.columns.extract import Keep, convection_columns, only_pairs
from sciml.columns.plan import before_slab, describe_sources
from sciml.columns.write import write_columns
from sciml.errors import InputError, SchemaError
from sciml.wrf.hyperslab import Slab, close_files
from sciml.wrf.opening import open_lazily, open_wrfout

__all__ = ["open_columns", "write_columns"]


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
        A store (``*.zarr``), or files as for `open_wrfout`, in any mixture of forms.
    truth
        Companions (``mskf_offline_*``) of wrfouts among the files.
    keep
        "pairs" returns only columns that can be used for training, "all" returns all columns.
    run
        Number of the run of the columns, if the names of the files do not have it.

    Returns
    -------
    xr.Dataset
        Lazy columns dataset, as from `convection_columns`, with the variables that all files have.

    Raises
    ------
    SchemaError
        The store has another schema.
    InputError
        The files cannot be used, have different vertical grids or time steps, or have no columns to return.
    """
    listed = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if len(listed) == 1 and Path(listed[0]).is_dir() and (Path(listed[0]) / "zarr.json").exists():
        return _open_store(Path(listed[0]), keep)
    sources = describe_sources(listed, truth, run)
    parts = []
    for source in sources:
        ds = open_lazily(Path(source.path))
        if source.form == "wrfout":
            ds = open_wrfout(ds).isel(Time=slice(*source.frames))
        before = before_slab(source, Slab(*source.frames))
        parts.append(convection_columns(ds, source.truth or None, keep="all", run=source.run, before=before))
    close_files()
    return _chosen(_joined(parts), keep)


def _chosen(columns: xr.Dataset, keep: Keep) -> xr.Dataset:
    return only_pairs(columns) if keep == "pairs" else columns


def _open_store(path: Path, keep: Keep) -> xr.Dataset:
    try:
        ds = xr.open_zarr(path, chunks={"column": 16 * CHUNK}, consolidated=False)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} cannot be opened as a zarr store ({error}): write it again") from error
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
    out = xr.concat(
        [part[shared] for part in parts],
        dim="column",
        combine_attrs="override",
        coords="minimal",
        compat="override",
    )
    out.attrs["SOURCE"] = ", ".join(part.attrs["SOURCE"] for part in parts)
    out.attrs["history"] = f"columns of {len(parts)} files by sciml"
    return out
