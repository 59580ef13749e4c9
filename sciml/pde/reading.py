"""Opening of datasets of any origin, in the form that training and verification need."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from sciml.errors import InputError
from sciml.pde.array_files import FileArrays, absent, form_of, read_arrays
from sciml.pde.attributes import check_written, named_in_errors
from sciml.pde.axes import Dims, check_planes, check_sizes, given_dims, variable
from sciml.pde.axis_order import resolve
from sciml.pde.by_layout import by_layout
from sciml.pde.dataset import INPUTS, check_dataset, grid_of_dataset, in_order, inputs_of, target_of
from sciml.pde.grid import Grid
from sciml.pde.lazy_files import open_lazily
from sciml.pde.published_formats import PublishedLayout, layout_named, recognised
from sciml.pde.sides import with_sides
from sciml.pde.subsampling import placed

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Named", "open_dataset"]

Named: TypeAlias = str | Sequence[str] | Mapping[str, str]
"""Names in the file, or a mapping that renames them: ``{"coefficient": "coeff"}``."""
SUFFIX = "_values"
"""Suffix of variables with the name of a dim: ``x`` of neuraloperator becomes ``x_values``."""
COORDINATES = {
    "x": "x",
    "x-coordinate": "x",
    "grid_x": "x",
    "y": "y",
    "y-coordinate": "y",
    "grid_y": "y",
    "z": "z",
    "z-coordinate": "z",
    "grid_z": "z",
    "t": "time",
    "time": "time",
    "times": "time",
    "t-coordinate": "time",
}
"""Names of the coordinates along an axis in files."""
NAMES = ("sample", "time", "channel", "y", "x")
"""Dims whose names a variable cannot have."""
STATES = ("initial", "vorticity")  # inputs that are the initial state of a series


def open_dataset(
    path: str | Path | Mapping[str, str | Path] | xr.Dataset,
    *,
    inputs: Named | None = None,
    target: Named | None = None,
    layout: str | PublishedLayout | None = None,
    dims: Dims | None = None,
    grid: Grid | None = None,
    stride: int = 1,
    sides: Literal["drop", "keep"] = "drop",
    side_values: Mapping[str, float] | float | None = None,
) -> xr.Dataset:
    """Open a dataset of this package, a published dataset, or any other.

    Parameters
    ----------
    path
        Path of a netCDF or HDF5 file, a zarr store, a MATLAB file of any version, a .npz, one .npy of a pair
        (``*_inputs.npy``), or a .pt of tensors (see `sciml.pde.tensors`); paths of a .npy for each variable,
        ``{"coefficient": "k.npy", "u": "p.npy"}``; or an open dataset. The first bytes of a file determine its format,
        not its name. Data are lazy, except MATLAB files before 7.3, .npz and .pt.
    inputs, target
        Names of the variables in the file, by default ``coefficient`` and ``u``. ``inputs="coeff"`` selects a variable,
        and ``inputs={"coefficient": "coeff"}`` also renames it. A variable with the name of a dim gets a suffix: ``x``
        becomes ``x_values``. Inputs with a dim ``channel`` become one input for each channel.
    layout
        Layout of a published dataset, see `sciml.pde.published_formats.LAYOUTS`, for files that do not name their dims.
        By default it is recognised by its arrays. ``inputs`` and ``target`` are then names in the layout.
    dims
        Axes of the arrays in the file, in their order: ``"y,x,sample"`` for all arrays, or a mapping by the name in the
        file, ``{"k": "sample,y,x", "p": "sample,time,y,x"}``. The names are sample, time, channel, z, y, x, ``1``
        for an axis of size one, and ``y*x`` (or ``y:20*x:45``) for a flattened field. By default the file or the layout
        determines them, else the shapes; if the shapes allow several, the error lists them.
    grid
        Grid of the unknowns before subsampling, if it is missing or wrong in the file.
    stride
        Take every ``stride``-th point along each axis in space. The remaining points must be a grid.
    sides
        Treatment of the zeros on Dirichlet sides that published solutions contain. ``drop`` removes these nodes, which
        are not unknowns. ``keep`` keeps them, and ``grid`` then has Neumann sides, on which such nodes are unknowns;
        the attribute ``sides`` marks them, and `problem_of` drops them.
    side_values
        Values of the target on Dirichlet sides: ``{"west": 1.0}`` (0 on the others) or one number, stored as the
        attribute ``side_values``. By default training and verification estimate them, see `sciml.pde.sides`.

    Returns
    -------
    xr.Dataset
        Dataset with dims (sample, y, x), (sample, z, y, x) or (sample, x), or with time after the sample, and the
        attributes ``inputs``, ``target`` and, if known, ``family``, ``family_parameters`` and ``grid``.

    Raises
    ------
    MissingVariable
        A variable is missing; the message lists the variables and explains how to map them.
    InputError
        The format is unknown, the dims are wrong or ambiguous, the fields have unequal shapes,
        there are no samples, or the subsampled points are not a grid.
    SchemaError
        The attribute ``grid`` does not describe a grid, or sciml wrote the dataset with another schema.
    """
    import xarray as xr

    axes = given_dims(dims)

    if layout is not None and isinstance(path, xr.Dataset | Mapping):
        raise InputError(
            f"layout={layout_named(layout).name!r} applies to files: name inputs and target instead"
        )
    if isinstance(path, xr.Dataset):
        check_written(path, str(path.encoding.get("source", "the dataset")))
        opened = _chosen(path, _mapped(inputs, "coefficient"), _mapped(target, "u"), axes)
    elif isinstance(path, Mapping):
        opened = _of_arrays(_pair(path), "", inputs, target, axes, grid)
    elif isinstance(path, str | Path):
        opened = _of_file(Path(path), layout, inputs, target, axes, grid)
    else:
        raise InputError(
            f"a {type(path).__name__}: give the path of one file, an xarray Dataset, or {{name: path of a .npy}}"
        )
    with named_in_errors(path):
        whole = check_dataset(placed(check_dataset(in_order(_by_channel(opened))), grid, stride, sides))
    if "grid" in whole.attrs:
        grid_of_dataset(whole)  # checks its shape
    return with_sides(whole, side_values)


def _of_file(
    path: Path,
    layout: str | PublishedLayout | None,
    inputs: Named | None,
    target: Named | None,
    dims: Mapping[str, tuple[str, ...]],
    grid: Grid | None,
) -> xr.Dataset:
    form = form_of(path)
    chosen = layout_named(layout) if layout is not None else None
    if form in ("zarr", "netcdf"):
        if chosen is not None:
            raise InputError(
                f"layout={chosen.name!r} is of files that do not name their dims, and {path.name} does ({form}): name "
                "inputs and target instead (--inputs, --target)"
            )
        opened = open_lazily(path, form)
        check_written(opened, str(path))
        return _chosen(opened, _mapped(inputs, "coefficient"), _mapped(target, "u"), dims)
    content = _with_partner(path, read_arrays(path, form)) if form == "npy" else read_arrays(path, form)
    if chosen is None and inputs is None and target is None:
        chosen = recognised(content, path.name)
        if chosen is not None:
            _check_square(chosen, content, path.name, dims)
    if chosen is None:
        return _of_arrays(content, path.name, inputs, target, dims, grid).assign_attrs(file=path.name)
    known = by_layout(content, path.name, _with_dims(chosen, content, dims))
    named = _chosen(known, _mapped(inputs, "coefficient"), _mapped(target, "u"), {})
    return named.assign_attrs(file=path.name)


def _check_square(
    layout: PublishedLayout, content: FileArrays, name: str, dims: Mapping[str, tuple[str, ...]]
) -> None:
    """Raise an error if arrays have the names of a published dataset, but are not square as its fields are."""
    planes = {theirs: content.arrays[theirs] for theirs, axes in layout.variables.values() if len(axes) == 3}
    plain = all(axes == ("sample", "y", "x") for _, axes in layout.variables.values())
    if plain and not dims and any(plane.shape[1] != plane.shape[2] for plane in planes.values()):
        resolve(planes, {}, {}, matlab=content.form.startswith("matlab"), series=False, where=name)


def _with_dims(
    layout: PublishedLayout, content: FileArrays, dims: Mapping[str, tuple[str, ...]]
) -> PublishedLayout:
    """Replace the dims of a layout by those that are given."""
    if not dims:
        return layout
    arrays = {
        theirs: content.arrays[theirs] for theirs, _ in layout.variables.values() if theirs in content.arrays
    }
    resolved = resolve(arrays, dims, {}, matlab=False, series=False, where="")
    variables = {
        ours: (theirs, resolved.get(theirs, axes)) for ours, (theirs, axes) in layout.variables.items()
    }
    return replace(layout, variables=variables)


def _mapped(names: Named | None, usual: str) -> dict[str, str]:
    """Return the name of each variable in this package, with its name in the file."""
    if names is None:
        return {}
    if isinstance(names, str):
        names = [names]
    names_of = dict(names) if isinstance(names, Mapping) else {name: name for name in names}
    if not names_of:
        raise InputError(f"no names are given: name the variables, or leave them out for {usual!r}")
    return {str(ours): str(theirs) for ours, theirs in names_of.items()}


def _chosen(
    dataset: xr.Dataset,
    inputs: Mapping[str, str],
    target: Mapping[str, str],
    dims: Mapping[str, tuple[str, ...]],
) -> xr.Dataset:
    """Select and rename the variables of a dataset, and assign the attributes ``inputs`` and ``target``."""
    there = [str(name) for name in dataset.variables]
    names = {ours: _in_file(theirs, there) for ours, theirs in {**inputs, **target}.items()}
    for ours, theirs in names.items():
        if theirs not in dataset.data_vars and not (theirs in there and dataset[theirs].ndim > 1):
            raise absent(ours, theirs, ", ".join(map(str, dataset.data_vars)))
    if len(target) > 1:
        raise InputError(f"target={dict(target)}: there is one")
    dataset = dataset.reset_coords([value for value in names.values() if value in dataset.coords])
    renamed = {theirs: _free(ours) for ours, theirs in names.items() if _free(ours) != theirs}
    in_the_way = [ours for ours in renamed.values() if ours in dataset.variables and ours not in renamed]
    dataset = dataset.drop_vars(in_the_way).rename_vars(renamed)
    roles = {"inputs": ",".join(map(_free, inputs))} if inputs else {}
    roles |= {"target": _free(next(iter(target)))} if target else {}
    return _renamed(dataset.assign_attrs(roles), {theirs: ours for ours, theirs in names.items()}, dims)


def _renamed(dataset: xr.Dataset, ours: Mapping[str, str], dims: Mapping[str, tuple[str, ...]]) -> xr.Dataset:
    """Rename the variables and the dims of a dataset."""
    import xarray as xr

    if not dims:
        return dataset
    chosen = [*inputs_of(dataset), target_of(dataset)]
    theirs = {_free(name): our for our, name in ours.items()}
    arrays = {theirs.get(name, name): dataset[name] for name in chosen}
    resolved = resolve(arrays, dims, {}, matlab=False, series=False, where="")
    variables = {name: variable(dataset[name].data, resolved[theirs.get(name, name)]) for name in chosen}
    check_sizes(variables)
    return xr.Dataset(variables, attrs=dataset.attrs)


def _free(name: str) -> str:
    """Return a name with a suffix if it is the name of a dim."""
    return name + SUFFIX if name in NAMES else name


def _in_file(name: str, there: Sequence[str]) -> str:
    """Return the name in the file of a variable whose name may have a suffix."""
    bare = name.removesuffix(SUFFIX)
    return bare if name not in there and bare in there else name


def _by_channel(dataset: xr.Dataset) -> xr.Dataset:
    """Convert inputs with several channels to one input for each channel.

    Raises
    ------
    InputError
        The target has several channels.
    """
    if "channel" not in dataset.dims:
        return dataset
    inputs, target = inputs_of(dataset), target_of(dataset)
    count = dataset[target].sizes.get("channel", 1)
    if count > 1:
        raise InputError(
            f"the target {target} has {count} channels, and one field is learned at a time: give a file with one of "
            "them as a variable of its own"
        )
    named: list[str] = []
    for name in inputs:
        value = dataset[name]
        parts = (
            [value]
            if "channel" not in value.dims
            else [value.isel(channel=i, drop=True) for i in range(value.sizes["channel"])]
        )
        names = [name] if len(parts) == 1 else [f"{name}_{i}" for i in range(len(parts))]
        dataset = dataset.drop_vars(name).assign(dict(zip(names, parts, strict=True)))
        named += names
    if "channel" in dataset[target].dims:
        dataset = dataset.assign({target: dataset[target].isel(channel=0, drop=True)})
    return dataset.drop_dims("channel", errors="ignore").assign_attrs(inputs=",".join(named))


def _pair(paths: Mapping[Any, Any]) -> FileArrays:
    """Read one file for each variable."""
    arrays = {}
    for name, value in paths.items():
        path = Path(value)
        content = read_arrays(path, form_of(path))
        if len(content.arrays) != 1:
            raise InputError(f"{path} holds {content}: give a file of one array for {name}")
        arrays[name] = next(iter(content.arrays.values()))
    return FileArrays(arrays)


def _with_partner(path: Path, content: FileArrays) -> FileArrays:
    """Add the other .npy file of a pair: inputs and outputs, or x and y."""
    for mine, other in (("inputs", "outputs"), ("outputs", "inputs")):
        if mine in path.stem:
            partner = path.with_name(path.name.replace(mine, other))
            return FileArrays({**content.arrays, **read_arrays(partner, form_of(partner)).arrays})
    return content


def _of_arrays(
    content: FileArrays,
    name: str,
    inputs: Named | None,
    target: Named | None,
    dims: Mapping[str, tuple[str, ...]],
    grid: Grid | None,
) -> xr.Dataset:
    """Assign the given names and dims to arrays."""
    import xarray as xr

    wanted = _mapped(inputs, "coefficient") or {value: value for value in INPUTS if value in content.arrays}
    outputs = _mapped(target, "u") or {"u": "u"}
    wanted = (wanted or {"coefficient": "coefficient"}) | outputs
    for ours, theirs in wanted.items():
        wanted[ours] = _in_file(theirs, list(content.arrays))
        if wanted[ours] not in content.arrays:
            raise absent(ours, theirs, str(content))
    arrays = {theirs: content.arrays[theirs] for theirs in wanted.values()}
    attrs = _attributes(content)
    axes = resolve(
        arrays,
        dims,
        _coordinates(content, [*arrays], grid or _grid_in(attrs)),
        matlab=content.form.startswith("matlab"),
        series=any(value in STATES for value in wanted),
        where=name,
    )
    for ours, theirs in wanted.items():
        check_planes(ours, axes[theirs])
    variables = {
        _free(ours): variable(content.arrays[theirs], axes[theirs]) for ours, theirs in wanted.items()
    }
    check_sizes(variables)
    named = [_free(value) for value in wanted if value not in outputs]
    return xr.Dataset(
        variables, attrs={"inputs": ",".join(named), "target": _free(next(iter(outputs))), **attrs}
    )


def _coordinates(content: FileArrays, fields: Sequence[str], grid: Grid | None) -> dict[str, int]:
    """Return the sizes of z, y, x and time: of a grid, or of one-dimensional arrays with these names in the file."""
    if grid is not None:
        return dict(zip(grid.dims, grid.shape, strict=True))
    sizes: dict[str, int] = {}
    for name, array in content.arrays.items():
        axis = COORDINATES.get(name.rsplit("/", 1)[-1].lower())
        if axis and name not in fields and sum(n > 1 for n in array.shape) == 1:
            sizes[axis] = max(array.shape)
    return sizes


def _grid_in(attrs: Mapping[str, Any]) -> Grid | None:
    try:
        return Grid.from_json(json.loads(attrs["grid"]))
    except (KeyError, TypeError, ValueError):  # `grid_of_dataset` raises the error later, with its reason
        return None


def _attributes(content: FileArrays) -> dict[str, Any]:
    """Return the attributes of this package in an HDF5 file."""
    return {
        name: str(content.attrs[name])
        for name in ("grid", "family", "family_parameters")
        if name in content.attrs
    }
