"""Subsampling of a dataset to a coarser grid, and removal of known sides."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from sciml.checks import check_whole
from sciml.errors import InputError
from sciml.pde.dataset import dims_of, grid_of_dataset, on_grid, without_sides
from sciml.pde.grid import Grid

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["placed"]


def placed(
    dataset: xr.Dataset, grid: Grid | None, stride: int, sides: Literal["drop", "keep"] = "drop"
) -> xr.Dataset:
    """Place a dataset on its grid, subsample it, and drop or keep the nodes on known sides.

    Raises
    ------
    InputError
        The grid has another shape, or the subsampled points are not a grid.
    """
    check_whole("stride", stride, 1)
    if sides not in ("drop", "keep"):
        raise InputError(f"sides={sides!r}: give 'drop' or 'keep'")
    if grid is not None:
        dataset = on_grid(_unsaid(dataset), grid)
    if "grid" not in dataset.attrs:
        thinned = dataset.isel(dict.fromkeys(dims_of(dataset), slice(None, None, stride)))
        left = min(thinned.sizes[dim] for dim in dims_of(thinned))
        if stride > 1 and left < 3:
            raise InputError(
                f"stride={stride} leaves {left} of {dataset.sizes['x']} points along x: take less"
            )
        return thinned
    if stride > 1:
        dataset = _thinned(dataset, grid_of_dataset(dataset), stride)
    if sides == "drop" and dataset.attrs.get("sides") == "kept":
        dataset = without_sides(dataset)
    return dataset


def _unsaid(dataset: xr.Dataset) -> xr.Dataset:
    """Remove the attribute of the sides, which a given grid replaces."""
    left = {name: value for name, value in dataset.attrs.items() if name != "sides"}
    return dataset.drop_attrs(deep=False).assign_attrs(left)


def _thinned(dataset: xr.Dataset, grid: Grid, stride: int) -> xr.Dataset:
    """Take every ``stride``-th point along each axis."""
    first, shape = [], []
    for axis, name in enumerate(grid.dims):
        n, ends = grid.shape[axis], grid.sides(axis)
        if grid.centring == "cell":
            start, left, fits = (stride - 1) // 2, n // stride, n % stride == 0
        elif "periodic" in ends:
            start, left, fits = 0, n // stride, n % stride == 0
        else:  # number of intervals, including those to the known nodes on Dirichlet sides
            intervals = n - 1 + ends.count("dirichlet")
            start = stride - 1 if ends[0] == "dirichlet" else 0
            left = intervals // stride + 1 - ends.count("dirichlet")
            fits = intervals % stride == 0
        if not fits or left < 3:
            whole = n if grid.centring == "cell" or "periodic" in ends else intervals
            can = [str(value) for value in range(1, whole // 2 + 1) if whole % value == 0]
            raise InputError(
                f"stride={stride} leaves no grid of {n} points along {name}: it must divide {whole} "
                f"(one of {', '.join(can[:12])}{', ...' if len(can) > 12 else ''})"
            )
        first.append(start)
        shape.append(left)
    thinned = dataset.isel(
        {
            dim: slice(start, start + count * stride, stride)
            for dim, start, count in zip(grid.dims, first, shape, strict=True)
        }
    )
    coarse = Grid(tuple(shape), grid.centring, grid.boundary, grid.lengths)
    if grid.centring == "cell" and stride % 2 == 0:
        # Centres of the cells of two grids never coincide.
        comment = f"taken {1 / (2 * stride):g} of a cell before the centres of the cells"
        return thinned.assign_attrs(grid=json.dumps(coarse.to_json()), comment=comment)
    return on_grid(thinned, coarse)
