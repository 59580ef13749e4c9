"""Fields between the grid of a problem and the grid that a network was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sciml.pde.grid import Field, Grid

__all__ = ["Resampling", "refinement"]

POSITIVE = ("coefficient", "diffusion", "wave_speed")
"""Inputs that multiply the gradient or its like: their averages are geometric, see `Resampling`."""


def refinement(grid: Grid, trained: Grid) -> tuple[float, float]:
    """How many times finer a grid is than the trained one, along y and along x, by its intervals.

    Examples
    --------
    >>> refinement(Grid((31, 63)), Grid((15, 15)))
    (2.0, 4.0)
    """
    along = [
        (grid.lengths[axis] / grid.spacing[axis]) / (trained.lengths[axis] / trained.spacing[axis])
        for axis in (0, 1)
    ]
    return along[0], along[1]


@dataclass(frozen=True, eq=False)
class Resampling:
    """Averages of fields over the control volumes of a coarser grid, and linear interpolation back.

    Parameters
    ----------
    fine, coarse
        Two grids of one rectangle with the same centring and boundary; the control volumes of the coarse grid are
        at least as large.
    side
        u on the Dirichlet sides, one number; None where it is not known: u is extrapolated linearly there.

    Notes
    -----
    Averages are weighted by the area that two control volumes share, so that the integral is conserved for any ratio;
    for a ratio of 2 they are the full weighting of multigrid on vertices and the mean of four cells on cells. Those of
    a positive coefficient are geometric, which is the effective one of a checkerboard in two dimensions (Dykhne 1971).
    For a ratio of 2 the interpolation is `sciml.multigrid.torch.transfers.prolong`. `bench/operators.py` measures the
    errors at 2 and 4 times the trained resolution.

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
        """Fields (..., *fine.shape) as fields (..., *coarse.shape).

        Parameters
        ----------
        field
            Values at the unknowns of the fine grid.
        name
            Name of the input: a positive coefficient is averaged geometrically, any other arithmetically.
        """
        weights = [_shares(self.fine, self.coarse, axis) for axis in (0, 1)]
        if name in POSITIVE and bool((field > 0).all()):
            return _applied(weights, field.log()).exp()
        return _applied(weights, field)

    def variation(self, field: Tensor) -> float:
        """How much a positive field varies within the coarse control volumes: the mean of log(arithmetic / harmonic).

        The effective coefficient of a volume lies between the two means (Wiener bounds), which are this far apart.
        """
        weights = [_shares(self.fine, self.coarse, axis) for axis in (0, 1)]
        values = field.double()
        ratio = _applied(weights, values) * _applied(weights, 1 / values)
        return float(ratio.log().mean())

    def interpolate(self, u: Tensor) -> Tensor:
        """Fields (..., *coarse.shape) as fields (..., *fine.shape), with the boundary conditions of the grid."""
        weights = [_hats(self.fine, self.coarse, axis, known=self.side is not None) for axis in (0, 1)]
        if not self.side:
            return _applied(weights, u)
        return _applied(weights, u - self.side) + self.side


def _applied(weights: list[Field], field: Tensor) -> Tensor:
    """A matrix along y and one along x, in the precision of the field."""
    along_y, along_x = (torch.from_numpy(weight).to(field) for weight in weights)
    with torch.autocast(field.device.type, enabled=False):
        return along_y @ field @ along_x.T


def _shares(fine: Grid, coarse: Grid, axis: int) -> Field:
    """The part of each coarse control volume that each fine one covers (coarse, fine); rows sum to 1."""
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
    """Where the control volumes begin and end."""
    middle, half = grid.coordinates()[axis], grid.spacing[axis] / 2
    below, above = middle - half, middle + half
    if "periodic" not in grid.sides(axis):
        below, above = np.maximum(below, 0.0), np.minimum(above, grid.lengths[axis])
    return below, above


def _hats(fine: Grid, coarse: Grid, axis: int, *, known: bool) -> Field:
    """Linear interpolation (fine, coarse) among the coarse unknowns and one ghost at each end."""
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
