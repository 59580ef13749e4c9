"""Score predicted columns of convection against the true scheme.

`evaluate` takes two datasets that fit in memory; `assess` runs an algorithm over a (lazy) columns dataset
block by block and stores only sums and a short row for each column.
"""

from __future__ import annotations

import contextlib
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import xarray as xr

from sciml.columns.mixture import LEVELS
from sciml.errors import InputError
from sciml.parallel.bounded import ALONE, in_order, open_task_runner
from sciml.parallel.parts import Part, Parts
from sciml.solve import Algorithm, init, solve
from sciml.verify.emulator.accumulate import ScoreAccumulator
from sciml.verify.emulator.evaluation import Evaluation
from sciml.verify.emulator.groups import Groups, check_keys
from sciml.verify.emulator.tables import PLACE
from sciml.wrf.hyperslab import close_files

__all__ = ["assess", "evaluate"]


def evaluate(
    truth: xr.Dataset,
    prediction: xr.Dataset,
    *,
    model: str = "prediction",
    data: str = "columns",
    weighted: bool = False,
) -> Evaluation:
    """Score predicted columns against true ones.

    Parameters
    ----------
    truth
        Result of `sciml.convection_columns`: inputs, targets, KIND; dims (column, level). Columns held from an earlier
        call (KIND 3), unknown columns (-1) and columns with a target that is not finite are left out.
    prediction
        The same columns in the same order: ``outputs`` of an algorithm, or any dataset with the WRF names. Without
        KIND, its classes are derived from NCA and PRATEC (`sciml.verify.emulator.accumulate.classify`).
    model, data
        Names of the model and of the data in tables.
    weighted
        Whether the main scores weight columns by WEIGHT (which compensates stratified sampling). Otherwise the main
        scores are unweighted, and ``weighted`` contains the weighted scores if WEIGHT varies.

    Returns
    -------
    Evaluation
        Scores, profiles and a table of the columns.

    Raises
    ------
    InputError
        The columns or their order differ (by Time, south_north, west_east and RUN), or no column can be evaluated.
    MissingVariable
        The truth does not have a variable that the scores need.

    Notes
    -----
    The scores are defined in `sciml.verify.emulator.moments`, the budgets in `sciml.verify.emulator.budgets`. NCA
    counts as 0 in columns without convection.
    """
    if truth.sizes.get("column") != prediction.sizes.get("column"):
        raise InputError(
            f"the truth has {truth.sizes.get('column')} columns and the prediction "
            f"{prediction.sizes.get('column')}: predict the same columns as the truth, in the same order"
        )
    _check_same_columns(truth, prediction)
    accumulator = ScoreAccumulator(model=model, data=data, weighted=weighted)
    good = accumulator.select(truth)
    if good.any():
        accumulator.add(truth.isel(column=good), prediction.isel(column=good))
    return accumulator.result()


def _check_same_columns(truth: xr.Dataset, prediction: xr.Dataset) -> None:
    """Compare the places of the columns, where both sides have them."""
    for name in PLACE:
        if not all(
            name in columns.variables and columns[name].dims == ("column",) for columns in (truth, prediction)
        ):
            continue
        mine, theirs = truth[name].values, prediction[name].values
        other = np.flatnonzero(
            (mine != theirs) & ~((mine != mine) & (theirs != theirs))
        )  # NaN equals NaN here
        if other.size:
            first = int(other[0])
            raise InputError(
                f"{name} differs in {other.size} of {mine.size} columns (column {first}: {mine[first]} in the "
                f"truth, {theirs[first]} in the prediction): predict the same columns as the truth, in the same order"
            )


def assess(
    columns: xr.Dataset,
    algorithm: Algorithm[Any, Any, Any],
    *,
    model: str = "model",
    data: str = "columns",
    weighted: bool = False,
    by: Sequence[Sequence[str]] = (),
    block: int = 8192,
    workers: int | None = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Run an algorithm over columns with known targets, block by block, and score it.

    The memory is that of one block of columns with its prediction, and about 100 bytes per evaluated column. The scores
    have the same bits for any number of workers: each block is computed by one thread of torch, and the sums are added
    in the order of the blocks.

    Parameters
    ----------
    columns
        Columns as the truth of `evaluate`; may be lazy.
    algorithm
        Algorithm, such as ``sciml.Emulator.load(path)`` or ``sciml.FortranEmulator(library, weights)``.
    model, data, weighted
        As in `evaluate`.
    by
        Keys (`sciml.verify.emulator.groups.KEYS`) of each table of groups: ``[("run", "dx"), ("class",)]`` gives a
        table with a row for each run and grid spacing, and one with a row for each class.
    block
        Number of columns in memory at a time, in each process.
    workers
        Number of Dask worker processes; 1 works in this process, unless a scheduler is there (see
        `sciml.parallel.cluster.client`); None is one worker for each core if there are at least four blocks.
    progress
        Called with (columns done, all columns) after each block.

    Returns
    -------
    Evaluation
        Its score ``seen_in_training`` is true if the algorithm was trained on runs of these files.

    Raises
    ------
    InputError, MissingVariable
        As for `evaluate`.
    ClusterError
        The workers or the scheduler of a cluster stopped.
    """
    from sciml.convection.problem import Convection

    keys = check_keys(by)
    usual = getattr(algorithm, "about", {}).get("usual_error") if keys else None
    score = _Scoring(algorithm, model, data, weighted, keys, usual)
    accumulator = score.accumulator()
    columns = _shortened(columns)
    total, parts = columns.sizes.get("column", 0), Parts(columns, "column", block)

    def update(done: int, count: int) -> None:
        if progress and done:
            progress(min(done * block, total), total)

    with open_task_runner(workers, len(parts), _forget_states) as run:
        score = replace(score, columns=columns if run is ALONE else None)
        for scored in in_order(run(score, parts, update)):
            if scored.scored and not accumulator.scored and run is not ALONE:
                init(Convection(columns), algorithm)  # for its warnings, which a worker does not show
            accumulator.merge(scored)
    evaluation = accumulator.result()
    return replace(evaluation, scores={**evaluation.scores, "seen_in_training": _seen(columns, algorithm)})


@dataclass(frozen=True)
class _Scoring:
    """Scoring of a block of columns, in any process."""

    algorithm: Algorithm[Any, Any, Any]
    model: str
    data: str
    weighted: bool
    by: tuple[tuple[str, ...], ...]
    usual: float | None
    columns: xr.Dataset | None = None  # all columns, in the process that warns
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def accumulator(self) -> ScoreAccumulator:
        """Make an accumulator without columns."""
        groups = [Groups(own, self.usual) for own in self.by]
        return ScoreAccumulator(model=self.model, data=self.data, weighted=self.weighted, groups=groups)

    def __call__(self, part: Part) -> ScoreAccumulator:
        """Read, predict and score a block."""
        from sciml.convection.problem import Convection

        accumulator, block = self.accumulator(), part.load()
        block = block.isel(column=accumulator.select(block))
        if block.sizes["column"]:
            problem = Convection(block)
            with _one_thread():
                answer = solve(problem, self.algorithm, state=self._state(problem), throw=False)
            accumulator.add(block, answer.outputs)
        return accumulator

    def _state(self, problem: Any) -> Any:
        """Return the state of the algorithm, which a process makes once."""
        if self.key not in _STATES:
            if self.columns is not None:
                from sciml.convection.problem import Convection

                _STATES[self.key] = init(Convection(self.columns), self.algorithm)
            else:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    _STATES[self.key] = init(problem, self.algorithm)
        return _STATES[self.key]


_STATES: Final[dict[str, Any]] = {}
"""States of algorithms in this process, by the key of the evaluation."""


def _forget_states() -> None:
    """Release the states and the files at the end of an evaluation."""
    _STATES.clear()
    close_files()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread of torch: with others, the last bits of some products of matrices differ."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _shortened(columns: xr.Dataset) -> xr.Dataset:
    """Leave out levels above the longest column, for example of a run with fewer levels than others of its store."""
    return (
        columns.isel(level=slice(0, int(columns[LEVELS].max()))) if LEVELS in columns.variables else columns
    )


def _seen(columns: xr.Dataset, algorithm: Algorithm[Any, Any, Any]) -> bool:
    """Return whether the algorithm was trained on runs of the same files."""
    about = getattr(algorithm, "about", {})
    mine, theirs = str(columns.attrs.get("SOURCE", "")), str(about.get("source", ""))
    files = set(mine.split(", ")) & set(theirs.split(", ")) - {""}
    return bool(files) and bool(np.isin(columns["RUN"].values, about.get("runs", ())).any())
