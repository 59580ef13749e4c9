"""Errors by multigrid level: the part of the error that each level of the hierarchy can remove.

With prolongations P_0, P_1, ... and Galerkin operators A_(l+1) = P_l^T A_l P_l, the fields that level l can represent
are the range of P_0 ... P_(l-1). The energy-orthogonal projections onto these nested spaces split an error into
parts whose energies add up; part l is what level l can represent and level l + 1 cannot. The energy of a projection is
g_l^T A_l^-1 g_l with g_l the residual restricted to level l, so only the residual is needed, and no truth.
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
    """Factorised levels of a hierarchy, to split many residuals.

    Parameters
    ----------
    multilevel
        `pyamg.MultilevelSolver`, or an object whose ``levels`` have A and P. The coarse operators are computed from the
        finest A and from P, so the split is valid for every symmetric positive (semi)definite A.

    Raises
    ------
    InputError
        The matrix is not symmetric and has no energy norm.

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
        self.factors = [_factor(matrix) for matrix in self.matrices]

    @property
    def unknowns(self) -> list[int]:
        """Number of unknowns of each level, the finest first."""
        return [int(matrix.shape[0]) for matrix in self.matrices]

    def energies(self, residual: Array) -> Array:
        """Compute the squared energy of the part of the error of each level, (level,).

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
        # Small differences of nearly equal numbers are rounding errors.
        return np.asarray(np.where(np.abs(parts) < SMALLEST * max(energy[0], 0.0), 0.0, parts))

    def shares(
        self, residuals: Sequence[Array], references: Sequence[Array]
    ) -> list[dict[str, float | int | None]]:
        """Split many errors and the true solutions.

        Parameters
        ----------
        residuals
            Residuals of the predictions, (n,) each.
        references
            Residuals of zero (the right-hand sides), (n,) each, which split the true solutions for zero boundary
            values.

        Returns
        -------
        list
            Unknowns of each level, its mean share of the squared energy of the error and of the truth, and its relative
            energy error.
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


def _pairs(first: Sequence[Array], second: Sequence[Array]) -> list[tuple[Array, Array]]:
    return list(zip(first, second, strict=True))


def _normalised(energies: Array, by: float | None) -> Array:
    total = energies.sum() if by is None else by
    return energies / total if total > 0 else energies * 0.0


def _factor(matrix: Any) -> Any:
    """Factorise a positive (semi)definite matrix; one unknown of a singular matrix is fixed at zero."""
    dense = matrix.shape[0] <= 2
    ones = np.abs(matrix @ np.ones(matrix.shape[0])).max()
    singular = ones <= 1e-10 * abs(matrix).max()
    size = matrix.shape[0] - 1 if singular else matrix.shape[0]
    if size == 0:
        return np.zeros_like
    if dense:
        small = np.linalg.inv(matrix.toarray()[:size, :size])
        return lambda g: np.append(small @ g[:size], np.zeros(g.size - size))
    factor = splu(sp.csc_matrix(matrix[:size, :size]))
    return lambda g: np.append(factor.solve(g[:size]), np.zeros(g.size - size))
