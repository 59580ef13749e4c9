"""A trained operator as preconditioner of flexible Krylov methods; it need not be symmetric or linear."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator

from sciml.checks import check_fraction, check_whole
from sciml.errors import InputError
from sciml.multigrid.conjugate import ConjugateDirection, MatrixSpace
from sciml.multigrid.torch.stencils import stencil_of
from sciml.multigrid.torch.transfers import LevelLayout
from sciml.operators.neural import Neural
from sciml.operators.trained_operator import takes
from sciml.pde.elliptic import Elliptic, discretize
from sciml.pde.grid import Field
from sciml.pde.solution import FieldSolution, labelled
from sciml.pde.solvability import check_compatible
from sciml.pde.system import System
from sciml.solve import Result

__all__ = ["Krylov", "Preconditioned", "flexible_cg", "preconditioner"]

Krylov = Literal["cg", "gmres"]
GROWN = 1e6
DAMPING = 0.7  # damping of the Jacobi step that is added to an operator of a coarser grid


def preconditioner(neural: Neural, problem: Elliptic | System) -> LinearOperator:
    """Make the preconditioner of a problem: an approximation of A^-1 r for each residual r.

    Parameters
    ----------
    neural
        Operator that takes the system (`HierarchyNet`), of which one cycle is used, or operator whose only input is the
        source (the family ``poisson``). Residuals are scaled to the size of the training data.
    problem
        Problem, or its system.

    Returns
    -------
    scipy.sparse.linalg.LinearOperator
        Operator (n, n) in float64 for `flexible_cg` or ``pyamg.krylov.fgmres``. A network with activations is not
        linear, in spite of the name of the class.

    Raises
    ------
    InputError
        The operator does not take a right-hand side. Use its prediction as the first guess, see `Corrected`.
    """
    system = problem if isinstance(problem, System) else discretize(problem)
    mine = neural.operator
    if takes(mine.network) == "system":
        apply = _cycle(neural, system)
    elif mine.inputs == ("source",) and not mine.steps:
        apply = _inverse(neural, problem, system)
    else:
        raise InputError(
            f"the operator of {mine.family} takes {', '.join(mine.inputs)}, not a residual: its prediction is a start "
            "for Corrected(neural); a preconditioner is a network that takes the system (hierarchy) or the source"
        )
    n = system.size
    return LinearOperator((n, n), matvec=apply, dtype=np.float64)


def _cycle(neural: Neural, system: System) -> Any:
    """Make the preconditioner of one learned cycle, prepared once for the matrix."""
    state = neural.init(system)
    network: Any = state.network
    weight = next(network.parameters())
    layout = LevelLayout.of(system.on_grid)
    with torch.no_grad():
        stencil = stencil_of(system.matrix, system.on_grid).to(weight)[None]
        prepared = network.prepare(stencil, layout) if hasattr(network, "prepare") else None

    def apply(r: Field) -> Field:
        size = float(np.abs(r).max())
        if not size > 0 or not np.isfinite(size):
            return np.zeros_like(r)
        field = torch.from_numpy(system.field(np.asarray(r, np.float64).ravel()) / size).to(weight)[
            None, None
        ]
        with torch.no_grad():
            correction = (
                network.cycle(prepared, field) if prepared is not None else network(stencil, field, layout)
            )
        return np.asarray(correction.double().cpu().numpy().ravel() * size)

    return apply


def _inverse(neural: Neural, problem: Elliptic | System, system: System) -> Any:
    """Make the preconditioner of a network from source to solution, applied to residuals per volume."""
    state = neural.init(problem)
    weight = next(state.network.parameters())
    volumes = system.on_grid.volumes()
    resampled = state.resampling(system.on_grid) is not None
    diagonal = system.matrix.diagonal()
    usual = float(state.normalisation.inputs["source"].scale) or 1.0

    def apply(r: Field) -> Field:
        source = system.field(np.asarray(r, np.float64).ravel()) / volumes
        size = float(np.sqrt(np.square(source).mean())) / usual
        if not size > 0 or not np.isfinite(size):
            return np.zeros_like(r)
        field = torch.from_numpy(source / size).to(weight)[None]
        prediction = state.predict({"source": field}, system.on_grid)[0]
        z = np.asarray(prediction.double().cpu().numpy().ravel() * size)
        if (
            resampled
        ):  # averages remove the part of a residual that oscillates on the fine grid: add a Jacobi step
            z = z + DAMPING * np.asarray(r, np.float64).ravel() / diagonal
        return z

    return apply


@dataclass(frozen=True, eq=False)
class Preconditioned:
    """Algorithm: a flexible Krylov method with a trained operator as preconditioner, to compare with `AMG`.

    Parameters
    ----------
    neural
        Operator, see `preconditioner`.
    method
        ``cg``: `flexible_cg`, for symmetric definite systems; ``gmres``: pyamg's flexible GMRES.
    rtol
        Tolerance of the residual, relative to the right-hand side.
    max_iterations
        Largest number of applications of the preconditioner.

    Notes
    -----
    ``stats`` contains ``iterations``, ``fallbacks`` (number of steps in which the operator did not give a descent
    direction and the diagonal was used instead), ``relative_residual`` and ``seconds``.
    """

    neural: Neural
    method: Krylov = "cg"
    rtol: float = 1e-8
    max_iterations: int = 200

    def __post_init__(self) -> None:
        if self.method not in get_args(Krylov):
            raise InputError(f"method={self.method!r}: give one of {', '.join(get_args(Krylov))}")
        check_fraction("rtol", self.rtol)
        check_whole("max_iterations", self.max_iterations, 1)

    def init(self, problem: Elliptic | System) -> LinearOperator:
        """Make the preconditioner for the matrix of the problem."""
        return preconditioner(self.neural, problem)

    def run(self, problem: Elliptic | System, state: LinearOperator) -> FieldSolution:
        """Solve a problem, starting from zero."""
        start = time.perf_counter()
        system = check_compatible(problem if isinstance(problem, System) else discretize(problem))
        solver = flexible_cg if self.method == "cg" else _fgmres
        x, seen, fallbacks = solver(system, state, self.rtol, self.max_iterations)
        size = float(np.linalg.norm(system.rhs)) or 1.0
        relative = float(np.linalg.norm(system.residual(x))) / size
        if system.kind == "semidefinite":
            x = x - np.average(x, weights=system.weights)
        result = Result.SUCCESS if relative <= self.rtol else Result.MAX_ITERATIONS
        if not np.isfinite(relative):
            result = Result.NOT_FINITE
        elif relative > GROWN:
            result = Result.DIVERGED
        stats: dict[str, float] = {
            "iterations": len(seen) - 1,
            "fallbacks": fallbacks,
            "relative_residual": relative,
            "seconds": time.perf_counter() - start,
        }
        return FieldSolution(labelled(x, system.grid), result, stats, tuple(seen))


def flexible_cg(
    system: System, operator: LinearOperator, rtol: float, max_iterations: int, x0: Field | None = None
) -> tuple[Field, list[float], int]:
    """Conjugate gradients for a preconditioner that may change from step to step (Notay 2000, one direction).

    If z = M r is not a descent direction (r . z <= 0), the diagonal is the preconditioner of that step.

    Returns
    -------
    x, residuals, fallbacks
        Solution (n,); relative residuals, starting before the first step; number of steps with the diagonal.

    Raises
    ------
    InputError
        The system is not symmetric definite.
    """
    if system.kind not in ("definite", "semidefinite"):
        raise InputError(f"conjugate gradients for a system that is {system.kind}: use method='gmres'")
    matrix, b = system.matrix, system.rhs
    size = float(np.linalg.norm(b)) or 1.0
    x = np.zeros_like(b) if x0 is None else np.array(x0, dtype=np.float64).ravel()
    r = b - matrix @ x
    seen, fallbacks = [float(np.linalg.norm(r)) / size], 0
    direction = ConjugateDirection(MatrixSpace(matrix))
    diagonal = matrix.diagonal()
    while seen[-1] > rtol and len(seen) <= max_iterations:
        z = operator.matvec(r)
        if not float(r @ z) > 0:
            z, fallbacks = r / diagonal, fallbacks + 1
        x = x + direction.correction(r, z)
        r = b - matrix @ x
        seen.append(float(np.linalg.norm(r)) / size)
    return x, seen, fallbacks


def _fgmres(
    system: System, operator: LinearOperator, rtol: float, max_iterations: int
) -> tuple[Field, list[float], int]:
    from pyamg.krylov import fgmres

    seen: list[float] = []
    size = float(np.linalg.norm(system.rhs)) or 1.0
    most = min(max_iterations, system.size)
    solution, _ = fgmres(
        system.matrix, system.rhs, tol=rtol, maxiter=most, restart=None, M=operator, residuals=seen
    )
    return np.asarray(solution).ravel(), [value / size for value in seen] or [0.0], 0
