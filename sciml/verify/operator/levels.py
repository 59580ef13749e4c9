"""Errors by multigrid level: which level of the hierarchy could have removed what is wrong.

With prolongations P_0, P_1, ... and Galerkin operators A_(l+1) = P_l^T A_l P_l, the fields that level l can hold are
the range of P_0 ... P_(l-1). The energy-orthogonal projections onto these nested spaces split an error into parts whose
energies add up; part l is what level l holds and level l + 1 cannot. The energy of a projection is
g_l^T A_l^-1 g_l with g_l the residual restricted to level l, so the residual is enough and no truth is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from sciml.errors import InputError

__all__ = ["LevelSplit"]

Array = NDArray[np.float64]
SMALLEST: Final = 1e-12  # share of the energy below which a part is rounding


class LevelSplit:
    """The levels of a hierarchy, factorised, ready to split many residuals.

    Parameters
    ----------
    multilevel
        `pyamg.MultilevelSolver`, or anything whose ``levels`` have A and P; only the finest A and the P are used, and
        the coarse operators made from them, so that it holds for every symmetric positive (semi)definite A.

    Raises
    ------
    InputError
        A matrix that is not symmetric: it has no energy.

    Examples
    --------
    >>> import pyamg
    >>> matrix = pyamg.gallery.poisson((15, 15), format="csr")
    >>> split = LevelSplit(pyamg.ruge_stuben_solver(matrix, max_coarse=5))
    >>> e = np.random.default_rng(7).normal(size=225)
    >>> parts = split.energies(matrix @ e)
    >>> bool(np.isclose(parts.sum(), e @ (matrix @ e))), int(parts.argmax())
    (True, 0)
    """

    def __init__(self, multilevel: Any) -> None:
        prolongations = [level.P for level in multilevel.levels[:-1]]
        matrix = sp.csr_matrix(multilevel.levels[0].A)
        if abs(matrix - matrix.T).max() > 1e-9 * abs(matrix).max():
            raise InputError("the matrix is not symmetric, so an error has no energy to split by level")
        self.down: list[Any] = [sp.csr_matrix(p).T.tocsr() for p in prolongations]
        self.matrices: list[Any] = [matrix]
        for restrict in self.down:
            self.matrices.append((restrict @ self.matrices[-1] @ restrict.T).tocsr())
        self.factors = [_factor(one) for one in self.matrices]

    @property
    def unknowns(self) -> list[int]:
        """Of each level, the finest first."""
        return [int(one.shape[0]) for one in self.matrices]

    def energies(self, residual: Array) -> Array:
        """The squared energy of the error's part that belongs to each level, (level,).

        Parameters
        ----------
        residual
            b - A u, or A times an error, (n,).
        """
        energy = []
        g = np.asarray(residual, np.float64).ravel()
        for level, solve in enumerate(self.factors):
            energy.append(float(g @ solve(g)))
            if level < len(self.down):
                g = self.down[level] @ g
        parts = np.append(-np.diff(energy), energy[-1])
        # Differences of nearly equal numbers: what is negative by rounding is nil.
        return np.asarray(np.where(np.abs(parts) < SMALLEST * max(energy[0], 0.0), 0.0, parts))

    def shares(
        self, residuals: Sequence[Array], references: Sequence[Array]
    ) -> list[dict[str, float | int | None]]:
        """Split many errors, and the true solutions beside them.

        Parameters
        ----------
        residuals
            Of the predictions, (n,) each.
        references
            Of zero, that is b, (n,) each: they split the true solutions (where the boundary values are zero).

        Returns
        -------
        list
            For each level its unknowns, its mean share of the error's and of the truth's squared energy, and the
            relative energy error within the level.
        """
        wrong = np.mean(
            [_normalised(self.energies(r), self.energies(b).sum()) for r, b in _pairs(residuals, references)],
            0,
        )
        true = np.mean([_normalised(self.energies(b), None) for b in references], 0)
        total = wrong.sum()
        return [
            {
                "level": level,
                "unknowns": unknowns,
                "share_of_error": float(wrong[level] / total) if total > 0 else None,
                "share_of_truth": float(true[level]),
                "relative_error": float(np.sqrt(wrong[level] / true[level])) if true[level] > 0 else None,
            }
            for level, unknowns in enumerate(self.unknowns)
        ]


def _pairs(one: Sequence[Array], other: Sequence[Array]) -> list[tuple[Array, Array]]:
    return list(zip(one, other, strict=True))


def _normalised(energies: Array, by: float | None) -> Array:
    total = energies.sum() if by is None else by
    return energies / total if total > 0 else energies * 0.0


def _factor(matrix: Any) -> Any:
    """Solve with a positive (semi)definite matrix; of a singular one one unknown is held at zero."""
    dense = matrix.shape[0] <= 2
    ones = np.abs(matrix @ np.ones(matrix.shape[0])).max()
    singular = ones <= 1e-10 * abs(matrix).max()
    kept = matrix.shape[0] - 1 if singular else matrix.shape[0]
    if kept == 0:
        return np.zeros_like
    if dense:
        small = np.linalg.inv(matrix.toarray()[:kept, :kept])
        return lambda g: np.append(small @ g[:kept], np.zeros(g.size - kept))
    factor = splu(sp.csc_matrix(matrix[:kept, :kept]))
    return lambda g: np.append(factor.solve(g[:kept]), np.zeros(g.size - kept))
