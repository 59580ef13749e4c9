"""Score predicted columns of convection against the true scheme.

`evaluate` takes two datasets that fit in memory; `assess` runs an algorithm over a (lazy) columns dataset
block by block and stores only sums and a short row for each column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from sciml.columns.mixture import LEVELS
from sciml.errors import InputError
from sciml.solve import Algorithm, init, solve
from sciml.verify.emulator.accumulate import ScoreAccumulator
from sciml.verify.emulator.evaluation import Evaluation
from sciml.verify.emulator.groups import Groups, check_keys
from sciml.verify.emulator.tables import PLACE

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
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Run an algorithm over columns with known targets, block by block, and score it.

    The memory is that of one block of columns with its prediction, and about 100 bytes per evaluated column.

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
        Number of columns in memory at a time.
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
    """
    from sciml.convection.problem import Convection

    keys = check_keys(by)
    usual = getattr(algorithm, "about", {}).get("usual_error") if keys else None
    groups = [Groups(own, usual) for own in keys]
    accumulator = ScoreAccumulator(model=model, data=data, weighted=weighted, groups=groups)
    columns = _shortened(columns)
    total, state = columns.sizes.get("column", 0), None
    for start in range(0, total, block):
        part = columns.isel(column=slice(start, start + block)).load()
        part = part.isel(column=accumulator.select(part))
        if part.sizes["column"]:
            problem = Convection(part)
            state = init(Convection(columns), algorithm) if state is None else state
            accumulator.add(part, solve(problem, algorithm, state=state, throw=False).outputs)
        if progress:
            progress(min(start + block, total), total)
    evaluation = accumulator.result()
    return replace(evaluation, scores={**evaluation.scores, "seen_in_training": _seen(columns, algorithm)})


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
