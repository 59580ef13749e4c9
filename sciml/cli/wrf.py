"""`sciml wrf`: what is in WRF's files, and the store of columns made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app", "columns", "info"]

app = typer.Typer(help="Open WRF output and draw training columns from it.", no_args_is_help=True)

Files = Annotated[
    list[str],
    typer.Argument(help="wrfout, mskf_io and mskf_pairs files: names, globs in quotes, directories."),
]
Truth = Annotated[
    list[str] | None,
    typer.Option("--truth", help="Companion (mskf_offline_*) of a wrfout among the files; may be repeated."),
]


@app.command("columns")
def columns(
    files: Files,
    output: Annotated[Path, typer.Option("-o", "--output", help="The store to write, such as columns.zarr.")],
    truth: Truth = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Dask worker processes; default: the scheduler that is there, else one a core."
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(help="The run the columns come from, a number or a name; default: from the files."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Keep held and unknown columns too; KIND tells them.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a store of that name.")] = False,
) -> None:
    """Write the columns that the scheme computed into a store, once, for training.

    Columns whose tendencies were held from an earlier call are left out and counted. An interrupted command goes
    on where it stopped when it is run again.
    """
    from sciml.convection.ingest import write_columns
    from sciml.wrf.forms import run_number

    found = write_columns(
        files,
        output,
        truth=truth,
        run=None if run is None else run_number(run),
        keep="all" if everything else "pairs",
        workers=workers,
        overwrite=overwrite,
    )
    typer.echo(found)
    kept = found.total if everything else found.pairs
    size = sum(f.stat().st_size for f in output.rglob("*") if f.is_file())
    typer.echo(f"{output}: {kept} columns, {size / 1e6:.1f} MB")


@app.command("info")
def info(files: Files, truth: Truth = None) -> None:
    """Tell what files are and how many columns of each class they hold."""
    from sciml.convection.plan import count_slabs, describe_sources
    from sciml.wrf.kinds import Classes

    sources = describe_sources(files, truth, None)
    total = Classes(0, 0, 0)
    for source in sources:
        found = count_slabs(source, 1 << 30, "all")[1]
        total += found
        levels, rows, width = source.size
        number = source.frames[1] - source.frames[0]
        shape = f"{number} columns" if source.form == "pairs" else f"{number} frames of {rows} x {width}"
        where = "" if source.form == "pairs" else f", run {source.run}"
        typer.echo(f"{source.path}: {source.form}, {shape}, {levels} levels{where}")
        typer.echo("  " + ", ".join(f"{k} {v:g}" for k, v in source.attrs.items()))
        if source.form == "wrfout" and not source.truth:
            what = "as stored in the file" if source.targets else "none: its columns can only be predicted"
            typer.echo(f"  targets: {what}")
        typer.echo(found if len(sources) == 1 else f"  {found.pairs} pairs of {found.total} columns")
    if len(sources) > 1:
        typer.echo(total)
