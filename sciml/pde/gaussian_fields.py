"""Gaussian fields drawn from their spectrum; a seed determines the same field at every resolution."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sciml.pde.grid import Field, Grid

__all__ = ["MODES", "gaussian_field", "periodic_field", "sum_cosines", "variances"]

MODES = 256


def gaussian_field(
    grid: Grid, generator: np.random.Generator, *, tau: float, alpha: float, modes: int = MODES
) -> Field:
    """Draw from N(0, tau^(2 alpha - 2) (-Laplace + tau^2)^-alpha) with zero Neumann sides, mean zero.

    The Karhunen-Loeve expansion has cosines with standard deviations tau^(alpha-1) (pi^2 |k|^2 + tau^2)^(-alpha/2),
    normalised as in the generator of the FNO authors (Li et al. 2021, appendix A.3.2). It is evaluated exactly at the
    unknowns, and the random numbers do not depend on the grid. The field is drawn on the unit square and stretched to
    the rectangle.

    Examples
    --------
    >>> coarse, fine = (Grid((n, n)) for n in (7, 15))
    >>> a, b = (gaussian_field(g, np.random.default_rng(7), tau=3, alpha=2) for g in (coarse, fine))
    >>> bool(np.allclose(a, b[1::2, 1::2]))
    True
    """
    wave = np.arange(modes)
    xi = generator.standard_normal((modes, modes))
    return sum_cosines(grid, np.sqrt(variances(wave, tau, alpha)) * xi)


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


def variances(wave: npt.NDArray[Any], tau: float, alpha: float) -> Field:
    """Return the variances of the modes (ky, kx) of `gaussian_field`."""
    variance = tau ** (2 * alpha - 2) * (np.pi**2 * (wave[:, None] ** 2 + wave**2) + tau**2) ** (-alpha)
    variance[0, 0] = 0.0
    return np.asarray(variance)


def sum_cosines(grid: Grid, amplitude: Field) -> Field:
    """Sum the orthonormal cosines of the unit square with amplitudes (ky, kx)."""
    y, x = grid.coordinates()
    wave = np.arange(amplitude.shape[0])
    scale = np.where(wave == 0, 1.0, np.sqrt(2.0))
    basis_y = np.cos(np.pi * np.outer(y / grid.lengths[0], wave))
    basis_x = np.cos(np.pi * np.outer(wave, x / grid.lengths[1]))
    return np.asarray(basis_y @ (amplitude * np.outer(scale, scale)) @ basis_x)
