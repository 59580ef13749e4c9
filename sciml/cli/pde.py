"""`sciml pde`: datasets of PDE problems, and operators trained on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sciml.cli.pde_train import train
from sciml.cli.pde_verify import findings, solve, verify
from sciml.cli.told import bar, variable_map
from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["app", "families", "generate", "info", "layouts"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Generate datasets of PDE problems, train operators on them, and hold their answers against multigrid.",
)


@app.command()
def generate(
    family: Annotated[str, typer.Argument(help="Which problems: see 'sciml pde families'.")],
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
            "--refined", min=1, help="Solve on a grid so many times finer (burgers, navier-stokes alone)."
        ),
    ] = None,
    double: Annotated[bool, typer.Option("--double", help="Keep float64 instead of float32.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a dataset of that name.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Draw problems of a family, solve them, and write a dataset for training.

    Every sample is solved by multigrid (or a direct solver) far below the rounding of what is kept. Cut off by
    Ctrl-C, the same command goes on where it stopped; finished, it does nothing. For example

    sciml pde generate darcy-rough --resolution 127 --count 1024 --seed 7 -o darcy.zarr
    """
    from dataclasses import replace

    from sciml.pde.families import family_named
    from sciml.pde.generation import generate as draw
    from sciml.pde.store import write_dataset

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
    if not new:
        typer.echo(f"{output} is there already, made by this command: nothing to do")
        return
    files = [output] if output.is_file() else [one for one in output.rglob("*") if one.is_file()]
    size = sum(one.stat().st_size for one in files)
    typer.echo(f"{output}: {count} samples of {family}, {_sizes(dataset)}, {size / 1e6:.1f} MB")


@app.command()
def families() -> None:
    """List the families of problems and their parameters."""
    from sciml.pde.families import FAMILIES

    for family in FAMILIES.values():
        typer.echo(f"{family}\n")


@app.command()
def layouts() -> None:
    """List the published datasets that are recognised, and where the facts about their files come from."""
    from sciml.pde.layouts import LAYOUTS

    for layout in LAYOUTS.values():
        typer.echo(f"{layout}\n")


@app.command()
def info(
    data: Annotated[Path, typer.Argument(help="A dataset: zarr, netCDF, HDF5, .mat, .npz, .npy.")],
    inputs: Annotated[
        list[str] | None,
        typer.Option("--inputs", help="NAME in the file, or OURS=NAME; may be repeated."),
    ] = None,
    target: Annotated[str | None, typer.Option("--target", help="Likewise, of the solution.")] = None,
    layout: Annotated[str | None, typer.Option("--layout", help="Of a published dataset.")] = None,
    stride: Annotated[int, typer.Option("--stride", min=1, help="Every so many points.")] = 1,
    check: Annotated[
        bool, typer.Option("--check", help="Read all values, and refuse what is no use.")
    ] = False,
) -> None:
    """Tell what a dataset holds and on which grid it is, as training would see it."""
    from sciml.pde.dataset import check_values, grid_of_dataset, inputs_of, target_of
    from sciml.pde.reading import open_dataset

    ds = open_dataset(
        data, inputs=variable_map(inputs), target=variable_map(target), layout=layout, stride=stride
    )
    told = {name: ds.attrs[name] for name in ("family", "layout", "seed") if name in ds.attrs}
    typer.echo(f"{data}: {ds.sizes['sample']} samples, {_sizes(ds)}")
    if told:
        typer.echo("  " + ", ".join(f"{name} {value}" for name, value in told.items()))
    typer.echo(f"  {', '.join(inputs_of(ds))} -> {target_of(ds)}")
    if "grid" in ds.attrs:
        typer.echo(f"  grid {grid_of_dataset(ds)}")
    elif "y" in ds.dims:
        typer.echo("  the grid is not told: training needs the centring and the boundary")
    if check:
        check_values(ds)
        typer.echo("  all values can be used")


def _sizes(dataset: xr.Dataset) -> str:
    """The sizes of a solution, such as 127 x 127."""
    from sciml.pde.dataset import target_of

    dims = [dim for dim in dataset[target_of(dataset)].dims if dim != "sample"]
    return " x ".join(str(dataset.sizes[dim]) for dim in dims) + f" ({', '.join(map(str, dims))})"


for _command in (train, verify, solve, findings):
    app.command()(_command)
