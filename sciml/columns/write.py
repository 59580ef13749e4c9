"""Writing of the store: Dask reads files block by block and writes a columnar zarr store.

Each block has its own range of columns in the store, and writes the chunks that lie within this range. A chunk that
two blocks share is written in a second pass, from small files of the blocks. Therefore no two tasks write the same
chunk, no file is decompressed twice, and the bytes do not depend on the number of workers.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from sciml.columns.blocks import CHUNK, LONG_CHUNK, left_by, seams, write_block, write_seam
from sciml.columns.classes import Classes
from sciml.columns.empty_store import has_plan, prepare_store, stored_classes
from sciml.columns.extract import Keep
from sciml.columns.fields import read_header
from sciml.columns.formats import COLUMNS_SCHEMA, MIXED_SCHEMA
from sciml.columns.inputs import why_unknown
from sciml.columns.mixture import Mixture
from sciml.columns.plan import Block, SourceFile, blocks_of, count_slabs, describe_sources, identity
from sciml.columns.replacing import check_replaceable, check_store_name
from sciml.errors import ClusterError, InputError, SciMLError
from sciml.parallel.bounded import TaskRunner, open_task_runner
from sciml.progress import StageProgress
from sciml.schemes.mskf import MSKF
from sciml.storage.partial import claimed, clear, discard, finish_placing, place
from sciml.storage.provenance import seal_store
from sciml.wrf.hyperslab import close_files
from sciml.wrf.missing import describe_missing
from sciml.wrf.precision import LossyInput, message

__all__ = ["write_columns"]

BLOCK_BYTES: Final = 48 << 20


@dataclass(frozen=True)
class _Plan:
    """What a call of `write_columns` writes."""

    sources: list[SourceFile]
    names: list[str]
    keep: Keep
    block_bytes: int
    mixture: Mixture
    text: str


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
    progress: StageProgress | None = None,
) -> Classes:
    """Write the columns of files into a store, from which training reads them fast.

    Parameters
    ----------
    paths
        wrfouts, captures and drawn pairs, in any mixture: files, globs, directories. The runs may have different
        grid spacings, time steps and numbers of levels (see `open_columns`); the store then has schema 2.
    output
        Path of the store, a zarr (format 3) directory; chunked along the column alone. It appears under this name
        when it is complete; until then ``<output>.partial`` contains the finished part.
    truth
        Companions of wrfouts among the files (``mskf_offline_*``).
    run
        Number of the run of the columns, if the names of the files do not have it.
    keep
        "pairs" writes only columns that can be trained on (the attributes count the others); "all" writes all.
    workers
        Number of Dask worker processes; 1 works in this process. Default: the scheduler that is connected (see
        `sciml.parallel.cluster.client`), else one worker per core if there is enough work for them.
    overwrite
        Whether to replace a store of that name. Other files and folders are not replaced.
    block_bytes
        Approximate number of bytes of a file that a task reads at once. Each worker needs a few times as much
        memory, for any number of files. The store does not depend on it.
    progress
        Display of the progress; default: a bar in a terminal, lines in a log.

    Returns
    -------
    Classes
        Numbers of columns of each class in the files.

    Raises
    ------
    InputError
        The files cannot be used, contain NaN, or have no columns to write; the output exists, or (with `overwrite`)
        is not a store of columns, or contains an input; another process is writing it.
    MissingVariable
        An input of the scheme is missing.
    ClusterError
        The workers or the scheduler of a cluster stopped. The finished part stays, and the same call resumes it.
    OSError
        The disk is full. The finished part stays, and the same call resumes it.
    KeyboardInterrupt
        The finished part stays, and the same call resumes it.
    """
    output = Path(output).resolve()
    check_store_name(output)
    sources = describe_sources(paths, truth, run)
    plan = _make_plan(sources, _variables(sources), keep, block_bytes)
    progress = progress or StageProgress.automatic()
    if _is_complete(output, plan, overwrite):
        clear(output, "store")
        progress.say(f"{output} exists already, and its files have not changed: nothing to do")
        return stored_classes(output)
    if not output.parent.is_dir():
        raise InputError(f"there is no folder {output.parent} to write {output.name} into")
    with contextlib.ExitStack() as stack:
        partial = stack.enter_context(claimed(output, "store"))
        placed = finish_placing(partial, output) and has_plan(output, plan.text)
        if placed or _is_complete(output, plan, overwrite):  # another process may have written it
            return stored_classes(output)
        tasks = sum(_bytes(source) for source in sources) // block_bytes
        run_tasks = stack.enter_context(open_task_runner(workers, tasks, finish=close_files))
        stack.enter_context(progress)
        numbers, classes = _count_columns(plan, run_tasks, progress)
        blocks = blocks_of(sources, numbers, block_bytes)
        if not blocks or not blocks[-1].last:
            raise InputError(
                f"none of the {classes.total} columns of {len(sources)} files {_why_none(sources)}"
            )
        with _cleaning_up(partial):
            prepare_store(
                partial, plan.text, sources, plan.names, blocks[-1].last, classes, keep, plan.mixture
            )
            _write_blocks(partial, plan, blocks, run_tasks, progress)
            seal_store(partial / "store")
        place(partial, output)
    return classes


def _make_plan(sources: list[SourceFile], names: list[str], keep: Keep, block_bytes: int) -> _Plan:
    mixture = Mixture.of([source.attrs for source in sources], [source.size[0] for source in sources])
    schema = MIXED_SCHEMA if mixture.names else COLUMNS_SCHEMA
    options = {"keep": keep, "schema": schema, "chunk": [CHUNK, LONG_CHUNK], "variables": names}
    return _Plan(sources, names, keep, block_bytes, mixture, identity(sources, options))


def _count_columns(
    plan: _Plan, run_tasks: TaskRunner, progress: StageProgress
) -> tuple[list[list[int]], Classes]:
    """Numbers of columns that each slab of each source contributes, and the classes of all columns."""
    counts = [([0], Classes(0, 0, 0))] * len(plan.sources)
    tasks = [(source, plan.block_bytes, plan.keep) for source in plan.sources]
    for index, result in run_tasks(_count, tasks, progress.stage("counting")):
        counts[index] = result
    return [numbers for numbers, _ in counts], sum((c for _, c in counts), Classes(0, 0, 0))


def _write_blocks(
    partial: Path, plan: _Plan, blocks: list[Block], run_tasks: TaskRunner, progress: StageProgress
) -> None:
    """Write the blocks that are not finished, then the chunks that neighbouring blocks share."""
    total = blocks[-1].last
    tasks = [
        (str(partial), plan.sources[b.source], b, plan.keep, total, plan.names, plan.mixture)
        for b in blocks
        if b.last > b.first and not left_by(partial, b.first, b.last).exists()
    ]
    _warn_of_lossy(run_tasks(write_block, tasks, progress.stage("writing")))
    joints = seams(partial, blocks, total, plan.names, plan.mixture)
    list(run_tasks(write_seam, joints, progress.stage("joining")))


@contextlib.contextmanager
def _cleaning_up(partial: Path) -> Iterator[None]:
    """Remove the unfinished store if an input is wrong; name it in the error if the disk is full."""
    try:
        yield
    except ClusterError:
        raise
    except SciMLError:
        discard(partial)  # the finished part cannot be used
        raise
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, os.strerror(error.errno), str(partial)) from error
        raise


def _is_complete(output: Path, plan: _Plan, overwrite: bool) -> bool:
    """Whether the store of this plan exists already.

    Raises
    ------
    InputError
        The output exists and may not be replaced.
    """
    if not output.exists():
        return False
    if overwrite:
        check_replaceable(output, [Path(p) for s in plan.sources for p in (s.path, s.truth) if p])
        return False
    if has_plan(output, plan.text):
        return True
    raise InputError(f"{output} exists: remove it, choose another name, or pass overwrite=True (--overwrite)")


def _why_none(sources: Sequence[SourceFile]) -> str:
    """Describe why none of the columns of these files is a pair."""
    alone = [Path(s.path) for s in sources if s.form == "wrfout" and not s.truth]
    reasons = {path: why_unknown(read_header(path)) for path in alone}
    lines = [f"can be classified as held or computed: {path}: {why}" for path, why in reasons.items() if why]
    return (
        lines[0]
        if lines
        else "was computed by the scheme at its output time: write history at multiples of CUDT with the tendencies, "
        "or give the truth (--reference)"
    )


def _variables(sources: Sequence[SourceFile]) -> list[str]:
    """Inputs, and the targets that all sources have."""
    shared = [name for name in sources[0].targets if all(name in s.targets for s in sources)]
    left = sorted({name for s in sources for name in s.targets} - set(shared))
    if left:
        warnings.warn(f"left out, because not all files have them: {', '.join(left)}", stacklevel=3)
    _warn_of_training(sources, shared)
    return [*MSKF.input_names, *shared]


def _warn_of_training(sources: Sequence[SourceFile], shared: Sequence[str]) -> None:
    """Warn of missing targets of training before the files are read."""
    absent = [name for name in MSKF.training if name not in shared and name not in MSKF.zero_if_absent]
    if shared and absent:
        source = next(s for s in sources if any(name not in s.targets for name in absent))
        text = describe_missing(absent, source.truth or source.path, why="training needs them")
        warnings.warn(f"the columns cannot be trained on: {text}", stacklevel=4)


def _bytes(source: SourceFile) -> int:
    frames = source.frames[1] - source.frames[0]
    return 4 * frames * int(np.prod(source.size)) * (len(MSKF.input_names) + len(source.targets))


def _count(item: tuple[SourceFile, int, Keep]) -> tuple[list[int], Classes]:
    return count_slabs(*item)


def _warn_of_lossy(results: Iterator[tuple[int, tuple[str, list[str]]]]) -> None:
    """Warn once for each file whose values were rounded by lossy compression."""
    seen: set[str] = set()
    for _, (path, lines) in results:
        if lines and path not in seen:
            seen.add(path)
            warnings.warn(message(path, lines), LossyInput, stacklevel=4)
