"""Random wave speeds of open media: smooth, layered, or with inclusions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sciml.checks import check_positive, check_whole, is_number
from sciml.errors import InputError
from sciml.pde.gaussian_fields import sum_cosines
from sciml.pde.grid import Field, Grid

__all__ = ["AnySpeed", "InclusionSpeed", "LayeredSpeed", "SmoothSpeed"]

WAVES = 24
"""Number of cosines along each axis of a smooth field."""


def check_contrast(owner: object) -> None:
    """Check that the attribute ``contrast`` is at least 1."""
    contrast = getattr(owner, "contrast", None)
    if not (is_number(contrast) and 1 <= contrast < np.inf):
        raise InputError(f"{type(owner).__name__}(contrast={contrast!r}): give at least 1")


def smooth_level(grid: Grid, generator: np.random.Generator, tau: float) -> Field:
    """Draw a smooth field with values between 0 and 1: the normal distribution function of a Gaussian field.

    The cosines have the standard deviations of `sciml.pde.gaussian_fields.gaussian_field` with alpha = 2.
    """
    wave = np.arange(WAVES)
    deviation = 1 / (np.pi**2 * (wave[:, None] ** 2 + wave**2) + tau**2)
    deviation[0, 0] = 0.0
    field = sum_cosines(grid, deviation * generator.standard_normal((WAVES, WAVES)))
    scaled = field / np.sqrt((deviation**2).sum())
    return np.asarray(0.5 * (1 + np.tanh(0.8 * scaled)))


@dataclass(frozen=True)
class SmoothSpeed:
    """Smooth wave speed between 1 and ``contrast``.

    Parameters
    ----------
    contrast
        Largest speed over smallest.
    tau
        Inverse correlation length, in sides of the square.

    Raises
    ------
    InputError
        The contrast is less than 1, or tau is not positive.

    Examples
    --------
    >>> speed = SmoothSpeed(2.0).draw(Grid((31, 31)), np.random.default_rng(7))
    >>> bool(1 <= speed.min() < speed.max() <= 2)
    True
    """

    contrast: float = 2.0
    tau: float = 6.0

    def __post_init__(self) -> None:
        check_contrast(self)
        check_positive("tau", self.tau, owner=type(self).__name__)

    def draw(self, grid: Grid, generator: np.random.Generator) -> Field:
        """Draw the values (y, x) at the unknowns of a grid."""
        return 1 + (self.contrast - 1) * smooth_level(grid, generator, self.tau)


@dataclass(frozen=True)
class LayeredSpeed:
    """Layers of constant speed between 1 and ``contrast``, with curved interfaces, as in sediments.

    Parameters
    ----------
    contrast
        Largest speed over smallest.
    layers
        Number of layers.
    bend
        Largest displacement of the interfaces, in sides of the square.

    Raises
    ------
    InputError
        The contrast is less than 1, the number of layers is not a positive whole number, or ``bend`` is not positive.

    Examples
    --------
    >>> speed = LayeredSpeed(2.0, layers=4).draw(Grid((31, 31)), np.random.default_rng(7))
    >>> len(np.unique(speed))
    4
    """

    contrast: float = 2.0
    layers: int = 6
    bend: float = 0.15

    def __post_init__(self) -> None:
        check_contrast(self)
        check_whole("layers", self.layers, 1, owner=type(self).__name__)
        check_positive("bend", self.bend, owner=type(self).__name__)

    def draw(self, grid: Grid, generator: np.random.Generator) -> Field:
        """Draw the values (y, x) at the unknowns of a grid."""
        speeds = 1 + (self.contrast - 1) * generator.random(self.layers)
        interfaces = np.sort(generator.random(self.layers - 1))
        bending = smooth_level(grid, generator, 3.0) - 0.5
        _, y = grid.mesh()
        depth = y / grid.lengths[0] + 2 * self.bend * bending
        return np.asarray(speeds[np.searchsorted(interfaces, depth)])


@dataclass(frozen=True)
class InclusionSpeed:
    """Discs of other speeds in a medium of constant speed; all speeds are between 1 and ``contrast``.

    Parameters
    ----------
    contrast
        Largest speed over smallest.
    count
        Number of discs.
    least, largest
        Radii, in sides of the square.

    Raises
    ------
    InputError
        The contrast is less than 1, the count is not a positive whole number, or the radii are not positive and in
        order.

    Examples
    --------
    >>> speed = InclusionSpeed(2.0, count=3).draw(Grid((31, 31)), np.random.default_rng(7))
    >>> 1 < len(np.unique(speed)) <= 4
    True
    """

    contrast: float = 2.0
    count: int = 10
    least: float = 0.03
    largest: float = 0.15

    def __post_init__(self) -> None:
        owner = type(self).__name__
        check_contrast(self)
        check_whole("count", self.count, 1, owner=owner)
        check_positive("least", self.least, owner=owner)
        check_positive("largest", self.largest, owner=owner)
        if self.largest < self.least:
            raise InputError(
                f"{owner}(least={self.least:g}, largest={self.largest:g}): give least <= largest"
            )

    def draw(self, grid: Grid, generator: np.random.Generator) -> Field:
        """Draw the values (y, x) at the unknowns of a grid."""
        x, y = grid.mesh()
        speeds = 1 + (self.contrast - 1) * generator.random(self.count + 1)
        field = np.full(grid.shape, speeds[0])
        for speed in speeds[1:]:
            place, radius = generator.random(2), generator.uniform(self.least, self.largest)
            distance = np.hypot(x / grid.lengths[1] - place[0], y / grid.lengths[0] - place[1])
            field[distance <= radius] = speed
        return field


@dataclass(frozen=True)
class AnySpeed:
    """A medium of a random kind for each sample: `SmoothSpeed`, `LayeredSpeed` or `InclusionSpeed`, equally often.

    Parameters
    ----------
    contrast
        Largest contrast; that of a sample is uniform between 1 and this value.

    Raises
    ------
    InputError
        The contrast is less than 1.

    Examples
    --------
    >>> AnySpeed().draw(Grid((7, 7)), np.random.default_rng(7)).shape
    (7, 7)
    """

    contrast: float = 2.5

    def __post_init__(self) -> None:
        check_contrast(self)

    def draw(self, grid: Grid, generator: np.random.Generator) -> Field:
        """Draw the values (y, x) at the unknowns of a grid."""
        kind = int(generator.integers(3))
        contrast = float(generator.uniform(1.0, self.contrast))
        if kind == 0:
            return SmoothSpeed(contrast, tau=float(generator.uniform(3.0, 12.0))).draw(grid, generator)
        if kind == 1:
            layers = int(generator.integers(2, 9))
            return LayeredSpeed(contrast, layers, float(generator.uniform(0.02, 0.3))).draw(grid, generator)
        count = int(generator.integers(1, 17))
        return InclusionSpeed(contrast, count).draw(grid, generator)
