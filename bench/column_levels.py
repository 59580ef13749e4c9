"""Columns of other numbers of levels: conservative interpolation of inputs and outputs.

The new levels divide the index of the given ones evenly. A profile is interpolated by the integral over mass from the
ground, a cubic Hermite polynomial in each level whose slopes are the mass-weighted means of neighbouring levels: sums
over mass are conserved, profiles linear in mass are reproduced, and vapour does not become negative. Theta, vapour,
winds, W0AVG and all outputs are interpolated; pressure is hydrostatic, and temperature, Exner function, density and
depth follow from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml.constants import CP_DRY, GRAVITY, P_ZERO, R_DRY, R_VAPOUR
from sciml.schemes.mskf import MSKF

Array = NDArray[Any]

STATE = ("U_PHY", "V_PHY", "QVAPOR", "W0AVG")
"""Inputs that are interpolated as they are."""
LEVEL_NUMBERS = ("CUTOP", "CUBOT")
"""Outputs that are numbers of levels; left out."""


def on_levels(columns: xr.Dataset, levels: int) -> xr.Dataset:
    """Interpolate columns to another number of levels.

    Parameters
    ----------
    columns
        Columns dataset with inputs and, if there are any, outputs of the scheme; of one number of levels.
    levels
        Number of levels to make.

    Returns
    -------
    xr.Dataset
        Columns with the same coordinates and scalars.
    """
    columns = columns.drop_vars("LEVELS", errors="ignore")
    given = {
        str(name): columns[name].transpose("column", "level").values.astype(np.float64)
        for name in columns.data_vars
        if "level" in columns[name].dims
    }
    mass = given["RHO"] * given["DZ8W"] * GRAVITY
    grid = _Grid.of(mass, levels)
    kappa = R_DRY / CP_DRY
    outputs = [name for name in (*MSKF.output_names, *MSKF.optional_names) if name in given]
    profiles = {name: grid.means(given[name], positive=name == "QVAPOR") for name in (*STATE, *outputs)}
    theta = grid.means(given["T_PHY"] * (P_ZERO / given["P_HYD"]) ** kappa)
    ground = given["P_HYD"][:, :1] + mass[:, :1] / 2
    p = ground - (grid.new_faces[:, 1:] + grid.new_faces[:, :-1]) / 2
    exner = (p / P_ZERO) ** kappa
    t, q = theta * exner, profiles["QVAPOR"]
    density = p / (R_DRY * t * (1 + R_VAPOUR / R_DRY * q)) * (1 + q)
    depth = np.diff(grid.new_faces, axis=1)
    profiles |= {"T_PHY": t, "P_HYD": p, "PI_PHY": exner, "RHO": density, "DZ8W": depth / (density * GRAVITY)}
    scalars = {
        str(name): columns[name]
        for name in columns.data_vars
        if "level" not in columns[name].dims and name not in LEVEL_NUMBERS
    }
    return _dataset(columns, profiles, scalars)


def _dataset(columns: xr.Dataset, profiles: Mapping[str, Array], scalars: Mapping[str, Any]) -> xr.Dataset:
    rows = {
        name: (("column", "level"), values.astype(np.float32), columns[name].attrs)
        for name, values in profiles.items()
    }
    return xr.Dataset({**rows, **scalars}, coords=columns.coords, attrs=columns.attrs)


class _Grid:
    """Given and new levels of each column by the pressure depth (Pa) of their faces from the ground."""

    def __init__(self, mass: Array, level: Array, share: Array) -> None:
        self.mass = mass
        self.level, self.share = level, share  # of each new face: the level that it lies in, and where in it
        self.faces = np.concatenate([np.zeros((len(mass), 1)), np.cumsum(mass, 1)], 1)
        self.new_faces = self.faces[:, level] + share * mass[:, level]

    @classmethod
    def of(cls, mass: Array, levels: int) -> _Grid:
        """Divide the index of the given levels, of masses (column, level), evenly."""
        position = np.linspace(0, mass.shape[1], levels + 1)
        level = np.minimum(position.astype(int), mass.shape[1] - 1)
        return cls(mass, level, position - level)

    def means(self, values: Array, *, positive: bool = False) -> Array:
        """Return the means over mass of the new levels of a profile (column, level)."""
        total = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values * self.mass, 1)], 1)
        low, high = self.mass[:, :-1], self.mass[:, 1:]
        inner = (high * values[:, :-1] + low * values[:, 1:]) / (low + high)
        first, last = 2 * values[:, :1] - inner[:, :1], 2 * values[:, -1:] - inner[:, -1:]
        slope = np.concatenate([first, inner, last], 1)
        if positive:  # a cubic with slopes of at most three times the mean does not decrease
            most = np.concatenate(
                [values[:, :1], np.minimum(values[:, :-1], values[:, 1:]), values[:, -1:]], 1
            )
            slope = np.clip(slope, 0, 3 * np.maximum(most, 0))
        k, x = self.level, self.share
        width, mean = self.mass[:, k], values[:, k]
        below, above = slope[:, k], slope[:, k + 1]
        inside = x * (below + x * ((3 * mean - 2 * below - above) + x * (below + above - 2 * mean)))
        at_faces = total[:, k] + width * inside
        new: Array = np.diff(at_faces, axis=1) / np.diff(self.new_faces, axis=1)
        return new
