"""Random and analytic coefficients. The same seed is the same field at every resolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from sciml.checks import is_number, is_whole
from sciml.errors import InputError
from sciml.pde.grid import Field, Grid

__all__ = [
    "AnyMedium",
    "Coefficient",
    "GaussianField",
    "Lognormal",
    "Multiscale",
    "PeriodicField",
    "TwoPhase",
    "WaveSpeed",
    "gaussian_field",
    "periodic_field",
]

MODES = 256


@runtime_checkable
class Coefficient(Protocol):
    """A random coefficient, which is drawn with a generator."""

    def draw(self, grid: Grid, generator: np.random.Generator) -> Field:
        """Draw the values (y, x) at the unknowns of a grid."""


def gaussian_field(
    grid: Grid, generator: np.random.Generator, *, tau: float, alpha: float, modes: int = MODES
) -> Field:
    """Draw from N(0, tau^(2 alpha - 2) (-Laplace + tau^2)^-alpha) with zero Neumann sides, mean zero.

    Karhunen-Loeve: cosines with standard deviations tau^(alpha-1) (pi^2 |k|^2 + tau^2)^(-alpha/2), normalised as
    in the FNO authors' generator (Li et al. 2021, appendix A.3.2), evaluated exactly at the unknowns. The draws do
    not depend on the grid. The field is that of the unit square, stretched to the rectangle.

    Examples
    --------
    >>> coarse, fine = (Grid((n, n)) for n in (7, 15))
    >>> a, b = (gaussian_field(g, np.random.default_rng(7), tau=3, alpha=2) for g in (coarse, fine))
    >>> bool(np.allclose(a, b[1::2, 1::2]))
    True
    """
    wave = np.arange(modes)
    xi = generator.standard_normal((modes, modes))
    return _cosines(grid, np.sqrt(_variances(wave, tau, alpha)) * xi)


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

    Fourier modes with |k| <= modes along each axis, evaluated exactly at the product of the coordinates (x) or
    (y, x); the draws do not depend on these. The FNO authors' generator of initial vorticity draws real and imaginary
    parts of variance 2 sigma^2 (...)^-alpha, so its fields have the covariance of sqrt(2) sigma here.
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


def _variances(wave: npt.NDArray[Any], tau: float, alpha: float) -> Field:
    variance = tau ** (2 * alpha - 2) * (np.pi**2 * (wave[:, None] ** 2 + wave**2) + tau**2) ** (-alpha)
    variance[0, 0] = 0.0
    return np.asarray(variance)


def _cosines(grid: Grid, amplitude: Field) -> Field:
    """The sum of the orthonormal cosines of the unit square with amplitudes (ky, kx)."""
    y, x = grid.coordinates()
    wave = np.arange(amplitude.shape[0])
    scale = np.where(wave == 0, 1.0, np.sqrt(2.0))
    basis_y = np.cos(np.pi * np.outer(y / grid.lengths[0], wave))
    basis_x = np.cos(np.pi * np.outer(wave, x / grid.lengths[1]))
    return np.asarray(basis_y @ (amplitude * np.outer(scale, scale)) @ basis_x)


def _check(name: str, value: float) -> None:
    if not (is_number(value) and value > 0):
        raise InputError(f"{name}={value!r}): give a positive number")


def _check_count(name: str, value: int) -> None:
    if not is_whole(value, 1):
        raise InputError(f"{name}={value!r}): give a whole number of at least 1")


@dataclass(frozen=True)
class GaussianField:
    """A Gaussian field of zero mean, for a source: ``scale * gaussian_field(tau, alpha)``.

    Parameters
    ----------
    scale
        A factor.
    tau, alpha
        Inverse correlation length and smoothness, see `gaussian_field`.

    Raises
    ------
    InputError
        For values that are not positive.

    Examples
    --------
    >>> GaussianField(tau=5.0).draw(Grid((4, 6)), np.random.default_rng(7)).shape
    (4, 6)
    """

    scale: float = 1.0
    tau: float = 3.0
    alpha: float = 2.0

    def __post_init__(self) -> None:
        for name in ("scale", "tau", "alpha"):
            _check(f"GaussianField({name}", getattr(self, name))

    def draw(self, grid: Grid, generator: np.random.Generator) -> Field:
        return self.scale * gaussian_field(grid, generator, tau=self.tau, alpha=self.alpha)


@dataclass(frozen=True)
class PeriodicField:
    """A Gaussian field of zero mean on the periodic unit line or square, for an initial state.

    Parameters
    ----------
    sigma, tau, alpha
        Standard deviation, inverse correlation length and smoothness, see `periodic_field`.

    Raises
    ------
    InputError
        For values that are not positive.

    Examples
    --------
    >>> from sciml.pde.grid import Boundary
    >>> grid = Grid((16, 8), boundary=Boundary.all("periodic"))
    >>> PeriodicField().draw(grid, np.random.default_rng(7)).shape
    (16, 8)
    """

    sigma: float = 7.0**1.5
    tau: float = 7.0
    alpha: float = 2.5

    def __post_init__(self) -> None:
        for name in ("sigma", "tau", "alpha"):
            _check(f"PeriodicField({name}", getattr(self, name))

    def draw(self, grid: Grid, generator: np.random.Generator) -> Field:
        y, x = (places / length for places, length in zip(grid.coordinates(), grid.lengths, strict=True))
        return self._drawn((y, x), generator)

    def along(self, x: Field, generator: np.random.Generator) -> Field:
        """Its values at points of the unit line."""
        return self._drawn((x,), generator)

    def _drawn(self, coordinates: tuple[Field, ...], generator: np.random.Generator) -> Field:
        return periodic_field(coordinates, generator, sigma=self.sigma, tau=self.tau, alpha=self.alpha)


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
        return np.where(field >= 0, float(self.high), float(self.low))


@dataclass(frozen=True)
class Lognormal:
    """``mean * exp(sigma * field)``, the Gaussian field scaled to unit variance, averaged over the square.

    Parameters
    ----------
    sigma
        Standard deviation of the logarithm.
    mean
        Geometric mean of the coefficient.
    tau, alpha
        Inverse correlation length and smoothness of the field, see `gaussian_field`.

    Raises
    ------
    InputError
        For values that are not positive.

    Examples
    --------
    >>> bool(Lognormal(sigma=2.0).draw(Grid((7, 7)), np.random.default_rng(7)).min() > 0)
    True
    """

    sigma: float = 1.0
    mean: float = 1.0
    tau: float = 3.0
    alpha: float = 2.0

    def __post_init__(self) -> None:
        for name in ("sigma", "mean", "tau", "alpha"):
            _check(f"Lognormal({name}", getattr(self, name))

    def draw(self, grid: Grid, generator: np.random.Generator) -> Field:
        field = gaussian_field(grid, generator, tau=self.tau, alpha=self.alpha)
        total = _variances(np.arange(MODES), self.tau, self.alpha).sum()
        return np.asarray(self.mean * np.exp(self.sigma * field / np.sqrt(total)))


@dataclass(frozen=True)
class Multiscale:
    """The trigonometric coefficient of six scales (HANO, MgNO): a product of waves with random frequencies.

    prod over k = 1..scales of (1 + cos(a_k pi (x + y)) / 2) (1 + sin(a_k pi (y - 3 x)) / 2), with a_k uniform in
    [2^(k-1), 1.5 * 2^(k-1)].

    Parameters
    ----------
    scales
        Their number. The shortest wave has a length of about 2^-scales: use a resolution well above that.

    Raises
    ------
    InputError
        For what is no positive whole number.

    Examples
    --------
    >>> field = Multiscale().draw(Grid((63, 63)), np.random.default_rng(7))
    >>> bool(0.25**6 < field.min() and field.max() < 2.25**6)
    True
    """

    scales: int = 6

    def __post_init__(self) -> None:
        _check_count("Multiscale(scales", self.scales)

    def draw(self, grid: Grid, generator: np.random.Generator) -> Field:
        x, y = grid.mesh()
        field = np.ones(grid.shape)
        for k in range(self.scales):
            a = generator.uniform(2.0**k, 1.5 * 2.0**k)
            field *= (1 + 0.5 * np.cos(a * np.pi * (x + y))) * (1 + 0.5 * np.sin(a * np.pi * (y - 3 * x)))
        return field


@dataclass(frozen=True)
class WaveSpeed:
    """``background + amplitude * tanh(g)``, g a smooth Gaussian field (de Hoop et al. 2022, section 4.2).

    g is the sum of the cosines of the smallest wave numbers, but for the constant, with standard deviations
    (pi^2 |k|^2 + tau^2)^(-d/2). Waves of one length are in the order of their y wave number.

    Parameters
    ----------
    background, amplitude
        The mean speed, and the largest deviation from it.
    tau, d
        Inverse correlation length and smoothness.
    modes
        Number of cosines.

    Raises
    ------
    InputError
        For values that are not positive, no whole number of modes, or an amplitude not below the background.

    Examples
    --------
    >>> speed = WaveSpeed().draw(Grid((5, 5), "cell"), np.random.default_rng(7))
    >>> bool(19 < speed.min() < speed.max() < 21)
    True
    """

    background: float = 20.0
    amplitude: float = 1.0
    tau: float = 3.0
    d: float = 2.0
    modes: int = 100

    def __post_init__(self) -> None:
        for name in ("background", "amplitude", "tau", "d"):
            _check(f"WaveSpeed({name}", getattr(self, name))
        _check_count("WaveSpeed(modes", self.modes)
        if not self.amplitude < self.background:
            shown = f"WaveSpeed(background={self.background:g}, amplitude={self.amplitude:g})"
            raise InputError(f"{shown}: the amplitude must be the smaller one, for a speed that is positive")

    def draw(self, grid: Grid, generator: np.random.Generator) -> Field:
        side = int(np.ceil(2 * np.sqrt(self.modes))) + 2  # holds the quarter disc of so many waves
        square = np.add.outer(np.arange(side) ** 2, np.arange(side) ** 2)
        chosen = np.unravel_index(
            np.argsort(square, axis=None, kind="stable")[1 : self.modes + 1], square.shape
        )
        amplitude = np.zeros(square.shape)
        deviation = (np.pi**2 * square[chosen] + self.tau**2) ** (-self.d / 2)
        amplitude[chosen] = deviation * generator.standard_normal(self.modes)
        return np.asarray(self.background + self.amplitude * np.tanh(_cosines(grid, amplitude)))


@dataclass(frozen=True)
class AnyMedium:
    """Another medium for each sample, for operators that are to take any coefficient.

    Four in six are two-phase, the contrast between 1 and ``contrast`` and tau between 3 and 8, the phases either way
    round; one in six is lognormal, sigma between 0.3 and 2; one in six is `Multiscale`.

    Parameters
    ----------
    contrast
        The largest of two-phase media; its logarithm is uniform.

    Raises
    ------
    InputError
        For a contrast that is not above 1.

    Examples
    --------
    >>> media = [AnyMedium().draw(Grid((7, 7)), np.random.default_rng(seed)) for seed in (7, 11)]
    >>> [len(set(field.ravel().tolist())) for field in media]
    [2, 49]
    """

    contrast: float = 1000.0

    def __post_init__(self) -> None:
        if not (is_number(self.contrast) and self.contrast > 1):
            raise InputError(f"AnyMedium(contrast={self.contrast!r}): give more than 1")

    def draw(self, grid: Grid, generator: np.random.Generator) -> Field:
        kind = int(generator.integers(6))
        if kind == 0:
            return Multiscale().draw(grid, generator)
        if kind == 1:
            return Lognormal(sigma=float(generator.uniform(0.3, 2.0))).draw(grid, generator)
        high = float(self.contrast ** generator.uniform())
        medium = TwoPhase(1.0, high, tau=float(generator.uniform(3.0, 8.0)))
        turned = generator.random() < 0.5
        field = medium.draw(grid, generator)
        return 1.0 + high - field if turned else field
