"""Evaluate a trained operator on a dataset: what it predicts, of which problems, and what that is worth."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml.errors import InputError, MissingVariable, SciMLError
from sciml.pde.caution import caution_of
from sciml.pde.grid import Grid
from sciml.pde.system import System
from sciml.verify.operator.evaluation import PdeEvaluation
from sciml.verify.operator.fields import evaluate, looked_at
from sciml.verify.operator.iterations import Apply, mean

if TYPE_CHECKING:
    from sciml.operators.samples import Samples

__all__ = ["assess", "problems_of"]

Array = NDArray[Any]
BATCH: Final = 8
REPEATS: Final = 3
SUSPECT: Final = 0.1  # relative distance from which a truth is not the solution of the problem told
STEP: Final = "a step in time has no sparse system"


def problems_of(dataset: xr.Dataset, grid: Grid, truth: Array, count: int) -> list[System] | str:
    """The discretised problems of the first samples of a dataset, or why there are none.

    A dataset may look like one of our families and be something else, so the first truth is held against the solution
    of the first problem.
    """
    from sciml.pde import problem_of
    from sciml.pde.elliptic import discretize

    try:
        systems = [discretize(problem_of(dataset, i, grid)) for i in range(count)]
    except SciMLError as error:
        return f"the problem cannot be told from the data ({' '.join(str(error).split())})"
    from scipy.sparse.linalg import splu

    first = systems[0]
    if first.kind == "semidefinite":
        apart = float(np.linalg.norm(first.residual(truth[0])) / np.linalg.norm(first.rhs))
        return systems if np.isfinite(apart) else "the truth is not finite"
    exact = splu(first.matrix.tocsc()).solve(first.rhs)
    apart = float(np.linalg.norm(truth[0].ravel() - exact) / np.linalg.norm(exact))
    if not apart < SUSPECT:
        return (
            f"the truths are not the solutions of the problem that the inputs suggest ({apart:.0%} apart in the first "
            "sample): say which it is with the attributes 'family' and 'grid' of the dataset"
        )
    return systems


def assess(
    operator: Any,
    dataset: xr.Dataset | str | Path,
    *,
    model: str = "operator",
    data: str = "dataset",
    samples: int | None = None,
    closely: int = 8,
    preconditioned: int = 2,
    layout: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PdeEvaluation:
    """Evaluate a trained operator on a dataset with known solutions.

    Parameters
    ----------
    operator
        A `sciml.operators.TrainedOperator`, or a `Neural`, which has one. Anything else with its ``predict``,
        ``check``, ``inputs``, ``target``, ``steps`` and ``grid`` will do for all but `Corrected` and preconditioning.
    dataset
        As `sciml.pde.generate` makes and `open_dataset` opens it, or its file.
    model, data
        What to call the two in tables.
    samples
        Only so many, the first ones.
    closely
        How many are held against their multigrid hierarchies.
    preconditioned
        For how many of those the operator is tried as a preconditioner.
    layout
        Of a published file that does not tell it, see `sciml.pde.open_dataset`.
    progress
        Called with (samples predicted, all).

    Raises
    ------
    SciMLError
        A dataset without what the operator needs, or on a grid that it cannot take.
    """
    from sciml.operators import TrainedOperator
    from sciml.operators.trained_on import Ranges, compare_dataset
    from sciml.operators.trained_operator import samples_for

    trained = getattr(operator, "operator", operator)
    opened = _opened(dataset, trained, layout)
    taken = samples_for(trained, opened)
    if taken.steps != trained.steps:
        raise InputError(
            f"the operator {'steps in time' if trained.steps else 'does not step in time'}, the data "
            f"{'is' if taken.steps else 'is not'} a time series: give data like that it was trained on"
        )
    trained.check(taken.grid)
    count = min(taken.samples, samples or taken.samples)
    part = taken.fields.isel(row=taken.rows(np.arange(count))).load()
    inputs = {name: part[name].values for name in taken.inputs}
    compared = None
    if isinstance(trained, TrainedOperator):
        compared = compare_dataset(trained, opened, taken, Ranges(inputs))
    truth = part["truth"].values.astype(np.float64)
    prediction = _predicted(trained, inputs, taken.grid, progress)
    tried: list[str] = []

    def learned(number: int) -> Apply | None:
        return (
            None
            if len(tried) >= preconditioned
            else _preconditioner(trained, opened, number, taken.grid, tried)
        )

    found = evaluate(
        prediction,
        truth,
        taken.grid,
        systems=STEP if taken.steps else problems_of(opened, taken.grid, truth, count),
        inputs=inputs,
        learned=learned if preconditioned and isinstance(trained, TrainedOperator) else None,
        seconds=_seconds(trained, inputs, taken.grid),
        model=model,
        data=data,
        closely=closely,
        side_values=taken.side_values,
    )
    scores = dict(found.scores)
    if compared is not None:
        scores |= {"novelty": compared.novelty, "refinement": compared.refinement}
        scores["trained_on"] = list(compared.notes)
    refused = [why for why in tried if why]
    if refused and "preconditioner" not in scores:
        scores["absent"] = {**scores["absent"], "as preconditioner": refused[0]}
    if "certified" in scores and isinstance(trained, TrainedOperator):
        told = [
            _corrected(trained, opened, int(number), taken.grid, scores["certified"]["rtol"])
            for number in looked_at(count, closely)
        ]
        scores["certified"] = {**scores["certified"], "corrected": mean(told)}
    caution = caution_of(opened)
    if caution:
        scores["caution"] = caution
    if taken.steps:
        scores["rollout"] = _rollout(trained, inputs, truth, taken, count)
    return dataclasses.replace(found, scores=scores)


def _opened(dataset: xr.Dataset | str | Path, trained: Any, layout: str | None) -> xr.Dataset:
    """Open a file by what it says of itself, else by the names that the operator was trained with."""
    if isinstance(dataset, xr.Dataset):
        return dataset
    from sciml.pde import open_dataset

    opened: xr.Dataset
    try:
        opened = open_dataset(dataset, layout=layout)
    except MissingVariable:
        named = _named(trained)
        opened = open_dataset(dataset, layout=layout, inputs=named or None, target=trained.target)
    return opened


def _named(trained: Any) -> list[str]:
    """The inputs of an operator, but for the field that it steps."""
    return [name for name in trained.inputs if not (trained.steps and name == trained.target)]


def _ask(trained: Any, inputs: Mapping[str, Array], grid: Grid) -> Array:
    import torch

    fields = {name: torch.from_numpy(np.ascontiguousarray(one, np.float32)) for name, one in inputs.items()}
    return np.asarray(trained.predict(fields, grid).double().numpy())


def _predicted(
    trained: Any, inputs: Mapping[str, Array], grid: Grid, progress: Callable[[int, int], None] | None
) -> Array:
    count = len(next(iter(inputs.values())))
    parts = []
    for first in range(0, count, BATCH):
        parts.append(_ask(trained, _rows(inputs, slice(first, first + BATCH)), grid))
        if progress:
            progress(min(first + BATCH, count), count)
    return np.concatenate(parts)


def _rows(inputs: Mapping[str, Array], rows: slice) -> dict[str, Array]:
    return {name: one[rows] for name, one in inputs.items()}


def _seconds(trained: Any, inputs: Mapping[str, Array], grid: Grid) -> dict[str, float]:
    """Wall-clock of a prediction alone and within a batch, the least of a few."""
    batch = min(BATCH, len(next(iter(inputs.values()))))

    def least(size: int) -> float:
        taken = []
        for _ in range(REPEATS):
            begin = time.perf_counter()
            _ask(trained, _rows(inputs, slice(0, size)), grid)
            taken.append(time.perf_counter() - begin)
        return min(taken) / size

    return {"alone": least(1), "in_batch": least(batch), "batch": float(batch)}


def _preconditioner(
    trained: Any, dataset: xr.Dataset, number: int, grid: Grid, tried: list[str]
) -> Apply | None:
    """The operator as a preconditioner of a sample's problem; why it is none is noted."""
    from sciml.operators import Neural
    from sciml.operators.preconditioning import preconditioner
    from sciml.pde import problem_of

    try:
        made: Apply = preconditioner(Neural(trained), problem_of(dataset, number, grid)).matvec
    except SciMLError as error:
        tried.append(str(error))
        return None
    tried.append("")
    return made


def _corrected(trained: Any, dataset: xr.Dataset, number: int, grid: Grid, rtol: float) -> dict[str, Any]:
    """Solve a sample to a guaranteed error, from the prediction and from zero."""
    from sciml.operators import Corrected, Neural
    from sciml.pde import problem_of
    from sciml.solve import solve

    problem = problem_of(dataset, number, grid)
    found = {}
    for name, neural in (("prediction", Neural(trained)), ("zero", None)):
        solution = solve(problem, Corrected(neural, rtol=rtol), throw=False)
        seconds = solution.stats["seconds"] + solution.stats["seconds_setup"]
        found[name] = {"cycles": solution.stats["cycles"] if solution.result.ok else None, "seconds": seconds}
    return found


def _rollout(
    trained: Any, inputs: Mapping[str, Array], truth: Array, taken: Samples, count: int
) -> dict[str, list[float]]:
    """Feed the operator with its own answers; what else it takes is given as it was."""
    steps = len(truth) // count

    def by_sample(one: Array) -> Array:
        return one.reshape(count, steps, *taken.grid.shape)

    true, given = by_sample(truth), {name: by_sample(one) for name, one in inputs.items()}
    first = given[taken.target][:, 0]
    now, errors, still = first, [], []
    for step in range(steps):
        if np.isfinite(now).all():
            fields = {**{name: one[:, step] for name, one in given.items()}, taken.target: now}
            now = _predicted(trained, fields, taken.grid, None)
        errors.append(_relative(now, true[:, step]))
        still.append(_relative(first, true[:, step]))
    return {"relative_l2": errors, "persistence": still}


def _relative(said: Array, true: Array) -> float:
    norm = np.sqrt(((said - true) ** 2).sum((1, 2)) / (true**2).sum((1, 2)))
    return float(norm.mean())
