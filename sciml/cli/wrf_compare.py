"""`sciml wrf compare`: rain, profiles and budgets of a run or of observations, compared with a reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sciml.cli.option_groups import expand_options
from sciml.cli.output import Json, Output, Quiet, progress_bar
from sciml.cli.targets import check_targets, expand_inputs
from sciml.cli.worker_options import WorkerOptions

if TYPE_CHECKING:
    from sciml.verify.forecast.compare import RunSource

__all__ = ["EXAMPLES", "compare"]

EXAMPLES = (
    "sciml wrf compare 'control/wrfout_d01_*' 'emulated/wrfout_d01_*'",
    "sciml wrf compare control emulated --floor perturbed --html compare.html",
    "sciml wrf compare radar.nc run --variable RAIN --window 1h --threshold 1",
)


@expand_options
def compare(
    sides: Annotated[
        list[str],
        typer.Argument(
            metavar="REFERENCE CANDIDATE",
            help="Reference and candidate: a wrfout file, quoted pattern, folder, or gridded rain each.",
            show_default=False,
        ),
    ],
    *,
    floor: Annotated[
        list[str] | None,
        typer.Option(
            "--floor",
            metavar="RUN",
            help="Run of the reference from a perturbed start (sciml wrf perturb); may be repeated.",
        ),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            "--window",
            metavar="TIME",
            help="Length of accumulation windows, such as 1h, 3h, 24h; default: the interval of common times.",
        ),
    ] = None,
    threshold: Annotated[
        list[float] | None,
        typer.Option("--threshold", metavar="MM", help="Threshold of rain in a window; may be repeated."),
    ] = None,
    scale: Annotated[
        list[int] | None,
        typer.Option("--scale", metavar="CELLS", help="Neighbourhood width of the FSS; may be repeated."),
    ] = None,
    align: Annotated[
        Literal["time", "start"],
        typer.Option(
            "--align", help="Match times by date (time), or by the time since the start of each run (start)."
        ),
    ] = "time",
    variable: Annotated[
        str | None,
        typer.Option(
            "--variable",
            metavar="NAME",
            help="Rain variable of files other than wrfouts: (time, y, x), mm per time step.",
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="TEXT", help="Display name; give it twice: reference, candidate."),
    ] = None,
    block: Annotated[
        int | None,
        typer.Option("--block", min=1, metavar="N", help="Number of windows in a bootstrap block."),
    ] = None,
    resamples: Annotated[
        int, typer.Option("--resamples", min=0, help="Number of bootstrap resamples.")
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the bootstrap.")] = 7,
    worker_options: WorkerOptions,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write an HTML page with figures.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option("--figure", metavar="FILE", help="Write the maps as a figure (PNG).")
    ] = None,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Compare rain, profiles and budgets of a run with a reference.

    The reference is a control run, a run of another model, or observations on the grid of the run. Each score has the
    95 % interval of a block bootstrap. With --floor, the table also has the same score of perturbed runs of the
    reference: only differences above this floor exceed the effect of chaos.
    """
    from sciml.errors import InputError

    reference, candidate = _split_sides(sides)
    floors = floor or []
    if window is not None:
        from sciml.verify.forecast.run_times import duration

        duration(window)
    if name is not None and len(name) != 2:
        raise InputError(
            f"--name is given {len(name)} times: give it twice, for the reference and the candidate"
        )
    from sciml.verify.forecast.block_bootstrap import require_scores

    require_scores()
    targets = {"--json": json_file, "--html": html_file, "--figure": figure}
    check_targets(targets, expand_inputs([reference, candidate, *floors]))
    from sciml.verify.forecast.compare import compare_runs

    names = [*(name or (None, None)), *[None] * len(floors)]
    with worker_options.chosen(quiet, at_once=True) as workers:
        sources = _open_sources([reference, candidate, *floors], names, variable, quiet)
        result = compare_runs(
            sources[0],
            sources[1],
            floor=sources[2:],
            window=window,
            align=align,
            thresholds=threshold,
            scales=scale,
            block=block,
            resamples=resamples,
            seed=seed,
            workers=workers,
        )
    output = Output(json_file, quiet)
    output.write_json(result.to_json)
    _write_figures(output, result, html_file, figure)
    output.print(result)
    output.print_files()


def _split_sides(sides: Sequence[str]) -> tuple[str, str]:
    """Return the reference and the candidate."""
    from sciml.errors import InputError

    if len(sides) == 2:
        return sides[0], sides[1]
    remedy = (
        "quote the pattern, as in 'control/wrfout_d01_*' 'emulated/wrfout_d01_*', or give the two folders"
    )
    if len(sides) < 2:
        raise InputError(f"one side only ({sides[0]}): give REFERENCE and CANDIDATE; {remedy}")
    raise InputError(
        f"{len(sides)} names are given ({sides[0]}, {sides[1]}, ...) and compare takes two, REFERENCE and CANDIDATE: "
        f"the shell expands a pattern without quotes; {remedy}"
    )


def _open_sources(
    paths: Sequence[str], names: Sequence[str | None], variable: str | None, quiet: bool
) -> list[RunSource]:
    from sciml.verify.forecast.compare import open_source

    sources = []
    with progress_bar("reading", quiet) as progress:
        for number, (path, name) in enumerate(zip(paths, names, strict=True), start=1):
            sources.append(open_source(path, name, None if _is_run(path) else variable))
            if progress is not None:
                progress(number, len(paths))
    return sources


def _is_run(path: str) -> bool:
    """Return whether the first file is WRF output."""
    from sciml.errors import SciMLError
    from sciml.wrf.opening import expand, open_lazily

    try:
        first = open_lazily(expand(path)[0], chunks=None)
    except SciMLError:
        return False
    with first:
        return "RAINC" in first.variables and "RAINNC" in first.variables


def _write_figures(output: Output, result: object, html_file: Path | None, figure: Path | None) -> None:
    if html_file is None and figure is None:
        return
    from sciml.plot import png
    from sciml.storage.atomic import replaced
    from sciml.verify.forecast.compare import RunComparison
    from sciml.verify.forecast.page import chapters, pictures
    from sciml.verify.html_report import render, save

    assert isinstance(result, RunComparison)
    if figure is not None:
        with replaced(figure) as part:
            part.write_bytes(png(pictures(result)[0].figure))
        output.add_file("figure", figure)
    if html_file is not None:
        reference, candidate = result.rain.names
        save(html_file, render(chapters(result), title=f"{candidate} against {reference}"))
        output.add_file("page", html_file)
