"""Checks of the data for training a network that takes the system."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import nn

from sciml.errors import InputError
from sciml.operators.samples import TRUTH, Samples
from sciml.operators.trained_operator import takes
from sciml.pde.direct import Direct
from sciml.pde.elliptic import Darcy
from sciml.solve import solve

__all__ = ["check_system"]

ALIKE = 0.05
"""Largest relative L2 distance of the first target from the solution; data of other discretisations differ slightly."""


def check_system(model: nn.Module, samples: Samples, *, by_residual: bool) -> None:
    """Check that the coefficient and the source of the samples determine their systems.

    Parameters
    ----------
    model
        Network. One that does not take the system is only checked with ``by_residual``.
    samples
        Samples to train on.
    by_residual
        Whether the loss is that of the residual, which needs the system.

    Raises
    ------
    InputError
        There are other inputs, the family has other sources or boundary data, or the targets are not solutions of the
        system.
    """
    if takes(model) != "system" and not by_residual:
        return
    if samples.grid.ndim != 2:
        raise InputError(
            f"the loss 'residual' takes fields of the plane, the data have {samples.grid.ndim} axes: use another loss"
        )
    what = type(model).__name__ if takes(model) == "system" else "the loss 'residual'"
    if samples.steps or not set(samples.inputs) <= {"coefficient", "source"}:
        raise InputError(
            f"{what} takes -div(coefficient grad u) = source, the data has {', '.join(samples.inputs)}"
            f"{' in time' if samples.steps else ''}: use a network that takes fields, with another loss"
        )

    known: Mapping[str, Any] = {"coefficient": 1.0, "source": 1.0, "boundary_value": 0.0, "flux": 0.0}
    for name, value in known.items():
        constant = samples.parameters.get(name, value)
        if name not in samples.inputs and constant != value:
            raise InputError(
                f"{what} takes {name} {value:g} where the data has no such variable, its family has {constant!r}: "
                "add the variable to the data, or use a network that takes fields, with another loss"
            )
    _check_solved(what, samples)


def _check_solved(what: str, samples: Samples) -> None:
    """Check that the targets are the solutions of the systems that the inputs define."""
    grid = samples.grid
    if "dirichlet" not in grid.boundary.sides.values():
        return
    first = samples.fields.isel(row=0).load()
    given = {name: np.asarray(first[name].values, np.float64) for name in samples.inputs}
    problem = Darcy(
        grid.shape,
        given.get("coefficient", 1.0),
        given.get("source", 1.0),
        grid.boundary,
        centring=grid.centring,
        lengths=grid.lengths,
    )
    truth, solution = np.asarray(first[TRUTH].values, np.float64), solve(problem, Direct()).u.values
    apart = float(np.linalg.norm(truth - solution) / np.linalg.norm(solution))
    if apart > ALIKE:
        source = "source" if "source" in given else "1"
        raise InputError(
            f"{what} takes -div(coefficient grad u) = {source} with sides {grid.boundary}, whose solution is "
            f"{apart:.0%} from the first truth: add the variable 'source', give the right boundary and centring, or "
            "use a network that takes fields, with another loss"
        )
