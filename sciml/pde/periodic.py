"""Equations on the periodic unit line or square, for pseudo-spectral time stepping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from sciml.checks import is_number, is_whole
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
        Real and not positive, in the layout of `scipy.fft.rfftn`.
    tendency
        Everything else, of coefficients (sample, ...) and without the modes that are not resolved.
    speed
        The largest speed of each sample, of coefficients (sample, ...).
    resolved
        Which coefficients there are.
    """

    linear: Field
    tendency: Callable[[FourierCoefficients], FourierCoefficients]
    speed: Callable[[FourierCoefficients], Field]
    resolved: npt.NDArray[np.bool_]


@runtime_checkable
class Evolution(Protocol):
    """A periodic problem in time: what `PseudoSpectral` takes."""

    def equation(self) -> Equation: ...

    def start(self) -> Field:
        """The initial field, (x) or (y, x)."""
        ...

    def times(self) -> Field:
        """The times of the solution, from 0 on, equally spaced."""
        ...

    def axes(self) -> Mapping[str, Field]:
        """Coordinates of the field, by the names of its dims in their order."""
        ...


def wave_numbers(n: int, *, half: bool) -> Field:
    """2 pi k of n points on the unit line; the non-negative half for the last axis of a real transform."""
    wave = np.arange(n // 2 + 1) if half else np.fft.fftfreq(n, 1 / n)
    return np.asarray(2 * np.pi * wave, np.float64)


def resolved_modes(n: int, *, half: bool) -> npt.NDArray[np.bool_]:
    """Whether 3 |k| < n: the products of two such modes do not come back as a third (Orszag 1971)."""
    return np.asarray(3 * np.abs(wave_numbers(n, half=half)) < 2 * np.pi * (n - 0.5))


def check_times(name: str, viscosity: Any, final_time: Any, frames: Any) -> None:
    """Raise an error for what cannot be stepped.

    Raises
    ------
    InputError
        A negative viscosity, a final time that is not positive, or no frames.
    """
    if not (is_number(viscosity) and viscosity >= 0):
        raise InputError(f"{name}(viscosity={viscosity!r}): give a number that is not negative")
    if not (is_number(final_time) and final_time > 0):
        raise InputError(f"{name}(final_time={final_time!r}): give a positive time")
    if not is_whole(frames, 1):
        raise InputError(f"{name}(frames={frames!r}): give a whole number of at least 1")
