"""Equations on the periodic unit line or square, for pseudo-spectral time stepping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from sciml.checks import check_positive, check_whole, is_number
from sciml.errors import InputError
from sciml.pde.grid import Field

__all__ = ["Equation", "Evolution", "FourierCoefficients", "check_times", "resolved_modes", "wave_numbers"]

FourierCoefficients: TypeAlias = npt.NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class Equation:
    """d/dt of a field's Fourier coefficients = linear * coefficients + tendency(coefficients).

    Parameters
    ----------
    linear
        Linear part: real, 0 or less, with the axes of `scipy.fft.rfftn`.
    tendency
        Function of the coefficients (sample, ...) that returns the other terms, without unresolved modes.
    speed
        Function of the coefficients (sample, ...) that returns the largest speed of each sample.
    resolved
        Mask of the resolved modes.
    """

    linear: Field
    tendency: Callable[[FourierCoefficients], FourierCoefficients]
    speed: Callable[[FourierCoefficients], Field]
    resolved: npt.NDArray[np.bool_]


@runtime_checkable
class Evolution(Protocol):
    """Protocol of the periodic problems in time that `PseudoSpectral` accepts."""

    def equation(self) -> Equation: ...

    def start(self) -> Field:
        """Return the initial field, (x) or (y, x)."""
        ...

    def times(self) -> Field:
        """Return the times of the solution: equally spaced, starting from 0."""
        ...

    def axes(self) -> Mapping[str, Field]:
        """Return the coordinates of the field, by the names of its dims in their order."""
        ...


def wave_numbers(n: int, *, half: bool) -> Field:
    """Return 2 pi k for n points on the unit line; ``half``: k >= 0, for the last axis of a real transform."""
    wave = np.arange(n // 2 + 1) if half else np.fft.fftfreq(n, 1 / n)
    return np.asarray(2 * np.pi * wave, np.float64)


def resolved_modes(n: int, *, half: bool) -> npt.NDArray[np.bool_]:
    """Return whether 3 |k| < n, so that products of two modes are not aliased to a third (Orszag 1971)."""
    return np.asarray(3 * np.abs(wave_numbers(n, half=half)) < 2 * np.pi * (n - 0.5))


def check_times(name: str, viscosity: Any, final_time: Any, frames: Any) -> None:
    """Check the viscosity and the times of a problem in time.

    Raises
    ------
    InputError
        The viscosity is negative, the final time is not positive, or there are no frames.
    """
    if not (is_number(viscosity) and viscosity >= 0):
        raise InputError(f"{name}(viscosity={viscosity!r}): give a number that is not negative")
    check_positive("final_time", final_time, owner=name)
    check_whole("frames", frames, 1, owner=name)
