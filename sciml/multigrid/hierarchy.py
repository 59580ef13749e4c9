"""A multigrid hierarchy: the levels of one operator, built once and used for any right-hand side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from sciml.checks import check_fraction, check_whole
from sciml.errors import InputError
from sciml.multigrid.bounds import Bounds, Contraction, bounds, contraction, imbalance
from sciml.multigrid.coarsest import Coarsest, inverse_of
from sciml.multigrid.given_system import same_matrix, system_of
from sciml.multigrid.krylov import Iteration, iterate
from sciml.multigrid.rounding import Rounding
from sciml.multigrid.settings import Settings
from sciml.multigrid.smoothing import damping, smoothers
from sciml.pde.elliptic import Elliptic
from sciml.pde.grid import Field
from sciml.pde.solvability import check_compatible
from sciml.pde.system import Matrix, System
from sciml.tables import aligned, html_table

__all__ = ["Hierarchy", "Level", "assemble", "same_matrix", "system_of"]


@dataclass(frozen=True, eq=False)
class Level:
    """One level of a hierarchy. Its arrays are shared with pyamg and must not be changed.

    Parameters
    ----------
    matrix
        csr_matrix (n, n).
    prolongation, restriction
        csr_matrix (n, m) from the next coarser level and (m, n) to it; None on the coarsest level.
    damping
        Damping of Jacobi on this level, ``omega`` of x += omega D^-1 (b - A x).
    shape
        Shape (y, x) if the level is a structured grid, else None.
    inverse
        Inverse (n, n) on the coarsest level, or the pseudo-inverse of a singular matrix, for ``inverse @ b``; None on
        other levels. An array up to 3,000 unknowns.
    """

    matrix: Matrix = field(repr=False)
    prolongation: Matrix = field(repr=False)
    restriction: Matrix = field(repr=False)
    damping: float
    shape: tuple[int, ...] | None = None
    inverse: Any = field(default=None, repr=False)

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return int(self.matrix.shape[0])

    @property
    def dense_inverse(self) -> Field:
        """The inverse as an array (n, n).

        Raises
        ------
        InputError
            The level has more than 3,000 unknowns.
        """
        if not isinstance(self.inverse, np.ndarray):
            raise InputError(
                f"the coarsest level has {self.size:,} unknowns, too many for tensors: use AMG() without torch"
            )
        return self.inverse


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """The levels of one operator; the state of `AMG`.

    Parameters
    ----------
    system
        The system whose matrix is on the finest level.
    algorithm
        Settings of the hierarchy.
    levels
        Levels, finest first.
    multilevel
        The same levels as ``pyamg.MultilevelSolver``.
    seconds
        Time to build it, in seconds.

    Examples
    --------
    >>> from sciml.multigrid import AMG
    >>> from sciml.pde import Poisson
    >>> hierarchy = AMG("geometric").init(Poisson(15))
    >>> [level.shape for level in hierarchy.levels]
    [(15, 15), (7, 7), (3, 3), (1, 1)]
    >>> print(hierarchy)
    Hierarchy: geometric, V(1, 1), gauss_seidel
    levels                    4
    operator complexity   1.386
    grid complexity       1.262
      level    unknowns     nonzeros    share        grid
          0         225         1065   72.15%     15 x 15
          1          49          361   24.46%       7 x 7
          2           9           49    3.32%       3 x 3
          3           1            1    0.07%       1 x 1
    """

    system: System
    algorithm: Settings
    levels: tuple[Level, ...] = field(repr=False)
    multilevel: Any = field(repr=False)
    seconds: float

    @property
    def asymmetry(self) -> str | None:
        """Reason why one cycle is not a symmetric operator, or None if it is symmetric."""
        given = self.algorithm
        if self.system.kind not in ("definite", "semidefinite"):
            return f"the matrix is {self.system.kind}"
        if given.sweeps[0] != given.sweeps[1]:
            return f"sweeps={given.sweeps} smooth differently before and after: give the same number twice"
        if given.cycle == "F":
            return "an F-cycle is not symmetric: use cycle='V' or 'W'"
        return None

    @property
    def symmetric(self) -> bool:
        """Whether one cycle is a symmetric operator."""
        return self.asymmetry is None

    @property
    def operator_complexity(self) -> float:
        """Nonzeros of all levels over those of the finest."""
        return float(sum(level.matrix.nnz for level in self.levels) / self.levels[0].matrix.nnz)

    @property
    def grid_complexity(self) -> float:
        """Unknowns of all levels over those of the finest."""
        return sum(level.size for level in self.levels) / self.levels[0].size

    def smooth(self, k: int, x: Field, b: Field, when: Literal["pre", "post"] = "pre") -> Field:
        """Return x after the smoothing for A_k x = b before or after the coarse correction of the cycle.

        On the coarsest level this is the solution.
        """
        inverse = self.levels[k].inverse
        if inverse is not None:
            return np.asarray(inverse @ np.asarray(b, dtype=np.float64))
        smoothed = np.array(x, dtype=np.float64)
        level = self.multilevel.levels[k]
        getattr(level, f"{when}smoother")(level.A, smoothed, np.asarray(b, dtype=np.float64))
        return smoothed

    def cycle(self, r: Field) -> Field:
        """Apply one cycle from zero: the approximate solution B r of A e = r, (n,)."""
        r = np.ascontiguousarray(r, dtype=np.float64).ravel()
        if r.size != self.system.size:
            raise InputError(f"a vector of {r.size} values: this hierarchy has {self.system.size} unknowns")
        return self._cycle(0, r, self.algorithm.cycle)

    def _cycle(self, k: int, b: Field, kind: str) -> Field:
        level = self.levels[k]
        if level.inverse is not None:
            return np.asarray(level.inverse @ b)
        relax = self.multilevel.levels[k]
        x = np.zeros_like(b)
        relax.presmoother(level.matrix, x, b)
        coarse = level.restriction @ (b - level.matrix @ x)
        e = self._cycle(k + 1, coarse, kind)
        if kind != "V" and self.levels[k + 1].inverse is None:
            second = "W" if kind == "W" else "V"
            e += self._cycle(k + 1, coarse - self.levels[k + 1].matrix @ e, second)
        x += level.prolongation @ e
        relax.postsmoother(level.matrix, x, b)
        return x

    def cycles(self, r: Field, count: int) -> tuple[Field, Field]:
        """Apply several cycles from zero; returns the approximate solution of A e = r and its residual, both (n,)."""
        r = np.asarray(r, dtype=np.float64).ravel()
        x, left = np.zeros_like(r), r
        for _ in range(count):
            x = x + self.cycle(left)
            left = r - self.system.matrix @ x
        return x, left

    def solve(
        self,
        b: Field | None = None,
        x0: Field | None = None,
        *,
        rtol: float | None = None,
        max_cycles: int | None = None,
    ) -> Iteration:
        """Solve A x = b for another right-hand side, with the settings of the algorithm.

        Parameters
        ----------
        b
            Right-hand side (n,) or (y, x), integrated over the control volumes as `System.rhs` is; by default that of
            the system.
        x0
            First guess, zero by default.
        rtol, max_cycles
            Tolerance and largest number of cycles; by default those of the algorithm.

        Returns
        -------
        Iteration
            Result of the iteration.

        Raises
        ------
        InputError
            Values do not fit or are not finite, the right-hand side has no solution (see `check_compatible`), or the
            tolerance or number of cycles is out of range.
        """
        given = self.algorithm
        rtol = given.rtol if rtol is None else rtol
        most = given.max_cycles if max_cycles is None else max_cycles
        check_fraction("rtol", rtol)
        check_whole("max_cycles", most, 1)
        b = self.system.rhs if b is None else self._fitting(b, "b")
        x0 = np.zeros_like(b) if x0 is None else self._fitting(x0, "x0")
        system = check_compatible(self.system.with_rhs(b))
        return iterate(self, system.rhs, x0, rtol, most)

    def _fitting(self, values: Field, name: str) -> Field:
        size, shape = self.system.size, self.system.shape
        if np.shape(values) not in ((size,), shape):
            raise InputError(
                f"{name} has shape {np.shape(values)}, the system {size} unknowns: give {_either(size, shape)}"
            )
        vector = np.array(values, dtype=np.float64).ravel()
        if not np.isfinite(vector).all():
            raise InputError(
                f"{name}[{int(np.argmin(np.isfinite(vector)))}] is not finite: give finite values"
            )
        return vector

    def updated(self, problem: Elliptic | System) -> Hierarchy:
        """Make the hierarchy of a similar operator, with the same P and R and new coarse matrices and smoothers.

        This takes less time than a new hierarchy. The convergence is as fast if the jumps of the coefficient do not
        move, see ``contraction``.

        Raises
        ------
        InputError
            The grid or the kind of the system differs.
        """
        system = system_of(problem, self.algorithm)
        if (system.grid, system.shape, system.kind) != (
            self.system.grid,
            self.system.shape,
            self.system.kind,
        ):
            raise InputError(
                f"this hierarchy is of {self.system}, the problem of {system}: "
                "keep the grid and the kind, or build a hierarchy with AMG().init(problem)"
            )
        if same_matrix(system.matrix, self.system.matrix):
            return replace(self, system=system)
        start = time.perf_counter()
        pairs = [(level.prolongation, level.restriction) for level in self.levels[:-1]]
        shapes = [level.shape for level in self.levels]
        return assemble(system, self.algorithm, pairs, shapes, start=start)

    @cached_property
    def contraction(self) -> Contraction:
        """Guaranteed bound of the contraction of one cycle in the energy norm, see `bounds`."""
        return contraction(self)

    @cached_property
    def rounding(self) -> Rounding:
        """Bounds of the rounding of energies in float64; see `sciml.multigrid.rounding`."""
        return Rounding.of(self.system, self.contraction.smallest)

    @cached_property
    def imbalance(self) -> float:
        """Largest change of the energy by a residual that sums to 1 instead of 0, see `bounds.imbalance`."""
        return imbalance(self)

    def bounds(self, r: Field, effectivity: float = 1.1, rounding: Field | None = None) -> Bounds:
        """Bound the energy norm of the error whose residual is r, see `sciml.multigrid.bounds`.

        Parameters
        ----------
        r
            Residual b - A u of an approximate u, (n,) or (y, x), as ``system.residual(u)`` computes it.
        effectivity
            Largest ratio of the upper bound and the error; it determines the number of cycles.
        rounding
            Errors of the entries of r besides their last bit, (n,) or (y, x); None for no such errors.

        Returns
        -------
        Bounds
            Bounds of the energy norm.
        """
        return bounds(self, r, effectivity, rounding)

    def __str__(self) -> str:
        sums = aligned(self._sums(), widths=(20, 7), gap="")
        rows = (("level", "unknowns", "nonzeros", "share", "grid"), *self._rows())
        levels = aligned(rows, align=">", widths=(7, 12, 13, 9, 12), gap="")
        return "\n".join([self._title(), *sums, *levels])

    def _title(self) -> str:
        given = self.algorithm
        return f"Hierarchy: {given.method}, {given.cycle}{given.sweeps}, {given.smoother}"

    def _sums(self) -> list[tuple[str, str]]:
        return [
            ("levels", str(len(self.levels))),
            ("operator complexity", f"{self.operator_complexity:.3f}"),
            ("grid complexity", f"{self.grid_complexity:.3f}"),
        ]

    def _rows(self) -> list[tuple[str, ...]]:
        total = sum(level.matrix.nnz for level in self.levels)
        shapes = ["" if level.shape is None else " x ".join(map(str, level.shape)) for level in self.levels]
        return [
            (str(k), str(level.size), str(level.matrix.nnz), f"{level.matrix.nnz / total:.2%}", shape)
            for k, (level, shape) in enumerate(zip(self.levels, shapes, strict=True))
        ]

    def _repr_html_(self) -> str:
        head = ("level", "unknowns", "nonzeros", "share", "grid")
        sums = ", ".join(f"{name} {value}" for name, value in self._sums())
        return html_table(f"{self._title()}\n{sums}", self._rows(), head=head)


def _either(size: int, shape: tuple[int, ...]) -> str:
    """Describe the shapes of a vector of the unknowns."""
    return f"({size},)" if len(shape) == 1 else f"({size},) or {shape}"


def assemble(
    system: System,
    algorithm: Settings,
    transfers: Sequence[tuple[Matrix, Matrix]],
    shapes: Sequence[tuple[int, ...] | None],
    *,
    matrices: Sequence[Matrix] = (),
    start: float,
) -> Hierarchy:
    """Build a hierarchy from its transfers (P, R), finest first; coarse matrices are R A P by default."""
    from pyamg.multilevel import MultilevelSolver
    from pyamg.relaxation.smoothing import change_smoothers

    levels: list[Any] = []
    chain = [_csr(matrix) for matrix in matrices] or [_csr(system.matrix)]
    for k in range(len(transfers) + 1):
        if k == len(chain):
            prolong, restrict = transfers[k - 1]
            chain.append(_csr(restrict @ chain[k - 1] @ prolong))
        level = MultilevelSolver.Level()
        level.A = chain[k]
        if k < len(transfers):
            level.P, level.R = transfers[k]
        levels.append(level)
    symmetric, singular = system.kind in ("definite", "semidefinite"), system.kind == "semidefinite"
    inverse = inverse_of(chain, transfers, symmetric=symmetric, singular=singular)
    multilevel = MultilevelSolver(levels, coarse_solver=Coarsest(inverse))
    chosen = [smoothers(matrix, algorithm.smoother, algorithm.sweeps) for matrix in chain[:-1]]
    if chosen:
        change_smoothers(multilevel, [pre for pre, _ in chosen], [post for _, post in chosen])
    made = tuple(
        Level(
            chain[k],
            transfers[k][0] if k < len(transfers) else None,
            transfers[k][1] if k < len(transfers) else None,
            damping(chain[k]),
            shapes[k],
            inverse if k == len(transfers) else None,
        )
        for k in range(len(chain))
    )
    return Hierarchy(system, algorithm, made, multilevel, time.perf_counter() - start)


def _csr(matrix: Matrix) -> Matrix:
    copied = sp.csr_matrix(matrix, dtype=np.float64, copy=True)
    copied.sort_indices()
    return copied
