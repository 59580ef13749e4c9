"""Errors by frequency: expansions in the waves that belong to the boundary, not in periodic ones.

A field that vanishes at its sides is a sum of sines, one whose slope does a sum of cosines; the Fourier transform of
either, taken as if it were periodic, has jumps at the sides whose tail hides the fine scales.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml.errors import InputError
from sciml.pde.grid import Boundary, Centring, Grid, Side

__all__ = ["Spectrum", "amplitudes", "error_by_frequency", "waves"]

Array = NDArray[np.float64]


def waves(n: int, sides: tuple[Side, Side], centring: Centring) -> tuple[Array, Array]:
    """The discrete waves of an axis: orthonormal, and eigenvectors of the second difference.

    Sines (DST I and II), cosines (DCT I and II), their quarter-wave forms where one side is held and the other is not
    (types III and IV), or sines and cosines of whole periods.

    Parameters
    ----------
    n
        Unknowns along the axis.
    sides
        What holds at its beginning and end.
    centring
        Where the unknowns lie.

    Returns
    -------
    number, basis
        Half-waves across the axis (n,), and the waves as columns (n, n), orthonormal under the control volumes taken
        as fractions of the axis.

    Examples
    --------
    >>> number, basis = waves(3, ("dirichlet", "dirichlet"), "vertex")
    >>> number
    array([1., 2., 3.])
    >>> bool(np.allclose(basis.T @ basis / 4, np.eye(3)))
    True
    """
    # The ends along which the waves run are the grid's: at a node on a Neumann side half a control volume.
    along = Grid((3, n), centring, Boundary(west=sides[0], east=sides[1]))
    x, weight = along.coordinates()[1], along.weights(1)
    if "periodic" in sides:
        count = np.arange(n)
        number = 2.0 * ((count + 1) // 2)
        phase = np.pi * np.outer(x, number)
        basis = np.where(count % 2 == 1, np.sin(phase), np.cos(phase))
        if n % 2 == 0 and centring == "vertex":  # at the nodes the shortest sine is nil, the cosine is not
            basis[:, -1] = np.cos(np.pi * n * x)
    else:
        held = sides[0] == "dirichlet"
        first = {2: 1.0, 1: 0.5, 0: 0.0}[sides.count("dirichlet")]
        number = np.arange(n) + first
        phase = np.pi * np.outer(x, number)
        basis = np.sin(phase) if held else np.cos(phase)
    basis = basis / np.sqrt(weight @ basis**2)
    return np.asarray(number, np.float64), np.asarray(basis, np.float64)


def amplitudes(field: Array, grid: Grid) -> tuple[Array, Array, Array]:
    """The amplitudes of the waves in fields (..., y, x); the sum of their squares is the mean square of the field.

    Returns
    -------
    amplitude, along_y, along_x
        (..., y, x), and the half-waves across the rectangle along each axis, (y,) and (x,).

    Raises
    ------
    InputError
        A field that does not lie on the grid.
    """
    field = np.asarray(field, np.float64)
    if field.shape[-2:] != grid.shape:
        raise InputError(f"a field of shape {field.shape} on a grid {grid}: give (..., y, x)")
    number_y, basis_y = waves(grid.shape[0], grid.sides(0), grid.centring)
    number_x, basis_x = waves(grid.shape[1], grid.sides(1), grid.centring)
    share_y, share_x = (grid.weights(axis) / grid.lengths[axis] for axis in (0, 1))
    left, right = (share_y[:, None] * basis_y).T, share_x[:, None] * basis_x
    return left @ field @ right, number_y, number_x


@dataclasses.dataclass(frozen=True, eq=False)
class Spectrum:
    """Mean square of truth, prediction and error by wave number, averaged over samples.

    Attributes
    ----------
    wavenumber
        Middles of shells of width 1, in half-waves across the longer side of the rectangle.
    truth, prediction, error
        What each shell contributes to the mean square, (shell,).
    cutoff
        Beyond this wave number the rectangle's corners alone contribute.
    """

    wavenumber: Array
    truth: Array
    prediction: Array
    error: Array
    cutoff: float

    def bands(self) -> list[dict[str, float | None]]:
        """Octaves: the relative error in each, and its share of the whole squared error."""
        whole = self.error.sum()
        found: list[dict[str, float | None]] = []
        low = 0.0
        for high in 2.0 ** np.arange(1, math.ceil(math.log2(self.wavenumber[-1] + 1)) + 1):
            here = (self.wavenumber >= low) & (self.wavenumber < high)
            true, wrong = self.truth[here].sum(), self.error[here].sum()
            found.append(
                {
                    "from": low,
                    "to": float(high),
                    "relative_error": float(np.sqrt(wrong / true)) if true > 0 else None,
                    "share_of_error": float(wrong / whole) if whole > 0 else None,
                    "share_of_truth": float(true / self.truth.sum()) if self.truth.sum() > 0 else None,
                }
            )
            low = float(high)
        return found

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        lists = {
            name: [float(x) for x in getattr(self, name)]
            for name in ("wavenumber", "truth", "prediction", "error")
        }
        return {"bands": self.bands(), "cutoff": self.cutoff, **lists}


def error_by_frequency(prediction: Array, truth: Array, grid: Grid) -> Spectrum:
    """Expand predictions, truths and errors (sample, y, x) and add up their squares in shells of wave number.

    Raises
    ------
    InputError
        Different shapes, or fields that do not lie on the grid.

    Examples
    --------
    >>> grid = Grid((31, 31))
    >>> x, y = grid.mesh()
    >>> truth = np.sin(np.pi * x) * np.sin(np.pi * y)
    >>> wrong = truth + 0.1 * np.sin(9 * np.pi * x) * np.sin(12 * np.pi * y)
    >>> found = error_by_frequency(wrong[None], truth[None], grid)
    >>> float(found.wavenumber[found.error.argmax()]), round(float(found.error.sum() / found.truth.sum()), 6)
    (15.0, 0.01)
    """
    if np.shape(prediction) != np.shape(truth):
        raise InputError(f"prediction {np.shape(prediction)} against truth {np.shape(truth)}: give one shape")
    side = max(grid.lengths)
    kept: list[Array] = []
    for field in (truth, prediction, np.subtract(prediction, truth, dtype=np.float64)):
        amplitude, number_y, number_x = amplitudes(field, grid)
        wave = np.hypot(
            number_y[:, None] * side / grid.lengths[0], number_x[None, :] * side / grid.lengths[1]
        )
        shells = np.rint(wave).astype(int)
        square = (amplitude**2).reshape(-1, *grid.shape).mean(0)
        kept.append(np.asarray(np.bincount(shells.ravel(), square.ravel()), np.float64))
    cutoff = min(number_y[-1] * side / grid.lengths[0], number_x[-1] * side / grid.lengths[1])
    wavenumber = np.arange(kept[0].size, dtype=np.float64)
    true, said, wrong = kept
    return Spectrum(wavenumber, true, said, wrong, float(cutoff))
