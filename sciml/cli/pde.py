"""`sciml pde`: datasets of PDE problems, and operators trained on them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sciml.cli import data_options as own_data
from sciml.cli.help_pages import Room
from sciml.cli.output import Answer, Json, Quiet, bar, check_targets, examples, size_of
from sciml.cli.pde_train import EXAMPLES as TRAIN
from sciml.cli.pde_train import train
from sciml.cli.pde_verify import FINDINGS, SOLVE, VERIFY, findings, solve, verify
from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from sciml.pde.published_formats import Layout

__all__ = ["app", "families", "generate", "info", "layouts"]

app = Room(
    no_args_is_help=True,
    help="Pose PDE problems, train operators on them, solve to a bound.",
)


@app.command(epilog=examples("sciml pde families", "sciml pde families --json - --quiet"))
def families(json_file: Json = None, quiet: Quiet = False) -> None:
    """List the families of problems and their parameters."""
    check_targets({"--json": json_file}, [])
    from sciml.pde.families import FAMILIES

    answer = Answer(json_file, quiet)
    told = {
        one.name: {"about": one.about, "inputs": one.inputs, "target": one.target, **one.parameters()}
        for one in FAMILIES.values()
    }
    answer.keep(told)
    answer.say(*(f"{family}\n" for family in FAMILIES.values()))
    answer.files()


@app.command(
    epilog=examples(
        "sciml pde generate darcy-rough --resolution 127 --count 1024 -o d.zarr",
        "sciml pde generate helmholtz --count 64 --seed 8 -o test.nc --json test.json",
    )
)
def generate(
    family: Annotated[
        str,
        typer.Argument(
            help="Which problems: see 'sciml pde families'.", autocompletion=own_data.family_names
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The dataset to write: NAME.zarr or NAME.nc (netCDF-4).")
    ],
    resolution: Annotated[
        int,
        typer.Option(
            "--resolution", min=3, help="Unknowns along each axis: 2^k - 1 suits vertices, 2^k cells."
        ),
    ] = 63,
    count: Annotated[int, typer.Option("--count", min=1, help="Samples.")] = 1024,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same bits.")] = 7,
    centring: Annotated[str, typer.Option("--centring", help="vertex or cell.")] = "vertex",
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, help="Processes; default: the Dask scheduler that is there, else one a core."
        ),
    ] = None,
    chunk: Annotated[
        int | None, typer.Option("--chunk", min=1, help="Samples a block; the values do not depend on it.")
    ] = None,
    refined: Annotated[
        int | None,
        typer.Option(
            "--refined",
            min=1,
            help="Solve on a grid so many times finer: burgers, navier-stokes, helmholtz (4: within 1 %).",
        ),
    ] = None,
    double: Annotated[bool, typer.Option("--double", help="Keep float64 instead of float32.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a dataset of that name.")] = False,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Draw problems of a family, solve them, and write a dataset.

    Every sample is solved by multigrid (or a direct solver) far below the rounding of what is kept. Cut off by
    Ctrl-C, the same command goes on where it stopped; finished, it does nothing.
    """
    check_targets({"--json": json_file}, [output])
    answer, begun = Answer(json_file, quiet), time.monotonic()
    from dataclasses import replace

    from sciml.pde.families import family_named
    from sciml.pde.generation import generate as draw
    from sciml.pde.writing import write_dataset

    if centring not in ("vertex", "cell"):
        raise InputError(f"--centring {centring}: give vertex or cell")
    chosen = family_named(family)
    if refined is not None:
        chosen = replace(chosen, refined=refined)
    dataset = draw(
        chosen,
        count,
        resolution,
        seed,
        centring="cell" if centring == "cell" else "vertex",
        dtype="float64" if double else "float32",
        chunk=chunk,
    )
    with bar(f"solving {family}", quiet) as told:
        new = write_dataset(dataset, output, workers=workers, overwrite=overwrite, progress=told)
    size = size_of(output)
    content: dict[str, Any] = {
        "dataset": str(output),
        "new": bool(new),
        "family": family,
        "samples": count,
        "seed": seed,
    }
    content |= {"sizes": _sizes(dataset), "bytes": size, "seconds": time.monotonic() - begun}
    content["caution"] = dataset.attrs.get("caution", "")
    answer.keep(content)
    if new:
        answer.say(f"{output}: {count} samples of {family}, {_shape(dataset)}, {size / 1e6:.1f} MB")
    else:
        answer.say(f"{output} is there already, made by this command: nothing to do")
    if content["caution"]:
        answer.say(f"caution: {content['caution']}")
    answer.files()


@app.command(epilog=examples("sciml pde layouts", "sciml pde layouts --json layouts.json"))
def layouts(json_file: Json = None, quiet: Quiet = False) -> None:
    """List the published datasets that are recognised."""
    check_targets({"--json": json_file}, [])
    from sciml.pde.published_formats import LAYOUTS

    answer = Answer(json_file, quiet)
    answer.keep({one.name: _published(one) for one in LAYOUTS.values()})
    answer.say(*(f"{layout}\n" for layout in LAYOUTS.values()))
    answer.files()


def _published(layout: Layout) -> dict[str, Any]:
    variables = {ours: {"name": name, "dims": dims} for ours, (name, dims) in layout.variables.items()}
    grid = {"boundary": layout.boundary, "points": layout.points, "known": layout.known}
    return {
        "about": layout.about,
        "variables": variables,
        "inputs": layout.inputs,
        "target": layout.target,
        **grid,
    }


@app.command(
    epilog=examples(
        "sciml pde info d.zarr --check",
        "sciml pde info k.npz --inputs coefficient=k --target u=p --json -",
        "sciml pde info k.mat --inputs k --target p --dims y,x,sample",
    )
)
def info(
    data: Annotated[Path, typer.Argument(help="A dataset: zarr, netCDF, HDF5, .mat, .npz, .npy, .pt.")],
    check: Annotated[
        bool, typer.Option("--check", help="Read all values, and refuse what is no use.")
    ] = False,
    inputs: own_data.Inputs = None,
    target: own_data.Target = None,
    layout: own_data.Layout = None,
    dims: own_data.Dims = None,
    stride: own_data.Stride = 1,
    boundary: own_data.Sides = None,
    centring: own_data.Centring = None,
    dirichlet: own_data.Dirichlet = None,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Tell what a dataset holds and on which grid, as training sees it."""
    check_targets({"--json": json_file}, [data])
    from sciml.pde.caution import caution_of
    from sciml.pde.dataset import check_values, grid_of_dataset, inputs_of, target_of
    from sciml.pde.sides import seen_in

    answer = Answer(json_file, quiet)
    ds = own_data.opened(
        data,
        inputs=inputs,
        target=target,
        layout=layout,
        dims=dims,
        stride=stride,
        boundary=boundary,
        centring=centring,
        dirichlet=dirichlet,
    )
    if check:
        check_values(ds)
    about = {name: ds.attrs[name] for name in ("family", "layout", "seed") if name in ds.attrs}
    names, solution = inputs_of(ds), target_of(ds)
    grid = grid_of_dataset(ds) if "grid" in ds.attrs else None
    told = {"path": str(data), "samples": ds.sizes["sample"], "sizes": _sizes(ds), **about}
    sides = seen_in(ds, grid, solution) if grid is not None else ""
    caution = caution_of(ds)
    told |= {"inputs": names, "target": solution, "checked": check, "sides": sides, "caution": caution}
    answer.keep({**told, "grid": None if grid is None else grid.to_json()})
    answer.say(f"{data}: {ds.sizes['sample']} samples, {_shape(ds)}")
    if about:
        answer.say("  " + ", ".join(f"{name} {value}" for name, value in about.items()))
    answer.say(f"  {', '.join(names)} -> {solution}")
    if grid is not None:
        answer.say(f"  grid {grid}", *([f"  {solution} on Dirichlet sides: {sides}"] if sides else []))
    elif "y" in ds.dims:
        answer.say("  the grid is not told: training needs --boundary and --centring")
    if caution:
        answer.say(f"  caution: {caution}")
    if check:
        answer.say("  all values can be used")
    answer.files()


def _sizes(dataset: xr.Dataset) -> dict[str, int]:
    """The sizes of a solution, by dim."""
    from sciml.pde.dataset import target_of

    dims = [str(dim) for dim in dataset[target_of(dataset)].dims if dim != "sample"]
    return {dim: dataset.sizes[dim] for dim in dims}


def _shape(dataset: xr.Dataset) -> str:
    """The sizes of a solution, such as 127 x 127 (y, x)."""
    sizes = _sizes(dataset)
    return f"{' x '.join(map(str, sizes.values()))} ({', '.join(sizes)})"


for _command, _epilog in ((train, TRAIN), (verify, VERIFY), (solve, SOLVE), (findings, FINDINGS)):
    app.command(epilog=_epilog)(_command)
