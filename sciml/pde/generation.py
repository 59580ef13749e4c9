"""Lazy datasets of solved problems, with the same bits for any number of workers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from sciml.checks import check_whole
from sciml.errors import InputError
from sciml.pde.attributes import DATASET_SCHEMA
from sciml.pde.elliptic import discretize
from sciml.pde.families import Family, family_named
from sciml.pde.grid import Centring, Field, Grid
from sciml.pde.solution import axis_attributes, field_attributes
from sciml.pde.solvability import check_compatible

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["generate", "sample_seeds"]

BLOCK_BYTES: Final = 2 << 20
LARGEST_BLOCK: Final = 32
StoredDtype = Literal["float32", "float64"]


def sample_seeds(seed: int, count: int) -> np.ndarray:
    """Return the seed of each sample; that of sample i depends only on ``seed`` and i.

    Examples
    --------
    >>> bool((sample_seeds(7, 3) == sample_seeds(7, 5)[:3]).all())
    True
    """
    drawn = (np.random.SeedSequence(seed, spawn_key=(i,)) for i in range(count))
    # 63 bits, because netCDF and most of its readers do not support unsigned 64-bit integers.
    return np.array([int(value.generate_state(1, np.uint64)[0] >> np.uint64(1)) for value in drawn], np.int64)


def generate(
    family: str | Family,
    count: int,
    resolution: int | tuple[int, ...],
    seed: int,
    *,
    centring: Centring = "vertex",
    dtype: StoredDtype = "float32",
    chunk: int | None = None,
) -> xr.Dataset:
    """Draw and solve problems of a family.

    Parameters
    ----------
    family
        Name in `FAMILIES`, or another `Family` (with another contrast, correlation length, viscosity, ...).
    count
        Number of samples.
    resolution
        Unknowns along both axes of a square, or along each axis; (n,) on a line and (n, n, n) in a cube, for Poisson
        and Darcy.
    seed
        Seed of the dataset. It determines the seed of each sample, which is in the coordinate ``sample_seed``:
        ``family.problem(resolution, sample_seed)`` is the problem of the sample.
    centring
        Centring of the grid, see `Grid`.
    dtype
        Precision of the dataset. All computations are in float64.
    chunk
        Number of samples solved at a time; by default at most 32 samples and about 2 MB of each variable. The values do
        not depend on it.

    Returns
    -------
    xr.Dataset
        Inputs of the family (sample, y, x) and the solution ``u`` (sample, y, x), or (sample, time, y, x) for problems
        in time; (sample, x) on a line and (sample, z, y, x) in a box, as lazy dask arrays. Compute inputs and solution
        together, so that the inputs are drawn once.

    Raises
    ------
    InputError
        The family is unknown or its problem does not have its inputs, there are no samples, the seed is not a whole
        number, or the family does not support the grid. Raised by the computation: a problem has no solution (see
        `check_compatible`).

    Notes
    -----
    On one kind of machine with one set of library versions the bits do not depend on the chunk or the number of
    workers.

    Examples
    --------
    >>> ds = generate("darcy-rough", 6, 15, seed=7)
    >>> ds.u.dims, ds.u.dtype, float(ds.coefficient[2].max())
    (('sample', 'y', 'x'), dtype('float32'), 12.0)
    """
    family = family_named(family)
    family.check_inputs()
    _check(count, seed, dtype, chunk)
    problem = family.problem(resolution, int(seed), centring)
    seeds = sample_seeds(int(seed), int(count))
    if chunk is None:
        block = math.prod(map(len, _axes(problem).values())) * np.dtype(dtype).itemsize
        chunk = max(1, min(LARGEST_BLOCK, BLOCK_BYTES // block))
    return _dataset(family, problem, seeds, int(seed), dtype, int(chunk))


def _check(count: int, seed: int, dtype: str, chunk: int | None) -> None:
    given: tuple[tuple[str, Any, int], ...] = (
        ("count", count, 1),
        ("seed", seed, 0),
        ("chunk", 1 if chunk is None else chunk, 1),
    )
    for name, value, least in given:
        check_whole(name, value, least)
    if dtype not in ("float32", "float64"):
        raise InputError(f"dtype={dtype!r}: give 'float32' or 'float64'")


def _axes(problem: Any) -> dict[str, Field]:
    """Return the coordinates of the solution of one problem, by dim."""
    if not hasattr(problem, "equation"):
        return dict(zip(problem.grid.dims, problem.grid.coordinates(), strict=True))
    # The initial state is an input, and the solution starts after it.
    return {"time": problem.times()[1:], **problem.axes()}


def _dataset(
    family: Family, problem: Any, seeds: np.ndarray, seed: int, dtype: StoredDtype, chunk: int
) -> xr.Dataset:
    import dask.array as da
    import xarray as xr
    from dask.delayed import delayed

    axes = _axes(problem)
    space = [dim for dim in axes if dim != "time"]
    dims = dict.fromkeys(family.inputs, space) | {family.target: list(axes)}
    draw = delayed(partial(draw_block, family, problem), pure=True)
    solve = delayed(partial(solve_block, family, problem), pure=True)
    keep = delayed(partial(_thinned, family, dtype, _firsts(family, problem, len(space))), pure=True)
    pieces: dict[str, list[Any]] = {name: [] for name in dims}
    for start in range(0, len(seeds), chunk):
        these = seeds[start : start + chunk]
        drawn = draw(these.tolist())
        blocks = dict.fromkeys(family.inputs, drawn) | {family.target: {family.target: solve(drawn)}}
        for name, block in blocks.items():
            shape = (len(these), *(axes[dim].size for dim in dims[name]))
            pieces[name].append(da.from_delayed(keep(block, name), shape, dtype))
    coords = {
        "sample": np.arange(len(seeds)),
        **{dim: (dim, values, axis_attributes(dim)) for dim, values in axes.items()},
        "sample_seed": ("sample", seeds, {"long_name": "seed of the sample's problem"}),
    }
    titles = {family.target: "solution"}
    variables = {
        name: (("sample", *dims[name]), da.concatenate(parts), field_attributes(titles.get(name, name)))
        for name, parts in pieces.items()
    }
    return xr.Dataset(variables, coords, attrs=_attributes(family, problem, seed))


def _attributes(family: Family, problem: Any, seed: int) -> dict[str, Any]:
    from sciml.version import __version__

    grid: Grid | None = getattr(problem, "grid", None)
    caution = family.caution(problem)
    return {
        "Conventions": "CF-1.10",
        "title": f"{family.name}: {family.about}" if family.about else family.name,
        "source": f"sciml {__version__}",
        "family": family.name,
        "family_parameters": json.dumps(family.parameters()),
        **({"grid": json.dumps(grid.to_json())} if grid is not None else {}),
        "inputs": ",".join(family.inputs),
        "target": family.target,
        "seed": seed,
        **({"caution": caution} if caution else {}),
        "sciml_dataset": DATASET_SCHEMA,
        "sciml_version": __version__,
    }


def _fine(family: Family, problem: Any) -> Any:
    """Return the problem on the grid on which it is solved."""
    if family.refined == 1:
        return problem
    if not family.stepped:
        return replace(problem, resolution=_finer(problem.grid, family.refined))
    axes = [axis for dim, axis in _axes(problem).items() if dim != "time"]
    return replace(problem, resolution=tuple(family.refined * axis.size for axis in axes))


def _finer(grid: Grid, times: int) -> tuple[int, ...]:
    """Return the unknowns of a vertex-centred grid that is ``times`` times finer."""
    known = [
        grid.sides(axis).count("dirichlet") - (0 if "periodic" in grid.sides(axis) else 1)
        for axis in range(grid.ndim)
    ]
    return tuple(times * (n + k) - k for n, k in zip(grid.shape, known, strict=True))


def _firsts(family: Family, problem: Any, axes: int) -> tuple[int, ...]:
    """Return the index of the first point of the dataset on the finer grid, along each axis."""
    if family.refined == 1 or family.stepped:
        return (0,) * axes
    return tuple((family.refined - 1) * (problem.grid.sides(axis)[0] == "dirichlet") for axis in range(axes))


def draw_block(family: Family, problem: Any, seeds: Sequence[int]) -> dict[str, Field]:
    """Draw the inputs of samples in float64, on the grid on which they are solved."""
    from sciml.pde.reference_solver import one_thread

    fine = _fine(family, problem)
    with one_thread():
        drawn = [family.fields(replace(fine, seed=seed)) for seed in seeds]
    return {name: np.stack([value[name] for value in drawn]) for name in family.inputs}


def solve_block(family: Family, problem: Any, inputs: Mapping[str, Field]) -> Field:
    """Solve the problems with these inputs, on the grid of the inputs."""
    from sciml.pde.reference_solver import one_thread, solver, stepped

    fine = _fine(family, problem)
    if family.stepped:
        with one_thread():
            return stepped(fine, inputs[family.inputs[0]])
    solutions, solve = [], None
    with one_thread():
        for index in range(len(inputs[family.inputs[0]])):
            posed = replace(fine, **{name: values[index] for name, values in inputs.items()})
            system = check_compatible(discretize(posed))
            if solve is None or not family.same_operator:
                solve = solver(system)
            solutions.append(solve(system))
    return np.stack(solutions)


def _thinned(
    family: Family, dtype: StoredDtype, firsts: Sequence[int], block: Mapping[str, Field], name: str
) -> np.ndarray:
    """Take every ``refined``-th point of a variable, in the precision of the dataset."""
    thin: Any = (..., *(slice(first, None, family.refined) for first in firsts))
    return np.ascontiguousarray(block[name][thin], dtype)
