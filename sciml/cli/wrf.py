"""`sciml wrf`: describe WRF output, write stores of columns, and compare runs."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sciml.cli.help_pages import CommandGroup, examples
from sciml.cli.option_groups import expand_options
from sciml.cli.output import Json, Output, Quiet
from sciml.cli.targets import check_targets, expand_inputs, total_size
from sciml.cli.worker_options import WorkerOptions
from sciml.cli.wrf_compare import EXAMPLES, compare
from sciml.cli.wrf_perturb import EXAMPLES as PERTURB_EXAMPLES
from sciml.cli.wrf_perturb import perturb

if TYPE_CHECKING:
    from sciml.columns.classes import Classes
    from sciml.columns.plan import SourceFile

__all__ = ["app", "columns", "info"]

app = CommandGroup(help="Describe and compare WRF output, and extract columns.", no_args_is_help=True)

Files = Annotated[
    list[str],
    typer.Argument(help="wrfout, mskf_io and mskf_pairs files: names, globs in quotes, directories."),
]
Reference = Annotated[
    list[str] | None,
    typer.Option(
        "--reference",
        metavar="FILE",
        help="Output of the true scheme (mskf_offline_*) for a wrfout among the files; may be repeated.",
    ),
]


@app.command(
    "info",
    epilog=examples(
        "sciml wrf info wrfout_d01_2024-07-01_00:00:00",
        "sciml wrf info 'wrfout_d01_*' --reference mskf_offline_day1.nc --json i.json",
    ),
)
def info(files: Files, reference: Reference = None, json_file: Json = None, quiet: Quiet = False) -> None:
    """Describe files, their columns, and their missing variables.

    The description states whether a file contains all variables for rain, prediction and training. If not, it lists the
    missing variables and the line of iofields_filename that makes WRF write them.
    """
    check_targets({"--json": json_file}, expand_inputs([*files, *(reference or [])]))
    from sciml.columns.classes import Classes
    from sciml.columns.description import describe_file
    from sciml.columns.mixture import describe_mixture, ranges_of_files
    from sciml.columns.open import is_store
    from sciml.columns.plan import count_slabs, describe_sources
    from sciml.wrf.opening import expand

    output = Output(json_file, quiet)
    stores = [Path(name) for name in dict.fromkeys(files) if is_store(name)]
    rest = [name for name in files if not is_store(name)]
    descriptions = {path: describe_file(path) for path in dict.fromkeys(expand(rest) if rest else [])}
    usable = [path for path, description in descriptions.items() if description.usable]
    unusable = [description for description in descriptions.values() if not description.usable]
    sources = describe_sources(usable, reference, None) if usable else []
    counts = [count_slabs(source, 1 << 30, "all")[1] for source in sources]
    total = sum(counts, start=Classes(0, 0, 0))
    by_path = {str(path.resolve()): description for path, description in descriptions.items()}
    listed = [
        {**_source_to_json(source, count), "missing": by_path[source.path].to_json()["missing"]}
        for source, count in zip(sources, counts, strict=True)
    ]
    listed += [description.to_json() for description in unusable]
    described = [_describe_store(path) for path in stores]
    listed += [content for _, content, _ in described]
    total = sum((classes for _, _, classes in described), start=total)
    differing = ranges_of_files([s.attrs for s in sources], [s.size[0] for s in sources]) if sources else {}
    output.write_json({"files": listed, "total": _counts_to_json(total), "differing": differing})
    for source, count in zip(sources, counts, strict=True):
        output.print(
            *_describe_source(source),
            *(f"  {line}" for line in by_path[source.path].messages if not source.truth),
            count if len(sources) == 1 else f"  {count.pairs} pairs of {count.total} columns",
        )
    output.print(*unusable)
    for lines, _, classes in described:
        pairs = f"  {classes.pairs} pairs of {classes.total} columns"
        output.print(*lines, classes if len(sources) + len(stores) == 1 else pairs)
    if len(sources) + len(stores) > 1:
        output.print(total)
    if differing:
        output.print(f"the files differ: {describe_mixture(differing)}")
    output.print_files()


def _describe_store(path: Path) -> tuple[list[str], dict[str, Any], Classes]:
    """Return a store as lines of text and as data, and the counts of its columns."""
    import numpy as np

    from sciml.columns.classes import count_classes
    from sciml.columns.formats import SYNTHETIC
    from sciml.columns.mixture import LEVELS, MIXED, describe_mixture, ranges
    from sciml.columns.open import open_columns

    columns = open_columns(path, keep="all")
    classes, runs = count_classes(columns), np.unique(columns["RUN"].values).tolist()
    alike = {
        LEVELS: columns.sizes["level"],
        **{name: columns.attrs[name] for name in MIXED if name in columns.attrs},
    }
    settings = {name: (float(value), float(value)) for name, value in alike.items()} | ranges(columns)
    content = {
        "path": str(path.resolve()),
        "form": "columns",
        "columns": columns.sizes["column"],
        "runs": runs,
        **{name.lower() if name == LEVELS else name: pair for name, pair in settings.items()},
        "found": _counts_to_json(classes),
    }
    lines = [
        f"{path}: store, {columns.sizes['column']} columns, run{'s' * (len(runs) > 1)} {', '.join(map(str, runs))}",
        f"  {describe_mixture(settings)}",
    ]
    if SYNTHETIC in columns.coords:
        content["synthetic"] = int(columns[SYNTHETIC].sum())
        lines.append(f"  {content['synthetic']} of the columns are synthetic (sciml convection augment)")
    return lines, content, classes


def _source_to_json(source: SourceFile, counts: Classes) -> dict[str, Any]:
    """Return a file and the counts of its columns as data."""
    levels, rows, width = source.size
    pairs = source.form == "pairs"
    place = {"columns": source.frames[1] - source.frames[0]} if pairs else {"run": source.run}
    shape = {} if pairs else {"frames": source.frames[1] - source.frames[0], "rows": rows, "width": width}
    return {
        "path": source.path,
        "form": source.form,
        **place,
        **shape,
        "levels": levels,
        **source.attrs,
        "truth": source.truth or None,
        "targets": source.targets,
        "found": _counts_to_json(counts),
    }


def _counts_to_json(counts: Classes) -> dict[str, int]:
    return {**asdict(counts), "pairs": counts.pairs, "total": counts.total}


def _describe_source(source: SourceFile) -> list[str]:
    """Return a file as lines of text."""
    levels, rows, width = source.size
    number = source.frames[1] - source.frames[0]
    shape = f"{number} columns" if source.form == "pairs" else f"{number} frames of {rows} x {width}"
    where = "" if source.form == "pairs" else f", run {source.run}"
    lines = [
        f"{source.path}: {source.form}, {shape}, {levels} levels{where}",
        "  " + ", ".join(f"{k} {v:g}" for k, v in source.attrs.items()),
    ]
    if source.form == "wrfout" and not source.truth:
        origin = (
            "as stored in the file" if source.targets else "none: the columns can be used for prediction only"
        )
        lines.append(f"  targets: {origin}")
    return lines


@app.command(
    "columns",
    epilog=examples(
        "sciml wrf columns wrfout_d01_a.nc wrfout_d01_b.nc -o columns.zarr",
        "sciml wrf columns 'run1/wrfout_d01_*' -o r.zarr --run 1 --cluster slurm.toml",
        "sciml wrf columns wrfout.nc --reference mskf_offline.nc -o c.zarr",
    ),
)
@expand_options
def columns(
    files: Files,
    *,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="STORE", help="Store to write, such as columns.zarr."),
    ],
    reference: Reference = None,
    worker_options: WorkerOptions,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Number or name of the run of the files; default: from the names of the files.",
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also write held and unknown columns, marked in the variable KIND.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing store of that name.")
    ] = False,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Write the columns that the scheme computed into a store.

    The runs may have different grid spacings, time steps and numbers of levels.

    The store is written once and used for training. Columns whose tendencies were held from an earlier call are counted
    and left out. After an interruption the same command resumes.
    """
    check_targets({"--json": json_file}, [*expand_inputs([*files, *(reference or [])]), output])
    from sciml.columns.formats import run_number
    from sciml.columns.mixture import describe_mixture, ranges
    from sciml.columns.open import open_columns, write_columns
    from sciml.progress import StageProgress

    report, begun = Output(json_file, quiet), time.monotonic()
    with worker_options.chosen(quiet) as workers:
        counts = write_columns(
            files,
            output,
            truth=reference,
            run=None if run is None else run_number(run),
            keep="all" if everything else "pairs",
            workers=workers,
            overwrite=overwrite,
            progress=StageProgress() if quiet else None,
        )
    written = counts.total if everything else counts.pairs
    size = total_size(output)
    content = {"store": str(output), "columns": written, "bytes": size, "seconds": time.monotonic() - begun}
    differing = ranges(open_columns(output, keep="all"))
    report.write_json({**content, "found": _counts_to_json(counts), "differing": differing})
    report.print(counts, f"{output}: {written} columns, {size / 1e6:.1f} MB")
    if differing:
        report.print(f"the columns differ: {describe_mixture(differing)}")
    report.print_files()


app.command("compare", epilog=examples(*EXAMPLES))(compare)
app.command("perturb", epilog=examples(*PERTURB_EXAMPLES))(perturb)
