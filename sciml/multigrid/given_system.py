"""The system that an algorithm is given, and whether it equals another."""

from __future__ import annotations

import numpy as np

from sciml.errors import InputError
from sciml.multigrid.settings import Settings
from sciml.pde.elliptic import Elliptic, discretize
from sciml.pde.system import Matrix, System

__all__ = ["same_matrix", "system_of"]


def system_of(problem: Elliptic | System, algorithm: Settings) -> System:
    """Return the system of a problem or the system itself, and check that multigrid applies to it."""
    system = problem if isinstance(problem, System) else discretize(problem, algorithm.scheme)
    if not isinstance(system, System):
        raise InputError(
            f"a complex system ({system}): multigrid needs a real matrix; use sm.ShiftedLaplacian() or sm.Direct()"
        )
    if system.kind == "indefinite" and system.grid is None:
        raise InputError(
            "an indefinite matrix (symmetric, with eigenvalues of both signs): multigrid and conjugate gradients need "
            "a definite one; use sm.pde.Direct()"
        )
    if system.kind == "indefinite":
        raise InputError(
            f"an indefinite system ({system.grid}): multigrid diverges where a coarse grid cannot tell the sign of an "
            "eigenvalue; use sm.pde.Direct(), or make the reaction (minus the squared wave number) nonnegative"
        )
    if system.kind == "nonsymmetric" and not system.matrix.diagonal().all():
        at = int(np.argmin(np.abs(system.matrix.diagonal())))
        raise InputError(
            f"the diagonal entry {at} of the matrix is zero, by which the smoothers divide: use sm.pde.Direct()"
        )
    return system


def same_matrix(a: Matrix, b: Matrix) -> bool:
    """Return whether two csr matrices are equal, entry by entry."""
    return a is b or (
        a.shape == b.shape
        and np.array_equal(a.indptr, b.indptr)
        and np.array_equal(a.indices, b.indices)
        and np.array_equal(a.data, b.data)
    )
