"""Colour maps with evenly changing lightness, so that equal steps of a field look equally large.

The maps interpolate a few points of the OKLab space with lightness linear from end to end. They are readable in grey
and by colour-blind readers (blue and orange for a field of both signs).

References
----------
Ottosson, B. (2020), A perceptual color space for image processing, https://bottosson.github.io/posts/oklab/.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib.colors import Colormap, ListedColormap
from numpy.typing import NDArray

__all__ = ["diverging", "oklab_to_srgb", "sequential"]

NOTHING: Final = "#e4e4e1"
"""Grey of missing values."""

# Lightness, chroma, hue (degrees) from one end to the other.
_WHITE: Final = (0.985, 0.004, 200.0)
_BLUES: Final = ((0.76, 0.095, 205.0), (0.54, 0.115, 240.0), (0.32, 0.105, 270.0))
_WARM: Final = ((0.78, 0.115, 62.0), (0.58, 0.145, 45.0), (0.38, 0.105, 38.0))
_COLD: Final = ((0.78, 0.085, 235.0), (0.58, 0.125, 250.0), (0.38, 0.105, 262.0))


def oklab_to_srgb(colours: NDArray[Any]) -> NDArray[Any]:
    """Convert OKLab (lightness, a, b), shape (..., 3), to sRGB within [0, 1].

    Examples
    --------
    >>> oklab_to_srgb(np.array([1.0, 0.0, 0.0])).round(3)
    array([1., 1., 1.])
    """
    cone = colours @ np.array(
        [
            [1.0, 1.0, 1.0],
            [0.3963377774, -0.1055613458, -0.0894841775],
            [0.2158037573, -0.0638541728, -1.291485548],
        ]
    )
    linear = cone**3 @ np.array(
        [
            [4.0767416621, -1.2684380046, -0.0041960863],
            [-3.3077115913, 2.6097574011, -0.7034186147],
            [0.2309699292, -0.3413193965, 1.707614701],
        ]
    )
    clipped = np.clip(linear, 0.0, 1.0)
    coded: NDArray[Any] = np.where(
        clipped <= 0.0031308, 12.92 * clipped, 1.055 * clipped ** (1 / 2.4) - 0.055
    )
    return coded


def _through(points: Sequence[tuple[float, float, float]], count: int) -> NDArray[Any]:
    """Interpolate (lightness, chroma, hue) points with lightness linear from end to end."""
    light, chroma, hue = np.array(points).T
    along = np.linspace(light[0], light[-1], count)
    order = np.argsort(light)
    angle = np.deg2rad(hue)
    plane = (
        np.interp(along, light[order], x[order]) for x in (chroma * np.cos(angle), chroma * np.sin(angle))
    )
    return oklab_to_srgb(np.stack([along, *plane], axis=-1))


@functools.cache
def sequential(start: float = 0.0) -> Colormap:
    """White (0) to deep blue (1); ``start`` cuts off the white end, so that 0 has a colour."""
    colours = _through([_WHITE, *_BLUES], 256)
    colour_map = ListedColormap(colours[int(start * 255) :], name="sequential")
    return colour_map.with_extremes(bad=NOTHING)


@functools.cache
def diverging() -> Colormap:
    """Blue below zero, white at zero, orange above."""
    cold, warm = (_through([_WHITE, *side], 128) for side in (_COLD, _WARM))
    colour_map = ListedColormap(np.concatenate([cold[::-1], warm]), name="diverging")
    return colour_map.with_extremes(bad=NOTHING)
