"""Errors of an operator at other resolutions than that of a dataset, on the same random fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from sciml.checks import check_whole
from sciml.errors import InputError
from sciml.pde.grid import Grid
from sciml.verify.operator.norms import field_errors

if TYPE_CHECKING:
    import xarray as xr

    from sciml.operators.trained_operator import TrainedOperator

__all__ = ["at_resolutions"]

LEAST: Final = 7
SMOOTHED: Final = 3
"""Number of smoothing steps, see `sciml.operators.smoothing`."""
BATCH: Final = 8
Array = NDArray[Any]


def at_resolutions(
    operator: TrainedOperator, dataset: xr.Dataset, resolutions: Sequence[int], *, samples: int = 16
) -> list[dict[str, Any]]:
    """Compute the errors of an operator on the problems of a dataset at other resolutions.

    Parameters
    ----------
    operator
        Trained operator.
    dataset
        Dataset of `sciml.pde.generate`: the seed of a sample determines the same random field at every resolution.
    resolutions
        Numbers of unknowns along the shorter axis; that along the other is in proportion.
    samples
        Number of samples from the first on. Each is solved with sparse LU at each resolution.

    Returns
    -------
    list of dict
        For the resolution of the dataset and each other one: ``shape``, ``samples``, ``relative_l2``, ``relative_h1``,
        their ratios to the resolution of the dataset, ``ratio_l2`` and ``ratio_h1``, and the errors of the truths of
        the dataset interpolated to the resolution, ``interpolated_l2`` and ``interpolated_h1``. For symmetric definite
        problems also ``smoothed_l2`` and ``smoothed_h1``, the errors after `SMOOTHED` steps with the known matrix.

    Raises
    ------
    InputError
        The dataset does not determine its problems, a resolution is less than 7, or the operator steps in time or does
        not accept a resolution.
    """
    from sciml.pde.dataset import family_of, grid_of_dataset

    for n in resolutions:
        check_whole("resolution", n, LEAST)
    if operator.steps or "sample_seed" not in dataset.coords or not dataset.attrs.get("family_parameters"):
        kind = "a time series has no other resolution" if operator.steps else "the data have no sample_seed"
        raise InputError(
            f"resolutions={','.join(map(str, resolutions))}: {kind}: give data of 'sciml pde generate' at one time, "
            "or verify the operator with data of each resolution"
        )
    family, grid = family_of(dataset), grid_of_dataset(dataset)
    if family.refined > 1:
        raise InputError(
            f"resolutions={','.join(map(str, resolutions))}: {family.name} is solved on a grid that is "
            f"{family.refined} times finer: verify the operator with data of each resolution"
        )
    seeds = [int(seed) for seed in dataset["sample_seed"].values[:samples]]
    rows: list[dict[str, Any]] = []
    first = np.zeros(0)
    for shape in [grid.shape, *(_shape(grid, n) for n in resolutions)]:
        here, inputs, truth = _solved(family, shape, grid, seeds)
        predicted = _predicted(operator, inputs, here)
        row: dict[str, Any] = {"shape": list(here.shape), "samples": len(seeds)}
        row |= _errors("relative", predicted, truth, here)
        row |= _smoothed(family.problem(shape, seeds[0], grid.centring), inputs, predicted, truth)
        if not rows:
            first = truth
        else:
            row |= {
                f"ratio_{name}": row[f"relative_{name}"] / rows[0][f"relative_{name}"]
                for name in ("l2", "h1")
            }
            row |= _errors("interpolated", _interpolated(first, grid, here), truth, here)
        rows.append(row)
    return rows


def _errors(name: str, predicted: Array, truth: Array, grid: Grid) -> dict[str, float]:
    errors = field_errors(predicted, truth, grid)
    return {f"{name}_{norm}": float(errors[f"relative_{norm}"].mean()) for norm in ("l2", "h1")}


def _smoothed(problem: Any, inputs: dict[str, Array], predicted: Array, truth: Array) -> dict[str, float]:
    """Return the errors after smoothing with the known matrix; none if it is not symmetric definite."""
    from sciml.operators.smoothing import smoothed
    from sciml.pde.elliptic import discretize

    rows: list[Array] = []
    for row, values in enumerate(predicted):
        system = discretize(replace(problem, **{name: values[row] for name, values in inputs.items()}))
        if system.kind not in ("definite", "semidefinite"):
            return {}
        rows.append(smoothed(system, values, SMOOTHED))
    return _errors("smoothed", np.stack(rows), truth, problem.grid)


def _shape(grid: Grid, points: int) -> tuple[int, ...]:
    return tuple(round(points * n / min(grid.shape)) for n in grid.shape)


def _solved(family: Any, shape: tuple[int, ...], grid: Grid, seeds: Sequence[int]) -> tuple[Grid, Any, Array]:
    """Return the grid, the inputs and the solutions of the problems of some seeds at a resolution."""
    from sciml.pde.generation import draw_block, solve_block

    problem = family.problem(shape, seeds[0], grid.centring)
    inputs = draw_block(family, problem, seeds)
    return problem.grid, inputs, np.asarray(solve_block(family, problem, inputs))


def _predicted(operator: TrainedOperator, inputs: dict[str, Array], grid: Grid) -> Array:
    import torch

    fields = {name: torch.from_numpy(inputs[name].astype(np.float32)) for name in operator.inputs}
    parts = [
        operator.predict({name: field[start : start + BATCH] for name, field in fields.items()}, grid)
        for start in range(0, len(next(iter(fields.values()))), BATCH)
    ]
    return np.concatenate([part.double().numpy() for part in parts])


def _interpolated(truth: Array, of: Grid, to: Grid) -> Array:
    """Interpolate fields, such as (sample, y, x), linearly between two grids of a rectangle."""
    import torch

    from sciml.operators.resampling import applied, hats

    weights = [hats(to, of, axis, known=True) for axis in range(of.ndim)]
    return applied(weights, torch.from_numpy(truth)).numpy()
