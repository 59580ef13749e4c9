"""Columns of random soundings, with their step of the warm-rain scheme, as netCDF files of pairs.

python -m workflows.kessler.soundings pairs --columns 20000 --levels 40 64 --seed 7    # pairs/40.nc, pairs/64.nc
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import xarray as xr

from sciml.schemes import load_scheme
from workflows.kessler.warm_rain import CP, GRAVITY, RD, Array, State, saturation, step

__all__ = ["SCHEME", "pairs", "soundings"]

SCHEME = Path(__file__).with_name("kessler.toml")
TOP = 14000.0  # m


def soundings(columns: int, levels: int, seed: int) -> tuple[State, Array]:
    """Draw columns with layers that grow with height, and their time steps in s.

    Temperature falls by a random lapse rate to a tropopause. The relative humidity is a random smooth profile that
    exceeds 1 in some layers. Cloud is where the air is moist, rain below it.
    """
    random = np.random.default_rng(seed)
    faces = TOP * np.linspace(0.0, 1.0, levels + 1) ** 1.4
    stretch = random.uniform(0.9, 1.1, (columns, 1))
    faces = faces * stretch
    height, thickness = 0.5 * (faces[:, 1:] + faces[:, :-1]), np.diff(faces, axis=1)
    ground = random.uniform(278.0, 303.0, (columns, 1))
    lapse = random.uniform(5.5e-3, 8.0e-3, (columns, 1))
    temperature = np.maximum(ground - lapse * height, random.uniform(200.0, 215.0, (columns, 1)))
    temperature = temperature + _smooth(random, height, 0.6)
    inside = GRAVITY * thickness / (RD * temperature)
    pressure = random.uniform(9.6e4, 1.02e5, (columns, 1)) * np.exp(-np.cumsum(inside, 1) + 0.5 * inside)
    exner = (pressure / 1e5) ** (RD / CP)
    humidity = random.uniform(0.45, 0.95, (columns, 1)) + _smooth(random, height, 0.22)
    humidity = np.clip(humidity, 0.05, 1.0 + random.uniform(0.0, 0.03, (columns, 1)))
    saturated, _ = saturation(temperature, pressure)
    moist = np.clip((humidity - 0.93) / 0.07, 0.0, 1.0)
    amount = np.minimum(4e-3 * random.uniform(0.0, 1.0, (columns, 1)) ** 2, 0.5 * saturated)
    cloud = moist * amount * np.clip(0.6 + _smooth(random, height, 0.5), 0.0, 2.0)
    below = np.flip(np.maximum.accumulate(np.flip(moist, 1), 1), 1)
    rain = below * np.minimum(5e-3 * random.uniform(0.0, 1.0, (columns, 1)) ** 3, saturated)
    rain = rain * np.clip(0.5 + _smooth(random, height, 0.6), 0.0, 2.0) * (random.random((columns, 1)) < 0.7)
    qv = humidity * saturated
    density = pressure / (RD * temperature * (1.0 + 0.608 * qv))
    state = State(temperature / exner, qv, cloud, rain, pressure, exner, density * thickness, thickness)
    return state, random.choice([10.0, 20.0, 30.0, 60.0], columns)


def _smooth(random: np.random.Generator, height: Array, size: float) -> Array:
    """Draw profiles of five sine waves in height, of standard deviation `size`."""
    phase = random.uniform(0.0, 2 * np.pi, (5, len(height), 1))
    waves = random.uniform(1.0, 12.0, (5, len(height), 1))
    drawn: Array = size * np.sqrt(0.4) * np.sin(phase + waves * np.pi * height / TOP).sum(0)
    return drawn


def pairs(columns: int, levels: int, seed: int) -> xr.Dataset:
    """Return inputs and outputs of the scheme by name, with dimensions (column, level) and (column,)."""
    scheme = load_scheme(SCHEME)
    state, dt = soundings(columns, levels, seed)
    values = {**state._asdict(), "dt": dt, **step(state, dt)._asdict()}
    fields = {f.name: f for f in (*scheme.inputs, *scheme.outputs)}
    return xr.Dataset(
        {
            name: (("column", "level")[: value.ndim], value, {"units": fields[name].units})
            for name, value in values.items()
        },
        attrs={"scheme": scheme.name},
    )


def main() -> None:
    """Write a file for each number of levels."""
    parser = argparse.ArgumentParser(description="Write pairs of the warm-rain scheme.")
    parser.add_argument("output", type=Path, help="folder")
    parser.add_argument("--columns", type=int, default=20000)
    parser.add_argument("--levels", type=int, nargs="+", default=[40])
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for levels in options.levels:
        pairs(options.columns, levels, options.seed).to_netcdf(options.output / f"{levels}.nc")


if __name__ == "__main__":
    main()
