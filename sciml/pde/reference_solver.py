"""Reference solutions of a dataset, with errors far below the rounding of the stored values."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from sciml.errors import SciMLError
from sciml.pde.grid import Field
from sciml.pde.system import System

__all__ = ["one_thread", "solver", "stepped"]

RTOL = 1e-12
"""Of the residual: float32 keeps 6e-8."""

Solver: TypeAlias = Callable[[System], Field]


def solver(first: System) -> Solver:
    """What solves a system, and every other one of the same matrix, for a field (y, x).

    A definite matrix gets a classical multigrid hierarchy (pyamg, Ruge and Stueben 1987) and conjugate
    gradients to a relative residual of 1e-12; any other is factorised (`sciml.pde.direct`).

    Raises
    ------
    SciMLError
        Raised by the returned function: a system that was not solved.
    """
    from sciml.pde.direct import factorised

    if first.kind == "definite":
        return _multigrid(first)
    factors = factorised(first)

    def solve(system: System) -> Field:
        u = factors.apply(system.rhs)
        u += factors.apply(system.residual(u))  # one step of refinement
        return _checked(system, u)

    return solve


def _multigrid(first: System) -> Solver:
    import pyamg

    hierarchy = pyamg.ruge_stuben_solver(first.matrix)

    def solve(system: System) -> Field:
        u = hierarchy.solve(system.rhs, tol=RTOL, maxiter=100, accel="cg")
        return _checked(system, np.asarray(u))

    return solve


def _checked(system: System, u: Field) -> Field:
    size = float(np.linalg.norm(system.rhs)) or 1.0
    left = float(np.linalg.norm(system.residual(u))) / size
    if not left < 1e-9:
        raise SciMLError(
            f"{system}: the relative residual stays at {left:.1e}, so this sample would be no truth: take another "
            "seed, less contrast, or a frequency away from a resonance"
        )
    return system.field(u)


def stepped(problem: Any, initial: Field) -> Field:
    """The states after the initial one, (sample, time, ...), of initial states (sample, ...) of one equation.

    Raises
    ------
    SciMLError
        A sample that became infinite.
    """
    from sciml.pde.spectral import PseudoSpectral, trajectories

    frames = trajectories(problem, initial, PseudoSpectral())
    if not np.isfinite(frames).all():
        raise SciMLError(
            f"{type(problem).__name__}: a sample becomes infinite at resolution {problem.resolution}: take a higher "
            "resolution, a refined family, or more viscosity"
        )
    return frames[:, 1:]


_LOCK = threading.Lock()
_WITHIN: list[Any] = []
"""The limit that is set, once for each block of code within it."""


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let matrix products and scalar products use one thread: their last bits depend on how many there are.

    Of several threads of Dask within it, the last to leave gives the others back.
    """
    from threadpoolctl import threadpool_limits

    with _LOCK:
        _WITHIN.append(_WITHIN[0] if _WITHIN else threadpool_limits(limits=1))
    try:
        yield
    finally:
        with _LOCK:
            limit = _WITHIN.pop()
            if not _WITHIN:
                limit.restore_original_limits()
