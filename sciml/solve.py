"""The function ``solve(problem, algorithm)``, and the protocols of problems, algorithms and solutions.

A problem describes a task, an algorithm a method, and a solution the results. All three are frozen dataclasses in other
modules; they follow these protocols. The structure is that of Julia's SciML.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar, runtime_checkable

from sciml.errors import InputError, SciMLError

__all__ = ["Algorithm", "Problem", "Result", "Solution", "SolveFailed", "init", "solve"]


class Result(enum.Enum):
    """Result of a solve. The value is the remedy; the empty string means that none is needed.

    Examples
    --------
    >>> Result.SUCCESS.ok, Result.NOVEL.ok
    (True, True)
    >>> Result.MAX_ITERATIONS.ok
    False
    """

    SUCCESS = ""
    NOVEL = "outside of the training: see the solution's notes, or NOVELTY of columns; compare with a solver there"
    MAX_ITERATIONS = "tolerance not reached: raise max_iterations, loosen rtol, or use a stronger hierarchy"
    DIVERGED = "the residual grew: use a symmetric smoother or another algorithm"
    NOT_FINITE = "NaN or infinity in the answer: check the inputs, or lower the time step"

    @property
    def ok(self) -> bool:
        """Whether the solution may be used (perhaps with care)."""
        return self in (Result.SUCCESS, Result.NOVEL)


@runtime_checkable
class Problem(Protocol):
    """Any problem; the types of an algorithm define the problems that it accepts."""


@runtime_checkable
class Solution(Protocol):
    """Attributes of every solution."""

    @property
    def result(self) -> Result: ...

    @property
    def stats(self) -> Mapping[str, float]: ...


P = TypeVar("P", contravariant=True)
S = TypeVar("S")
A = TypeVar("A", bound=Solution, covariant=True)


class Algorithm(Protocol[P, S, A]):
    """Two methods: ``init`` makes the reusable state, ``run`` solves one problem with it."""

    def init(self, problem: P) -> S: ...

    def run(self, problem: P, state: S) -> A: ...


class SolveFailed(SciMLError):
    """A solve ended without a usable solution; the attribute ``solution`` is the last iterate."""

    def __init__(self, solution: Any) -> None:
        super().__init__(f"{solution.result.name}: {solution.result.value}")
        self.solution = solution


def init(problem: P, algorithm: Algorithm[P, S, A]) -> S:
    """Make the reusable state of an algorithm: a hierarchy, loaded weights, an open library.

    Parameters
    ----------
    problem, algorithm
        A problem and an algorithm that accepts it.

    Returns
    -------
    object
        State for ``solve(problem, algorithm, state=...)``; its type depends on the algorithm.

    Raises
    ------
    InputError
        An argument is not a problem or not an algorithm, or they do not fit together.
    """
    _check(problem, algorithm, "init")
    return algorithm.init(problem)


def solve(problem: P, algorithm: Algorithm[P, S, A], *, state: S | None = None, throw: bool = True) -> A:
    """Solve a problem with an algorithm.

    Parameters
    ----------
    problem, algorithm
        A problem and an algorithm that accepts it; type checkers verify that their types fit.
    state
        Result of an earlier ``init(problem, algorithm)``; by default it is made here.
    throw
        Whether to raise `SolveFailed` if the result is not ok.

    Returns
    -------
    Solution
        Solution with the attributes ``result`` and ``stats``; its type depends on the algorithm.

    Raises
    ------
    InputError
        An argument is not a problem or not an algorithm, or they do not fit together.
    SolveFailed
        The result is not ok. The message states the remedy, and the attribute ``solution`` is the solution.
    """
    _check(problem, algorithm, "solve")
    if state is None:
        state = algorithm.init(problem)
    solution = algorithm.run(problem, state)
    if throw and not solution.result.ok:
        raise SolveFailed(solution)
    return solution


PDE = "a PDE problem"
COLUMNS = "a Convection problem"
FITTING = {
    PDE: "Darcy(...), Poisson(...) or another PDE problem",
    COLUMNS: "Convection(columns)",
}
ALGORITHMS = {
    PDE: "AMG(), Direct(), Neural.load(PATH) or Corrected(...), and PseudoSpectral() or Stepper.load(PATH) in time",
    COLUMNS: "Emulator.load(PATH) or FortranEmulator(...)",
}


def _check(problem: Any, algorithm: Any, verb: str) -> None:
    """Check that the arguments are a problem and an algorithm, and not of different pipelines.

    Any class with the right methods satisfies the protocols, so that only impossible pairs raise an error here. Each
    algorithm checks itself that it can solve the problem.
    """
    call = f"{verb}({_named(problem)}, {_named(algorithm)})"
    here = _kind_of(problem)
    if not _is_algorithm(algorithm):
        if _has_methods(problem) or (_kind_of(algorithm) and not here):
            raise InputError(f"{call}: the arguments are swapped, give {verb}(problem, algorithm)")
        if _has_methods(algorithm):
            made = (
                f"{algorithm.__name__}.load(PATH)"
                if hasattr(algorithm, "load")
                else f"{algorithm.__name__}()"
            )
            raise InputError(f"{call}: {algorithm.__name__} is a class: give an object of it, such as {made}")
        fitting = ALGORITHMS.get(here) or "; ".join(ALGORITHMS.values())
        raise InputError(f"{call}: {_named(algorithm)} is no algorithm: give {fitting}")
    wanted = _kind_taken(algorithm)
    fitting = FITTING.get(wanted) or " or ".join(FITTING.values())
    if isinstance(problem, type):
        raise InputError(f"{call}: {problem.__name__} is a class: give an object, {fitting}")
    if isinstance(problem, str | bytes) or problem is None or _has_methods(problem):
        raise InputError(f"{call}: {_named(problem)} is no problem: give {fitting}")
    if wanted and wanted != here and (here or wanted == COLUMNS):
        remedy = f"solve this one with {ALGORITHMS[here]}" if here else f"give {fitting}"
        raise InputError(f"{call}: {type(algorithm).__name__} takes {wanted}: {remedy}")


def _named(value: Any) -> str:
    """Describe a class or function by its name, text by itself, any other object by its class."""
    if isinstance(value, str | bytes) or value is None:
        return repr(value)
    name = getattr(value, "__qualname__", None)
    return str(name) if isinstance(name, str) else f"{type(value).__name__}(...)"


def _has_methods(value: Any) -> bool:
    return callable(getattr(value, "init", None)) and callable(getattr(value, "run", None))


def _is_algorithm(value: Any) -> bool:
    return not isinstance(value, type) and _has_methods(value)


def _kind_of(problem: Any) -> str:
    """Return the pipeline of a problem by its attributes; empty if it is unknown."""
    if isinstance(problem, type):
        return COLUMNS if problem.__name__ == "Convection" else ""
    if hasattr(problem, "columns") and hasattr(problem, "levels"):
        return COLUMNS
    pairs = (("grid", "terms"), ("grid", "load"), ("matrix", "rhs"), ("start", "times"))
    return PDE if any(hasattr(problem, first) and hasattr(problem, second) for first, second in pairs) else ""


def _kind_taken(algorithm: Any) -> str:
    """Return the pipeline of an algorithm by the annotation of its method `init`; empty if that is unknown."""
    try:
        annotated = inspect.get_annotations(type(algorithm).init).get("problem", "")
    except (AttributeError, TypeError):
        return ""
    text = annotated.__name__ if isinstance(annotated, type) else str(annotated)
    names = {part.strip().rpartition(".")[2] for part in text.split("|")}
    if "Convection" in names:
        return COLUMNS
    return PDE if names & {"Elliptic", "System", "ComplexSystem", "Evolution"} else ""
