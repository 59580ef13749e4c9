"""Evaluation of predicted fields: errors by norm and by frequency, and comparison with multigrid hierarchies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml.pde.grid import Grid
from sciml.pde.sides import Given, Jumps, Sides, described, lift, mean_sides
from sciml.pde.system import System
from sciml.verify.operator import hierarchies
from sciml.verify.operator.error_bounds import bound_field, energy_density
from sciml.verify.operator.evaluation import DEFINITIONS, PdeEvaluation
from sciml.verify.operator.hierarchies import Case
from sciml.verify.operator.iterations import Apply
from sciml.verify.operator.norms import field_errors, spread, system_errors
from sciml.verify.operator.spectra import error_by_frequency

__all__ = ["evaluate", "looked_at", "median_sample"]

Array = NDArray[Any]


def evaluate(
    prediction: Array,
    truth: Array,
    grid: Grid,
    *,
    systems: list[System] | str = "no problem was given with the fields",
    inputs: Mapping[str, Array] | None = None,
    learned: Callable[[int], Apply | None] | None = None,
    seconds: Mapping[str, float] | None = None,
    model: str = "prediction",
    data: str = "fields",
    multigrid_samples: int = 8,
    side_values: Given | None = None,
) -> PdeEvaluation:
    """Evaluate predicted fields.

    Parameters
    ----------
    prediction, truth
        (sample, y, x) on the grid.
    grid
        Grid of the values.
    systems
        Discretised problem of each sample, or the reason why there is none.
    inputs
        Inputs by name (sample, y, x), for the figure.
    learned
        Function of the index of a sample that returns the operator as its preconditioner, or None.
    seconds
        Seconds of a prediction: ``alone``, ``in_batch``; and ``batch``, the size of the batch.
    model, data
        Names of the operator and of the dataset in tables.
    multigrid_samples
        Number of samples, evenly spaced, that are compared with their multigrid hierarchies (about a second each).
    side_values
        Values of the truths on Dirichlet sides, a number or by side; by default estimated from the truths, see
        `sciml.pde.sides`.

    Raises
    ------
    InputError
        The shapes differ, values are not finite, or a truth is zero.
    """
    sides = _sides(truth, grid, side_values)
    rows = field_errors(prediction, truth, grid, side_values=0.0 if sides.zero else sides.values)
    lifted = lift(mean_sides(truth.mean(0), grid, sides), grid)  # sines are zero on Dirichlet sides
    absent: dict[str, str] = {}
    known = [] if isinstance(systems, str) else systems
    if isinstance(systems, str):
        absent["residual, energy, multigrid levels, iterations, bounds"] = systems
    else:
        errors = [system_errors(*sample) for sample in zip(systems, prediction, truth, strict=True)]
        rows |= {name: np.array([sample[name] for sample in errors]) for name in errors[0]}
    scores: dict[str, Any] = {
        "samples": len(truth),
        "grid": grid.to_json(),
        "grid_text": str(grid),
        "sides": described(sides, truth.mean(0), grid),
        **{
            name: float(rows[name].mean()) if name in rows else None
            for name in ("relative_l2", "relative_h1", "relative_h1_truncated", "residual")
        },
        "norms": {name: spread(errors) for name, errors in rows.items()},
        "frequency": error_by_frequency(prediction - lifted, truth - lifted, grid).to_json(),
    }
    chosen = looked_at(len(truth), multigrid_samples)
    cases: list[Case] = []
    reason = hierarchies.fits(known[0]) if known else None
    if reason:
        absent["multigrid levels, iterations, bounds"] = reason
    elif known:
        cases = [Case.of(known[i], prediction[i]) for i in chosen]
        scores["looked_at"] = len(cases)
        by_case = None if learned is None else (lambda number: learned(int(chosen[number])))
        scores |= hierarchies.against_hierarchies(cases, by_case)
        apart = [_distance(case.exact, truth[i].ravel()) for case, i in zip(cases, chosen, strict=True)]
        scores["truth_from_discrete_solution"] = float(np.mean(apart))
        if seconds:
            scores["time"] = _times(seconds, hierarchies.seconds_of(cases))
    scores["baselines"] = _baselines(truth, prediction, grid, cases, chosen, scores.get("time"), sides)
    scores["absent"] = absent
    scores["definitions"] = dict(DEFINITIONS)
    shown = median_sample(rows["relative_l2"])
    case = None
    if cases:
        looked_closely = dict(zip(chosen.tolist(), cases, strict=True))
        case = looked_closely.get(shown) or Case.of(known[shown], prediction[shown])
    fields = _fields(shown, prediction, truth, grid, inputs or {}, case)
    fields.attrs |= {"relative_l2": float(rows["relative_l2"][shown]), "samples": len(truth)}
    samples = xr.Dataset({name: ("sample", values) for name, values in rows.items()})
    return PdeEvaluation(model, data, scores, samples, fields)


def _sides(truth: Array, grid: Grid, given: Given | None) -> Sides:
    """Return the values of the truths on Dirichlet sides."""
    jumps = Jumps(grid)
    if truth.shape[1:] == grid.shape:
        jumps.add(truth)
    return Sides.of(given, jumps)


def looked_at(samples: int, multigrid_samples: int) -> NDArray[np.int64]:
    """Return the evenly spaced samples that are compared with their hierarchies.

    Examples
    --------
    >>> looked_at(10, 3)
    array([0, 4, 9])
    """
    return np.unique(np.linspace(0, samples - 1, min(multigrid_samples, samples)).round().astype(np.int64))


def median_sample(errors: Array) -> int:
    """Return the index of the sample with the median error, the lower of the two for an even number.

    Examples
    --------
    >>> median_sample(np.array([0.4, 0.1, 0.3, 0.9]))
    2
    """
    return int(np.argsort(errors, kind="stable")[(len(errors) - 1) // 2])


def _distance(exact: Array, truth: Array) -> float:
    return float(np.linalg.norm(exact - truth) / np.linalg.norm(exact))


def _times(seconds: Mapping[str, float], solver: Mapping[str, float]) -> dict[str, float]:
    import torch

    whole = solver["set_up"] + solver["solve"]
    return {
        "prediction_alone": seconds["alone"],
        "prediction_in_batch": seconds["in_batch"],
        "batch": seconds["batch"],
        "threads": torch.get_num_threads(),
        **solver,
        "ratio": seconds["alone"] / whole,
        "ratio_in_batch": seconds["in_batch"] / whole,
    }


def _baselines(
    truth: Array,
    prediction: Array,
    grid: Grid,
    cases: list[Case],
    chosen: Array,
    timed: Mapping[str, float] | None,
    sides: Sides,
) -> dict[str, dict[str, float]]:
    """Compute the errors of the operator and of predictions that need no training.

    With hierarchies these are errors of the samples that are compared with them, else of all samples.
    """
    here = truth[chosen] if cases else truth
    answers: dict[str, Array] = {"the operator": prediction[chosen] if cases else prediction}
    answers |= hierarchies.baselines(here)
    if cases:
        counts = {1: "1 cycle", 2: "2 cycles", 4: "4 cycles"}
        if timed:
            alike = max(round(timed["prediction_alone"] / hierarchies.cycle_seconds(cases[0])), 1)
            counts[min(alike, 50)] = f"{alike} cycles (as long as a prediction, set-up not counted)"
        for count, fields in hierarchies.cycle_errors(cases, sorted(counts)).items():
            answers[counts[count]] = fields.reshape(here.shape)
    baselines = {}
    for name, fields in answers.items():
        each = field_errors(fields, here, grid, side_values=0.0 if sides.zero else sides.values)
        errors = {key: float(values.mean()) for key, values in each.items()}
        if cases:
            by_case = [
                system_errors(case.system, *pair) for case, *pair in zip(cases, fields, here, strict=True)
            ]
            errors |= {key: float(np.mean([case[key] for case in by_case])) for key in by_case[0]}
        baselines[name] = errors
    return baselines


def _fields(
    sample: int, prediction: Array, truth: Array, grid: Grid, inputs: Mapping[str, Array], case: Case | None
) -> xr.Dataset:
    drawn = {name: values[sample] for name, values in inputs.items()}
    drawn |= {"truth": truth[sample], "prediction": prediction[sample]}
    attrs: dict[str, Any] = {"sample": sample}
    if case is not None:
        drawn["error_density"] = energy_density(case.system, case.prediction - case.exact)
        drawn["bound_density"], bounds = bound_field(case.system, case.hierarchy, case.prediction)
        attrs["error"] = case.system.energy(case.prediction - case.exact)
        attrs |= {"lower": float(bounds.lower), "upper": float(bounds.upper)}
        attrs["solution"] = case.system.solution_energy(case.exact)
    coords = dict(zip(grid.dims, grid.coordinates(), strict=True))
    return xr.Dataset(
        {name: (grid.dims, np.reshape(values, grid.shape)) for name, values in drawn.items()}, coords, attrs
    )
