"""`sciml wrf compare`: the rain, profiles and budgets of one run, or of observations, against another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from sciml.cli.told import Answer, Json, Quiet, bar, check_targets, expanded

__all__ = ["EXAMPLES", "compare"]

EXAMPLES = (
    "sciml wrf compare 'control/wrfout_d01_*' 'emulated/wrfout_d01_*'",
    "sciml wrf compare control emulated --window 3h --html compare.html",
    "sciml wrf compare radar.nc run --variable RAIN --window 1h --threshold 1",
)


def compare(
    reference: Annotated[
        str, typer.Argument(help="wrfout files (a name, a glob in quotes, a folder), or rain on a grid.")
    ],
    candidate: Annotated[str, typer.Argument(help="What is held against it, the same.")],
    window: Annotated[
        str | None,
        typer.Option(
            "--window",
            metavar="TIME",
            help="Add rain up to windows such as 1h, 3h, 24h; default: the common times.",
        ),
    ] = None,
    threshold: Annotated[
        list[float] | None, typer.Option("--threshold", metavar="MM", help="Of a window; may be repeated.")
    ] = None,
    scale: Annotated[
        list[int] | None,
        typer.Option("--scale", metavar="CELLS", help="Side of the squares of the FSS; may be repeated."),
    ] = None,
    align: Annotated[
        Literal["time", "start"],
        typer.Option("--align", help="By date, or by the time since each run's start."),
    ] = "time",
    variable: Annotated[
        str | None,
        typer.Option(
            "--variable", metavar="NAME", help="The rain of what is no wrfout: (time, y, x), mm a time step."
        ),
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option("--name", metavar="TEXT", help="What to call the two; give it twice.")
    ] = None,
    block: Annotated[
        int | None, typer.Option("--block", min=1, metavar="N", help="Windows in a block of the bootstrap.")
    ] = None,
    resamples: Annotated[int, typer.Option("--resamples", min=0, help="Of the bootstrap.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Of the bootstrap.")] = 7,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with pictures.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Write the maps (PNG).")
    ] = None,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Hold a run's rain, profiles and budgets against another's.

    A control run against a run with the emulator, two models, or observations on the grid of the run. Every score comes
    with the 95 % interval of a block bootstrap.
    """
    from sciml.errors import InputError

    targets = {"--json": json_file, "--html": html_file, "--picture": picture}
    check_targets(targets, expanded([reference, candidate]))
    if name is not None and len(name) != 2:
        raise InputError(
            f"--name is given {len(name)} times: give it twice, for the reference and the candidate"
        )
    from sciml.verify.run_comparison import compare_runs, open_source

    names: Sequence[str | None] = name or (None, None)
    with bar("reading", quiet) as told:
        sources = []
        for k, (path, called) in enumerate(zip((reference, candidate), names, strict=True)):
            sources.append(open_source(path, called, None if _is_run(path) else variable))
            if told is not None:
                told(k + 1, 2)
    found = compare_runs(
        *sources,
        window=window,
        align=align,
        thresholds=threshold,
        scales=scale,
        block=block,
        resamples=resamples,
        seed=seed,
    )
    answer = Answer(json_file, quiet)
    answer.keep(found.to_json)
    _draw(answer, found, html_file, picture)
    answer.say(found)
    answer.files()


def _is_run(path: str) -> bool:
    """Whether its first file is WRF output."""
    from sciml.errors import SciMLError
    from sciml.wrf.reading import expand, open_lazily

    try:
        first = open_lazily(expand(path)[0], chunks=None)
    except SciMLError:
        return False
    with first:
        return "RAINC" in first.variables and "RAINNC" in first.variables


def _draw(answer: Answer, found: object, html_file: Path | None, picture: Path | None) -> None:
    if html_file is None and picture is None:
        return
    from sciml.plot import png
    from sciml.verify.layout import render, save
    from sciml.verify.rain_page import chapters, pictures
    from sciml.verify.run_comparison import RunComparison
    from sciml.writing import replaced

    assert isinstance(found, RunComparison)
    if picture is not None:
        with replaced(picture) as part:
            part.write_bytes(png(pictures(found)[0].figure))
        answer.wrote("picture", picture)
    if html_file is not None:
        reference, candidate = found.rain.names
        save(html_file, render(chapters(found), title=f"{candidate} against {reference}"))
        answer.wrote("page", html_file)
