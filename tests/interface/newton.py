"""A problem, algorithm and solution defined outside of the package; they import only `Result` of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sciml.solve import Result


@dataclass(frozen=True)
class Root:
    """The problem x**2 = square."""

    square: float


@dataclass(frozen=True)
class RootSolution:
    x: float
    result: Result
    stats: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Newton:
    max_iterations: int = 50
    rtol: float = 1e-12

    def init(self, problem: Root) -> float:
        return max(problem.square, 1.0)

    def run(self, problem: Root, state: float) -> RootSolution:
        x = state
        for iteration in range(self.max_iterations):
            if abs(x * x - problem.square) <= self.rtol * problem.square:
                return RootSolution(x, Result.SUCCESS, {"iterations": iteration})
            x = 0.5 * (x + problem.square / x)
        return RootSolution(x, Result.MAX_ITERATIONS, {"iterations": self.max_iterations})
