"""`sciml wrf`: what is in WRF's files, the store of columns made of them, and runs side by side."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sciml.cli.help_pages import Room
from sciml.cli.output import Answer, Json, Quiet, check_targets, examples, expanded, size_of
from sciml.cli.wrf_compare import EXAMPLES, compare
from sciml.cli.wrf_perturb import EXAMPLES as PERTURB_EXAMPLES
from sciml.cli.wrf_perturb import perturb

if TYPE_CHECKING:
    from sciml.columns.classes import Classes
    from sciml.columns.plan import Source

__all__ = ["app", "columns", "info"]

app = Room(help="Look into WRF output, and draw training columns from it.", no_args_is_help=True)

Files = Annotated[
    list[str],
    typer.Argument(help="wrfout, mskf_io and mskf_pairs files: names, globs in quotes, directories."),
]
Truth = Annotated[
    list[str] | None,
    typer.Option(
        "--truth",
        metavar="FILE",
        help="Companion (mskf_offline_*) of a wrfout among the files; may be repeated.",
    ),
]


@app.command(
    "info",
    epilog=examples(
        "sciml wrf info wrfout_d01_2024-07-01_00:00:00",
        "sciml wrf info 'wrfout_d01_*' --truth mskf_offline_day1.nc --json info.json",
    ),
)
def info(files: Files, truth: Truth = None, json_file: Json = None, quiet: Quiet = False) -> None:
    """Describe files, their columns, and what is missing in them.

    For rain, prediction and training it says whether the file has all that is needed; if not, what is missing, and the
    line of iofields_filename that makes WRF write it.
    """
    check_targets({"--json": json_file}, expanded([*files, *(truth or [])]))
    from sciml.columns.classes import Classes
    from sciml.columns.description import describe_file
    from sciml.columns.plan import count_slabs, describe_sources
    from sciml.wrf.opening import expand

    answer = Answer(json_file, quiet)
    described = {path: describe_file(path) for path in dict.fromkeys(expand(files))}
    usable = [path for path, one in described.items() if one.usable]
    sources = describe_sources(usable, truth, None) if usable else []
    counts = [count_slabs(source, 1 << 30, "all")[1] for source in sources]
    total = sum(counts, start=Classes(0, 0, 0))
    by_path = {str(path.resolve()): one for path, one in described.items()}
    listed = [
        {**_told(source, found), "missing": by_path[source.path].to_json()["missing"]}
        for source, found in zip(sources, counts, strict=True)
    ]
    listed += [one.to_json() for one in described.values() if not one.usable]
    answer.keep({"files": listed, "total": _counted(total)})
    for source, found in zip(sources, counts, strict=True):
        answer.say(
            *_lines(source),
            *(f"  {line}" for line in by_path[source.path].messages if not source.truth),
            found if len(sources) == 1 else f"  {found.pairs} pairs of {found.total} columns",
        )
    answer.say(*(one for one in described.values() if not one.usable))
    if len(sources) > 1:
        answer.say(total)
    answer.files()


def _told(source: Source, found: Classes) -> dict[str, Any]:
    """A file and its columns, as data."""
    levels, rows, width = source.size
    pairs = source.form == "pairs"
    place = {"columns": source.frames[1] - source.frames[0]} if pairs else {"run": source.run}
    shape = {} if pairs else {"frames": source.frames[1] - source.frames[0], "rows": rows, "width": width}
    told = {"path": source.path, "form": source.form, **place, **shape, "levels": levels}
    return {
        **told,
        **source.attrs,
        "truth": source.truth or None,
        "targets": source.targets,
        "found": _counted(found),
    }


def _counted(found: Classes) -> dict[str, int]:
    return {**asdict(found), "pairs": found.pairs, "total": found.total}


def _lines(source: Source) -> list[str]:
    """A file, as text."""
    levels, rows, width = source.size
    number = source.frames[1] - source.frames[0]
    shape = f"{number} columns" if source.form == "pairs" else f"{number} frames of {rows} x {width}"
    where = "" if source.form == "pairs" else f", run {source.run}"
    lines = [
        f"{source.path}: {source.form}, {shape}, {levels} levels{where}",
        "  " + ", ".join(f"{k} {v:g}" for k, v in source.attrs.items()),
    ]
    if source.form == "wrfout" and not source.truth:
        what = "as stored in the file" if source.targets else "none: its columns can only be predicted"
        lines.append(f"  targets: {what}")
    return lines


@app.command(
    "columns",
    epilog=examples(
        "sciml wrf columns wrfout_d01_a.nc wrfout_d01_b.nc -o columns.zarr",
        "sciml wrf columns 'run1/wrfout_d01_*' -o run1.zarr --run 1 --workers 4",
        "sciml wrf columns wrfout.nc --truth mskf_offline.nc -o c.zarr --json c.json",
    ),
)
def columns(
    files: Files,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="STORE", help="The store to write, such as columns.zarr."),
    ],
    truth: Truth = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Dask worker processes; default: the scheduler that is there, else one a core."
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN", help="The run they come from, a number or a name; default: from the files."
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Keep held and unknown columns too; KIND tells them.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a store of that name.")] = False,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Write the columns that the scheme computed into a store.

    Once, for training. Columns whose tendencies were held from an earlier call are left out and counted. An interrupted
    command goes on where it stopped when it is run again.
    """
    check_targets({"--json": json_file}, [*expanded([*files, *(truth or [])]), output])
    from sciml.columns.formats import run_number
    from sciml.columns.write import write_columns
    from sciml.progress import Telling

    answer, begun = Answer(json_file, quiet), time.monotonic()
    found = write_columns(
        files,
        output,
        truth=truth,
        run=None if run is None else run_number(run),
        keep="all" if everything else "pairs",
        workers=workers,
        overwrite=overwrite,
        telling=Telling() if quiet else None,
    )
    kept = found.total if everything else found.pairs
    size = size_of(output)
    told = {"store": str(output), "columns": kept, "bytes": size, "seconds": time.monotonic() - begun}
    answer.keep({**told, "found": _counted(found)})
    answer.say(found, f"{output}: {kept} columns, {size / 1e6:.1f} MB")
    answer.files()


app.command("compare", epilog=examples(*EXAMPLES))(compare)
app.command("perturb", epilog=examples(*PERTURB_EXAMPLES))(perturb)
