"""The empty store of columns: its arrays and attributes, before any column is written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec

from sciml.columns.blocks import CHUNK, CODEC, KEY_SEPARATOR, LONG_CHUNK, coords_of
from sciml.columns.classes import KINDS, Classes
from sciml.columns.extract import Keep
from sciml.columns.formats import COLUMNS_SCHEMA, COORDINATE_ATTRS, MIXED_SCHEMA
from sciml.columns.mixture import Mixture, describe_mixture, ranges_of_files
from sciml.columns.plan import SourceFile
from sciml.storage import provenance
from sciml.storage.partial import PLAN, discard
from sciml.version import __version__
from sciml.wrf.variables import TABLE

__all__ = ["create_array", "digest_of", "has_plan", "prepare_store", "stored_classes"]


def has_plan(output: Path, plan: str) -> bool:
    """Return whether the store is complete and was written by this plan."""
    try:
        return bool(zarr.open_group(output, mode="r").attrs.get("plan") == digest_of(plan))
    except (OSError, ValueError, KeyError):
        return False


def stored_classes(output: Path) -> Classes:
    """Numbers of columns of each class, from the attributes of a store."""
    numbers: Any = zarr.open_group(output, mode="r").attrs["classes"]
    return Classes(**numbers)


def digest_of(plan: str) -> str:
    """Digest of the text of a plan, which a store has as the attribute ``plan``."""
    return hashlib.sha256(plan.encode()).hexdigest()


def prepare_store(
    partial: Path,
    plan: str,
    sources: Sequence[SourceFile],
    names: list[str],
    total: int,
    classes: Classes,
    keep: Keep,
    mixture: Mixture,
) -> None:
    """Make the empty store, or reuse the store of an interrupted call with the same plan.

    Parameters
    ----------
    partial
        Folder of the unfinished store.
    plan
        Text of the plan (`sciml.columns.plan.identity`).
    sources, names, total
        Files, variables, and number of columns of the store.
    classes, keep
        Numbers of columns of each class in the files, and the choice among them; written as attributes.
    mixture
        What the files share, and in what they differ.
    """
    path = partial / PLAN
    if path.exists() and path.read_text() == plan:
        return
    discard(partial)
    (partial / "done").mkdir()
    attrs = _attributes(plan, sources, classes, keep, mixture)
    group = zarr.create_group(partial / "store", zarr_format=3, attributes=attrs)
    for name in names:
        row = TABLE[name]
        shape = (total, mixture.levels) if row.dims == "3d" else (total,)
        about = {"long_name": row.long_name, "units": row.units}
        if row.standard_name:
            about["standard_name"] = row.standard_name
        create_array(group, name, shape, "float32", about)
    for name, (dtype, about_coord) in coords_of(mixture).items():
        create_array(group, name, (total,), dtype, {**COORDINATE_ATTRS.get(name, {}), **about_coord})
    # Renamed last, because the presence of the plan marks the empty store as complete.
    path.with_suffix(".tmp").write_text(plan)
    os.replace(path.with_suffix(".tmp"), path)


def _attributes(
    plan: str, sources: Sequence[SourceFile], classes: Classes, keep: Keep, mixture: Mixture
) -> dict[str, Any]:
    files = [Path(s.path).name for s in sources]
    between = ranges_of_files([s.attrs for s in sources], [s.size[0] for s in sources])
    differing = describe_mixture(between)
    return {
        **{name: int(value) if name == "STEPCU" else value for name, value in mixture.attrs.items()},
        "sciml_schema": MIXED_SCHEMA if mixture.names else COLUMNS_SCHEMA,
        "SOURCE": ", ".join(files) if len(files) <= 8 else f"{len(files)} files, {files[0]} to {files[-1]}",
        "history": f"columns of {len(files)} files{differing and f' ({differing})'} by 'sciml wrf columns', "
        f"sciml {__version__}",
        "classes": {name: getattr(classes, name) for name in KINDS},
        "kept": keep,
        "plan": digest_of(plan),
        "coordinates": " ".join(coords_of(mixture)),
        **provenance.attribute(),
    }


def create_array(
    group: zarr.Group, name: str, shape: tuple[int, ...], dtype: str, attrs: dict[str, Any]
) -> None:
    """Make an array of the store, without values."""
    group.create_array(
        name,
        shape=shape,
        chunks=(CHUNK, *shape[1:]) if len(shape) > 1 else (LONG_CHUNK,),
        dtype=dtype,
        compressors=[BloscCodec(typesize=np.dtype(dtype).itemsize, shuffle="shuffle", **CODEC)],
        fill_value=0,
        chunk_key_encoding={"name": "default", "separator": KEY_SEPARATOR},
        dimension_names=("column", "level")[: len(shape)],
        attributes=attrs,
    )
