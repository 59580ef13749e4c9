"""Evaluation of a trained operator on a dataset."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
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
from sciml.verify.operator.resolutions import at_resolutions

if TYPE_CHECKING:
    from sciml.operators.samples import Samples

__all__ = ["assess", "problems_of"]

Array = NDArray[Any]
BATCH: Final = 8
REPEATS: Final = 3
SUSPECT: Final = 0.1  # relative distance above which a truth is not the solution of the inferred problem
STEP: Final = "a step in time has no sparse system"


def problems_of(dataset: xr.Dataset, grid: Grid, truth: Array, count: int) -> list[System] | str:
    """Return the discretised problems of the first samples of a dataset, or the reason why there are none.

    A dataset can have the variables of a family and be of another problem, so the first truth is compared with the
    solution of the first problem.
    """
    from sciml.pde import problem_of
    from sciml.pde.elliptic import discretize

    try:
        systems = [discretize(problem_of(dataset, i, grid)) for i in range(count)]
    except SciMLError as error:
        return f"the problem cannot be inferred from the data ({' '.join(str(error).split())})"
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
            "sample): set the attributes 'family' and 'grid' of the dataset"
        )
    return systems


def assess(
    operator: Any,
    dataset: xr.Dataset | str | Path,
    *,
    model: str = "operator",
    data: str = "dataset",
    samples: int | None = None,
    multigrid_samples: int = 8,
    preconditioned: int = 2,
    layout: str | None = None,
    resolutions: Sequence[int] = (),
    progress: Callable[[int, int], None] | None = None,
) -> PdeEvaluation:
    """Evaluate a trained operator on a dataset with known solutions.

    Parameters
    ----------
    operator
        A `sciml.operators.TrainedOperator` or a `Neural`. Other objects with ``predict``, ``check``, ``inputs``,
        ``target``, ``steps`` and ``grid`` are evaluated without `Corrected` and preconditioning.
    dataset
        Dataset of `sciml.pde.generate` or `open_dataset`, or its file.
    model, data
        Names of the operator and of the dataset in tables.
    samples
        Number of samples from the first on; all by default.
    multigrid_samples
        Number of samples that are compared with their multigrid hierarchies.
    preconditioned
        Number of these samples for which the operator is tested as a preconditioner.
    layout
        Format of a published file that has no such attribute; see `sciml.pde.open_dataset`.
    resolutions
        Other resolutions at which the problems of ``multigrid_samples`` samples are drawn, solved and predicted, see
        `sciml.verify.operator.resolutions.at_resolutions`.
    progress
        Called with (samples predicted, all samples).

    Raises
    ------
    SciMLError
        The dataset has no variables that the operator needs, or a grid that it does not accept.
    """
    from sciml.operators import TrainedOperator
    from sciml.operators.step_certificate import certified
    from sciml.operators.trained_on import Ranges, compare_dataset
    from sciml.operators.trained_operator import samples_for

    trained = getattr(operator, "operator", operator)
    opened = _opened(dataset, trained, layout)
    taken = samples_for(trained, opened)
    if taken.steps != trained.steps:
        raise InputError(
            f"the operator {'steps in time' if trained.steps else 'does not step in time'}, the data "
            f"{'is' if taken.steps else 'is not'} a time series: give data like those of its training"
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

    evaluation = evaluate(
        prediction,
        truth,
        taken.grid,
        systems=STEP if taken.steps else problems_of(opened, taken.grid, truth, count),
        inputs=inputs,
        learned=learned if preconditioned and isinstance(trained, TrainedOperator) else None,
        seconds=_seconds(trained, inputs, taken.grid),
        model=model,
        data=data,
        multigrid_samples=multigrid_samples,
        side_values=taken.side_values,
    )
    scores = dict(evaluation.scores)
    if compared is not None:
        scores |= {"novelty": compared.novelty, "refinement": compared.refinement}
        scores["trained_on"] = list(compared.notes)
    reasons = [why for why in tried if why]
    if reasons and "preconditioner" not in scores:
        scores["absent"] = {**scores["absent"], "as preconditioner": reasons[0]}
    if "certified" in scores and isinstance(trained, TrainedOperator):
        corrected = [
            _corrected(trained, opened, int(number), taken.grid, scores["certified"]["rtol"])
            for number in looked_at(count, multigrid_samples)
        ]
        scores["certified"] = {**scores["certified"], "corrected": mean(corrected)}
    caution = caution_of(opened)
    if caution:
        scores["caution"] = caution
    if taken.steps:
        scores["rollout"] = _rollout(trained, inputs, truth, taken, count)
    if isinstance(trained, TrainedOperator):
        scores |= certified(trained)
        if resolutions:
            few = min(count, multigrid_samples)
            scores["resolutions"] = at_resolutions(trained, opened, resolutions, samples=few)
    return dataclasses.replace(evaluation, scores=scores)


def _opened(dataset: xr.Dataset | str | Path, trained: Any, layout: str | None) -> xr.Dataset:
    """Open a file by its own attributes, else by the names of the variables of the training."""
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
    """Return the inputs of an operator without the field that it steps."""
    return [name for name in trained.inputs if not (trained.steps and name == trained.target)]


def _ask(trained: Any, inputs: Mapping[str, Array], grid: Grid) -> Array:
    import torch

    fields = {
        name: torch.from_numpy(np.ascontiguousarray(values, np.float32)) for name, values in inputs.items()
    }
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
    return {name: values[rows] for name, values in inputs.items()}


def _seconds(trained: Any, inputs: Mapping[str, Array], grid: Grid) -> dict[str, float]:
    """Measure the wall-clock time of a prediction alone and in a batch, the smallest of a few."""
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
    """Return the operator as a preconditioner of the problem of a sample; append the reason if it is none."""
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
    """Solve a sample to a guaranteed error from the prediction and from zero."""
    from sciml.operators import Corrected, Neural
    from sciml.pde import problem_of
    from sciml.solve import solve

    problem = problem_of(dataset, number, grid)
    costs = {}
    for name, neural in (("prediction", Neural(trained)), ("zero", None)):
        solution = solve(problem, Corrected(neural, rtol=rtol), throw=False)
        seconds = solution.stats["seconds"] + solution.stats["seconds_setup"]
        costs[name] = {"cycles": solution.stats["cycles"] if solution.result.ok else None, "seconds": seconds}
    return costs


def _rollout(
    trained: Any, inputs: Mapping[str, Array], truth: Array, taken: Samples, count: int
) -> dict[str, list[float]]:
    """Apply the operator to its own predictions; its other inputs are those of the dataset."""
    steps = len(truth) // count

    def by_sample(field: Array) -> Array:
        return field.reshape(count, steps, *taken.grid.shape)

    true, given = by_sample(truth), {name: by_sample(field) for name, field in inputs.items()}
    first = given[taken.target][:, 0]
    now, errors, still = first, [], []
    for step in range(steps):
        if np.isfinite(now).all():
            fields = {**{name: field[:, step] for name, field in given.items()}, taken.target: now}
            now = _predicted(trained, fields, taken.grid, None)
        errors.append(_relative(now, true[:, step]))
        still.append(_relative(first, true[:, step]))
    return {"relative_l2": errors, "persistence": still}


def _relative(predicted: Array, true: Array) -> float:
    norm = np.sqrt(((predicted - true) ** 2).sum((1, 2)) / (true**2).sum((1, 2)))
    return float(norm.mean())
