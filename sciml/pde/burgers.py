"""The viscous Burgers equation on a periodic line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft

from sciml.checks import is_whole
from sciml.errors import InputError
from sciml.pde.elliptic import check_seed
from sciml.pde.grid import Field
from sciml.pde.periodic import Equation, FourierCoefficients, check_times, resolved_modes, wave_numbers
from sciml.pde.random_fields import PeriodicField
from sciml.pde.representation import problem_table, represent
from sciml.pde.terms import LineFunction, sampled_on_line

__all__ = ["Burgers"]

START = PeriodicField(sigma=25.0, tau=5.0, alpha=2.0)


@dataclass(frozen=True, eq=False)
class Burgers:
    """du/dt + u du/dx = viscosity d2u/dx2 on the periodic unit line.

    The defaults are the benchmark of Li et al. (2021, section 5.1): viscosity 0.1, times from 0 to 1, initial states
    from N(0, 625 (-d2/dx2 + 25)^-2).

    Parameters
    ----------
    resolution
        Number of points n, at 0, 1/n, 2/n, ...
    viscosity
        Viscosity, 0 or more.
    initial
        u at t = 0: random field (`PeriodicField`), number, array (x), or function of x.
    final_time
        Final time.
    frames
        Number of equally spaced times after 0 in the solution.
    seed
        Seed of a random initial state.

    Raises
    ------
    InputError
        There are fewer than 8 points, the viscosity is negative, the final time is not positive, there are no frames,
        or the initial state has another shape or is not finite.

    Examples
    --------
    >>> Burgers(64, initial=np.sin).start().shape
    (64,)
    """

    resolution: int | tuple[int]
    viscosity: float = 0.1
    initial: PeriodicField | float | npt.NDArray[np.floating[Any]] | LineFunction = START
    final_time: float = 1.0
    frames: int = 10
    seed: int = 7

    def __post_init__(self) -> None:
        given = self.resolution
        points = given[0] if isinstance(given, tuple | list) and len(given) == 1 else given
        if not is_whole(points, 8):
            raise InputError(f"resolution={given!r}: give a whole number of points, at least 8")
        object.__setattr__(self, "resolution", (int(points),))
        check_times("Burgers", self.viscosity, self.final_time, self.frames)

    __repr__ = represent
    _repr_html_ = problem_table

    def axes(self) -> Mapping[str, Field]:
        """Return the coordinates of the field, by the name of the dim."""
        return {"x": np.arange(self._points) / self._points}

    def times(self) -> Field:
        """Return the times of the solution: equally spaced, starting from 0."""
        return np.linspace(0.0, self.final_time, self.frames + 1)

    def initial_field(self) -> Field:
        """Return the initial state (x)."""
        x = self.axes()["x"]
        if isinstance(self.initial, type):
            raise InputError(
                f"initial={self.initial.__name__}, the class: give one of it, {self.initial.__name__}()"
            )
        if isinstance(self.initial, PeriodicField):
            check_seed(self.seed)
            return self.initial.along(x, np.random.default_rng(self.seed))
        return sampled_on_line(self.initial, x, "initial")

    def start(self) -> Field:
        """Return the initial state (x)."""
        return self.initial_field()

    def equation(self) -> Equation:
        """Return the equation of the Fourier coefficients."""
        n = self._points
        wave, resolved = wave_numbers(n, half=True), resolved_modes(n, half=True)
        slope = np.where(resolved, -0.5j * wave, 0.0)

        def tendency(spectrum: FourierCoefficients) -> FourierCoefficients:
            u = scipy.fft.irfft(spectrum, n)
            return np.asarray(slope * scipy.fft.rfft(u * u))

        def speed(spectrum: FourierCoefficients) -> Field:
            return np.asarray(np.abs(scipy.fft.irfft(spectrum, n)).max(-1))

        return Equation(-self.viscosity * wave**2, tendency, speed, resolved)

    @property
    def _points(self) -> int:
        return self.resolution[0]  # type: ignore[index]
