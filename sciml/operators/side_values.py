"""What training does where its target is not zero on Dirichlet sides."""

from __future__ import annotations

import warnings
from typing import Any

from sciml.operators.samples import TRUTH, Samples, Survey
from sciml.pde.grid import Field
from sciml.pde.sides import Sides, described, lift, mean_sides

__all__ = ["sides_lift", "sides_about"]


def sides_lift(samples: Samples, survey: Survey, sides: Sides) -> Field | None:
    """The lift of the mean values on the sides, which scaling subtracts; None where they are zero."""
    if sides.zero:
        return None
    return lift(mean_sides(survey.moments[TRUTH].mean, samples.grid, sides), samples.grid)


def sides_about(samples: Samples, survey: Survey, sides: Sides) -> dict[str, Any]:
    """What a trained operator says of its target on Dirichlet sides; nothing where it is zero there.

    Warns
    -----
    UserWarning
        Where the values were not given but are estimated from the data.
    """
    if sides.zero:
        return {}
    text = described(sides, survey.moments[TRUTH].mean, samples.grid)
    if not sides.given:
        warnings.warn(f"{samples.target} is not zero on its Dirichlet sides: {text}", stacklevel=3)
    return {"sides": text, "side_values": dict(sides.values)}
