"""Datasets of operator learning: their form, what is checked of it, and the problem of a sample."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.errors import InputError, MissingVariable, SchemaError, SciMLError
from sciml.pde.axes import check_planes
from sciml.pde.grid import Boundary, Field, Grid

if TYPE_CHECKING:
    import xarray as xr

    from sciml.pde.families import Family

__all__ = [
    "check_dataset",
    "check_real",
    "check_values",
    "family_of",
    "grid_of_dataset",
    "grid_told",
    "in_order",
    "inputs_of",
    "on_grid",
    "parameters_of",
    "problem_of",
    "readable",
    "target_of",
    "without_sides",
]

INPUTS = ("coefficient", "source", "wave_speed", "diffusion", "vorticity", "initial")
"""Names that are taken for inputs where a dataset does not say which they are."""
POSITIVE = ("coefficient", "wave_speed", "diffusion")
SPACE = (("y", "x"), ("x",))
ORDER = ("sample", "time", "y", "x")


def inputs_of(dataset: xr.Dataset) -> tuple[str, ...]:
    """The names of the inputs: as the dataset says, else those of its variables that are usual ones.

    Raises
    ------
    MissingVariable
        None is there, with what is and how to map it.

    Examples
    --------
    >>> from sciml.pde.generation import generate
    >>> inputs_of(generate("poisson", 3, 7, seed=7))
    ('source',)
    """
    told = dataset.attrs.get("inputs", "")
    listed = told.split(",") if isinstance(told, str) else np.ravel(told).tolist()
    names = tuple(str(n).strip() for n in listed if n) or tuple(n for n in INPUTS if n in dataset.data_vars)
    if not names:
        raise _missing("an input", "coefficient", dataset)
    for name in names:
        if name not in dataset.data_vars:
            raise _missing(f"the input {name!r}", name, dataset)
    return names


def target_of(dataset: xr.Dataset) -> str:
    """The name of the target, ``u`` unless the dataset says otherwise.

    Raises
    ------
    MissingVariable
        It is not there.
    """
    name = str(dataset.attrs.get("target", "u"))
    if name not in dataset.data_vars:
        raise _missing(f"the target {name!r}", name, dataset)
    return name


def _missing(what: str, name: str, dataset: xr.Dataset) -> MissingVariable:
    there = ", ".join(f"{key} ({', '.join(map(str, one.dims))})" for key, one in dataset.data_vars.items())
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
        No input or no target.
    InputError
        Other dims than (sample, y, x), (sample, time, y, x), (sample, x) or (sample, time, x); an input with a time or
        a second axis that the target does not have; no samples; complex values or text; a target that is an input, too.
    """
    names = (*inputs_of(dataset), target_of(dataset))
    for name in names:
        one = dataset[name]
        dims = tuple(map(str, one.dims))
        check_planes(name, dims)
        space = dims[2:] if dims[1:2] == ("time",) else dims[1:]
        if dims[:1] != ("sample",) or space not in SPACE:
            raise InputError(
                f"{name} has dims ({', '.join(dims)}) of sizes {one.shape}: it should have (sample, y, x) or "
                f"(sample, time, y, x); {_to_our_dims(dims)}"
            )
        check_real(one)
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
    """Refuse an input in time for a target without it, and fields on a line beside fields in the plane."""
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
                f"({', '.join(map(str, target.dims))}): give both on a line, or both in the plane"
            )


def check_real(one: xr.DataArray) -> None:
    """Refuse what is not real numbers.

    Raises
    ------
    InputError
        Naming its type.
    """
    if one.dtype.kind not in "fiu":
        raise InputError(f"{one.name} holds {one.dtype}: give real numbers (of complex ones, .real or .imag)")


def in_order(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset with its dims, where they have our names, in our order."""
    return dataset.transpose(*ORDER, ..., missing_dims="ignore")


def _to_our_dims(dims: tuple[str, ...]) -> str:
    """What makes our dims of others."""
    wanted = {2: ("sample", "x"), 3: ("sample", "y", "x"), 4: ORDER}.get(len(dims))
    if set(dims) == {"y", "x"}:
        return "a single field gets samples by ds.expand_dims('sample')"
    if wanted is None:
        return "choose another variable"
    strange = [one for one in dims if one not in wanted]
    if not strange:
        return "transpose it, as ds.transpose('sample', ..., 'y', 'x')"
    free = [one for one in wanted if one not in dims]
    if free == ["time"]:
        return (
            f"if {strange[0]} is time or a channel, name the axes (--dims "
            f"{','.join('time' if one in strange else one for one in dims)}, or channel for time; in Python dims=); "
            "fields in three dimensions are not taken"
        )
    names = dict(zip(strange, free, strict=True))
    renamed = ", ".join(f"{old}='{new}'" for old, new in names.items())
    axes = ",".join(names.get(one, one) for one in dims)
    return f"rename the dims, such as ds.rename({renamed}), or name the axes (--dims {axes}; in Python dims=)"


@contextlib.contextmanager
def readable(what: str) -> Iterator[None]:
    """Tell in words that the values of a file cannot be read, for which its libraries raise anything.

    Raises
    ------
    InputError
        Naming what was read.
    """
    try:
        yield
    except (RuntimeError, OSError, ValueError, EOFError) as error:
        if isinstance(error, SciMLError):
            raise
        raise InputError(f"the values of {what} cannot be read ({error}): is the file whole?") from error


def check_values(dataset: xr.Dataset, *, most: int = 5) -> xr.Dataset:
    """Read the values of a dataset, once, and return it if all can be used.

    Raises
    ------
    InputError
        NaN or infinite values, or a coefficient that is not positive, with the samples that have them.
    """
    check_dataset(dataset)
    for name in (*inputs_of(dataset), target_of(dataset)):
        one: Any = dataset[name]
        axes = [dim for dim in one.dims if dim != "sample"]
        faults = {"NaN or infinite values": ~np.isfinite(one).all(axes)}
        if name in POSITIVE:
            faults["values that are not positive"] = (one <= 0).any(axes)
        for what, fault in faults.items():
            with readable(name):
                bad = np.flatnonzero(fault.compute().values)
            if bad.size:
                some = ", ".join(map(str, bad[:most])) + (", ..." if bad.size > most else "")
                raise InputError(
                    f"{name} has {what} in {bad.size} of {one.sizes['sample']} samples ({some}): drop them with "
                    f"ds.drop_isel(sample=[{', '.join(map(str, bad[:most]))}]) or repair the file"
                )
    return dataset


def grid_told(dataset: xr.Dataset) -> Grid:
    """The grid that the attributes of a dataset tell, whatever the shape of its fields.

    Raises
    ------
    InputError
        They tell none.
    SchemaError
        An attribute ``grid`` that is none.
    """
    told = dataset.attrs.get("grid")
    if told is None:
        raise InputError(
            "the dataset does not say on which grid it is (no attribute 'grid'): give grid=, such as "
            "Grid((63, 63), 'vertex', Boundary.all('dirichlet'))"
        )
    try:
        return Grid.from_json(told if isinstance(told, Mapping) else json.loads(told))
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise SchemaError(f"the attribute 'grid' is {told!r}: it should be Grid.to_json() as text") from error


def grid_of_dataset(dataset: xr.Dataset, grid: Grid | None = None) -> Grid:
    """The grid of a dataset: as given, else as its attributes say.

    Raises
    ------
    InputError
        Neither says, or the shape is another than that of the fields.
    SchemaError
        An attribute ``grid`` that is none.
    """
    if grid is not None and not isinstance(grid, Grid):
        raise InputError(
            f"grid={grid!r}: give a Grid, such as Grid((63, 63), 'vertex', Boundary.all('neumann'))"
        )
    grid = grid_told(dataset) if grid is None else grid
    shape = (dataset.sizes.get("y"), dataset.sizes.get("x"))
    if shape != grid.shape:
        raise InputError(
            f"the grid is {grid.shape[0]} x {grid.shape[1]}, the fields (y, x) are {shape[0]} x {shape[1]}: give the "
            "grid of these (grid=), or correct or drop the attribute 'grid'"
        )
    return grid


def on_grid(dataset: xr.Dataset, grid: Grid) -> xr.Dataset:
    """The dataset with a grid's coordinates and attribute."""
    grid_of_dataset(dataset, grid)  # refuses another shape
    y, x = grid.coordinates()
    return dataset.assign_coords(y=y, x=x).assign_attrs(grid=json.dumps(grid.to_json()))


def without_sides(dataset: xr.Dataset) -> xr.Dataset:
    """Without the nodes on the sides, where the solution is known to be zero."""
    grid = grid_of_dataset(dataset)
    shape = (grid.shape[0] - 2, grid.shape[1] - 2)
    inner = dataset.isel(y=slice(1, -1), x=slice(1, -1)).assign_attrs(sides="dropped")
    return on_grid(inner, Grid(shape, "vertex", Boundary.all("dirichlet"), grid.lengths))


def parameters_of(dataset: xr.Dataset) -> dict[str, Any]:
    """What a dataset's attribute ``family_parameters`` tells; nothing without it.

    Raises
    ------
    SchemaError
        The attribute is no JSON object.
    """
    told = dataset.attrs.get("family_parameters")
    if not told:
        return {}
    try:
        return dict(json.loads(told))
    except (TypeError, ValueError) as error:
        raise SchemaError(
            f"the attribute 'family_parameters' is {str(told)[:60]!r}: it should be Family.parameters() as JSON"
        ) from error


def family_of(dataset: xr.Dataset) -> Family:
    """The family a dataset says it is of; without a word, that of its first input: ``coefficient`` is Darcy flow.

    Raises
    ------
    InputError
        It cannot be told.
    """
    from dataclasses import replace

    from sciml.pde.families import FAMILIES, Family

    inputs = inputs_of(dataset)
    told = dataset.attrs.get("family_parameters")
    if told:
        return Family.from_parameters(str(dataset.attrs.get("family", "")), parameters_of(dataset), inputs)
    named = dataset.attrs.get("family")
    usual = {
        "coefficient": "darcy-smooth",
        "vorticity": "navier-stokes",
        "initial": "burgers",
        "wave_speed": "helmholtz",
        "diffusion": "advection-diffusion",
        "source": "poisson",
    }
    name = named if named in FAMILIES else next((usual[one] for one in usual if one in inputs), None)
    if name is None:
        raise InputError(
            f"the dataset does not say of which equation it is: set ds.attrs['family'] to one of {', '.join(FAMILIES)}"
        )
    return replace(FAMILIES[name], inputs=inputs)


def problem_of(dataset: xr.Dataset, index: int, grid: Grid | None = None) -> Any:
    """The problem of a sample, its inputs as arrays.

    Parameters
    ----------
    dataset
        With the attributes that `generate` and `open_dataset` give it; without them it is Darcy flow, Poisson's, ...
        by the name of its input, with a source of 1 unless it has one.
    index
        Position of the sample.
    grid
        Where the attributes do not say.

    Raises
    ------
    InputError
        No such sample, no grid, or an equation that cannot be told.

    Examples
    --------
    >>> from sciml.pde.generation import generate
    >>> problem_of(generate("darcy-rough", 3, 15, seed=7), 2)
    Darcy(resolution=(15, 15), coefficient=array 15 x 15 in [2, 12], ...
    """
    from sciml.pde.sides import posed

    check_dataset(dataset)
    count = dataset.sizes["sample"]
    if not -count <= index < count:
        raise InputError(f"sample {index}: the dataset has {count}, 0 to {count - 1}")
    family = family_of(dataset)
    sample = dataset[list(family.inputs)].isel(sample=index).compute()
    space = ("y", "x") if "y" in dataset.dims else ("x",)
    if grid is None and dataset.attrs.get("sides") == "kept":
        dataset = without_sides(dataset)
        sample = sample.isel(y=slice(1, -1), x=slice(1, -1))
    if len(space) == 2:
        grid = grid_of_dataset(dataset, grid)
    fields: dict[str, Field] = {
        name: np.asarray(sample[name].transpose(*space).values, np.float64) for name in family.inputs
    }
    return posed(family.problem_with(grid, fields), dataset, grid)
