"""Bounds of the Lipschitz constant of a step: factors, grid and norm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sciml.tables import aligned

__all__ = ["Certificate", "describe_certificate"]


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


def describe_certificate(about: Mapping[str, Any]) -> dict[str, str]:
    """Return the row ``certificate`` of a checkpoint's description; none if it has no certificate."""
    entries = about.get("certificate")
    return {} if entries is None else {"certificate": Certificate.from_json(entries).headline()}
