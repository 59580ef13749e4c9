"""Multilinear interpolation between the levels of a structured grid, as sparse matrices."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from sciml.pde.grid import Centring, Grid, Side
from sciml.pde.system import Matrix

__all__ = ["CoarseGrid", "interpolation", "prolongation", "prolongations"]


@dataclass(frozen=True)
class CoarseGrid:
    """A level of a structured grid, for the transfers.

    On vertex-centred grids every second node is a coarse node: the odd nodes after a Dirichlet side (2^k - 1 nodes
    become 2^(k-1) - 1), the even nodes after a Neumann or periodic side. On cell-centred grids two cells become one;
    the last of an odd number of cells becomes a coarse cell by itself.

    Parameters
    ----------
    shape
        Unknowns along each axis.
    centring
        Centring, see `sciml.pde.Grid`.
    sides
        Boundary conditions at the beginning and the end of each axis.

    Examples
    --------
    >>> CoarseGrid.of(Grid((63, 64))).coarse().shape
    (31, 32)
    """

    shape: tuple[int, ...]
    centring: Centring
    sides: tuple[tuple[Side, Side], ...]

    @classmethod
    def of(cls, grid: Grid) -> CoarseGrid:
        """Return the finest level of a grid."""
        return cls(grid.shape, grid.centring, tuple(grid.sides(axis) for axis in range(grid.ndim)))

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return math.prod(self.shape)

    def coarse(self) -> CoarseGrid:
        """Return the next coarser level; an axis with one unknown is not coarsened."""
        shape = tuple(
            max((n + 1 - _first(self.centring, ends)) // 2, 1)
            for n, ends in zip(self.shape, self.sides, strict=True)
        )
        return CoarseGrid(shape, self.centring, self.sides)


def _first(centring: Centring, sides: tuple[Side, Side]) -> int:
    """Return the fine index of the first coarse node."""
    return int(centring == "vertex" and sides[0] == "dirichlet")


def interpolation(n: int, centring: Centring, sides: tuple[Side, Side]) -> Matrix:
    """Return the linear interpolation along one axis, for any number of unknowns.

    The value at a node that is not coarse is the mean of its two neighbours. The value in a cell is 3/4 of its coarse
    cell plus 1/4 of the nearer neighbour. The ghost value beyond a Dirichlet side is zero (vertex-centred) or minus the
    last value (cell-centred), that beyond a Neumann side is the last value, and that beyond a periodic side is the
    value at the other end.

    Returns
    -------
    csr_matrix
        (n, coarse).

    Examples
    --------
    >>> interpolation(5, "vertex", ("dirichlet", "dirichlet")).toarray()
    array([[0.5, 0. ],
           [1. , 0. ],
           [0.5, 0.5],
           [0. , 1. ],
           [0. , 0.5]])
    """
    first = _first(centring, sides)
    coarse = max((n + 1 - first) // 2, 1)
    if n == 1:
        return sp.csr_matrix(np.ones((1, 1)))
    fine = np.arange(n)
    if centring == "cell":
        own = fine // 2
        rows, columns = np.concatenate([fine, fine]), np.concatenate([own, own + 2 * (fine % 2) - 1])
        values = np.repeat([0.75, 0.25], n)
    else:
        coarse_node = (fine - first) % 2 == 0
        between = fine[~coarse_node]
        left = (between - first - 1) // 2  # rounded down: -1 is the ghost before the first unknown
        rows = np.concatenate([fine[coarse_node], between, between])
        columns = np.concatenate([(fine[coarse_node] - first) // 2, left, left + 1])
        values = np.concatenate([np.ones(coarse_node.sum()), np.full(2 * between.size, 0.5)])
    for ghost, edge, opposite, side in ((-1, 0, coarse - 1, sides[0]), (coarse, coarse - 1, 0, sides[1])):
        at = columns == ghost
        columns[at] = opposite if side == "periodic" else edge
        if side == "dirichlet":
            values[at] *= -1.0 if centring == "cell" else 0.0
    matrix = sp.csr_matrix((values, (rows, columns)), shape=(n, coarse))
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def prolongation(grid: Grid | CoarseGrid) -> tuple[Matrix, CoarseGrid]:
    """Return the multilinear interpolation from the next coarser level to a grid; its transpose is the restriction.

    Parameters
    ----------
    grid
        Grid of any number of unknowns, centring and boundary.

    Returns
    -------
    P, coarse
        csr_matrix (grid.size, coarse.size), unknowns in C order, and the coarser level.

    Examples
    --------
    >>> P, coarse = prolongation(Grid((7, 7)))
    >>> P.shape, coarse.shape
    ((49, 9), (3, 3))
    """
    fine = grid if isinstance(grid, CoarseGrid) else CoarseGrid.of(grid)
    along = [interpolation(n, fine.centring, ends) for n, ends in zip(fine.shape, fine.sides, strict=True)]
    product = functools.reduce(lambda a, b: sp.kron(a, b, format="csr"), along)
    return sp.csr_matrix(product), fine.coarse()


def prolongations(grid: Grid, least: int = 1) -> tuple[list[Matrix], list[CoarseGrid]]:
    """Return all interpolations, down to the first level with at most ``least`` unknowns along each axis.

    Returns
    -------
    P, levels
        Interpolations and levels, finest first; len(levels) == len(P) + 1.
    """
    matrices: list[Matrix] = []
    levels = [CoarseGrid.of(grid)]
    while max(levels[-1].shape) > least:
        matrix, coarse = prolongation(levels[-1])
        if coarse.shape == levels[-1].shape:
            break
        matrices.append(matrix)
        levels.append(coarse)
    return matrices, levels
