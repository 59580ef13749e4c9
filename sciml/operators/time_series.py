"""Time series and lines as samples: each step a row, each line a field of equal rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciml.errors import InputError
from sciml.pde.grid import Boundary, Centring, Grid, Side

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ROWS", "TRUTH", "bare", "begun", "broadened", "is_line", "line_grid", "spacing", "stepped"]

TRUTH = "truth"
"""The target's name in a batch; inputs have their own."""
ROWS = 8  # that a line is repeated to: enough for three levels
Rows = npt.NDArray[np.int64]


def is_line(target: xr.DataArray) -> bool:
    """Whether fields lie on a line: along x alone."""
    return "x" in target.dims and "y" not in target.dims and "sample" in target.dims


def broadened(data: xr.Dataset, names: tuple[str, ...]) -> xr.Dataset:
    """Fields along a line as fields of equal rows: what a network for planes takes."""
    chosen = {name: data[name] for name in dict.fromkeys((*names, *_initial(data))) if name in data}
    wide = {name: value.expand_dims(y=ROWS).transpose(..., "y", "x") for name, value in chosen.items()}
    return _dataset(wide).assign_attrs(data.attrs)


def line_grid(n: int, boundary: Boundary | Side | None, centring: Centring | None, family: str) -> Grid:
    """The grid of equal rows, as far apart as the points of the line."""
    if not family and (boundary is None or centring is None):
        raise InputError(
            "the data does not tell its grid: give boundary and centring, --boundary and --centring"
        )
    x = Boundary.of("periodic" if boundary is None else boundary)
    return Grid(
        (ROWS, n), centring or "vertex", Boundary(x.west, x.east, "periodic", "periodic"), (ROWS / n, 1.0)
    )


def _initial(data: xr.Dataset) -> tuple[str, ...]:
    """The name of the initial state in a dataset of a family that is stepped in time."""
    from sciml.pde.dataset import inputs_of
    from sciml.pde.families import FAMILIES

    family = FAMILIES.get(str(data.attrs.get("family", "")))
    return inputs_of(data)[:1] if family is not None and family.stepped else ()


def begun(data: xr.Dataset, target: str) -> xr.Dataset:
    """A series with its initial state as the first time, where that is an input and one step earlier."""
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
    """Each step of each series as a row: the target before and after, and whatever else is given."""
    series = bare(data[target])
    count = series.sizes["time"] - 1
    if count < 1:
        raise InputError("the series has a single time: give two or more, for it is steps that are learned")
    before = {"time": slice(0, count)}
    named = {target: series.isel(before), TRUTH: series.isel(time=slice(1, None))}
    for name in inputs:
        if name != target:
            array = bare(data[name])
            named[name] = array.isel(before) if "time" in array.dims else array.expand_dims(time=count)
    fields = {
        name: array.stack(row=("sample", "time"), create_index=False).transpose("row", "y", "x")
        for name, array in named.items()
    }
    return _dataset(fields), np.repeat(np.arange(data.sizes["sample"]), count)


def bare(variable: xr.DataArray) -> xr.DataArray:
    """A variable without coordinates."""
    return variable.drop_vars(list(variable.coords))


def _dataset(fields: dict[str, xr.DataArray]) -> xr.Dataset:
    import xarray as xr

    return xr.Dataset(fields)


def spacing(data: xr.Dataset) -> float | None:
    """The interval between the times of a series, None where they are not given.

    Raises
    ------
    InputError
        Unequal intervals.
    """
    if "time" not in data.coords:
        return None
    times = np.asarray(data["time"].values)
    if times.dtype.kind not in "fiu":
        return None
    steps = np.diff(times.astype(np.float64))
    if not np.allclose(steps, steps[0], rtol=1e-6):
        raise InputError(
            f"the times are {times[:4]}...: equal steps are needed, for one operator advances by one"
        )
    return float(steps[0])
