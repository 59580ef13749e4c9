"""Shifted-Laplacian multigrid for waves: ``solve(problem, ShiftedLaplacian())``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from sciml.checks import check_fraction, check_positive, check_whole
from sciml.errors import InputError
from sciml.multigrid.flexible import fgmres
from sciml.multigrid.interpolation import CoarseGrid, prolongation
from sciml.pde.complex_system import ComplexSystem
from sciml.pde.elliptic import discretize
from sciml.pde.nested_dissection import nested_dissection
from sciml.pde.open_helmholtz import OpenHelmholtz
from sciml.pde.solution import FieldSolution, labelled

__all__ = ["ShiftedHierarchy", "ShiftedLaplacian", "ShiftedLevel", "complex_system", "flexible_solution"]

Vector: TypeAlias = npt.NDArray[np.complex128]
WaveSmoother = Literal["jacobi", "gauss_seidel"]


@dataclass(frozen=True, eq=False)
class ShiftedLevel:
    """One level of a shifted hierarchy.

    Parameters
    ----------
    matrix
        csr_matrix (n, n), complex.
    prolongation
        csr_matrix (n, m) from the next coarser level, real; its transpose is the restriction.
    """

    matrix: Any = field(repr=False)
    prolongation: Any = field(repr=False)


@dataclass(frozen=True, eq=False)
class ShiftedHierarchy:
    """A hierarchy of the shifted matrix; the state of `ShiftedLaplacian`.

    Parameters
    ----------
    system
        The system itself, without the shift.
    algorithm
        Settings of the hierarchy.
    levels
        Levels with a smoother, finest first.
    factors
        `scipy.sparse.linalg.SuperLU` of the coarsest matrix.
    order
        Order of the coarsest unknowns in the factors.
    seconds
        Time to build it, in seconds.
    """

    system: ComplexSystem
    algorithm: ShiftedLaplacian
    levels: tuple[ShiftedLevel, ...] = field(repr=False)
    factors: Any = field(repr=False)
    order: Any = field(repr=False)
    seconds: float

    def __str__(self) -> str:
        sizes = [level.matrix.shape[0] for level in self.levels] + [self.factors.shape[0]]
        return f"ShiftedHierarchy: shift {self.algorithm.shift:g}, unknowns {', '.join(map(str, sizes))}"

    __repr__ = __str__  # the arrays are not printed

    def cycle(self, r: Vector) -> Vector:
        """Apply one cycle from zero to a residual (n,)."""
        return self._cycle(0, np.ascontiguousarray(r, np.complex128))

    def _cycle(self, k: int, b: Vector) -> Vector:
        if k == len(self.levels):
            x = np.empty_like(b)
            x[self.order] = self.factors.solve(b[self.order])
            return x
        level, given = self.levels[k], self.algorithm
        x = self._smoothed(level, None, b, given.sweeps[0])
        x = x + self._coarse_correction(k, b - level.matrix @ x)
        if given.cycle == "W" and 0 < k < len(self.levels) - 1:
            x = x + self._coarse_correction(k, b - level.matrix @ x)
        return self._smoothed(level, x, b, given.sweeps[1])

    def _coarse_correction(self, k: int, r: Vector) -> Vector:
        transfer = self.levels[k].prolongation
        return np.asarray(transfer @ self._cycle(k + 1, transfer.T @ r))

    def _smoothed(self, level: ShiftedLevel, x: Vector | None, b: Vector, sweeps: int) -> Vector:
        given, matrix = self.algorithm, level.matrix
        if given.smoother == "gauss_seidel":
            from pyamg.relaxation.relaxation import gauss_seidel

            made = np.zeros_like(b) if x is None else x
            if sweeps:
                gauss_seidel(matrix, made, b, iterations=sweeps, sweep="forward" if x is None else "backward")
            return made
        scale = given.relaxation / matrix.diagonal()
        for _ in range(sweeps):
            x = scale * b if x is None else x + scale * (b - matrix @ x)
        return np.zeros_like(b) if x is None else x


@dataclass(frozen=True)
class ShiftedLaplacian:
    """Algorithm: multigrid for a Helmholtz operator with more absorption, as preconditioner of flexible GMRES.

    Multigrid fails for waves, but converges for -div grad - k^2 (1 + i shift) (Erlangga, Oosterlee and Vuik 2006, doi
    10.1137/040615195), and an approximate inverse of that matrix clusters the eigenvalues of the system. The number of
    iterations grows in proportion to the number of wavelengths across the domain.

    Parameters
    ----------
    shift
        Absorption that is added to k^2 everywhere, as a fraction of k^2.
    levels
        Number of levels with a smoother; the matrix of the next one is factorised.
    smoother, sweeps
        ``gauss_seidel`` (forward before, backward after the coarse correction) or ``jacobi``, and the number of sweeps
        before and after.
    relaxation
        Damping of Jacobi.
    cycle
        Type of the cycle: V or W.
    rtol
        Tolerance of the true residual relative to the right-hand side, in the 2-norm.
    max_iterations
        Largest number of iterations.
    restart
        Iterations after which flexible GMRES starts again.

    Raises
    ------
    InputError
        A setting is out of range. Raised by `init`: the problem is not an `OpenHelmholtz` or a `ComplexSystem`.

    Examples
    --------
    >>> from sciml.solve import solve
    >>> solution = solve(OpenHelmholtz(63, wave_speed=1.0), ShiftedLaplacian())
    >>> solution.result.name, solution.stats["iterations"] < 60
    ('SUCCESS', True)
    """

    shift: float = 0.1
    levels: int = 1
    smoother: WaveSmoother = "gauss_seidel"
    sweeps: tuple[int, int] = (1, 1)
    relaxation: float = 0.6
    cycle: Literal["V", "W"] = "V"
    rtol: float = 1e-6
    max_iterations: int = 500
    restart: int = 200

    def __post_init__(self) -> None:
        check_positive("shift", self.shift)
        check_whole("levels", self.levels, 1)
        check_positive("relaxation", self.relaxation)
        check_fraction("rtol", self.rtol)
        check_whole("max_iterations", self.max_iterations, 1)
        check_whole("restart", self.restart, 1)
        if self.smoother not in get_args(WaveSmoother):
            raise InputError(f"smoother={self.smoother!r}: give one of {', '.join(get_args(WaveSmoother))}")
        if self.cycle not in ("V", "W"):
            raise InputError(f"cycle={self.cycle!r}: give 'V' or 'W'")
        if len(self.sweeps) != 2 or min(self.sweeps) < 0 or sum(self.sweeps) == 0:
            raise InputError(
                f"sweeps={self.sweeps!r}: give how often to smooth before and after, such as (1, 1)"
            )

    def init(self, problem: OpenHelmholtz | ComplexSystem) -> ShiftedHierarchy:
        """Build the hierarchy of a problem or a system."""
        from scipy.sparse.linalg import splu

        system = complex_system(problem, self)
        start = time.perf_counter()
        matrix = sp.csr_matrix(system.matrix - 1j * sp.diags(self.shift * self._mass(system)))
        grid, levels = CoarseGrid.of(system.grid), list[ShiftedLevel]()
        while len(levels) < self.levels and min(grid.shape) > 3:
            transfer, grid = prolongation(grid)
            levels.append(ShiftedLevel(matrix, transfer))
            matrix = sp.csr_matrix(transfer.T @ matrix @ transfer)
        order = nested_dissection(grid.shape)
        settings: dict[str, Any] = {"permc_spec": "NATURAL", "options": {"SymmetricMode": True}}
        factors = splu(sp.csc_matrix(matrix[order][:, order]), diag_pivot_thresh=0.01, **settings)
        return ShiftedHierarchy(system, self, tuple(levels), factors, order, time.perf_counter() - start)

    def _mass(self, system: ComplexSystem) -> npt.NDArray[np.float64]:
        """Return k^2 times the volumes (n,): minus the real part of the row sums, away from the sides."""
        matrix = system.matrix
        diagonal = matrix.diagonal().real
        (hy, hx), shape = system.grid.spacing, system.grid.shape
        stiffness = np.full(shape, 2 * (hx / hy + hy / hx)).ravel()
        return np.asarray(np.maximum(stiffness - diagonal, 0.0))

    def run(self, problem: OpenHelmholtz | ComplexSystem, state: ShiftedHierarchy) -> FieldSolution:
        """Solve a problem with its hierarchy."""
        system = complex_system(problem, self)
        if system.grid != state.system.grid:
            raise InputError(f"the hierarchy is of {state.system}, the problem of {system}: call init for it")
        return flexible_solution(system, state.cycle, self, state.seconds)


def complex_system(problem: object, algorithm: object) -> ComplexSystem:
    """Return the complex system of a problem, or the system itself.

    Raises
    ------
    InputError
        The problem has none.
    """
    if isinstance(problem, ComplexSystem):
        return problem
    if not isinstance(problem, OpenHelmholtz):
        raise InputError(
            f"{type(algorithm).__name__} takes OpenHelmholtz(...) or a ComplexSystem, not {type(problem).__name__}: "
            "solve others with AMG() or Direct()"
        )
    return discretize(problem)  # type: ignore[arg-type,return-value]


def flexible_solution(
    system: ComplexSystem, precondition: Callable[[Vector], Vector], settings: Any, seconds: float
) -> FieldSolution:
    """Solve a system by flexible GMRES, with ``rtol``, ``max_iterations`` and ``restart`` of an algorithm."""
    start = time.perf_counter()
    done = fgmres(
        system.matrix.__matmul__,
        precondition,
        system.rhs,
        rtol=settings.rtol,
        max_iterations=settings.max_iterations,
        restart=settings.restart,
    )
    stats: dict[str, float] = {
        "iterations": done.iterations,
        "relative_residual": done.relative_residual,
        "seconds": time.perf_counter() - start,
        "seconds_setup": seconds,
    }
    solution: Any = done.x
    return FieldSolution(labelled(solution, system.grid), done.result, stats, done.residuals)
