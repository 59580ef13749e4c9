"""Training on targets that are not zero on Dirichlet sides."""

from __future__ import annotations

import functools
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sciml.operators.field_scaling import Standard
from sciml.operators.samples import TRUTH, Samples, Survey
from sciml.pde.grid import Field, Grid
from sciml.pde.sides import PLACES, Sides, described, interpolated, lift, mean_sides

__all__ = ["finer_lift", "sides_about", "sides_lift"]


def sides_lift(samples: Samples, survey: Survey, sides: Sides) -> Field | None:
    """Return the lift of the mean values on the sides, which scaling subtracts; None if they are zero."""
    if sides.zero:
        return None
    return lift(mean_sides(survey.moments[TRUTH].mean, samples.grid, sides), samples.grid)


def sides_about(samples: Samples, survey: Survey, sides: Sides) -> dict[str, Any]:
    """Return the description of the target on Dirichlet sides for ``about``; empty if it is zero there.

    Warns
    -----
    UserWarning
        The values were estimated from the data, not given.
    """
    if sides.zero:
        return {}
    text = described(sides, survey.moments[TRUTH].mean, samples.grid)
    if not sides.given:
        warnings.warn(f"{samples.target} is not zero on its Dirichlet sides: {text}", stacklevel=3)
    return {"sides": text, "side_values": dict(sides.values)}


def finer_lift(standard: Standard, grid: Grid, finer: Grid) -> Tensor | None:
    """Return the lift of a scaling on another grid of the same rectangle; None if the scaling has none."""
    if standard.how != "scale" or not standard.mean.ndim:
        return None
    mean = standard.mean.double().cpu().numpy()
    return torch.from_numpy(_on_finer(mean.tobytes(), grid, finer)).to(standard.mean)


@functools.lru_cache(maxsize=4)
def _on_finer(mean: bytes, grid: Grid, finer: Grid) -> Field:
    field = np.frombuffer(mean).reshape(grid.shape)
    dirichlet = [name for name, kind in grid.boundary.sides.items() if kind == "dirichlet"]
    values = mean_sides(field, grid, Sides(dict.fromkeys(dirichlet)))
    along = {}
    for name, line in values.items():
        axis = PLACES[name][0] + grid.ndim
        mine, theirs = (
            [points for other, points in enumerate(place.coordinates()) if other != axis]
            for place in (grid, finer)
        )
        places = np.meshgrid(*theirs, indexing="ij") if theirs else []
        along[name] = interpolated(line, list(zip(mine, places, strict=True)))
    return lift(along, replace(finer, boundary=grid.boundary))
