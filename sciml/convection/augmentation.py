"""Augmentation of training columns: a store with columns of runs, and mixtures of them that an emulator labels.

A network that learns everything from profiles is limited by the number of training columns. `augment` makes more: see
`sciml.convection.synthetic_columns` for what a mixture is. The new columns have SYNTHETIC = 1. Evaluation leaves them
out, and training does not validate with them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml.checks import check_positive, check_whole
from sciml.columns.classes import NONE, Classes
from sciml.columns.empty_store import has_plan
from sciml.columns.extract import check_finite
from sciml.columns.fields import TARGETS
from sciml.columns.formats import SYNTHETIC
from sciml.columns.missing import absent_targets
from sciml.columns.mixture import LEVELS, MIXED, Mixture
from sciml.columns.open import open_columns
from sciml.columns.replacing import check_replaceable, check_store_name
from sciml.convection.augmented_store import Part, finished, put_part, read_summary, write_store
from sciml.convection.emulator import Emulator
from sciml.convection.problem import INPUT_PROFILES, INPUT_SURFACE, Convection
from sciml.convection.synthetic_columns import draw, label, mix
from sciml.errors import InputError, MissingVariable, SciMLError
from sciml.progress import StageProgress
from sciml.solve import init
from sciml.storage.partial import PartialStore, clear, partial_store

__all__ = ["BLOCK", "PIECE", "Augmented", "augment"]

BLOCK: Final = 2048
"""Number of mixtures that are made at a time. Their random numbers depend on the seed, the run and their position."""
PIECE: Final = 65536
"""Most columns of a run between which mixtures are made, one after the other in the store; they are in memory."""
NONE_LEFT: Final = 0.15
"""Share of mixtures without convection that is written."""


@dataclass(frozen=True)
class Augmented:
    """What `augment` wrote.

    Attributes
    ----------
    original
        Number of columns of the runs.
    drawn
        Number of mixtures that were made. Some of those without convection are left out.
    synthetic
        Numbers of the mixtures in the store, by class.
    """

    original: int
    drawn: int
    synthetic: Classes

    @property
    def total(self) -> int:
        """Number of all columns of the store."""
        return self.original + self.synthetic.pairs

    def __str__(self) -> str:
        made = self.synthetic
        return (
            f"{self.original} columns of runs and {made.pairs} synthetic columns of {self.drawn} mixtures: "
            f"{made.none} without convection, {made.shallow} shallow, {made.deep} deep"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as data."""
        classes = {name: getattr(self.synthetic, name) for name in ("none", "shallow", "deep")}
        return {"original": self.original, "drawn": self.drawn, "synthetic": classes}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Augmented:
        """Make from the result of `to_json`."""
        return cls(plain["original"], plain["drawn"], Classes(**plain["synthetic"]))


@dataclass(frozen=True)
class _Block:
    """A block of mixtures of one run: the columns that it draws from, its number among those of these, its size."""

    rows: npt.NDArray[np.intp]
    key: tuple[int, ...]
    size: int
    settings: dict[str, float]


def augment(
    columns: xr.Dataset | str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    teacher: str | Path | Emulator[Any] = "mskf-regimes",
    factor: float = 1.0,
    seed: int = 7,
    exclude: Sequence[int] = (),
    truth: str | Path | Iterable[str | Path] | None = None,
    overwrite: bool = False,
    progress: StageProgress | None = None,
) -> Augmented:
    """Write a store with the columns of runs and with mixtures of them, labelled by an emulator.

    Two columns are mixed only if they have the same RUN, settings and number of levels. The mixtures of a run depend on
    the seed and on the columns of the run alone: other runs, the number of threads that read, and interruptions do not
    matter. The memory is that of `PIECE` columns' inputs.

    Parameters
    ----------
    columns
        A store, files of pairs, or a columns dataset (see `sciml.columns.open.open_columns`), of one or many runs.
    output
        Path of the store, a zarr folder of schema 2 with the coordinate SYNTHETIC (column,). It appears under this
        name when it is complete; the same call resumes an interrupted one.
    teacher
        Emulator that labels the mixtures: an emulator, a checkpoint, or the name of a packaged one.
    factor
        Number of mixtures per column of a run. Of those without convection 15 % are written.
    seed
        Seed of the random choices.
    exclude
        Values of RUN to leave out, such as those of a test: neither their columns nor mixtures of them are written.
    truth
        Companions (``mskf_offline_*``) of wrfouts among the files.
    overwrite
        Whether to replace a store of that name.
    progress
        Display of the progress; default: a bar in a terminal, lines in a log.

    Returns
    -------
    Augmented
        Numbers of columns.

    Raises
    ------
    InputError
        A parameter is invalid, a run does not exist, the columns are synthetic already, the teacher does not predict
        all outputs, no mixture convects, or the output exists.
    MissingVariable
        The columns do not have an output of the scheme that training needs.
    """
    check_positive("factor", factor, owner="augment")
    check_whole("seed", seed, owner="augment")
    output = Path(output).resolve()
    check_store_name(output)
    emulator = teacher if isinstance(teacher, Emulator) else Emulator.load(teacher)
    dataset = columns if isinstance(columns, xr.Dataset) else open_columns(columns, truth=truth)
    names = _variables(dataset, emulator)
    dataset = _chosen(dataset, exclude)
    _warn_of_training(emulator, exclude)
    progress = progress or StageProgress.automatic()
    factor, seed = float(factor), int(seed)
    plan = _plan(dataset, emulator, names, {"factor": factor, "seed": seed})
    if _is_complete(output, plan, overwrite, columns):
        clear(output, "store")
        progress.say(f"{output} exists already, and its columns have not changed: nothing to do")
        return Augmented.from_json(read_summary(output))
    if not output.parent.is_dir():
        raise InputError(f"there is no folder {output.parent} to write {output.name} into")
    with partial_store(output, "store") as partial, progress, _cleaning_up(partial):
        if partial.finish_placing(output) and has_plan(output, json.dumps(plan)):
            return Augmented.from_json(read_summary(output))
        if partial.plan() != plan:
            partial.discard()
            partial.begin(plan)
        blocks = _blocks(dataset, factor, seed)
        mixture = Mixture.of_datasets([dataset])
        _make_blocks(partial, dataset, emulator, names, blocks, mixture, progress)
        parts = [finished(partial, number) for number in range(len(blocks))]
        summary = _summary(dataset, blocks, parts)
        about = {"teacher": emulator.name, "factor": factor, "seed": seed, **summary.to_json()}
        write_store(partial, dataset, parts, names, mixture, about, progress.stage("writing", "chunks"))
        partial.place(output)
    return summary


def _variables(columns: xr.Dataset, teacher: Emulator[Any]) -> list[str]:
    """Inputs, and the outputs of the scheme that both the columns and the teacher have.

    Raises
    ------
    InputError, MissingVariable
        See `augment`.
    """
    Convection(columns)
    if SYNTHETIC in columns.variables and bool(columns[SYNTHETIC].any()):
        count = int(columns[SYNTHETIC].sum())
        raise InputError(
            f"{count} of {columns.sizes['column']} columns are synthetic: give the store that was augmented"
        )
    absent = absent_targets(columns)
    if absent:
        raise MissingVariable(f"the columns do not have {', '.join(absent)}, which training needs")
    if teacher.network.absent:
        raise InputError(
            f"{teacher.name} does not predict {', '.join(teacher.network.absent)}, so that it cannot label columns: "
            "give a plume-closure emulator, such as mskf-regimes"
        )
    outputs = [
        name for name in TARGETS if name in columns and name != "TIMEC_KF"
    ]  # no emulator predicts TIMEC_KF
    return [*INPUT_PROFILES, *INPUT_SURFACE, *outputs]


def _chosen(columns: xr.Dataset, exclude: Sequence[int]) -> xr.Dataset:
    """Leave out runs."""
    runs = columns["RUN"].values
    absent = sorted({*exclude} - set(np.unique(runs).tolist()))
    if absent:
        present = ", ".join(map(str, np.unique(runs)))
        raise InputError(f"no columns of RUN {absent} to leave out: there are those of RUN {present}")
    rows = np.flatnonzero(~np.isin(runs, list(exclude)))
    if not rows.size:
        raise InputError(f"0 of {len(runs)} columns are left to mix: all are excluded")
    return columns if rows.size == len(runs) else columns.isel(column=rows)


def _warn_of_training(teacher: Emulator[Any], exclude: Sequence[int]) -> None:
    """Warn if the teacher was trained on a run that is left out for a test: its labels are not independent of it."""
    known = sorted({*exclude} & {*teacher.about.get("runs", ())})
    if known:
        warnings.warn(
            f"{teacher.name} was trained on RUN {', '.join(map(str, known))}, which is left out here: "
            "scores on that run do not show how a network of these columns does on new runs; give another teacher",
            stacklevel=3,
        )


def _plan(
    columns: xr.Dataset, teacher: Emulator[Any], names: list[str], settings: dict[str, float]
) -> dict[str, Any]:
    """Describe what a call writes, so that only the same call resumes it.

    The columns are identified by their coordinates and 64 of them: reading all takes as long as a copy.
    """
    digest = hashlib.sha256()
    some = columns.isel(column=np.unique(np.linspace(0, columns.sizes["column"] - 1, 64).astype(np.intp)))
    values = [columns[name].values for name in ("RUN", "KIND", *MIXED) if name in columns.coords]
    values += [some[name].values for name in names]
    for array in values:
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    shared = {name: float(columns.attrs[name]) for name in MIXED if name in columns.attrs}
    rules = {"block": BLOCK, "piece": PIECE, "none": NONE_LEFT}
    return {
        **settings,
        **rules,
        **shared,
        "columns": digest.hexdigest(),
        "teacher": _digest_of_weights(teacher),
        "variables": names,
    }


def _digest_of_weights(teacher: Emulator[Any]) -> str:
    network: Any = teacher.network
    tensors = {**network.state_dict(), **teacher.normalisation.tensors()}
    digest = hashlib.sha256(json.dumps(dict(teacher.about), sort_keys=True, default=str).encode())
    for name in sorted(tensors):
        digest.update(name.encode() + np.ascontiguousarray(tensors[name].cpu().numpy()).tobytes())
    return digest.hexdigest()


def _is_complete(output: Path, plan: dict[str, Any], overwrite: bool, inputs: Any) -> bool:
    """Whether the store of this plan exists already."""
    if not output.exists():
        return False
    if overwrite:
        listed = [inputs] if isinstance(inputs, str | Path) else inputs
        paths = [] if isinstance(listed, xr.Dataset) else [Path(path).resolve() for path in listed]
        check_replaceable(output, paths)
        return False
    if has_plan(output, json.dumps(plan)):
        return True
    raise InputError(f"{output} exists: remove it, choose another name, or pass overwrite=True (--overwrite)")


@contextlib.contextmanager
def _cleaning_up(partial: PartialStore) -> Iterator[None]:
    """Remove the unfinished store if an input is wrong, because its finished part cannot be used."""
    try:
        yield
    except SciMLError:
        partial.discard()
        raise


def _blocks(columns: xr.Dataset, factor: float, seed: int) -> list[_Block]:
    """Divide the mixtures of each run, settings and number of levels into blocks."""
    names = [name for name in MIXED if name in columns.coords]
    table = np.stack([columns[name].values.astype(np.float64) for name in ("RUN", *names)], 1)
    blocks: list[_Block] = []
    values, group = np.unique(table, axis=0, return_inverse=True)
    for number, own in enumerate(values):
        settings = dict(zip(names, own[1:].tolist(), strict=True))
        rows = np.flatnonzero(group.ravel() == number)
        for piece in range(0, len(rows), PIECE):
            some = rows[piece : piece + PIECE]
            total = round(factor * len(some))
            for start in range(0, total, BLOCK):
                key = (seed, *_words(own), piece, start)
                blocks.append(_Block(some, key, min(BLOCK, total - start), settings))
    return blocks


def _words(values: npt.NDArray[np.float64]) -> tuple[int, ...]:
    """Return the run and its settings as numbers from which a generator is seeded."""
    digest = hashlib.sha256(np.ascontiguousarray(values).tobytes()).digest()
    return tuple(int(word) for word in np.frombuffer(digest[:16], np.uint32))


def _make_blocks(
    partial: PartialStore,
    columns: xr.Dataset,
    teacher: Emulator[Any],
    names: list[str],
    blocks: list[_Block],
    mixture: Mixture,
    progress: StageProgress,
) -> None:
    """Make the blocks of mixtures that are not finished."""
    update = progress.stage("mixing")
    rows: npt.NDArray[np.intp] | None = None
    piece, state = xr.Dataset(), None
    outputs = names[len(INPUT_PROFILES) + len(INPUT_SURFACE) :]
    for number, block in enumerate(blocks):
        if not partial.done(number):
            if rows is not block.rows:
                rows, piece = block.rows, _piece(columns, block)
                state = init(Convection(piece), teacher)
            rng = np.random.default_rng(block.key)
            drawn = draw(piece["KIND"].values, block.size, rng)
            made = label(mix(piece, drawn, rng), teacher, state, outputs)
            written = (made["KIND"].values != NONE) | (rng.random(made.sizes["column"]) < NONE_LEFT)
            put_part(partial, number, made.isel(column=np.flatnonzero(written)), names, mixture)
        update(number + 1, len(blocks))


def _piece(columns: xr.Dataset, block: _Block) -> xr.Dataset:
    """Load the inputs of the columns that a block draws from, and check them."""
    levels = int(block.settings.get(LEVELS, columns.sizes["level"]))
    names = [*INPUT_PROFILES, *INPUT_SURFACE]
    piece = columns[names].isel(column=block.rows, level=slice(0, levels)).load()
    piece = piece.drop_vars([name for name in (*MIXED, SYNTHETIC) if name in piece.coords])
    piece.attrs = {**columns.attrs, **{n: v for n, v in block.settings.items() if n != LEVELS}}
    check_finite(piece)
    return piece


def _summary(columns: xr.Dataset, blocks: list[_Block], parts: list[Part]) -> Augmented:
    classes = sum((Classes.count(part.kind) for part in parts), Classes(0, 0, 0))
    if not classes.shallow + classes.deep:
        raise InputError(
            f"the teacher finds no convection in {sum(block.size for block in blocks)} mixtures: give columns of runs "
            "with convection, or a larger factor"
        )
    return Augmented(int(columns.sizes["column"]), sum(block.size for block in blocks), classes)
