"""Pseudo-spectral time stepping of periodic equations."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.fft

from sciml.checks import check_positive
from sciml.errors import InputError
from sciml.pde.grid import Field
from sciml.pde.periodic import Equation, Evolution, FourierCoefficients
from sciml.pde.solution import FieldSolution, axis_attributes, field_attributes
from sciml.solve import Result

__all__ = ["PseudoSpectral", "StepFactors", "trajectories"]


@dataclass(frozen=True, eq=False)
class StepFactors:
    """The factors of one time step.

    Parameters
    ----------
    linear
        Linear part of the equation, see `Equation`.
    dt, count
        Length of a step, and number of steps between two frames.
    half, decay
        exp(z / 2) and exp(z), z = linear * dt.
    stage, first, middle, last
        Factors of the tendencies of the stages: dt/2 phi_1(z / 2); dt times phi_1 - 3 phi_2 + 4 phi_3,
        2 phi_2 - 4 phi_3, and 4 phi_3 - phi_2 at z.
    """

    linear: Field
    dt: float
    count: int
    half: Field
    decay: Field
    stage: Field
    first: Field
    middle: Field
    last: Field

    @classmethod
    def of(cls, linear: Field, dt: float, count: int) -> StepFactors:
        """Compute the factors for ``count`` steps of length ``dt``."""
        z = linear * dt
        value, two, three = _phis(z)
        return cls(
            linear,
            dt,
            count,
            half=np.exp(z / 2),
            decay=np.exp(z),
            stage=dt / 2 * _phis(z / 2)[0],
            first=dt * (value - 3 * two + 4 * three),
            middle=dt * (2 * two - 4 * three),
            last=dt * (4 * three - two),
        )

    def step(
        self, spectrum: FourierCoefficients, tendency: Callable[[FourierCoefficients], FourierCoefficients]
    ) -> FourierCoefficients:
        """Advance the coefficients by one step of ETD4RK."""
        begin = tendency(spectrum)
        carried = self.half * spectrum
        guess = carried + self.stage * begin
        second = tendency(guess)
        third = tendency(carried + self.stage * second)
        fourth = tendency(self.half * guess + self.stage * (2 * third - begin))
        total = self.first * begin + self.middle * (second + third) + self.last * fourth
        return np.asarray(self.decay * spectrum + total)

    def __str__(self) -> str:
        return f"{self.count} steps of {self.dt:g} a frame"


@dataclass(frozen=True)
class PseudoSpectral:
    """Algorithm: Fourier collocation with the 2/3 rule and exponential Runge-Kutta steps of fourth order.

    Diffusion is integrated exactly, and advection and forcing explicitly by ETD4RK (Cox and Matthews 2002, equations
    26 to 29). Steps are stable if the flow crosses less than one grid spacing in a step, even without viscosity.

    Parameters
    ----------
    dt
        Longest time step; it is shortened so that a whole number of steps fits between frames. None: half a grid
        spacing, for speeds up to 1 or 2.

    Raises
    ------
    InputError
        The time step is not positive, the problem is not periodic in space or not in time, or the state belongs to
        another equation.

    Examples
    --------
    >>> from sciml.pde.burgers import Burgers
    >>> from sciml.solve import solve
    >>> solution = solve(Burgers(64, frames=4, seed=7), PseudoSpectral(dt=1e-2))
    >>> solution.u.dims, solution.u.shape
    (('time', 'x'), (5, 64))
    """

    dt: float | None = None

    def __post_init__(self) -> None:
        if self.dt is not None:
            check_positive("dt", self.dt, owner="PseudoSpectral")

    def init(self, problem: Evolution) -> StepFactors:
        """Compute the factors of a step."""
        _check_kind(problem)
        return self._steps(problem, problem.equation())

    def run(self, problem: Evolution, state: StepFactors) -> FieldSolution:
        """Step a problem from its initial state to its final time.

        The result is NOT_FINITE if the steps were too long. ``stats["courant"]`` is the number of grid spacings that
        the flow crosses in a step, which should be at most about 1.
        """
        import xarray as xr

        start = time.perf_counter()
        equation = _equation(problem, state)
        frames, courant = _stepped(problem, equation, problem.start()[None], state)
        dims = {"time": problem.times(), **problem.axes()}
        coords = {dim: (dim, points, axis_attributes(dim)) for dim, points in dims.items()}
        u = xr.DataArray(frames[0], coords, tuple(dims), name="u", attrs=field_attributes("solution"))
        stats: dict[str, float] = {
            "steps": state.count * (len(dims["time"]) - 1),
            "dt": state.dt,
            "courant": float(courant[0]),
            "seconds": time.perf_counter() - start,
        }
        ok = bool(np.isfinite(frames).all())
        return FieldSolution(u, Result.SUCCESS if ok else Result.NOT_FINITE, stats)

    def _steps(self, problem: Evolution, equation: Equation) -> StepFactors:
        times = problem.times()
        interval = float(times[-1]) / (len(times) - 1)
        longest = self.dt if self.dt is not None else 0.5 / max(x.size for x in problem.axes().values())
        count = int(np.ceil(interval / longest * (1 - 1e-12)))
        return StepFactors.of(equation.linear, interval / count, count)


def trajectories(problem: Evolution, initial: Field, algorithm: PseudoSpectral) -> Field:
    """Step many initial states of one equation at once.

    The result of each sample does not depend on the other samples, bit for bit.

    Parameters
    ----------
    problem
        Problem whose equation, grid and times are used; its initial state is ignored.
    initial
        Initial states (sample, x) or (sample, y, x).
    algorithm
        Settings of the time stepping.

    Returns
    -------
    Field
        (sample, time, x) or (sample, time, y, x), starting at t = 0; NaN after a sample became infinite.

    Raises
    ------
    InputError
        The initial states have another shape.

    Examples
    --------
    >>> from sciml.pde.burgers import Burgers
    >>> initial = np.stack([Burgers(32, seed=seed).start() for seed in (5, 6, 7)])
    >>> trajectories(Burgers(32, frames=2), initial, PseudoSpectral(dt=0.05)).shape
    (3, 3, 32)
    """
    _check_kind(problem)
    shape = tuple(x.size for x in problem.axes().values())
    initial = np.asarray(initial, np.float64)
    if initial.shape[1:] != shape:
        raise InputError(f"initial has shape {initial.shape}: give (sample, {', '.join(map(str, shape))})")
    state = algorithm.init(problem)
    return _stepped(problem, problem.equation(), initial, state)[0]


def _stepped(
    problem: Evolution, equation: Equation, initial: Field, steps: StepFactors
) -> tuple[Field, Field]:
    """Return the frames (sample, time, ...) and the largest Courant number of each sample."""
    axes = tuple(range(1, initial.ndim))
    shape, spacing = initial.shape[1:], 1 / max(initial.shape[1:])
    frames = np.empty((initial.shape[0], len(problem.times()), *shape))
    frames[:, 0] = initial
    spectrum = np.where(equation.resolved, scipy.fft.rfftn(initial, axes=axes), 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        fastest = equation.speed(spectrum)
        for frame in range(1, frames.shape[1]):
            for _ in range(steps.count):
                spectrum = steps.step(spectrum, equation.tendency)
            frames[:, frame] = scipy.fft.irfftn(spectrum, shape, axes=axes)
            fastest = np.fmax(
                fastest, equation.speed(spectrum)
            )  # ignores NaN, so that the last finite speed counts
            if not np.isfinite(frames[:, frame]).any():
                frames[:, frame:] = np.nan
                break
    lost = ~np.isfinite(frames)
    frames[lost] = np.nan
    return frames, np.asarray(fastest * steps.dt / spacing)


def _phis(z: Field) -> tuple[Field, Field, Field]:
    """Return (e^z - 1) / z, (phi_1 - 1) / z and (phi_2 - 1/2) / z, by their series if these would cancel."""
    near = np.abs(z) < 1
    small, safe = np.where(near, z, 0.0), np.where(near, 1.0, z)
    far = [np.expm1(safe) / safe]
    for constant in (1.0, 0.5):
        far.append((far[-1] - constant) / safe)
    phis = []
    for order, value in enumerate(far, start=1):
        term = np.full_like(z, 1 / math.factorial(order))
        total = term.copy()
        for k in range(order + 1, order + 18):
            term = term * small / k
            total += term
        phis.append(np.where(near, total, value))
    return phis[0], phis[1], phis[2]


def _equation(problem: Evolution, state: StepFactors) -> Equation:
    _check_kind(problem)
    equation, times = problem.equation(), problem.times()
    interval = float(times[-1]) / (len(times) - 1)
    if not (
        np.array_equal(equation.linear, state.linear)
        and np.isclose(state.dt * state.count, interval, rtol=1e-12)
    ):
        raise InputError(
            "the state belongs to another equation, grid, viscosity or time between frames: "
            "call init(problem, PseudoSpectral(...)) for this one"
        )
    return equation


def _check_kind(problem: Evolution) -> None:
    if not isinstance(problem, Evolution):
        raise InputError(
            f"a {type(problem).__name__} is not stepped in time: take Direct() or AMG() for an elliptic problem"
        )
