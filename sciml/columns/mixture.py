"""Columns of different runs in one dataset: settings and numbers of levels that differ become coordinates.

A setting of the scheme (DX, DT, CUDT, STEPCU) that all columns share is an attribute. One that differs is a coordinate
(column,). If the numbers of levels differ, the coordinate LEVELS (column,) has that of each column, and profiles are
NaN above it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

__all__ = ["LEVELS", "MIXED", "Mixture", "describe_mixture", "padding", "ranges", "ranges_of_files"]

LEVELS: Final = "LEVELS"
MIXED: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "DX": ("float64", {"long_name": "grid spacing", "units": "m"}),
    "DT": ("float64", {"long_name": "time step", "units": "s"}),
    "CUDT": ("float64", {"long_name": "time between calls of the scheme", "units": "min"}),
    "STEPCU": ("int32", {"long_name": "time steps between calls of the scheme", "units": "1"}),
    LEVELS: (
        "int32",
        {"long_name": "number of levels of the column; profiles are missing above", "units": "1"},
    ),
}
"""Type and attributes of the coordinates that only columns of different runs have."""


@dataclass(frozen=True)
class Mixture:
    """What the runs of a dataset share, and in what they differ.

    Attributes
    ----------
    attrs
        The settings that all columns share.
    names
        Names of the coordinates, in the order of `MIXED`; empty if the runs do not differ.
    levels
        Greatest number of levels.
    """

    attrs: dict[str, Any]
    names: tuple[str, ...]
    levels: int

    @classmethod
    def of(cls, settings: Sequence[Mapping[str, Any]], levels: Sequence[int]) -> Mixture:
        """Compare the settings and numbers of levels of files."""
        first = settings[0]
        shared = {
            name: first[name] for name in first if all(other[name] == first[name] for other in settings)
        }
        names = tuple(name for name in MIXED if name in first and name not in shared)
        return cls(shared, names if len(set(levels)) == 1 else (*names, LEVELS), max(levels))

    @classmethod
    def of_datasets(cls, parts: Sequence[xr.Dataset]) -> Mixture:
        """Compare columns datasets, of which each may be a mixture itself."""
        attrs = {}
        for name in MIXED:
            known = [part.attrs.get(name) for part in parts]
            if known[0] is not None and all(value == known[0] for value in known):
                attrs[name] = known[0]
        widths = [int(part.sizes["level"]) for part in parts]
        known_in = {name for part in parts for name in (*part.attrs, *part.coords)}
        names = [name for name in MIXED if name != LEVELS and name not in attrs and name in known_in]
        if len(set(widths)) > 1 or any(LEVELS in part.coords for part in parts):
            names.append(LEVELS)
        return cls(attrs, tuple(names), max(widths))

    def arrange(self, columns: xr.Dataset) -> xr.Dataset:
        """Give columns of one of the runs the coordinates and the number of levels of all."""
        own = int(columns.sizes["level"])
        if own < self.levels:
            columns = columns.pad(level=(0, self.levels - own), constant_values=np.nan)
        new = {}
        for name in self.names:
            if name not in columns.coords:
                dtype, attrs = MIXED[name]
                value = own if name == LEVELS else columns.attrs[name]
                new[name] = ("column", np.full(columns.sizes["column"], value, dtype), attrs)
        out = columns.assign_coords(new)
        out.attrs = {name: value for name, value in columns.attrs.items() if name not in self.names}
        return out


def padding(columns: xr.Dataset) -> npt.NDArray[np.bool_] | None:
    """Return which values of a profile lie above the column, (column, level); None if all columns are equally long."""
    if LEVELS not in columns.variables:
        return None
    above: npt.NDArray[np.bool_] = np.arange(columns.sizes["level"]) >= columns[LEVELS].values[:, None]
    return above


def ranges(columns: xr.Dataset) -> dict[str, tuple[float, float]]:
    """Return the least and the greatest value of each setting in which the columns differ."""
    return {
        name: (float(columns[name].min()), float(columns[name].max()))
        for name in MIXED
        if name in columns.coords
    }


def ranges_of_files(
    settings: Sequence[Mapping[str, Any]], levels: Sequence[int]
) -> dict[str, tuple[float, float]]:
    """Return the same as `ranges`, from the settings and numbers of levels of files."""
    between = {}
    for name in Mixture.of(settings, levels).names:
        values = levels if name == LEVELS else [own[name] for own in settings]
        between[name] = (float(min(values)), float(max(values)))
    return between


def describe_mixture(between: Mapping[str, tuple[float, float]]) -> str:
    """Write ranges (see `ranges`) as text; "" if there are none.

    Examples
    --------
    >>> describe_mixture({"DX": (3000.0, 25000.0), "LEVELS": (44.0, 50.0)})
    'DX 3000 to 25000 m, 44 to 50 levels'
    """
    return ", ".join(_texts(between))


def _texts(between: Mapping[str, tuple[float, float]]) -> Iterator[str]:
    for name, (low, high) in between.items():
        value = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        units = MIXED[name][1]["units"]
        yield (
            f"{value} levels" if name == LEVELS else f"{name} {value}" + ("" if units == "1" else f" {units}")
        )
