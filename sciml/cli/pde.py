"""`sciml pde`: datasets of PDE problems, and operators trained on them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sciml.checks import check_choice
from sciml.cli.data_options import DataOptions, complete_family
from sciml.cli.help_pages import CommandGroup, examples
from sciml.cli.option_groups import expand_options
from sciml.cli.output import Json, Output, Quiet, progress_bar
from sciml.cli.pde_greens import EXAMPLES as GREENS
from sciml.cli.pde_greens import greens
from sciml.cli.pde_train import EXAMPLES as TRAIN
from sciml.cli.pde_train import train
from sciml.cli.pde_verify import FINDINGS, SOLVE, VERIFY, findings, solve, verify
from sciml.cli.targets import check_targets, total_size
from sciml.cli.worker_options import WorkerOptions

if TYPE_CHECKING:
    import xarray as xr

    from sciml.pde.published_formats import PublishedLayout

__all__ = ["app", "families", "generate", "info", "layouts"]

app = CommandGroup(
    no_args_is_help=True,
    help="Generate PDE data, train operators, solve with error bounds.",
)


@app.command(epilog=examples("sciml pde families", "sciml pde families --json - --quiet"))
def families(json_file: Json = None, quiet: Quiet = False) -> None:
    """List the families of problems and their parameters."""
    check_targets({"--json": json_file}, [])
    from sciml.pde.families import FAMILIES

    output = Output(json_file, quiet)
    output.write_json(
        {
            family.name: {
                "about": family.about,
                "inputs": family.inputs,
                "target": family.target,
                **family.parameters(),
            }
            for family in FAMILIES.values()
        },
        record=False,
    )
    output.print(*(f"{family}\n" for family in FAMILIES.values()))
    output.print_files()


@app.command(
    epilog=examples(
        "sciml pde generate darcy-rough --resolution 127 --count 1024 -o d.zarr",
        "sciml pde generate helmholtz --count 64 --seed 8 -o test.nc --json test.json",
    )
)
@expand_options
def generate(
    family: Annotated[
        str,
        typer.Argument(help="Family of problems: see 'sciml pde families'.", autocompletion=complete_family),
    ],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Dataset to write: NAME.zarr or NAME.nc (netCDF-4).")
    ],
    resolution: Annotated[
        int,
        typer.Option(
            "--resolution",
            min=3,
            help="Number of unknowns along each axis; best for multigrid: 2^k - 1 (vertex), 2^k (cell).",
        ),
    ] = 63,
    dimensions: Annotated[
        int, typer.Option("--dimensions", min=1, max=3, help="Number of axes in space: a line, plane or box.")
    ] = 2,
    count: Annotated[int, typer.Option("--count", min=1, help="Number of samples.")] = 1024,
    seed: Annotated[
        int,
        typer.Option("--seed", min=0, help="Seed of the random fields; the same seed gives the same bits."),
    ] = 7,
    centring: Annotated[
        str, typer.Option("--centring", help="Position of the unknowns: vertex or cell.")
    ] = "vertex",
    worker_options: WorkerOptions,
    chunk: Annotated[
        int | None,
        typer.Option("--chunk", min=1, help="Number of samples in a block; it does not affect the values."),
    ] = None,
    refined: Annotated[
        int | None,
        typer.Option(
            "--refined",
            min=1,
            help="Refinement of the solver's grid, for burgers, navier-stokes and helmholtz (4: within 1 %).",
        ),
    ] = None,
    double: Annotated[bool, typer.Option("--double", help="Store float64 instead of float32.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing dataset of that name.")
    ] = False,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Draw problems of a family, solve them, and write a dataset.

    Every sample is solved with multigrid or a direct solver to an error far below the rounding of the stored values.
    After Ctrl-C the same command resumes; if the dataset is complete, it does nothing.
    """
    check_targets({"--json": json_file}, [output])
    report, begun = Output(json_file, quiet), time.monotonic()
    from dataclasses import replace

    from sciml.pde.families import family_named
    from sciml.pde.generation import generate as draw
    from sciml.pde.writing import write_dataset

    check_choice("--centring", centring, ("vertex", "cell"))
    chosen = family_named(family)
    if refined is not None:
        chosen = replace(chosen, refined=refined)
    dataset = draw(
        chosen,
        count,
        resolution if dimensions == 2 else (resolution,) * dimensions,
        seed,
        centring="cell" if centring == "cell" else "vertex",
        dtype="float64" if double else "float32",
        chunk=chunk,
    )
    with (
        worker_options.chosen(quiet) as workers,
        progress_bar(f"solving {family}", quiet) as progress,
    ):
        new = write_dataset(dataset, output, workers=workers, overwrite=overwrite, progress=progress)
    size = total_size(output)
    content: dict[str, Any] = {
        "dataset": str(output),
        "new": bool(new),
        "family": family,
        "samples": count,
        "seed": seed,
    }
    content |= {"sizes": _sizes(dataset), "bytes": size, "seconds": time.monotonic() - begun}
    content["caution"] = dataset.attrs.get("caution", "")
    report.write_json(content)
    if new:
        report.print(f"{output}: {count} samples of {family}, {_format_sizes(dataset)}, {size / 1e6:.1f} MB")
    else:
        report.print(f"{output} exists already and is complete: nothing to do")
    if content["caution"]:
        report.print(f"caution: {content['caution']}")
    report.print_files()


@app.command(epilog=examples("sciml pde layouts", "sciml pde layouts --json layouts.json"))
def layouts(json_file: Json = None, quiet: Quiet = False) -> None:
    """List the published datasets that are recognised."""
    check_targets({"--json": json_file}, [])
    from sciml.pde.published_formats import LAYOUTS

    output = Output(json_file, quiet)
    output.write_json({layout.name: _describe_layout(layout) for layout in LAYOUTS.values()}, record=False)
    output.print(*(f"{layout}\n" for layout in LAYOUTS.values()))
    output.print_files()


def _describe_layout(layout: PublishedLayout) -> dict[str, Any]:
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
@expand_options
def info(
    data: Annotated[Path, typer.Argument(help="Dataset: zarr, netCDF, HDF5, .mat, .npz, .npy or .pt.")],
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Read all values, and fail if some cannot be used.")
    ] = False,
    data_options: DataOptions,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Describe a dataset and its grid as the training reads them."""
    check_targets({"--json": json_file}, [data])
    from sciml.pde.caution import caution_of
    from sciml.pde.dataset import check_values, grid_of_dataset, inputs_of, target_of
    from sciml.pde.sides import seen_in

    output = Output(json_file, quiet)
    ds = data_options.open(data)
    if check:
        check_values(ds)
    about = {name: ds.attrs[name] for name in ("family", "layout", "seed") if name in ds.attrs}
    names, solution = inputs_of(ds), target_of(ds)
    grid = grid_of_dataset(ds) if "grid" in ds.attrs else None
    content = {"path": str(data), "samples": ds.sizes["sample"], "sizes": _sizes(ds), **about}
    sides = seen_in(ds, grid, solution) if grid is not None else ""
    caution = caution_of(ds)
    content |= {"inputs": names, "target": solution, "checked": check, "sides": sides, "caution": caution}
    output.write_json({**content, "grid": None if grid is None else grid.to_json()})
    output.print(f"{data}: {ds.sizes['sample']} samples, {_format_sizes(ds)}")
    if about:
        output.print("  " + ", ".join(f"{name} {value}" for name, value in about.items()))
    output.print(f"  {', '.join(names)} -> {solution}")
    if grid is not None:
        output.print(f"  grid {grid}", *([f"  {solution} on Dirichlet sides: {sides}"] if sides else []))
    elif "y" in ds.dims or not ds.attrs.get("family"):
        output.print("  the file does not contain the grid: training needs --boundary and --centring")
    if caution:
        output.print(f"  caution: {caution}")
    if check:
        output.print("  all values can be used")
    output.print_files()


def _sizes(dataset: xr.Dataset) -> dict[str, int]:
    """Return the sizes of a solution by dimension."""
    from sciml.pde.dataset import target_of

    dims = [str(dim) for dim in dataset[target_of(dataset)].dims if dim != "sample"]
    return {dim: dataset.sizes[dim] for dim in dims}


def _format_sizes(dataset: xr.Dataset) -> str:
    """Return the sizes of a solution as text, such as 127 x 127 (y, x)."""
    sizes = _sizes(dataset)
    return f"{' x '.join(map(str, sizes.values()))} ({', '.join(sizes)})"


for _command, _epilog in (
    (train, TRAIN),
    (verify, VERIFY),
    (greens, GREENS),
    (solve, SOLVE),
    (findings, FINDINGS),
):
    app.command(epilog=_epilog)(_command)
