"""Errors of predicted fields by sample, in several norms."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sciml.errors import InputError
from sciml.pde.grid import Grid
from sciml.pde.sides import Given
from sciml.pde.system import System

__all__ = ["NORMS", "field_errors", "relative_energy", "spread", "system_errors"]

Array = NDArray[np.float64]

NORMS: Final = {
    "relative_l2": "||e|| / ||u||, the root of the sum of squares over the unknowns; e = prediction "
    "− truth u",
    "relative_h1": "Sobolev norm of e over that of u: the integral of e² + |grad e|², by finite "
    "differences with the "
    "boundary conditions and the values of the truth on the boundary; the usual H1 error",
    "relative_h1_truncated": "the error that the published MgNO tables call H1: Fourier "
    "coefficients weighted by "
    "sqrt(1 + k²) below wave number 20 and not at all above, of fields taken as periodic; it is "
    "insensitive to fine errors",
    "relative_h1_fft": "as the truncated one, with every wave number weighted",
    "relative_max": "largest |e| over the largest |u|",
    "residual": "||b − A u|| / ||b|| with the predicted u: no truth is needed, but it is most "
    "sensitive to the finest errors",
    "residual_energy": "the residual in the A⁻¹ norm, sqrt(r·Br / b·Bb) with B one symmetric "
    "multigrid cycle: no truth is "
    "needed, and it is close to the relative energy error where the solution is zero on Dirichlet sides; b·Bb counts "
    "it as zero there",
    "relative_energy": "sqrt(e·Ae / u·Au): the energy norm, about sqrt(a) |grad e| integrated; that of u with its "
    "values on Dirichlet sides",
}
"""Definition of each norm."""


def field_errors(
    prediction: Array, truth: Array, grid: Grid, *, side_values: Given | None = None
) -> dict[str, Array]:
    """Compute the errors that need only the fields (sample, y, x), by name, each (sample,).

    The truth's values on Dirichlet sides enter the H1 norm: ``side_values`` as in
    `sciml.operators.losses.relative_h1`, by side a number, an array (sample,) or (sample, n), or None.

    Raises
    ------
    InputError
        The shapes differ, values are not finite, or a truth is zero.

    Examples
    --------
    >>> u = np.random.default_rng(7).normal(size=(2, 7, 7))
    >>> errors = field_errors(1.25 * u, u, Grid((7, 7)))
    >>> [round(float(one[0]), 3) for one in errors.values()]
    [0.25, 0.25, 0.25, 0.25, 0.25]
    """
    prediction, truth = np.asarray(prediction, np.float64), np.asarray(truth, np.float64)
    if prediction.shape != truth.shape or truth.shape[1:] != grid.shape:
        raise InputError(
            f"prediction {prediction.shape} against truth {truth.shape} on {grid}: give both as "
            f"(sample, {', '.join(grid.dims)})"
        )
    space = tuple(range(1, truth.ndim))
    for name, values in (("prediction", prediction), ("truth", truth)):
        bad = np.flatnonzero(~np.isfinite(values).all(space))
        if bad.size:
            raise InputError(f"the {name} of {bad.size} samples is not finite, the first of sample {bad[0]}")
    nil = np.flatnonzero(~truth.any(space))
    if nil.size:
        raise InputError(f"the truth of sample {nil[0]} is zero everywhere: a relative error needs a truth")
    import torch

    from sciml.operators import losses

    predicted, true = torch.tensor(prediction), torch.tensor(truth)
    index = range(len(truth))

    def each(measure: Any) -> Array:
        errors = [float(measure(predicted[i : i + 1], true[i : i + 1])) for i in index]
        return np.array(errors, np.float64)

    def sobolev(i: int) -> float:
        here: Any = side_values
        if isinstance(side_values, Mapping):
            here = {k: v[i : i + 1] if getattr(v, "ndim", 0) else v for k, v in side_values.items()}
        return float(losses.relative_h1(predicted[i : i + 1], true[i : i + 1], grid, boundary_value=here))

    error = prediction - truth
    return {
        "relative_l2": np.sqrt((error**2).sum(space) / (truth**2).sum(space)),
        "relative_h1": np.array([sobolev(i) for i in index], np.float64),
        "relative_h1_truncated": each(partial(losses.relative_h1_truncated, axes=grid.ndim)),
        "relative_h1_fft": each(partial(losses.relative_h1_fft, axes=grid.ndim)),
        "relative_max": np.abs(error).max(space) / np.abs(truth).max(space),
    }


def system_errors(system: System, prediction: Array, truth: Array) -> dict[str, float]:
    """Compute the residual and, for a symmetric system, the energy error of one prediction (y, x)."""
    errors = {"residual": float(np.linalg.norm(system.residual(prediction)) / np.linalg.norm(system.rhs))}
    if system.kind in ("definite", "semidefinite"):
        errors["relative_energy"] = relative_energy(system, np.subtract(prediction, truth), truth)
    return errors


def relative_energy(system: System, error: Array, solution: Array) -> float:
    """Compute the energy norm of an error over that of the solution, with its values on Dirichlet sides.

    Raises
    ------
    InputError
        The energy norm of the solution is zero.
    """
    size = system.solution_energy(solution)
    if size == 0:
        raise InputError(
            "the solution is constant, so that its energy norm is 0: a relative error in this norm needs another one"
        )
    return system.energy(error) / size


def spread(values: Array) -> dict[str, float | int]:
    """Return mean, median and largest value over the samples, and the index of the largest.

    Examples
    --------
    >>> spread(np.array([1.0, 2.0, 6.0]))
    {'mean': 3.0, 'median': 2.0, 'worst': 6.0, 'worst_sample': 2}
    """
    return {
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "worst": float(values.max()),
        "worst_sample": int(values.argmax()),
    }
