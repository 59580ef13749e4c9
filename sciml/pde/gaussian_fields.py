"""Gaussian fields drawn from their spectrum; a seed determines the same field at every resolution."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from sciml.pde.grid import Field, Grid

__all__ = ["gaussian_field", "modes_of", "periodic_field", "sum_cosines", "variances"]

MODES = 256


def gaussian_field(
    grid: Grid, generator: np.random.Generator, *, tau: float, alpha: float, modes: int | None = None
) -> Field:
    """Draw from N(0, tau^(2 alpha - d) (-Laplace + tau^2)^-alpha) with zero Neumann sides, mean zero, in d dimensions.

    The Karhunen-Loeve expansion has cosines with standard deviations tau^(alpha-d/2) (pi^2 |k|^2 + tau^2)^(-alpha/2),
    in the plane normalised as in the generator of the FNO authors (Li et al. 2021, appendix A.3.2). It is evaluated
    exactly at the unknowns, and the random numbers do not depend on the grid, only on its number of axes. The field is
    drawn on the unit line, square or cube and stretched to the grid. ``modes`` is the number of cosines along each
    axis, by default 256, and 64 in three dimensions.

    Examples
    --------
    >>> coarse, fine = (Grid((n, n)) for n in (7, 15))
    >>> a, b = (gaussian_field(g, np.random.default_rng(7), tau=3, alpha=2) for g in (coarse, fine))
    >>> bool(np.allclose(a, b[1::2, 1::2]))
    True
    """
    wave = np.arange(modes or modes_of(grid))
    xi = generator.standard_normal((wave.size,) * grid.ndim)
    return sum_cosines(grid, np.sqrt(variances(wave, tau, alpha, grid.ndim)) * xi)


def modes_of(grid: Grid) -> int:
    """Return the number of cosines along each axis of `gaussian_field`."""
    return MODES if grid.ndim < 3 else MODES // 4


def periodic_field(
    coordinates: tuple[Field, ...],
    generator: np.random.Generator,
    *,
    sigma: float,
    tau: float,
    alpha: float,
    modes: int = 128,
) -> Field:
    """Draw from N(0, sigma^2 (-Laplace + tau^2)^-alpha) on the periodic unit line or square, mean zero.

    The field has the Fourier modes with |k| <= modes along each axis. It is evaluated exactly on the grid of the
    coordinates (x) or (y, x), and the random numbers do not depend on them. The generator of initial vorticity of the
    FNO authors draws real and imaginary parts of variance 2 sigma^2 (...)^-alpha, so that its fields have the
    covariance of sqrt(2) sigma here.
    """
    wave = np.arange(-modes, modes + 1)
    shape = (wave.size,) * len(coordinates)
    square = sum(np.meshgrid(*[wave.astype(np.float64) ** 2] * len(coordinates), indexing="ij"))
    deviation = sigma * (4 * np.pi**2 * np.asarray(square) + tau**2) ** (-alpha / 2)
    deviation[(modes,) * len(coordinates)] = 0.0
    xi = generator.standard_normal((2, *shape))
    field = deviation * (xi[0] + 1j * xi[1])
    for axis, places in enumerate(coordinates):
        waves = np.exp(2j * np.pi * np.outer(places, wave))
        field = np.moveaxis(np.tensordot(waves, field, (1, axis)), 0, axis)
    return np.ascontiguousarray(field.real)


def variances(wave: npt.NDArray[Any], tau: float, alpha: float, axes: int = 2) -> Field:
    """Return the variances of the modes of `gaussian_field`, with one axis of wave numbers for each axis in space."""
    squares = functools.reduce(np.add.outer, [wave**2] * axes)
    variance = tau ** (2 * alpha - axes) * (np.pi**2 * squares + tau**2) ** (-alpha)
    variance[(0,) * axes] = 0.0
    return np.asarray(variance)


def sum_cosines(grid: Grid, amplitude: Field) -> Field:
    """Sum the orthonormal cosines of the unit line, square or cube, with amplitudes for the waves along each axis."""
    wave = np.arange(amplitude.shape[0])
    scale = np.where(wave == 0, 1.0, np.sqrt(2.0))
    field = amplitude * functools.reduce(np.multiply.outer, [scale] * grid.ndim)
    *others, (x, length) = zip(grid.coordinates(), grid.lengths, strict=True)
    for axis, (places, extent) in enumerate(others):
        basis = np.cos(np.pi * np.outer(places / extent, wave))
        field = np.moveaxis(np.tensordot(basis, field, (1, axis)), 0, axis)
    return np.asarray(field @ np.cos(np.pi * np.outer(wave, x / length)))
