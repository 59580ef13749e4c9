"""Random and analytic coefficients; a seed determines the same field at every resolution."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Protocol, runtime_checkable

import numpy as np

from sciml.checks import check_positive, check_whole, is_number
from sciml.errors import InputError
from sciml.pde.gaussian_fields import gaussian_field, modes_of, periodic_field, sum_cosines, variances
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
]


@runtime_checkable
class Coefficient(Protocol):
    """Protocol of the random coefficients."""

    def draw(self, grid: Grid, generator: np.random.Generator) -> Field:
        """Draw the values at the unknowns of a grid, of its shape."""


def _check_fields(medium: Any) -> None:
    """Check that the numbers of a medium are positive, and those whose default is an int whole numbers."""
    owner = type(medium).__name__
    for field in fields(medium):
        if isinstance(field.default, int):
            check_whole(field.name, getattr(medium, field.name), 1, owner=owner)
        else:
            check_positive(field.name, getattr(medium, field.name), owner=owner)


def _check_plane(medium: Any, grid: Grid) -> None:
    if grid.ndim != 2:
        raise InputError(
            f"{type(medium).__name__}() on a grid of {grid.ndim} axes: it is a field of the plane; take TwoPhase() or "
            "Lognormal()"
        )


@dataclass(frozen=True)
class GaussianField:
    """A Gaussian field of zero mean, for a source: ``scale * gaussian_field(tau, alpha)``.

    Parameters
    ----------
    scale
        Factor of the field.
    tau, alpha
        Inverse correlation length and smoothness, see `gaussian_field`.

    Raises
    ------
    InputError
        A value is not positive.

    Examples
    --------
    >>> GaussianField(tau=5.0).draw(Grid((4, 6)), np.random.default_rng(7)).shape
    (4, 6)
    """

    scale: float = 1.0
    tau: float = 3.0
    alpha: float = 2.0

    def __post_init__(self) -> None:
        _check_fields(self)

    def draw(self, grid: Grid, generator: np.random.Generator) -> Field:
        """Draw the values at the unknowns of a grid, of its shape."""
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
        A value is not positive.

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
        _check_fields(self)

    def draw(self, grid: Grid, generator: np.random.Generator) -> Field:
        """Draw the values at the unknowns of a grid, of its shape."""
        unit = (places / length for places, length in zip(grid.coordinates(), grid.lengths, strict=True))
        return self._drawn(tuple(unit), generator)

    def along(self, x: Field, generator: np.random.Generator) -> Field:
        """Draw the values at points x of the unit line."""
        return self._drawn((x,), generator)

    def _drawn(self, coordinates: tuple[Field, ...], generator: np.random.Generator) -> Field:
        return periodic_field(coordinates, generator, sigma=self.sigma, tau=self.tau, alpha=self.alpha)


@dataclass(frozen=True)
class TwoPhase:
    """Two-phase medium: ``high`` where a Gaussian field is not negative, ``low`` elsewhere.

    ``TwoPhase(3, 12)`` is the smooth Darcy benchmark of FNO, ``TwoPhase(2, 12, tau=20**0.5)`` is the rough one.

    Parameters
    ----------
    low, high
        Values of the two phases.
    tau, alpha
        Inverse correlation length and smoothness of the field, see `gaussian_field`.

    Raises
    ------
    InputError
        A value is not positive.

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
        _check_fields(self)

    def draw(self, grid: Grid, generator: np.random.Generator) -> Field:
        """Draw the values at the unknowns of a grid, of its shape."""
        field = gaussian_field(grid, generator, tau=self.tau, alpha=self.alpha)
        return np.where(field >= 0, float(self.high), float(self.low))


@dataclass(frozen=True)
class Lognormal:
    """Lognormal medium: ``mean * exp(sigma * field)`` with a Gaussian field of unit variance.

    The variance of the field is averaged over the square.

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
        A value is not positive.

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
        _check_fields(self)

    def draw(self, grid: Grid, generator: np.random.Generator) -> Field:
        """Draw the values at the unknowns of a grid, of its shape."""
        field = gaussian_field(grid, generator, tau=self.tau, alpha=self.alpha)
        total = variances(np.arange(modes_of(grid)), self.tau, self.alpha, grid.ndim).sum()
        return np.asarray(self.mean * np.exp(self.sigma * field / np.sqrt(total)))


@dataclass(frozen=True)
class Multiscale:
    """Trigonometric coefficient of several scales, a product of waves with random frequencies (HANO, MgNO).

    It is the product over k = 1..scales of (1 + cos(a_k pi (x + y)) / 2) (1 + sin(a_k pi (y - 3 x)) / 2), with a_k
    uniform in [2^(k-1), 1.5 * 2^(k-1)].

    Parameters
    ----------
    scales
        Number of scales. The shortest wave has a length of about 2^-scales, which the grid must resolve.

    Raises
    ------
    InputError
        ``scales`` is not a positive whole number.

    Examples
    --------
    >>> field = Multiscale().draw(Grid((63, 63)), np.random.default_rng(7))
    >>> bool(0.25**6 < field.min() and field.max() < 2.25**6)
    True
    """

    scales: int = 6

    def __post_init__(self) -> None:
        _check_fields(self)

    def draw(self, grid: Grid, generator: np.random.Generator) -> Field:
        """Draw the values at the unknowns of a grid, of its shape."""
        _check_plane(self, grid)
        x, y = grid.mesh()
        field = np.ones(grid.shape)
        for k in range(self.scales):
            a = generator.uniform(2.0**k, 1.5 * 2.0**k)
            field *= (1 + 0.5 * np.cos(a * np.pi * (x + y))) * (1 + 0.5 * np.sin(a * np.pi * (y - 3 * x)))
        return field


@dataclass(frozen=True)
class WaveSpeed:
    """Wave speed ``background + amplitude * tanh(g)`` with a smooth Gaussian field g.

    g is the sum of the cosines of the smallest wave numbers except the constant, with standard deviations (pi^2 |k|^2 +
    tau^2)^(-d/2) (de Hoop et al. 2022, section 4.2). Cosines of equal wave length are sorted by their wave number along
    y.

    Parameters
    ----------
    background, amplitude
        Mean speed, and largest deviation from it.
    tau, d
        Inverse correlation length and smoothness.
    modes
        Number of cosines.

    Raises
    ------
    InputError
        A value is not positive, ``modes`` is not a whole number, or the amplitude is not below the background.

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
        _check_fields(self)
        if not self.amplitude < self.background:
            shown = f"WaveSpeed(background={self.background:g}, amplitude={self.amplitude:g})"
            raise InputError(
                f"{shown}: the amplitude must be less than the background, so that the speed is positive"
            )

    def draw(self, grid: Grid, generator: np.random.Generator) -> Field:
        """Draw the values at the unknowns of a grid, of its shape."""
        _check_plane(self, grid)
        side = int(np.ceil(2 * np.sqrt(self.modes))) + 2  # large enough for a quarter disc of that many waves
        square = np.add.outer(np.arange(side) ** 2, np.arange(side) ** 2)
        chosen = np.unravel_index(
            np.argsort(square, axis=None, kind="stable")[1 : self.modes + 1], square.shape
        )
        amplitude = np.zeros(square.shape)
        deviation = (np.pi**2 * square[chosen] + self.tau**2) ** (-self.d / 2)
        amplitude[chosen] = deviation * generator.standard_normal(self.modes)
        return np.asarray(self.background + self.amplitude * np.tanh(sum_cosines(grid, amplitude)))


@dataclass(frozen=True)
class AnyMedium:
    """A medium of a random kind for each sample, to train operators for any coefficient.

    Four of six media are two-phase, with a contrast between 1 and ``contrast`` and tau between 3 and 8; either phase
    may have the larger value. One of six is `Lognormal` with sigma between 0.3 and 2, and one of six is `Multiscale`
    (only in the plane, else `Lognormal`).

    Parameters
    ----------
    contrast
        Largest contrast of two-phase media; the logarithm of the contrast is uniform.

    Raises
    ------
    InputError
        The contrast is not greater than 1.

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
        """Draw the values at the unknowns of a grid, of its shape."""
        kind = int(generator.integers(6))
        if kind == 0 and grid.ndim == 2:
            return Multiscale().draw(grid, generator)
        if kind <= 1:
            return Lognormal(sigma=float(generator.uniform(0.3, 2.0))).draw(grid, generator)
        high = float(self.contrast ** generator.uniform())
        medium = TwoPhase(1.0, high, tau=float(generator.uniform(3.0, 8.0)))
        turned = generator.random() < 0.5
        field = medium.draw(grid, generator)
        return 1.0 + high - field if turned else field
