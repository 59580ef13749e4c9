"""Opening a dataset, whoever made it, in the one form that training, verification and problems take."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from sciml.errors import InputError, MissingVariable
from sciml.pde.dataset import INPUTS, check_dataset, grid_of_dataset, in_order
from sciml.pde.families import Family
from sciml.pde.files import Found, form_of, found_in
from sciml.pde.grid import Boundary, Grid
from sciml.pde.layouts import Layout, Points, layout_named, recognised
from sciml.pde.thinning import placed

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Named", "open_dataset"]

Named: TypeAlias = str | Sequence[str] | Mapping[str, str]
"""Names in the file, which are kept, or our names of them: ``{"coefficient": "coeff"}``."""
BLOCK_BYTES = 4 << 20


def open_dataset(
    path: str | Path | Mapping[str, str | Path] | xr.Dataset,
    *,
    inputs: Named | None = None,
    target: Named | None = None,
    layout: str | Layout | None = None,
    grid: Grid | None = None,
    stride: int = 1,
    sides: Literal["drop", "keep"] = "drop",
) -> xr.Dataset:
    """Open a dataset of this package, a published one, or your own.

    Parameters
    ----------
    path
        A netCDF or HDF5 file, a zarr store, a MATLAB file of any version, a .npz, a .npy of a pair
        (``*_inputs.npy``), or a .npy for each variable, ``{"coefficient": "k.npy", "u": "p.npy"}``; or a dataset that
        is open. The form is told by the first bytes, not by the name. All but MATLAB files before 7.3 and .npz stay
        lazy.
    inputs, target
        What the variables are called there, by default ``coefficient`` and ``u``: ``inputs="coeff"`` keeps the name,
        ``inputs={"coefficient": "coeff"}`` gives it ours, which says what it is.
    layout
        A published one, see `sciml.pde.layouts.LAYOUTS`; by default it is recognised by its arrays. Names in
        ``inputs`` and ``target`` are then those that the layout gives. For files that do not name their dims.
    grid
        Where the unknowns lie, if the file does not say, or to correct it; before thinning out.
    stride
        Take every so many points along y and x (and no point in between), such that what is left is a grid again.
    sides
        Published solutions that hold the known zeros on Dirichlet sides: ``drop`` leaves them out, since they are no
        unknowns; ``keep`` keeps them, and then ``grid`` is a Neumann one, which counts such nodes (the attribute
        ``sides`` says so, and `problem_of` drops them).

    Returns
    -------
    xr.Dataset
        Dims (sample, y, x), (sample, time, y, x), or (sample, time, x), in this order; attributes ``inputs``,
        ``target``, and where they are known ``family``, ``family_parameters`` and ``grid``.

    Raises
    ------
    MissingVariable
        With what is there and how to map it.
    InputError
        No known form, wrong dims, unequal shapes, no samples, a stride that leaves no grid.
    SchemaError
        An attribute ``grid`` that is none.
    """
    import xarray as xr

    if layout is not None and isinstance(path, xr.Dataset | Mapping):
        raise InputError(f"layout={layout_named(layout).name!r} is of a file: name inputs and target instead")
    if isinstance(path, xr.Dataset):
        opened = _chosen(path, _mapped(inputs, "coefficient"), _mapped(target, "u"))
    elif isinstance(path, Mapping):
        opened = _of_arrays(_pair(path), "", None, inputs, target)
    elif isinstance(path, str | Path):
        opened = _of_file(Path(path), layout, inputs, target)
    else:
        raise InputError(
            f"a {type(path).__name__}: give the path of one file, an xarray Dataset, or {{name: path of a .npy}}"
        )
    whole = check_dataset(placed(check_dataset(in_order(opened)), grid, stride, sides))
    if "grid" in whole.attrs and "y" in whole.dims:
        grid_of_dataset(whole)  # refuses one that is another's
    return whole


def _of_file(
    path: Path, layout: str | Layout | None, inputs: Named | None, target: Named | None
) -> xr.Dataset:
    import xarray as xr

    form = form_of(path)
    chosen = layout_named(layout) if layout is not None else None
    if form in ("zarr", "netcdf"):
        if chosen is not None:
            raise InputError(
                f"layout={chosen.name!r} is of files that do not name their dims, and {path.name} does ({form}): name "
                "inputs and target instead (--inputs, --target)"
            )
        try:
            zarr = form == "zarr"
            opened = xr.open_zarr(path, consolidated=False) if zarr else _netcdf(path)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path} cannot be opened as {form} ({error}): is it whole?") from error
        return _chosen(opened, _mapped(inputs, "coefficient"), _mapped(target, "u"))
    found = _with_partner(path, found_in(path, form)) if form == "npy" else found_in(path, form)
    if chosen is None and inputs is None and target is None:
        chosen = recognised(found, path.name)
    return _of_arrays(found, path.name, chosen, inputs, target).assign_attrs(file=path.name)


def _netcdf(path: Path) -> xr.Dataset:
    """Lazy in blocks of samples, whole chunks of the file."""
    import xarray as xr

    with xr.open_dataset(path) as head:
        samples, one, least = head.sizes.get("sample", 0), 1, 1
        for variable in head.data_vars.values():
            if samples and "sample" in variable.dims:
                one = max(one, variable.nbytes // samples)
                stored = variable.encoding.get("chunksizes")
                least = stored[variable.dims.index("sample")] if stored else least
    # Chunks are given here, where they get a name that is the same at each opening.
    return xr.open_dataset(
        path, chunks={"sample": least * max(1, BLOCK_BYTES // (one * least))} if samples else {}
    )


def _mapped(names: Named | None, usual: str) -> dict[str, str]:
    """Our name of each variable, and the file's."""
    if names is None:
        return {}
    if isinstance(names, str):
        names = [names]
    found = dict(names) if isinstance(names, Mapping) else {name: name for name in names}
    if not found:
        raise InputError(f"no names are given: name the variables, or leave them out for {usual!r}")
    return {str(ours): str(theirs) for ours, theirs in found.items()}


def _chosen(dataset: xr.Dataset, inputs: Mapping[str, str], target: Mapping[str, str]) -> xr.Dataset:
    """A dataset with its variables under our names, and the attributes that say which is what."""
    names = {**inputs, **target}
    for ours, theirs in names.items():
        if theirs not in dataset.data_vars:
            raise _absent(ours, theirs, ", ".join(map(str, dataset.data_vars)))
    if len(target) > 1:
        raise InputError(f"target={dict(target)}: there is one")
    renamed = {theirs: ours for ours, theirs in names.items() if ours != theirs}
    in_the_way = [ours for ours in renamed.values() if ours in dataset.variables and ours not in renamed]
    dataset = dataset.drop_vars(in_the_way).rename(renamed)
    said = {"inputs": ",".join(inputs)} if inputs else {}
    return dataset.assign_attrs(said | ({"target": next(iter(target))} if target else {}))


def _absent(ours: str, theirs: str, there: str) -> MissingVariable:
    kind = "target" if ours == "u" else "inputs"
    return MissingVariable(
        f"there is no {theirs!r} for {ours}: the file holds {there or 'nothing'}; say what it is called, such as "
        f'{kind}={{"{ours}": "NAME"}} (--{kind} {ours}=NAME), or name a layout'
    )


def _pair(paths: Mapping[Any, Any]) -> Found:
    """A file for each variable."""
    arrays = {}
    for name, one in paths.items():
        path = Path(one)
        found = found_in(path, form_of(path))
        if len(found.arrays) != 1:
            raise InputError(f"{path} holds {found}: give a file of one array for {name}")
        arrays[name] = next(iter(found.arrays.values()))
    return Found(arrays)


def _with_partner(path: Path, found: Found) -> Found:
    """The other .npy of a pair: inputs and outputs, or x and y."""
    for mine, other in (("inputs", "outputs"), ("outputs", "inputs")):
        if mine in path.stem:
            partner = path.with_name(path.name.replace(mine, other))
            return Found({**found.arrays, **found_in(partner, form_of(partner)).arrays})
    return found


def _of_arrays(
    found: Found, name: str, layout: Layout | None, inputs: Named | None, target: Named | None
) -> xr.Dataset:
    """Name the arrays and their dims, by a layout or by what is asked for."""
    import xarray as xr

    if layout is not None:
        return _chosen(_by_layout(found, name, layout), _mapped(inputs, "coefficient"), _mapped(target, "u"))
    wanted = _mapped(inputs, "coefficient") or {one: one for one in INPUTS if one in found.arrays}
    wanted = (wanted or {"coefficient": "coefficient"}) | (_mapped(target, "u") or {"u": "u"})
    for ours, theirs in wanted.items():
        if theirs not in found.arrays:
            raise _absent(ours, theirs, str(found))
    outputs = list(_mapped(target, "u") or {"u": "u"})
    variables = {
        ours: _variable(found.arrays[theirs], _usual_dims(ours, found.arrays[theirs]))
        for ours, theirs in wanted.items()
    }
    _check_sizes(variables)
    attrs = {"inputs": ",".join(one for one in wanted if one not in outputs), "target": outputs[0]}
    return xr.Dataset(variables, attrs={**attrs, **_told(found)})


def _told(found: Found) -> dict[str, Any]:
    """The attributes of this package that an HDF5 file may have."""
    return {
        name: str(found.attrs[name])
        for name in ("grid", "family", "family_parameters")
        if name in found.attrs
    }


def _usual_dims(name: str, array: Any) -> tuple[str, ...]:
    """(sample, y, x), with an axis of size 1 for a channel dropped, or (sample, time, y, x)."""
    shape = array.shape
    if array.ndim == 4 and shape[1] == 1:
        return ("sample", "1", "y", "x")
    if array.ndim == 4 and shape[3] == 1:
        return ("sample", "y", "x", "1")
    usual = {2: ("sample", "x"), 3: ("sample", "y", "x"), 4: ("sample", "time", "y", "x")}
    if array.ndim not in usual:
        raise InputError(
            f"{name} has {array.ndim} axes of sizes {shape}: give (sample, y, x) or (sample, time, y, x)"
        )
    return usual[array.ndim]


def _variable(array: Any, dims: tuple[str, ...]) -> tuple[tuple[str, ...], Any]:
    """An array as a dask array in chunks of whole samples, its axes in our order."""
    import dask.array as da

    at = dims.index("sample")
    one = int(np.prod([size for axis, size in enumerate(array.shape) if axis != at])) * array.dtype.itemsize
    block = max(1, min(array.shape[at] or 1, BLOCK_BYTES // max(one, 1)))
    chunks = tuple(block if axis == at else max(size, 1) for axis, size in enumerate(array.shape))
    lazy = da.from_array(array, chunks=chunks, fancy=False)
    lazy = lazy[tuple(0 if dim == "1" else slice(None) for dim in dims)]
    left = [dim for dim in dims if dim != "1"]
    order = [dim for dim in ("sample", "time", "y", "x") if dim in left]
    return tuple(order), lazy.transpose([left.index(dim) for dim in order])


def _check_sizes(variables: Mapping[str, tuple[tuple[str, ...], Any]]) -> None:
    sizes: dict[str, tuple[int, str]] = {}
    for name, (dims, array) in variables.items():
        for dim, size in zip(dims, array.shape, strict=True):
            before = sizes.setdefault(dim, (size, name))
            if before[0] != size:
                raise InputError(
                    f"{before[1]} has {before[0]} along {dim}, {name} has {size}: inputs and target must be of the "
                    "same samples and points"
                )


def _by_layout(found: Found, name: str, layout: Layout) -> xr.Dataset:
    """A published dataset as ours."""
    import xarray as xr

    for ours, (theirs, dims) in layout.variables.items():
        if theirs not in found.arrays:
            raise _absent(ours, theirs, str(found))
        if found.arrays[theirs].ndim != len(dims):
            raise InputError(
                f"{theirs} has shape {found.arrays[theirs].shape}, and layout {layout.name!r} says "
                f"({', '.join(dims)}): name another layout, or the variables"
            )
    variables = {
        ours: _variable(found.arrays[theirs], dims) for ours, (theirs, dims) in layout.variables.items()
    }
    _check_sizes(variables)
    dataset = xr.Dataset(variables)
    if layout.time is not None and layout.time in found.arrays:
        times = np.asarray(found.arrays[layout.time][:], np.float64).ravel()
        dataset = dataset.assign_coords(time=times[: dataset.sizes["time"]])
    dataset = _started(dataset, layout)
    family = _family(layout, found, name, dataset)
    attrs = {"layout": layout.name, "inputs": ",".join(layout.inputs), "target": layout.target}
    if family is not None:
        attrs |= {"family": family.name, "family_parameters": json.dumps(family.parameters())}
    return _on_grid(dataset.assign_attrs(attrs), found, layout)


def _started(dataset: xr.Dataset, layout: Layout) -> xr.Dataset:
    """Time series in one dimension: the state at the start as the input, times as a dim."""
    if layout.inputs != ("initial",):
        return dataset
    if "time" in dataset.dims:
        return dataset.assign(initial=dataset["u"].isel(time=0, drop=True)).isel(time=slice(1, None))
    return dataset.assign(u=dataset["u"].expand_dims(time=[1.0], axis=1))


def _family(layout: Layout, found: Found, name: str, dataset: xr.Dataset) -> Family | None:
    """The family of a file, with what its attributes, its times or its name tell."""
    import re

    family = layout.family
    if family is not None and layout.name == "fno-navier-stokes":
        told = re.search(r"V([0-9.]+(?:e[+-]?[0-9]+)?)", name)
        viscosity = {"viscosity": float(told[1])} if told else {}
        return replace(family, template=replace(family.template, **viscosity, **_course(dataset)))
    if family is None or layout.name != "pdebench-darcy":
        return family
    told = re.search(r"beta([0-9.eE+-]*[0-9])", name)
    beta = found.attrs.get("beta", told[1] if told else None)
    if beta is None:
        return family
    return replace(family, template=replace(family.template, source=float(np.ravel(beta)[0])))


def _course(dataset: xr.Dataset) -> dict[str, Any]:
    """When a series ends and in how many steps, where its times are told and the first is a step after 0."""
    if "time" not in dataset.coords or dataset.sizes["time"] == 0:
        return {}
    times = dataset["time"].values
    if not np.allclose(np.diff(times, prepend=0.0), times[0], rtol=1e-6) or not times[0] > 0:
        return {}
    return {"final_time": float(times[-1]), "frames": len(times)}


def _on_grid(dataset: xr.Dataset, found: Found, layout: Layout) -> xr.Dataset:
    """Say on which grid a published dataset is; nodes on known sides are told by the attribute ``sides``."""
    if "y" not in dataset.dims:
        n = dataset.sizes["x"]
        x = np.ravel(found.arrays["x-coordinate"][:n]) if "x-coordinate" in found.arrays else np.arange(n) / n
        return dataset.assign_coords(x=np.asarray(x, np.float64))
    shape = (dataset.sizes["y"], dataset.sizes["x"])
    points = layout.points
    if points == "coordinates":
        points = _points_of(found)
    if points == "sides":
        u = check_dataset(dataset)[layout.target].isel(sample=0).values
        edge = max(np.abs(u[[0, -1]]).max(), np.abs(u[:, [0, -1]]).max())
        points = "nodes" if edge <= 1e-12 * np.abs(u).max() else "cells"
    boundary = Boundary.all(layout.boundary)
    if points == "nodes" and layout.boundary == "dirichlet":
        # Counted as unknowns until it is decided whether they stay.
        grid = Grid(shape, "vertex", Boundary.all("neumann"))
        dataset = dataset.assign_attrs(sides="kept")
    else:
        grid = Grid(shape, "cell" if points == "cells" else "vertex", boundary)
    y, x = grid.coordinates()
    return dataset.assign_coords(y=y, x=x).assign_attrs(grid=json.dumps(grid.to_json()))


def _points_of(found: Found) -> Points:
    """Where the first of the coordinates in a file lies in its spacing."""
    if "x-coordinate" not in found.arrays or found.arrays["x-coordinate"].shape[0] < 2:
        return "cells"
    first, second = (float(v) for v in np.ravel(found.arrays["x-coordinate"][:2]))
    away = first / (second - first)
    if round(2 * away) == 1:
        return "cells"
    return "nodes" if round(away) == 0 else "interior"
