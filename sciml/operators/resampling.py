"""Resampling of fields between the grid of a problem and the grid of the training data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sciml.pde.grid import Field, Grid

__all__ = ["Resampling", "applied", "hats", "refinement", "shares"]

POSITIVE = ("coefficient", "diffusion", "wave_speed")
"""Inputs that multiply a gradient; their averages are geometric, see `Resampling`."""


def refinement(grid: Grid, trained: Grid) -> tuple[float, ...]:
    """Return the ratio of the numbers of intervals of a grid and the trained grid, along each axis.

    Examples
    --------
    >>> refinement(Grid((31, 63)), Grid((15, 15)))
    (2.0, 4.0)
    """
    return tuple(
        (grid.lengths[axis] / grid.spacing[axis]) / (trained.lengths[axis] / trained.spacing[axis])
        for axis in range(grid.ndim)
    )


@dataclass(frozen=True, eq=False)
class Resampling:
    """Averages of fields over the control volumes of a coarser grid, and linear interpolation back.

    Parameters
    ----------
    fine, coarse
        Grids of one line, rectangle or box with the same centring and boundary. The control volumes of the coarse grid
        are at least
        as large as those of the fine grid.
    side
        Value of u on the Dirichlet sides; None extrapolates u linearly to the sides.

    Notes
    -----
    Averages have the overlap area of two control volumes as weights, so that the integral is conserved for any ratio.
    For a ratio of 2 they equal the full weighting of multigrid (vertex-centred) or the mean of four cells
    (cell-centred). A positive coefficient is averaged geometrically, which gives the effective coefficient of a
    checkerboard in two dimensions (Dykhne 1971). For a ratio of 2 the interpolation equals
    `sciml.multigrid.torch.transfers.prolong`. `bench/operators.py` measures the errors at 2 and 4 times the resolution
    of the training data.

    Examples
    --------
    >>> resampling = Resampling(Grid((7, 7)), Grid((3, 3)), 0.0)
    >>> resampling.average(torch.ones(1, 7, 7)).shape, resampling.interpolate(torch.ones(1, 3, 3)).shape
    (torch.Size([1, 3, 3]), torch.Size([1, 7, 7]))
    """

    fine: Grid
    coarse: Grid
    side: float | None = None

    def average(self, field: Tensor, name: str = "") -> Tensor:
        """Average fields (..., *fine.shape) to fields (..., *coarse.shape).

        Parameters
        ----------
        field
            Values at the unknowns of the fine grid.
        name
            Name of the input: a positive coefficient is averaged geometrically, any other arithmetically.
        """
        weights = [shares(self.fine, self.coarse, axis) for axis in range(self.fine.ndim)]
        if name in POSITIVE and bool((field > 0).all()):
            return applied(weights, field.log()).exp()
        return applied(weights, field)

    def variation(self, field: Tensor) -> float:
        """Return the variation of a positive field in the coarse volumes: the mean of log(arithmetic / harmonic).

        The effective coefficient of a volume is between the two means (Wiener bounds).
        """
        weights = [shares(self.fine, self.coarse, axis) for axis in range(self.fine.ndim)]
        values = field.double()
        ratio = applied(weights, values) * applied(weights, 1 / values)
        return float(ratio.log().mean())

    def interpolate(self, u: Tensor) -> Tensor:
        """Interpolate fields (..., *coarse.shape) to (..., *fine.shape) with the boundary conditions of the grid."""
        weights = [
            hats(self.fine, self.coarse, axis, known=self.side is not None) for axis in range(self.fine.ndim)
        ]
        if not self.side:
            return applied(weights, u)
        return applied(weights, u - self.side) + self.side


def applied(weights: list[Field], field: Tensor) -> Tensor:
    """Apply a matrix along each axis, in the precision of the field."""
    *others, last = (torch.from_numpy(weight).to(field) for weight in weights)
    with torch.autocast(field.device.type, enabled=False):
        for axis, weight in enumerate(others):
            dim = axis - len(weights)
            field = weight @ field if dim == -2 else (weight @ field.movedim(dim, -2)).movedim(-2, dim)
        return field @ last.T


def shares(fine: Grid, coarse: Grid, axis: int) -> Field:
    """Return the fraction of each coarse control volume in each fine one (coarse, fine); rows sum to 1."""
    below, above = _edges(coarse, axis)
    low, high = _edges(fine, axis)
    shifts = (-1, 0, 1) if "periodic" in fine.sides(axis) else (0,)
    length = fine.lengths[axis]
    shared = np.zeros((len(below), len(low)))
    for shift in shifts:
        first = np.maximum(below[:, None], low + shift * length)
        last = np.minimum(above[:, None], high + shift * length)
        shared += np.maximum(last - first, 0.0)
    return np.asarray(shared / shared.sum(1, keepdims=True))


def _edges(grid: Grid, axis: int) -> tuple[Field, Field]:
    """Return the beginnings and the ends of the control volumes."""
    middle, half = grid.coordinates()[axis], grid.spacing[axis] / 2
    below, above = middle - half, middle + half
    if "periodic" not in grid.sides(axis):
        below, above = np.maximum(below, 0.0), np.minimum(above, grid.lengths[axis])
    return below, above


def hats(fine: Grid, coarse: Grid, axis: int, *, known: bool) -> Field:
    """Return the linear interpolation (fine, coarse) from the coarse unknowns and one ghost at each end."""
    n, h = coarse.shape[axis], coarse.spacing[axis]
    nodes = coarse.coordinates()[axis]
    ghosts = np.zeros((n + 2, n))
    ghosts[1:-1] = np.eye(n)
    for row, near, next_one, end in ((0, 0, 1, 0), (n + 1, n - 1, n - 2, 1)):
        side = coarse.sides(axis)[end]
        if side == "periodic":
            ghosts[row, n - 1 - near] = 1.0
        elif side == "neumann":
            ghosts[row, near] = 1.0
        elif not known:
            ghosts[row, near], ghosts[row, next_one] = 2.0, -1.0
        elif coarse.centring == "cell":
            ghosts[row, near] = -1.0
    place = (fine.coordinates()[axis] - (nodes[0] - h)) / h
    below = np.clip(np.floor(place + 1e-9).astype(int), 0, n)
    share = np.clip(place - below, 0.0, 1.0)
    rows = np.arange(len(place))
    weights = np.zeros((len(place), n + 2))
    weights[rows, below] = 1 - share
    weights[rows, below + 1] += share
    return np.asarray(weights @ ghosts)
