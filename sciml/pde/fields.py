"""Random and analytic coefficients. The same seed is the same field at every resolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sciml.errors import InputError
from sciml.pde.grid import Field, Grid

__all__ = ["Coefficient", "Lognormal", "Multiscale", "TwoPhase", "gaussian_field"]

MODES = 256


class Coefficient(Protocol):
    """A random coefficient: everything but the seed."""

    def draw(self, grid: Grid, generator: np.random.Generator) -> Field:
        """Its values (y, x) at the unknowns of a grid."""
        ...


def gaussian_field(
    grid: Grid, generator: np.random.Generator, *, tau: float, alpha: float, modes: int = MODES
) -> Field:
    """Draw from N(0, (-Laplace + tau^2)^-alpha) with zero Neumann sides, mean zero.

    Karhunen-Loeve: cosines with standard deviations tau^(alpha-1) (pi^2 |k|^2 + tau^2)^(-alpha/2), normalised as
    in the FNO authors' generator (Li et al. 2021, appendix A.3.2), evaluated exactly at the unknowns. The draws do
    not depend on the grid.
    """
    y, x = grid.coordinates()
    wave = np.arange(modes)
    xi = generator.standard_normal((modes, modes))
    deviation = tau ** (alpha - 1) * (np.pi**2 * (wave[:, None] ** 2 + wave**2) + tau**2) ** (-alpha / 2)
    deviation[0, 0] = 0.0
    scale = np.where(wave == 0, 1.0, np.sqrt(2.0))
    amplitude = deviation * xi * np.outer(scale, scale)
    basis_y = np.cos(np.pi * np.outer(y / grid.lengths[0], wave))
    basis_x = np.cos(np.pi * np.outer(wave, x / grid.lengths[1]))
    return np.asarray(basis_y @ amplitude @ basis_x)


def _check(name: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0):
        raise InputError(f"{name}={value!r}: give a positive number")


@dataclass(frozen=True)
class TwoPhase:
    """``high`` where a Gaussian field is not negative, ``low`` elsewhere.

    ``TwoPhase(3, 12)`` is the smooth Darcy benchmark of FNO, ``TwoPhase(2, 12, tau=20**0.5)`` the rough one.

    Parameters
    ----------
    low, high
        The two values.
    tau, alpha
        Inverse correlation length and smoothness of the field, see `gaussian_field`.

    Raises
    ------
    InputError
        For values that are not positive.

    Examples
    --------
    >>> field = TwoPhase(3, 12).draw(Grid((7, 7)), np.random.default_rng(7))
    >>> sorted({float(a) for a in field.ravel()})
    [3.0, 12.0]
    """

    low: float = 3.0
    high: float = 12.0
    tau: float = 3.0
    alpha: float = 2.0

    def __post_init__(self) -> None:
        for name in ("low", "high", "tau", "alpha"):
            _check(f"TwoPhase({name}", getattr(self, name))

    def draw(self, grid: Grid, generator: np.random.Generator) -> Field:
        field = gaussian_field(grid, generator, tau=self.tau, alpha=self.alpha)
        return np.where(field >= 0, self.high, self.low)


@dataclass(frozen=True)
class Lognormal:
    """``mean * exp(sigma * field)`` with the Gaussian field scaled to unit variance on average."""

    sigma: float = 1.0
    mean: float = 1.0
    tau: float = 3.0
    alpha: float = 2.0

    def __post_init__(self) -> None:
        for name in ("sigma", "mean", "tau", "alpha"):
            _check(f"Lognormal({name}", getattr(self, name))

    def draw(self, grid: Grid, generator: np.random.Generator) -> Field:
        field = gaussian_field(grid, generator, tau=self.tau, alpha=self.alpha)
        wave = np.arange(MODES)
        variance = self.tau ** (2 * self.alpha - 2) * (
            np.pi**2 * (wave[:, None] ** 2 + wave**2) + self.tau**2
        ) ** (-self.alpha)
        variance[0, 0] = 0.0
        return np.asarray(self.mean * np.exp(self.sigma * field / np.sqrt(variance.sum())))


@dataclass(frozen=True)
class Multiscale:
    """The trigonometric coefficient of six scales (HANO, MgNO): a product of waves with random frequencies.

    prod over k = 1..scales of (1 + cos(a_k pi (x + y)) / 2) (1 + sin(a_k pi (y - 3 x)) / 2), with a_k uniform in
    [2^(k-1), 1.5 * 2^(k-1)].
    """

    scales: int = 6

    def draw(self, grid: Grid, generator: np.random.Generator) -> Field:
        x, y = grid.mesh()
        field = np.ones(grid.shape)
        for k in range(self.scales):
            a = generator.uniform(2.0**k, 1.5 * 2.0**k)
            field *= (1 + 0.5 * np.cos(a * np.pi * (x + y))) * (1 + 0.5 * np.sin(a * np.pi * (y - 3 * x)))
        return field
