"""Synthetic columns: mixtures of two columns of a run with smooth noise, in hydrostatic balance.

The inputs of the scheme are mixed linearly, with a weight of 0 to 0.5 for the second column; half of the columns have
no second one. Smooth noise is added to temperature, vapour and wind, and W0AVG is scaled. The other variables follow
as in WRF:

- The mass of a layer, RHO DZ8W, and P_HYD are the mixtures of those of the two columns, so that the hydrostatic
  relation holds as in the given columns.
- RHO follows from the equation of state of moist air, PI_PHY from the pressure, DZ8W from mass and RHO.
- Vapour is not negative.

A mixture has the levels, the grid spacing and the climate of its run. It need not be a state that the run reaches: for
example, the noise may saturate a layer. The outputs of the scheme are those of an emulator, so that a network that is
trained on them learns from that emulator (distillation; Hinton, Vinyals and Dean 2015, arXiv:1503.02531).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml.columns.classes import DEEP, NONE, SHALLOW
from sciml.constants import CP_DRY, P_ZERO, R_DRY, R_VAPOUR
from sciml.convection.emulator import Emulator
from sciml.convection.problem import INPUT_PROFILES, INPUT_SURFACE, Convection
from sciml.schemes import MSKF
from sciml.solve import solve

__all__ = ["SHARES", "Draw", "draw", "label", "mix"]

Array = npt.NDArray[np.float64]

SHARES: Final[Mapping[int, float]] = {DEEP: 1.0, SHALLOW: 0.7, NONE: 0.15}
"""Relative probability that a column of a class is drawn: most columns of a run have no convection."""
MOST: Final = 0.5  # weight of the second column
MODES: Final = 8
STRETCH: Final = 0.4  # exponent of the pressure depth: the noise varies most near the ground
TEMPERATURE: Final = 0.12  # K, standard deviation of the amplitude of each mode
VAPOUR: Final = 0.02  # of the logarithm of QVAPOR
WINDS: Final = tuple(entry.name for entry in MSKF.inputs if entry.symbol in ("U", "V"))
WIND: Final = 2.0  # m/s, of both components
VELOCITY: Final = 0.15  # of the logarithm of the factor of W0AVG


@dataclass(frozen=True)
class Draw:
    """Two columns of each mixture, (mixture,), and the weight of the second.

    Attributes
    ----------
    first, second
        Numbers of the columns.
    weight
        Weight of the second column, 0 to 0.5; that of the first is 1 minus this.
    """

    first: npt.NDArray[np.intp]
    second: npt.NDArray[np.intp]
    weight: Array


def draw(kind: npt.NDArray[Any], number: int, rng: np.random.Generator) -> Draw:
    """Draw the columns of mixtures by the shares of their classes.

    Parameters
    ----------
    kind
        KIND of the columns to draw from: none, shallow or deep.
    number
        Number of mixtures.
    rng
        Source of the random numbers.
    """
    share = np.zeros(len(kind))
    for value, size in SHARES.items():
        share[kind == value] = size
    share /= share.sum()
    first, second = (rng.choice(len(kind), number, p=share) for _ in range(2))
    weight = rng.uniform(0.0, MOST, number) * rng.integers(0, 2, number)
    return Draw(first, second, weight)


def mix(columns: xr.Dataset, drawn: Draw, rng: np.random.Generator) -> xr.Dataset:
    """Return the inputs of the scheme in mixtures of columns.

    Parameters
    ----------
    columns
        Inputs and KIND of columns of one run and number of levels, in memory.
    drawn
        The columns of each mixture.
    rng
        Source of the random numbers of the noise.

    Returns
    -------
    xr.Dataset
        The inputs, float32, with the attributes of the columns, and except KIND the coordinates of the first.
    """

    def mixed(values: Array) -> Array:
        weight = drawn.weight.reshape(-1, *[1] * (values.ndim - 1))
        return (1.0 - weight) * values[drawn.first] + weight * values[drawn.second]

    given = {
        name: columns[name].transpose("column", ...).values.astype(np.float64)
        for name in (*INPUT_PROFILES, *INPUT_SURFACE)
    }
    given["QVAPOR"] = np.maximum(given["QVAPOR"], 0.0)  # round-off of advection
    out = {name: mixed(values) for name, values in given.items()}
    pressure = mixed(_pressure(given["PI_PHY"]))
    mass = mixed(given["RHO"] * given["DZ8W"])
    # 1 to round-off in WRF; a host may use another equation of state.
    state = mixed(given["RHO"] / _density(_pressure(given["PI_PHY"]), given["T_PHY"], given["QVAPOR"]))
    noise = _Noise.of(out["P_HYD"], rng)
    out["T_PHY"] = out["T_PHY"] + noise.profiles(TEMPERATURE, rng)
    out["QVAPOR"] = out["QVAPOR"] * np.exp(noise.profiles(VAPOUR, rng))
    for name in WINDS:
        out[name] = out[name] + noise.profiles(WIND, rng)
    out["W0AVG"] = out["W0AVG"] * np.exp(rng.normal(0.0, VELOCITY, (len(mass), 1)))
    out["PI_PHY"] = (pressure / P_ZERO) ** (R_DRY / CP_DRY)
    out["RHO"] = state * _density(pressure, out["T_PHY"], out["QVAPOR"])
    out["DZ8W"] = mass / out["RHO"]
    return xr.Dataset(
        {
            name: (("column", "level")[: values.ndim], values.astype(np.float32))
            for name, values in out.items()
        },
        coords={
            name: columns[name].isel(column=drawn.first)
            for name in columns.coords
            if columns[name].dims == ("column",) and name != "KIND"
        },
        attrs=columns.attrs,
    )


def label(inputs: xr.Dataset, teacher: Emulator[Any], state: Any, names: Sequence[str]) -> xr.Dataset:
    """Add the outputs of an emulator and KIND to inputs; columns where an output is not finite are left out.

    Parameters
    ----------
    inputs
        Result of `mix`.
    teacher, state
        Emulator, and the result of `sciml.init` for it.
    names
        Outputs to add.
    """
    outputs = solve(Convection(inputs), teacher, state=state, throw=False).outputs
    made = {name: (outputs[name].dims, outputs[name].values.astype(np.float32)) for name in names}
    finite = np.ones(inputs.sizes["column"], bool)
    for _, values in made.values():
        finite &= np.isfinite(values.reshape(len(values), -1)).all(1)
    labelled = inputs.assign(made).assign_coords(KIND=("column", outputs["KIND"].values))
    return labelled.isel(column=np.flatnonzero(finite))


def _pressure(exner: Array) -> Array:
    """Pressure [Pa] of an Exner function."""
    result: Array = P_ZERO * exner ** (CP_DRY / R_DRY)
    return result


def _density(pressure: Array, temperature: Array, vapour: Array) -> Array:
    """Density [kg m-3] of moist air, from the equation of state that WRF uses."""
    return pressure / (R_DRY * temperature * (1.0 + R_VAPOUR / R_DRY * vapour)) * (1.0 + vapour)


@dataclass(frozen=True)
class _Noise:
    """Cosines of a stretched pressure depth with random phases, (mixture, mode, level)."""

    modes: Array

    @classmethod
    def of(cls, pressure: Array, rng: np.random.Generator) -> _Noise:
        """Draw the phases for profiles of pressure (mixture, level)."""
        bottom, top = pressure[:, :1], pressure[:, -1:]
        height = ((bottom - pressure) / (bottom - top)).clip(0.0, 1.0) ** STRETCH
        phase = rng.uniform(0.0, 2.0 * np.pi, (len(pressure), MODES, 1))
        return cls(np.cos(np.pi * np.arange(MODES)[:, None] * height[:, None] + phase))

    def profiles(self, size: float, rng: np.random.Generator) -> Array:
        """Draw sums of the modes with amplitudes of this standard deviation, (mixture, level)."""
        amplitude = rng.normal(0.0, size, self.modes.shape[:2])
        result: Array = np.einsum("nm,nml->nl", amplitude, self.modes)
        return result
