"""One verb for everything: ``solve(problem, algorithm)``.

A problem says what is asked, an algorithm how it is answered, a solution what came out. All three are
frozen dataclasses elsewhere; here are only the protocols they meet. The grammar is that of Julia's SciML.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar, runtime_checkable

from sciml.errors import SciMLError

__all__ = ["Algorithm", "Problem", "Result", "Solution", "SolveFailed", "init", "solve"]


class Result(enum.Enum):
    """How a solve ended. The value is the remedy; the empty string means that none is needed.

    Examples
    --------
    >>> Result.SUCCESS.ok, Result.NOVEL.ok
    (True, True)
    >>> Result.MAX_ITERATIONS.ok
    False
    """

    SUCCESS = ""
    NOVEL = "some inputs lie outside the training range: look at NOVELTY, or run the true scheme there"
    MAX_ITERATIONS = "tolerance not reached: raise max_iterations, loosen rtol, or use a stronger hierarchy"
    DIVERGED = "the residual grew: use a symmetric smoother or another algorithm"
    NOT_FINITE = "NaN or infinity in the answer: check the inputs, or lower the time step"

    @property
    def ok(self) -> bool:
        """Whether the answer may be used (perhaps with care)."""
        return self in (Result.SUCCESS, Result.NOVEL)


@runtime_checkable
class Problem(Protocol):
    """Anything that can be solved; algorithms say by their types which problems they take."""


@runtime_checkable
class Solution(Protocol):
    """What every answer carries."""

    @property
    def result(self) -> Result: ...

    @property
    def stats(self) -> Mapping[str, float]: ...


P = TypeVar("P", contravariant=True)
S = TypeVar("S")
A = TypeVar("A", bound=Solution, covariant=True)


class Algorithm(Protocol[P, S, A]):
    """Two methods: ``init`` makes what is worth reusing, ``run`` answers one problem with it."""

    def init(self, problem: P) -> S: ...

    def run(self, problem: P, state: S) -> A: ...


class SolveFailed(SciMLError):
    """A solve ended without a usable answer; ``solution`` holds what there is."""

    def __init__(self, solution: Any) -> None:
        super().__init__(f"{solution.result.name}: {solution.result.value}")
        self.solution = solution


def init(problem: P, algorithm: Algorithm[P, S, A]) -> S:
    """Make the reusable state of an algorithm: a hierarchy, loaded weights, an open library."""
    return algorithm.init(problem)


def solve(problem: P, algorithm: Algorithm[P, S, A], *, state: S | None = None, throw: bool = True) -> A:
    """Solve a problem with an algorithm.

    Parameters
    ----------
    problem, algorithm
        Any pair whose types fit (mypy checks it).
    state
        What an earlier ``init(problem, algorithm)`` returned, to save its cost.
    throw
        Raise `SolveFailed` when the result is not ok; otherwise the solution tells.

    Raises
    ------
    SolveFailed
        With the remedy, and the solution as its attribute.
    """
    if state is None:
        state = algorithm.init(problem)
    solution = algorithm.run(problem, state)
    if throw and not solution.result.ok:
        raise SolveFailed(solution)
    return solution
