"""Datasets of operator learning: checks of their form and values, and the problem of a sample."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.errors import InputError, MissingVariable
from sciml.pde.attributes import grid_in_attributes, parameters_of, readable
from sciml.pde.axes import check_planes
from sciml.pde.grid import SPACE, Boundary, Field, Grid, space
from sciml.pde.sides import posed

if TYPE_CHECKING:
    import xarray as xr

    from sciml.pde.families import Family

__all__ = [
    "check_dataset",
    "check_real",
    "check_values",
    "dims_of",
    "family_of",
    "grid_of_dataset",
    "in_order",
    "inputs_of",
    "on_grid",
    "problem_of",
    "target_of",
    "without_sides",
]

INPUTS = ("coefficient", "source", "wave_speed", "diffusion", "vorticity", "initial")
"""Names of the variables that are inputs if a dataset does not name its inputs."""
POSITIVE = ("coefficient", "wave_speed", "diffusion")
ORDER = ("sample", "time", *SPACE)


def inputs_of(dataset: xr.Dataset) -> tuple[str, ...]:
    """Return the names of the inputs: those that the dataset declares, else its variables with usual names.

    Parameters
    ----------
    dataset
        Dataset whose attribute ``inputs`` may name the inputs.

    Returns
    -------
    tuple of str
        Names of the inputs.

    Raises
    ------
    MissingVariable
        There is no input; the message lists the variables and explains how to map them.

    Examples
    --------
    >>> from sciml.pde.generation import generate
    >>> inputs_of(generate("poisson", 3, 7, seed=7))
    ('source',)
    """
    given = dataset.attrs.get("inputs", "")
    listed = given.split(",") if isinstance(given, str) else np.ravel(given).tolist()
    names = tuple(str(n).strip() for n in listed if n) or tuple(n for n in INPUTS if n in dataset.data_vars)
    if not names:
        raise _missing("an input", "coefficient", dataset)
    for name in names:
        if name not in dataset.data_vars:
            raise _missing(f"the input {name!r}", name, dataset)
    return names


def target_of(dataset: xr.Dataset) -> str:
    """Return the name of the target: the attribute ``target``, else ``u``.

    Parameters
    ----------
    dataset
        Dataset whose attribute ``target`` may name the target.

    Returns
    -------
    str
        Name of the target.

    Raises
    ------
    MissingVariable
        The dataset does not contain the target.
    """
    name = str(dataset.attrs.get("target", "u"))
    if name not in dataset.data_vars:
        raise _missing(f"the target {name!r}", name, dataset)
    return name


def _missing(what: str, name: str, dataset: xr.Dataset) -> MissingVariable:
    there = ", ".join(
        f"{key} ({', '.join(map(str, array.dims))})" for key, array in dataset.data_vars.items()
    )
    some = next(iter(dataset.data_vars), "NAME")
    return MissingVariable(
        f"the dataset has no variable for {what}: it holds {there or 'none'}; say which it is, such as "
        f'open_dataset(..., inputs={{"coefficient": "{some}"}}, target={{"u": "NAME"}}) '
        f"(--inputs coefficient={some} --target u=NAME)"
        if name in ("coefficient", "u")
        else f"the dataset has no variable for {what}: it holds {there or 'none'}"
    )


def check_dataset(dataset: xr.Dataset) -> xr.Dataset:
    """Check the form of a dataset, without reading values, and return it.

    Raises
    ------
    MissingVariable
        There is no input or no target.
    InputError
        The dims are not (sample, y, x), (sample, z, y, x) or (sample, x), with or without time after the sample; an
        input has an axis that the target does not have; there are no samples; values are complex or text; or
        the target is also an input.
    """
    names = (*inputs_of(dataset), target_of(dataset))
    for name in names:
        value = dataset[name]
        dims = tuple(map(str, value.dims))
        check_planes(name, dims)
        places = dims[2:] if dims[1:2] == ("time",) else dims[1:]
        if dims[:1] != ("sample",) or not places or places != space(len(places)):
            raise InputError(
                f"{name} has dims ({', '.join(dims)}) of sizes {value.shape}: it should have (sample, y, x) or "
                f"(sample, time, y, x); {_to_our_dims(dims)}"
            )
        check_real(value)
    _check_alike(dataset)
    if target_of(dataset) in inputs_of(dataset) and "time" not in dataset.dims:
        raise InputError(f"{target_of(dataset)} is the target and an input, too: name another one for either")
    if dataset.sizes["sample"] == 0:
        raise InputError("the dataset has no samples: sample has size 0")
    if any(size == 0 for size in dataset.sizes.values()):
        empty = ", ".join(str(dim) for dim, size in dataset.sizes.items() if size == 0)
        raise InputError(f"the dataset is empty along {empty}")
    return dataset


def _check_alike(dataset: xr.Dataset) -> None:
    """Check that inputs and target agree in having a time axis, and in being on a line or in the plane."""
    target = dataset[target_of(dataset)]
    for name in inputs_of(dataset):
        more = [str(dim) for dim in dataset[name].dims if dim not in target.dims]
        fewer = [str(dim) for dim in target.dims if dim not in (*dataset[name].dims, "time")]
        if more == ["time"]:
            size, shape = dataset.sizes["time"], dataset[name].shape
            raise InputError(
                f"{name} has {size} values along its second axis (sizes {shape}), {target.name} has no such axis: if "
                f"these are {size} channels, give each as an array of its own with dims (sample, y, x), and name them "
                "all with inputs (--inputs)"
            )
        if more or fewer:
            raise InputError(
                f"{name} has dims ({', '.join(map(str, dataset[name].dims))}), {target.name} "
                f"({', '.join(map(str, target.dims))}): give both on a line, both in the plane, or both in space"
            )


def check_real(value: xr.DataArray) -> None:
    """Check that the values are real numbers.

    Raises
    ------
    InputError
        The values have another type, which the message names.
    """
    if value.dtype.kind not in "fiu":
        raise InputError(
            f"{value.name} holds {value.dtype}: give real numbers (of complex ones, .real or .imag)"
        )


def in_order(dataset: xr.Dataset) -> xr.Dataset:
    """Transpose a dataset to the order of `AXES`, for the dims that have these names."""
    return dataset.transpose(*ORDER, ..., missing_dims="ignore")


def _to_our_dims(dims: tuple[str, ...]) -> str:
    """Return the remedy for dims of other names or in another order."""
    wanted = {2: ("sample", "x"), 3: ("sample", "y", "x"), 4: ("sample", "time", "y", "x")}.get(len(dims))
    if set(dims) == {"y", "x"}:
        return "a single field gets samples by ds.expand_dims('sample')"
    if wanted is None:
        return "choose another variable"
    strange = [dim for dim in dims if dim not in wanted]
    if not strange:
        return "transpose it, as ds.transpose('sample', ..., 'y', 'x')"
    free = [dim for dim in wanted if dim not in dims]
    if free == ["time"]:
        return (
            f"if {strange[0]} is time or a channel, name the axes (--dims "
            f"{','.join('time' if dim in strange else dim for dim in dims)}, or channel for time, or z for fields in "
            "three dimensions; in Python dims=)"
        )
    names = dict(zip(strange, free, strict=True))
    renamed = ", ".join(f"{old}='{new}'" for old, new in names.items())
    axes = ",".join(names.get(dim, dim) for dim in dims)
    return f"rename the dims, such as ds.rename({renamed}), or name the axes (--dims {axes}; in Python dims=)"


def check_values(dataset: xr.Dataset, *, most: int = 5) -> xr.Dataset:
    """Read the values of a dataset, once, and return it if all can be used.

    Raises
    ------
    InputError
        Values are NaN or infinite, or a coefficient is not positive; the message lists the samples.
    """
    check_dataset(dataset)
    for name in (*inputs_of(dataset), target_of(dataset)):
        value: Any = dataset[name]
        axes = [dim for dim in value.dims if dim != "sample"]
        faults = {"NaN or infinite values": ~np.isfinite(value).all(axes)}
        if name in POSITIVE:
            faults["values that are not positive"] = (value <= 0).any(axes)
        for what, fault in faults.items():
            with readable(name):
                bad = np.flatnonzero(fault.compute().values)
            if bad.size:
                some = ", ".join(map(str, bad[:most])) + (", ..." if bad.size > most else "")
                raise InputError(
                    f"{name} has {what} in {bad.size} of {value.sizes['sample']} samples ({some}): drop them with "
                    f"ds.drop_isel(sample=[{', '.join(map(str, bad[:most]))}]) or repair the file"
                )
    return dataset


def grid_of_dataset(dataset: xr.Dataset, grid: Grid | None = None) -> Grid:
    """Return the grid of a dataset: the argument, else the one in its attributes.

    Parameters
    ----------
    dataset
        Dataset with fields (..., y, x), (..., x) or (..., z, y, x).
    grid
        Grid of the fields, if it is not the one in the attributes.

    Returns
    -------
    Grid
        Grid of the fields.

    Raises
    ------
    InputError
        There is no grid, or its shape differs from that of the fields.
    SchemaError
        The attribute ``grid`` does not describe a grid.
    """
    if grid is not None and not isinstance(grid, Grid):
        raise InputError(
            f"grid={grid!r}: give a Grid, such as Grid((63, 63), 'vertex', Boundary.all('neumann'))"
        )
    grid = grid_in_attributes(dataset) if grid is None else grid
    dims = dims_of(dataset)
    shape = tuple(dataset.sizes[dim] for dim in dims)
    if shape != grid.shape:
        raise InputError(
            f"the grid is {_times(grid.shape)}, the fields ({', '.join(dims)}) are {_times(shape)}: give the "
            "grid of these (grid=), or correct or drop the attribute 'grid'"
        )
    return grid


def dims_of(data: xr.Dataset | xr.DataArray) -> tuple[str, ...]:
    """Return the axes in space of a field or of the fields of a dataset, such as (y, x)."""
    return tuple(dim for dim in SPACE if dim in data.dims)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def on_grid(dataset: xr.Dataset, grid: Grid) -> xr.Dataset:
    """Assign the coordinates of a grid and the attribute ``grid`` to a dataset."""
    grid_of_dataset(dataset, grid)  # checks the shape
    coords = dict(zip(grid.dims, grid.coordinates(), strict=True))
    return dataset.assign_coords(coords).assign_attrs(grid=json.dumps(grid.to_json()))


def without_sides(dataset: xr.Dataset) -> xr.Dataset:
    """Remove the nodes on the sides, where the solution is known to be zero."""
    grid = grid_of_dataset(dataset)
    shape = tuple(n - 2 for n in grid.shape)
    inner = dataset.isel(dict.fromkeys(grid.dims, slice(1, -1))).assign_attrs(sides="dropped")
    return on_grid(inner, Grid(shape, "vertex", Boundary.all("dirichlet"), grid.lengths))


def family_of(dataset: xr.Dataset) -> Family:
    """Return the family of a dataset: the one in its attributes, else the one of its first input with a usual name.

    A dataset with the input ``coefficient``, for example, belongs to Darcy flow.

    Parameters
    ----------
    dataset
        Dataset whose attribute ``family`` may name the family.

    Returns
    -------
    Family
        Family of the problems.

    Raises
    ------
    InputError
        Neither the attributes nor the inputs determine the family.
    """
    from dataclasses import replace

    from sciml.pde.families import FAMILIES, Family, family_of_inputs

    inputs = inputs_of(dataset)
    if dataset.attrs.get("family_parameters"):
        return Family.from_parameters(str(dataset.attrs.get("family", "")), parameters_of(dataset), inputs)
    family = FAMILIES.get(str(dataset.attrs.get("family"))) or family_of_inputs(inputs)
    if family is None:
        raise InputError(
            f"the dataset does not say of which equation it is: set ds.attrs['family'] to one of {', '.join(FAMILIES)}"
        )
    return replace(family, inputs=inputs)


def problem_of(dataset: xr.Dataset, index: int, grid: Grid | None = None) -> Any:
    """Return the problem of a sample, with its inputs as arrays.

    Parameters
    ----------
    dataset
        Dataset with the attributes that `generate` and `open_dataset` write. Without them the name of the input
        determines the equation, and the source is 1 unless the dataset contains one.
    index
        Position of the sample.
    grid
        Grid of the fields; required if the attributes have none.

    Returns
    -------
    Darcy, Poisson, Helmholtz, AdvectionDiffusion, Burgers or NavierStokes
        Problem of the family of the dataset.

    Raises
    ------
    InputError
        There is no such sample or no grid, or the data do not determine the equation.

    Examples
    --------
    >>> from sciml.pde.generation import generate
    >>> problem_of(generate("darcy-rough", 3, 15, seed=7), 2)
    Darcy(resolution=(15, 15), coefficient=array 15 x 15 in [2, 12], ...
    """
    check_dataset(dataset)
    count = dataset.sizes["sample"]
    if not -count <= index < count:
        raise InputError(f"sample {index}: the dataset has {count}, 0 to {count - 1}")
    family = family_of(dataset)
    sample = dataset[list(family.inputs)].isel(sample=index).compute()
    dims = dims_of(dataset)
    if grid is None and dataset.attrs.get("sides") == "kept":
        dataset = without_sides(dataset)
        sample = sample.isel(dict.fromkeys(dims, slice(1, -1)))
    if len(dims) > 1 or "grid" in dataset.attrs or grid is not None:
        grid = grid_of_dataset(dataset, grid)
    fields: dict[str, Field] = {
        name: np.asarray(sample[name].transpose(*dims).values, np.float64) for name in family.inputs
    }
    return posed(family.problem_with(grid, fields), dataset, grid)
