"""Writing the store: Dask reads files block by block and writes a columnar zarr, once.

Each block goes to its own place in the store. Chunks of the store that lie in one block are written by it; a
chunk shared by neighbours gets its pieces from small files that the blocks leave, in a second pass. So no two
tasks write one chunk, no file is decompressed twice, and the bytes do not depend on who did what.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import zarr
from zarr.codecs import BloscCodec

from sciml.columns.blocks import (
    CHUNK,
    CODEC,
    COORDS,
    KEY_SEPARATOR,
    LONG_CHUNK,
    left_by,
    seams,
    write_block,
    write_seam,
)
from sciml.columns.classes import Classes
from sciml.columns.extract import Keep
from sciml.columns.formats import SCHEMA
from sciml.columns.inputs import why_unknown
from sciml.columns.plan import Source, blocks_of, count_slabs, describe_sources, identity
from sciml.columns.replacing import check_replaceable
from sciml.errors import InputError, SciMLError
from sciml.parallel.bounded import hands
from sciml.progress import Telling
from sciml.storage.partial import PLAN, claimed, discard
from sciml.wrf.hyperslab import close_files, read_header
from sciml.wrf.missing import describe_missing
from sciml.wrf.precision import LossyInput, message
from sciml.wrf.variables import SCHEME_INPUTS, TABLE, TRAINING_TARGETS

__all__ = ["write_columns"]

BLOCK_BYTES: Final = 48 << 20
FILES: Final = (
    ".nc",
    ".nc4",
    ".cdf",
    ".h5",
    ".hdf5",
    ".he5",
    ".grib",
    ".csv",
    ".npz",
    ".npy",
    ".sciml",
    ".zip",
)
"""Endings of names of files, in lower case: a store is a folder and takes none of them."""


def write_columns(
    paths: str | Path | Iterable[str | Path],
    output: str | Path,
    *,
    truth: str | Path | Iterable[str | Path] | None = None,
    run: int | None = None,
    keep: Keep = "pairs",
    workers: int | None = None,
    overwrite: bool = False,
    block_bytes: int = BLOCK_BYTES,
    telling: Telling | None = None,
) -> Classes:
    """Write the columns of files into a store, once, for training to read fast.

    Parameters
    ----------
    paths
        wrfouts, captures and drawn pairs, mixed: files, globs, directories.
    output
        The store, a zarr (format 3) directory; chunked along the column alone. It appears under this name
        when it is complete; until then ``<output>.partial`` holds what is done.
    truth
        Companions of wrfouts among the files (``mskf_offline_*``).
    run
        The run of the columns, where the files do not tell it.
    keep
        Only the "pairs" that may be trained on (what is left out is counted in the attributes), or "all".
    workers
        Dask worker processes; 1 works in this process. By default the scheduler that is there (see
        `sciml.parallel.cluster.client`), else one worker a core where there is enough work for them.
    overwrite
        Replace a store of that name; nothing else is ever replaced.
    block_bytes
        About how much of a file a task reads at once. Memory is a few times that for each worker, however
        many files there are. The store does not depend on it.
    telling
        Where progress goes; default: a bar in a terminal, lines in a log.

    Returns
    -------
    Classes
        How many columns of each class the files hold.

    Raises
    ------
    InputError
        Files that cannot be used, NaN in them, nothing to keep; the output exists, or (with `overwrite`) is no
        store of columns, or holds an input; another process is writing it.
    MissingVariable
        An input of the scheme is not there.
    OSError
        The disk is full; what was done stays, and the same call goes on from there.
    KeyboardInterrupt
        Likewise.
    """
    output = Path(output).resolve()
    if output.suffix.lower() in FILES:
        raise InputError(
            f"{output.name} names a file, and a store of columns is a zarr folder: give {output.stem}.zarr"
        )
    sources = describe_sources(paths, truth, run)
    names = _variables(sources)
    own = identity(
        sources, {"keep": keep, "schema": SCHEMA, "chunk": [CHUNK, LONG_CHUNK], "variables": names}
    )
    telling = telling or Telling.automatic()
    if _done(output, own, sources, overwrite):
        telling.say(f"{output} is there already, made of these files as they are now: nothing to do")
        return _told_classes(output)
    if not output.parent.is_dir():
        raise InputError(f"there is no folder {output.parent} to write {output.name} into")
    with contextlib.ExitStack() as stack:
        partial = stack.enter_context(claimed(output, "store"))
        if _done(output, own, sources, overwrite):  # by another process, a moment ago
            return _told_classes(output)
        carry_out = stack.enter_context(
            hands(workers, sum(_bytes(s) for s in sources) // block_bytes, finish=close_files)
        )
        stack.enter_context(telling)
        counted = [([0], Classes(0, 0, 0))] * len(sources)
        to_count = [(s, block_bytes, keep) for s in sources]
        for index, result in carry_out(_count, to_count, telling.stage("counting")):
            counted[index] = result
        blocks = blocks_of(sources, [kept for kept, _ in counted], block_bytes)
        found = sum((c for _, c in counted), Classes(0, 0, 0))
        total = blocks[-1].last if blocks else 0
        if not total:
            raise InputError(
                f"none of the {found.total} columns of {len(sources)} files {_why_none(sources)}"
            )
        try:
            _prepare(partial, own, sources, names, total, found, keep)
            tasks = [
                (str(partial), sources[b.source], b, keep, total, names)
                for b in blocks
                if b.last > b.first and not left_by(partial, b.first, b.last).exists()
            ]
            _warned(carry_out(write_block, tasks, telling.stage("writing")))
            joints = seams(partial, blocks, total, names)
            list(carry_out(write_seam, joints, telling.stage("joining")))
        except SciMLError:
            # The input is at fault: what was done of it is of no use.
            discard(partial)
            raise
        except OSError as error:
            if error.filename is None and error.errno is not None:
                raise OSError(error.errno, os.strerror(error.errno), str(partial)) from error
            raise
        if output.exists():
            os.replace(output, partial / "replaced")
        os.replace(partial / "store", output)
        discard(partial)
    return found


def _done(output: Path, own: str, sources: Sequence[Source], overwrite: bool) -> bool:
    """Whether the store is there already; refuses an output that may not be replaced."""
    if not output.exists():
        return False
    if overwrite:
        check_replaceable(output, [Path(p) for s in sources for p in (s.path, s.truth) if p])
        return False
    if _same(output, own):
        return True
    raise InputError(f"{output} exists: remove it, choose another name, or pass overwrite=True (--overwrite)")


def _why_none(sources: Sequence[Source]) -> str:
    """What keeps all columns of these files from being pairs."""
    alone = [Path(s.path) for s in sources if s.form == "wrfout" and not s.truth]
    reasons = {path: why_unknown(read_header(path)) for path in alone}
    told = next(
        (f"can be told held from computed: {path}: {why}" for path, why in reasons.items() if why), ""
    )
    return told or (
        "was computed by the scheme at its output time: write history at multiples of CUDT with the tendencies, "
        "or give the truth (--truth)"
    )


def _variables(sources: Sequence[Source]) -> list[str]:
    """Inputs, and the targets that all sources have."""
    shared = [name for name in sources[0].targets if all(name in s.targets for s in sources)]
    left = sorted({name for s in sources for name in s.targets} - set(shared))
    if left:
        warnings.warn(f"left out, for not all files tell them: {', '.join(left)}", stacklevel=3)
    _warn_of_training(sources, shared)
    return [*SCHEME_INPUTS, *shared]


def _warn_of_training(sources: Sequence[Source], shared: Sequence[str]) -> None:
    """Warn of targets that training will ask for, before WRF's output is read and a store written."""
    absent = [name for name in TRAINING_TARGETS if name not in shared and name != "RQSCUTEN"]
    if shared and absent:
        source = next(s for s in sources if any(name not in s.targets for name in absent))
        text = describe_missing(absent, source.truth or source.path, why="training needs them")
        warnings.warn(f"the columns cannot be trained on: {text}", stacklevel=4)


def _bytes(source: Source) -> int:
    frames = source.frames[1] - source.frames[0]
    return 4 * frames * int(np.prod(source.size)) * (len(SCHEME_INPUTS) + len(source.targets))


def _same(output: Path, own: str) -> bool:
    try:
        return bool(zarr.open_group(output, mode="r").attrs.get("plan") == _digest(own))
    except (OSError, ValueError, KeyError):
        return False


def _told_classes(output: Path) -> Classes:
    told: Any = zarr.open_group(output, mode="r").attrs["classes"]
    return Classes(**told)


def _digest(own: str) -> str:
    return hashlib.sha256(own.encode()).hexdigest()


def _count(item: tuple[Source, int, Keep]) -> tuple[list[int], Classes]:
    return count_slabs(*item)


def _warned(results: Iterator[tuple[int, tuple[str, list[str]]]]) -> None:
    seen: set[str] = set()
    for _, (path, lines) in results:
        if lines and path not in seen:
            seen.add(path)
            warnings.warn(message(path, lines), LossyInput, stacklevel=3)


def _prepare(
    partial: Path,
    own: str,
    sources: Sequence[Source],
    names: list[str],
    total: int,
    found: Classes,
    keep: Keep,
) -> None:
    """Make the empty store, or take up the one an interrupted call with the same plan left."""
    plan = partial / PLAN
    if plan.exists() and plan.read_text() == own:
        return
    discard(partial)
    (partial / "done").mkdir()
    files = [Path(s.path).name for s in sources]
    attrs = {
        **sources[0].attrs,
        "STEPCU": int(sources[0].attrs["STEPCU"]),
        "sciml_schema": SCHEMA,
        "SOURCE": ", ".join(files) if len(files) <= 8 else f"{len(files)} files, {files[0]} to {files[-1]}",
        "history": f"columns of {len(files)} files by 'sciml wrf columns'",
        "classes": {k: getattr(found, k) for k in ("none", "shallow", "deep", "held", "unknown")},
        "kept": keep,
        "plan": _digest(own),
        "coordinates": " ".join(COORDS),
    }
    group = zarr.create_group(partial / "store", zarr_format=3, attributes=attrs)
    levels = sources[0].size[0]
    for name in names:
        row = TABLE[name]
        shape = (total, levels) if row.dims == "3d" else (total,)
        about = {"long_name": row.long_name, "units": row.units}
        if row.standard_name:
            about["standard_name"] = row.standard_name
        _create(group, name, shape, "float32", about)
    for name, (dtype, about_coord) in COORDS.items():
        _create(group, name, (total,), dtype, about_coord)
    # Last, by renaming: a plan that is there means that the skeleton is whole.
    plan.with_suffix(".tmp").write_text(own)
    os.replace(plan.with_suffix(".tmp"), plan)


def _create(group: zarr.Group, name: str, shape: tuple[int, ...], dtype: str, attrs: dict[str, Any]) -> None:
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
