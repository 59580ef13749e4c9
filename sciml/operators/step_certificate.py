"""Certificates of trained operators: a bound of how much a step expands differences of states."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sciml.errors import InputError
from sciml.nn.lipschitz import lipschitz_factors
from sciml.nn.parametrize import dense_copy
from sciml.tables import aligned

if TYPE_CHECKING:
    from sciml.operators.trained_operator import TrainedOperator

__all__ = ["Certificate", "certificate", "certified"]


@dataclass(frozen=True)
class Certificate:
    """Bound of the Lipschitz constant of a step of an operator, in physical units.

    Parameters
    ----------
    factors
        Bounds of the parts of the network by name, and ``scaling``: the scale of the result over that of the state.
    points
        Points along y and x of the periodic grid for which the factors are exact norms; None: bounds on all grids.
    order
        The norm is that of H^-order, see `sciml.nn.sobolev`; 0 is the Euclidean norm.

    Examples
    --------
    >>> print(Certificate({"lift": 1.0, "steps.0": 1.0}, (64, 64)))
    Lipschitz constant at most 1 on 64 x 64 points in the Euclidean norm
      lift     1
      steps.0  1
    """

    factors: Mapping[str, float]
    points: tuple[int, int] | None
    order: float = 0.0

    @property
    def lipschitz(self) -> float:
        """Product of the factors: no step makes the norm of a difference larger by more than this."""
        return math.prod(self.factors.values())

    @property
    def norm(self) -> str:
        """Name of the norm."""
        return f"the norm of H^-{self.order:g}" if self.order else "the Euclidean norm"

    def euclidean(self, points: tuple[int, int]) -> float:
        """Bound the growth of the Euclidean norm of a difference, over any number of steps on a grid.

        Parameters
        ----------
        points
            Points along y and x of the grid.

        Returns
        -------
        float
            1 in the Euclidean norm, and the largest wave number to the power of ``order`` otherwise; infinite if
            ``lipschitz`` exceeds 1.
        """
        return math.hypot(*(n // 2 for n in points)) ** self.order if self.lipschitz <= 1 else math.inf

    def headline(self) -> str:
        """Return the bound, the grid and the norm in a line."""
        where = "all periodic grids" if self.points is None else f"{self.points[0]} x {self.points[1]} points"
        return f"Lipschitz constant at most {self.lipschitz:.7g} on {where} in {self.norm}"

    def to_json(self) -> dict[str, Any]:
        """Return the factors, points and order for a checkpoint or a JSON file."""
        points = None if self.points is None else list(self.points)
        return {"factors": dict(self.factors), "points": points, "order": self.order}

    @classmethod
    def from_json(cls, entries: Mapping[str, Any]) -> Certificate:
        """Make the certificate that `to_json` returned."""
        points = entries["points"]
        return cls(
            dict(entries["factors"]), None if points is None else tuple(points), entries.get("order", 0.0)
        )

    def __str__(self) -> str:
        rows = [(name, f"{value:.7g}") for name, value in self.factors.items()]
        return "\n".join([self.headline(), *aligned(rows, align="<", indent="  ")])


def certificate(operator: TrainedOperator) -> Certificate:
    """Compute the certificate of an operator from its present weights and scaling.

    Parameters
    ----------
    operator
        Operator that advances its target by a step, with a network whose class has ``lipschitz_factors``, such as
        `NonExpansive`; other inputs do not change the bound, since both states of a difference have the same.

    Returns
    -------
    Certificate
        Bounds of the parts of the network, exact norms where its class computes them, and their product.

    Raises
    ------
    InputError
        The operator is not of time steps, or its network has no bound.
    """
    if not operator.steps:
        raise InputError(
            f"the operator of {operator.family} was not trained on a time series: a certificate is for steps of a state"
        )
    network = dense_copy(operator.network).cpu()
    fixed = getattr(network, "points", operator.grid.shape)
    points = None if fixed is None else (int(fixed[0]), int(fixed[1]))
    try:
        factors = lipschitz_factors(network, points)
    except InputError as error:
        raise InputError(f"no certificate: {error}; train one with 'sciml pde train nonexpansive'") from error
    order = float(getattr(network, "order", 0.0))
    state, result = operator.normalisation.inputs[operator.target], operator.normalisation.target
    return Certificate(
        factors | {"scaling": float(result.scale.double().max() / state.scale.double().min())}, points, order
    )


def certified(operator: TrainedOperator) -> dict[str, Any]:
    """Return the entries of a checkpoint's description; none if the network's class has no bound.

    The entries are ``lipschitz_bound`` and, in ``certificate``, its factors, points and order.
    """
    if not operator.steps or not hasattr(operator.network, "lipschitz_factors"):
        return {}
    made = certificate(operator)
    return {"lipschitz_bound": made.lipschitz, "certificate": made.to_json()}
