"""Conditions of columns in radiative-convective equilibrium: climate, initial state and vertical velocity."""

from __future__ import annotations

import math
import os
from dataclasses import astuple, dataclass, fields
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.signal import lfilter

from sciml.checks import is_whole
from sciml.constants import DAY, GRAVITY
from sciml.convection.problem import INPUT_PROFILES, Convection
from sciml.coupling.fortran_programs import stream_header, write_stream_file
from sciml.errors import InputError

__all__ = ["Climate", "Start"]

Array = NDArray[np.float64]

MOST: Final = 10**8  # steps
_MAGIC: Final = 1396919629


@dataclass(frozen=True)
class Climate:
    """Prescribed conditions of the columns; the Fortran type has the same name.

    Attributes
    ----------
    sst
        Temperature of the sea surface, K.
    wind
        Wind speed of the bulk fluxes, m s-1.
    exchange
        Coefficient of the bulk fluxes.
    cooling
        Radiative cooling of air warmer than `tropopause`, K per day.
    tropopause, stratosphere, relaxation
        Colder air (K) is relaxed to a temperature (K) in so many days (Pauluis and Garner 2006).
    rain_time
        Time in which condensate falls out of its layer, s.
    evaporation
        Share of the large-scale rain that evaporates in 100 hPa of air without vapour.
    nudging
        Relaxation time of the wind to its profile, s.
    gusts
        Decorrelation time of the vertical velocity, s.

    References
    ----------
    Pauluis, O. and S. Garner (2006), Sensitivity of radiative-convective equilibrium simulations to horizontal
    resolution, J. Atmos. Sci. 63, 1910.
    """

    sst: float = 301.0
    wind: float = 6.0
    exchange: float = 1.3e-3
    cooling: float = 1.5
    tropopause: float = 207.5
    stratosphere: float = 200.0
    relaxation: float = 5.0
    rain_time: float = 1800.0
    evaporation: float = 0.2
    nudging: float = 10800.0
    gusts: float = 3600.0

    def __post_init__(self) -> None:
        bounds = {"sst": (250.0, 320.0), "tropopause": (100.0, 300.0), "stratosphere": (100.0, 300.0)}
        bounds |= {"wind": (0.1, 50.0), "exchange": (1e-5, 0.1), "cooling": (-50.0, 50.0)}
        bounds |= {"evaporation": (0.0, 10.0)}
        for field in fields(self):
            low, high = bounds.get(field.name, (1e-3, 1e9))
            value = getattr(self, field.name)
            if not low <= value <= high:
                raise InputError(f"{field.name} = {value}: give a number from {low:g} to {high:g}")

    def numbers(self, p_surface: float) -> Array:
        """Return the numbers in the order of the stream."""
        sst, wind, exchange, cooling, tropopause, stratosphere, relaxation, *rest = astuple(self)
        rates = (cooling / DAY, tropopause, stratosphere, relaxation * DAY)
        return np.array([sst, p_surface, wind, exchange, *rates, *rest[:3]], np.float64)


@dataclass(frozen=True, eq=False)
class Start:
    """Initial state of the columns, and their vertical velocity.

    Attributes
    ----------
    pressure, mass
        Pressure and mass of the layers, constant in time: (level,), Pa and kg m-2.
    wind
        Profile to which the wind is nudged, (2, level), m s-1.
    temperature, vapour
        (member, level), K and kg kg-1.
    gusts
        Fluctuation of w: its profile, m s-1, (level,), and its amplitude at each call, (call, member).
    dx, dt, cudt, stepcu
        Settings of the run of the columns: m, s, min, steps.
    """

    pressure: Array
    mass: Array
    wind: Array
    temperature: Array
    vapour: Array
    gusts: tuple[Array, Array]
    dx: float
    dt: float
    cudt: float
    stepcu: int
    steps: int
    interval: int

    @classmethod
    def of(
        cls,
        columns: xr.Dataset,
        *,
        days: float = 30.0,
        members: int = 20,
        seed: int = 7,
        spread: float = 0.5,
        hours: float = 6.0,
        gusts: float = Climate.gusts,
    ) -> Start:
        """Draw members about the mean sounding of columns.

        Each member starts between the mean and a drawn column. W0AVG, which a single column cannot compute, is a
        fluctuation of zero mean: an autoregressive series of decorrelation time `gusts`, times the standard deviation
        of W0AVG by level in the columns, scaled so that WRF's running mean of it has that standard deviation too.

        Parameters
        ----------
        columns
            Columns for `sciml.convection.Convection`.
        days, hours
            Length of the run, and time between records.
        members, seed
            Number of members, and seed. A member does not depend on the number of members or of days.
        spread
            Share of the way to the drawn column; 0 for members that differ by their gusts alone.
        gusts
            Decorrelation time, s.

        Raises
        ------
        InputError
            When columns have no required variable, or the numbers are out of range.
        """
        columns = Convection(columns).single().columns
        settings = {name: float(columns.attrs[name]) for name in ("DX", "DT", "CUDT")}
        dt, cudt = settings["DT"], settings["CUDT"]
        stepcu = max(1, round(cudt * 60 / dt))
        sound = (
            is_whole(members, 1)
            and members <= 10_000
            and is_whole(seed, 0)
            and 0.0 <= spread <= 1.0
            and gusts > 0.0
        )
        if not (sound and dt <= 3600 * hours <= DAY * days <= MOST * dt):
            raise InputError(
                f"{members} members, seed {seed}, {days:g} days in records of {hours:g} h, spread {spread:g}, gusts "
                f"{gusts:g} s: give 1 to 10,000 members, a seed and a spread (to 1) not below 0, gusts above 0, and "
                f"records of {dt:g} s at least, no longer than the run, which has at most {MOST:,} steps"
            )
        steps, interval = round(days * DAY / dt), round(hours * 3600 / dt)
        taken = {name: columns[name].values.astype(np.float64) for name in INPUT_PROFILES}
        mean = {name: values.mean(0) for name, values in taken.items()}
        forget = math.exp(-stepcu * dt / gusts)
        drawn, amplitude = np.empty(members, np.int64), np.empty((1 + steps // stepcu, members))
        for member in range(members):
            rng = np.random.default_rng([seed, member])
            drawn[member] = rng.integers(columns.sizes["column"])
            shocks = rng.standard_normal(len(amplitude)) * math.sqrt(1 - forget**2)
            amplitude[:, member] = lfilter([1.0], [1.0, -forget], shocks)
        begin = {
            name: mean[name] + spread * (taken[name][drawn] - mean[name]) for name in ("T_PHY", "QVAPOR")
        }
        return cls(
            pressure=mean["P_HYD"],
            mass=(taken["RHO"] * taken["DZ8W"]).mean(0),
            wind=np.stack([mean["U_PHY"], mean["V_PHY"]]),
            temperature=begin["T_PHY"],
            vapour=np.maximum(begin["QVAPOR"], 0.0),
            gusts=(taken["W0AVG"].std(0) / _mean_deviation(forget, 1 / (2 * stepcu)), amplitude),
            dx=settings["DX"],
            dt=dt,
            cudt=cudt,
            stepcu=stepcu,
            steps=steps,
            interval=interval,
        )

    @property
    def header(self) -> NDArray[np.int32]:
        """Integers of the header of the streams."""
        return stream_header(_MAGIC, 1, *self.temperature.shape, self.steps, self.stepcu, self.interval)

    def write(self, path: str | os.PathLike[str], climate: Climate) -> None:
        """Write the host's input.

        Raises
        ------
        InputError
            When it cannot be written.
        """
        surface = float(self.pressure[0] + GRAVITY * self.mass[0] / 2)
        numbers = (
            np.array([self.dx, self.dt, self.cudt]),
            climate.numbers(surface),
            *(self.pressure, self.mass, self.wind, self.gusts[0]),
            *(self.temperature, self.vapour, self.gusts[1]),
        )
        write_stream_file(path, (self.header.tobytes(), *(x.tobytes() for x in numbers)))


def _mean_deviation(forget: float, weight: float) -> float:
    """Return the standard deviation of a running mean with this weight, of an autoregressive series of standard
    deviation 1 and lag-1 correlation `forget`.
    """
    both = forget * (1 - weight)
    return math.sqrt(weight / (2 - weight) * (1 + both) / (1 - both))
