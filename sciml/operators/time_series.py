"""Conversion of time series and of data on a line to samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciml.errors import InputError
from sciml.pde.dataset import dims_of
from sciml.pde.grid import Boundary, Centring, Grid, Side

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ROWS", "TRUTH", "bare", "begun", "broadened", "is_line", "line_grid", "spacing", "stepped"]

TRUTH = "truth"
"""Name of the target in a batch; inputs have their own names."""
ROWS = 8  # number of equal rows that represent a line: enough for three levels
Rows = npt.NDArray[np.int64]


def is_line(target: xr.DataArray) -> bool:
    """Return whether fields are on a line, with the single axis x."""
    return "x" in target.dims and "y" not in target.dims and "sample" in target.dims


def broadened(data: xr.Dataset, names: tuple[str, ...]) -> xr.Dataset:
    """Repeat fields on a line to fields of equal rows, for networks on planes."""
    chosen = {name: data[name] for name in dict.fromkeys((*names, *_initial(data))) if name in data}
    wide = {name: value.expand_dims(y=ROWS).transpose(..., "y", "x") for name, value in chosen.items()}
    return _dataset(wide).assign_attrs(data.attrs)


def line_grid(n: int, boundary: Boundary | Side | None, centring: Centring | None, family: str) -> Grid:
    """Return the grid of equal rows, with the spacing of the points on the line."""
    if not family and (boundary is None or centring is None):
        raise InputError(
            "the data do not describe their grid: give boundary and centring, --boundary and --centring"
        )
    x = Boundary.of("periodic" if boundary is None else boundary)
    return Grid(
        (ROWS, n), centring or "vertex", Boundary(x.west, x.east, "periodic", "periodic"), (ROWS / n, 1.0)
    )


def _initial(data: xr.Dataset) -> tuple[str, ...]:
    """Return the name of the initial state in a dataset of a family that is stepped in time."""
    from sciml.pde.dataset import inputs_of
    from sciml.pde.families import FAMILIES

    family = FAMILIES.get(str(data.attrs.get("family", "")))
    return inputs_of(data)[:1] if family is not None and family.stepped else ()


def begun(data: xr.Dataset, target: str) -> xr.Dataset:
    """Prepend the initial state to a series, if it is an input and one step before the first time."""
    import xarray as xr

    name = next(iter(_initial(data)), None)
    if name is None or "time" in data[name].dims or "time" not in data.coords:
        return data
    times = np.asarray(data["time"].values, dtype=np.float64)
    if not np.isclose(times[0], times[1] - times[0] if len(times) > 1 else times[0], rtol=1e-6):
        return data
    first = data[name].expand_dims(time=[0.0]).rename(target)
    series = xr.concat([first, data[target]], "time", coords="minimal", compat="override", join="override")
    return data.drop_vars([target, "time"]).assign({target: series.transpose("sample", "time", ...)})


def stepped(data: xr.Dataset, inputs: tuple[str, ...], target: str) -> tuple[xr.Dataset, Rows]:
    """Convert each step of each series to a row: the target before and after it, and the other inputs."""
    series = bare(data[target])
    count = series.sizes["time"] - 1
    if count < 1:
        raise InputError("the series has a single time: give two or more, since the operator learns steps")
    places = dims_of(series)
    before = {"time": slice(0, count)}
    named = {target: series.isel(before), TRUTH: series.isel(time=slice(1, None))}
    for name in inputs:
        if name != target:
            array = bare(data[name])
            named[name] = array.isel(before) if "time" in array.dims else array.expand_dims(time=count)
    fields = {
        name: array.stack(row=("sample", "time"), create_index=False).transpose("row", *places)
        for name, array in named.items()
    }
    return _dataset(fields), np.repeat(np.arange(data.sizes["sample"]), count)


def bare(variable: xr.DataArray) -> xr.DataArray:
    """Drop the coordinates of a variable."""
    return variable.drop_vars(list(variable.coords))


def _dataset(fields: dict[str, xr.DataArray]) -> xr.Dataset:
    import xarray as xr

    return xr.Dataset(fields)


def spacing(data: xr.Dataset) -> float | None:
    """Return the interval between the times of a series, or None without times.

    Raises
    ------
    InputError
        The intervals are not equal.
    """
    if "time" not in data.coords:
        return None
    times = np.asarray(data["time"].values)
    if times.dtype.kind not in "fiu":
        return None
    steps = np.diff(times.astype(np.float64))
    if not np.allclose(steps, steps[0], rtol=1e-6):
        raise InputError(
            f"the times are {times[:4]}...: give equal steps, since an operator advances by one step"
        )
    return float(steps[0])
