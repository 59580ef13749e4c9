"""Conversion of published datasets to the names, grids and families of this package."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.errors import InputError
from sciml.pde.array_files import FileArrays, absent
from sciml.pde.axes import check_sizes, variable
from sciml.pde.dataset import check_dataset
from sciml.pde.families import Family
from sciml.pde.grid import Boundary, Grid
from sciml.pde.published_formats import Points, PublishedLayout

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["by_layout"]


def by_layout(content: FileArrays, name: str, layout: PublishedLayout) -> xr.Dataset:
    """Convert a published dataset."""
    import xarray as xr

    for ours, (theirs, dims) in layout.variables.items():
        if theirs not in content.arrays:
            raise absent(ours, theirs, str(content))
        if content.arrays[theirs].ndim != len(dims):
            raise InputError(
                f"{theirs} has shape {content.arrays[theirs].shape}, and layout {layout.name!r} needs "
                f"({', '.join(dims)}): name another layout, or the variables"
            )
    variables = {
        ours: variable(content.arrays[theirs], dims) for ours, (theirs, dims) in layout.variables.items()
    }
    check_sizes(variables)
    dataset = xr.Dataset(variables)
    if layout.time is not None and layout.time in content.arrays:
        times = np.asarray(content.arrays[layout.time][:], np.float64).ravel()
        dataset = dataset.assign_coords(time=times[: dataset.sizes["time"]])
    dataset = _started(dataset, layout)
    family = _family(layout, content, name, dataset)
    attrs = {"layout": layout.name, "inputs": ",".join(layout.inputs), "target": layout.target}
    if family is not None:
        attrs |= {"family": family.name, "family_parameters": json.dumps(family.parameters())}
    return _on_grid(dataset.assign_attrs(attrs), content, layout)


def _started(dataset: xr.Dataset, layout: PublishedLayout) -> xr.Dataset:
    """Convert time series in one dimension: the initial state becomes the input, the times become a dim."""
    if layout.inputs != ("initial",):
        return dataset
    if "time" in dataset.dims:
        return dataset.assign(initial=dataset["u"].isel(time=0, drop=True)).isel(time=slice(1, None))
    return dataset.assign(u=dataset["u"].expand_dims(time=[1.0], axis=1))


def _family(layout: PublishedLayout, content: FileArrays, name: str, dataset: xr.Dataset) -> Family | None:
    """Return the family of a file, with the parameters from its attributes, its times or its name."""
    import re

    family = layout.family
    if family is not None and layout.name == "fno-navier-stokes":
        match = re.search(r"V([0-9.]+(?:e[+-]?[0-9]+)?)", name)
        viscosity = {"viscosity": float(match[1])} if match else {}
        return replace(family, template=replace(family.template, **viscosity, **_course(dataset)))
    if family is None or layout.name != "pdebench-darcy":
        return family
    match = re.search(r"beta([0-9.eE+-]*[0-9])", name)
    beta = content.attrs.get("beta", match[1] if match else None)
    if beta is None:
        return family
    return replace(family, template=replace(family.template, source=float(np.ravel(beta)[0])))


def _course(dataset: xr.Dataset) -> dict[str, Any]:
    """Return the final time and the number of steps of a series whose first time is one step after 0; else empty."""
    if "time" not in dataset.coords or dataset.sizes["time"] == 0:
        return {}
    times = dataset["time"].values
    if not np.allclose(np.diff(times, prepend=0.0), times[0], rtol=1e-6) or not times[0] > 0:
        return {}
    return {"final_time": float(times[-1]), "frames": len(times)}


def _on_grid(dataset: xr.Dataset, content: FileArrays, layout: PublishedLayout) -> xr.Dataset:
    """Assign the grid of a published dataset; the attribute ``sides`` marks nodes on known sides."""
    if "y" not in dataset.dims:
        n = dataset.sizes["x"]
        x = (
            np.ravel(content.arrays["x-coordinate"][:n])
            if "x-coordinate" in content.arrays
            else np.arange(n) / n
        )
        return dataset.assign_coords(x=np.asarray(x, np.float64))
    shape = (dataset.sizes["y"], dataset.sizes["x"])
    points = layout.points
    if points == "coordinates":
        points = _points_of(content)
    if points == "sides":
        u = check_dataset(dataset)[layout.target].isel(sample=0).values
        edge = max(np.abs(u[[0, -1]]).max(), np.abs(u[:, [0, -1]]).max())
        points = "nodes" if edge <= 1e-12 * np.abs(u).max() else "cells"
    boundary = Boundary.all(layout.boundary)
    if points == "nodes" and layout.boundary == "dirichlet":
        # Nodes on the sides count as unknowns until `placed` drops them.
        grid = Grid(shape, "vertex", Boundary.all("neumann"))
        dataset = dataset.assign_attrs(sides="kept")
    else:
        grid = Grid(shape, "cell" if points == "cells" else "vertex", boundary)
    y, x = grid.coordinates()
    return dataset.assign_coords(y=y, x=x).assign_attrs(grid=json.dumps(grid.to_json()))


def _points_of(content: FileArrays) -> Points:
    """Return the positions of the values from the first coordinate in a file and the spacing."""
    if "x-coordinate" not in content.arrays or content.arrays["x-coordinate"].shape[0] < 2:
        return "cells"
    first, second = (float(v) for v in np.ravel(content.arrays["x-coordinate"][:2]))
    away = first / (second - first)
    if round(2 * away) == 1:
        return "cells"
    return "nodes" if round(away) == 0 else "interior"
