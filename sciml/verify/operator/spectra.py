"""Errors by frequency: expansions in the waves of the boundary conditions.

A field that is zero at its sides is a sum of sines; a field with zero slope there is a sum of cosines. The periodic
Fourier transform of these fields has jumps at the sides, whose slow decay hides the fine scales.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml.errors import InputError
from sciml.pde.grid import Boundary, Centring, Grid, Side

__all__ = ["ErrorSpectrum", "amplitudes", "error_by_frequency", "waves"]

Array = NDArray[np.float64]


def waves(n: int, sides: tuple[Side, Side], centring: Centring) -> tuple[Array, Array]:
    """Return the discrete waves of an axis, which are orthonormal eigenvectors of the second difference.

    Sines (DST I and II), cosines (DCT I and II), their quarter-wave forms for one Dirichlet and one Neumann side
    (types III and IV), or sines and cosines of whole periods.

    Parameters
    ----------
    n
        Unknowns along the axis.
    sides
        Boundary conditions at both ends of the axis.
    centring
        Position of the unknowns.

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
    # A node on a Neumann side has half a control volume, as on the grid.
    along = Grid((3, n), centring, Boundary(west=sides[0], east=sides[1]))
    x, weight = along.coordinates()[1], along.weights(1)
    if "periodic" in sides:
        count = np.arange(n)
        number = 2.0 * ((count + 1) // 2)
        phase = np.pi * np.outer(x, number)
        basis = np.where(count % 2 == 1, np.sin(phase), np.cos(phase))
        if n % 2 == 0 and centring == "vertex":  # the shortest sine is zero at the nodes
            basis[:, -1] = np.cos(np.pi * n * x)
    else:
        fixed = sides[0] == "dirichlet"
        first = {2: 1.0, 1: 0.5, 0: 0.0}[sides.count("dirichlet")]
        number = np.arange(n) + first
        phase = np.pi * np.outer(x, number)
        basis = np.sin(phase) if fixed else np.cos(phase)
    basis = basis / np.sqrt(weight @ basis**2)
    return np.asarray(number, np.float64), np.asarray(basis, np.float64)


def amplitudes(field: Array, grid: Grid) -> tuple[Array, ...]:
    """Compute the amplitudes of the waves in fields (..., y, x), on a line (..., x) or in a box (..., z, y, x).

    The sum of their squares is the mean square of the field.

    Returns
    -------
    amplitude, along_y, along_x
        (..., y, x), and the half-waves across the grid along each axis, (y,) and (x,); one array for each axis.

    Raises
    ------
    InputError
        The field does not have the shape of the grid.
    """
    field = np.asarray(field, np.float64)
    if field.shape[-grid.ndim :] != grid.shape:
        raise InputError(
            f"a field of shape {field.shape} on a grid {grid}: give (..., {', '.join(grid.dims)})"
        )
    numbers: list[Array] = []
    for axis, n in enumerate(grid.shape):
        number, basis = waves(n, grid.sides(axis), grid.centring)
        weighted = (grid.weights(axis) / grid.lengths[axis])[:, None] * basis
        if axis == grid.ndim - 1:
            field = field @ weighted
        else:
            place = axis - grid.ndim
            field = np.moveaxis(weighted.T @ np.moveaxis(field, place, -2), -2, place)
        numbers.append(number)
    return field, *numbers


@dataclasses.dataclass(frozen=True, eq=False)
class ErrorSpectrum:
    """Mean square of truth, prediction and error by wave number, averaged over samples.

    Attributes
    ----------
    wavenumber
        Middles of shells of width 1, in half-waves across the longest side of the grid.
    truth, prediction, error
        Contribution of each shell to the mean square, (shell,).
    cutoff
        Wave number above which the shells are incomplete.
    """

    wavenumber: Array
    truth: Array
    prediction: Array
    error: Array
    cutoff: float

    def bands(self) -> list[dict[str, float | None]]:
        """Compute the relative error in each octave, and its share of the squared error."""
        whole = self.error.sum()
        octaves: list[dict[str, float | None]] = []
        low = 0.0
        for high in 2.0 ** np.arange(1, math.ceil(math.log2(self.wavenumber[-1] + 1)) + 1):
            here = (self.wavenumber >= low) & (self.wavenumber < high)
            true, wrong = self.truth[here].sum(), self.error[here].sum()
            octaves.append(
                {
                    "from": low,
                    "to": float(high),
                    "relative_error": float(np.sqrt(wrong / true)) if true > 0 else None,
                    "share_of_error": float(wrong / whole) if whole > 0 else None,
                    "share_of_truth": float(true / self.truth.sum()) if self.truth.sum() > 0 else None,
                }
            )
            low = float(high)
        return octaves

    def to_json(self) -> dict[str, Any]:
        """Return a dict for `json.dump`."""
        lists = {
            name: [float(x) for x in getattr(self, name)]
            for name in ("wavenumber", "truth", "prediction", "error")
        }
        return {"bands": self.bands(), "cutoff": self.cutoff, **lists}


def error_by_frequency(prediction: Array, truth: Array, grid: Grid) -> ErrorSpectrum:
    """Expand predictions, truths and errors, such as (sample, y, x), and sum their squares in shells of wave number.

    Raises
    ------
    InputError
        The shapes differ, or are not that of the grid.

    Examples
    --------
    >>> grid = Grid((31, 31))
    >>> x, y = grid.mesh()
    >>> truth = np.sin(np.pi * x) * np.sin(np.pi * y)
    >>> wrong = truth + 0.1 * np.sin(9 * np.pi * x) * np.sin(12 * np.pi * y)
    >>> spectrum = error_by_frequency(wrong[None], truth[None], grid)
    >>> ratio = spectrum.error.sum() / spectrum.truth.sum()
    >>> float(spectrum.wavenumber[spectrum.error.argmax()]), round(float(ratio), 6)
    (15.0, 0.01)
    """
    if np.shape(prediction) != np.shape(truth):
        raise InputError(f"prediction {np.shape(prediction)} against truth {np.shape(truth)}: give one shape")
    side = max(grid.lengths)
    spectra: list[Array] = []
    for field in (truth, prediction, np.subtract(prediction, truth, dtype=np.float64)):
        amplitude, *numbers = amplitudes(field, grid)
        along = [number * side / length for number, length in zip(numbers, grid.lengths, strict=True)]
        wave = functools.reduce(np.hypot.outer, along)
        shells = np.rint(wave).astype(int)
        square = (amplitude**2).reshape(-1, *grid.shape).mean(0)
        spectra.append(np.asarray(np.bincount(shells.ravel(), square.ravel()), np.float64))
    cutoff = min(waves_along[-1] for waves_along in along)
    wavenumber = np.arange(spectra[0].size, dtype=np.float64)
    true, predicted, wrong = spectra
    return ErrorSpectrum(wavenumber, true, predicted, wrong, float(cutoff))
