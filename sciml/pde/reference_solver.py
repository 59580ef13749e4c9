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
"""Relative tolerance of the residual; the precision of float32 is 6e-8."""

Solver: TypeAlias = Callable[[System], Field]


def solver(first: System) -> Solver:
    """Return a function that solves systems with the same matrix for a field (y, x).

    Definite matrices are solved by conjugate gradients with a classical multigrid hierarchy (pyamg, Ruge and Stueben
    1987), to a relative residual of 1e-12. Other matrices are factorised (`sciml.pde.direct`).

    Raises
    ------
    SciMLError
        Raised by the returned function: the tolerance was not reached.
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
            f"{system}: the relative residual stays at {left:.1e}, so this sample is no reference: take another "
            "seed, less contrast, or a frequency away from a resonance"
        )
    return system.field(u)


def stepped(problem: Any, initial: Field) -> Field:
    """Step initial states (sample, ...) of one equation; returns the later states (sample, time, ...).

    Raises
    ------
    SciMLError
        A sample became infinite.
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
"""Stack of the limits that are set, one for each active block."""


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Limit matrix products and scalar products to one thread, since their last bits depend on the number of threads.

    If several threads of Dask are inside the block, the last one to leave it restores the number of threads.
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
