"""`sciml wrf compare`: the rain, profiles and budgets of one run, or of observations, against another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sciml.cli.output import Answer, Json, Quiet, bar, check_targets, expanded

if TYPE_CHECKING:
    from sciml.verify.forecast.compare import Source

__all__ = ["EXAMPLES", "compare"]

EXAMPLES = (
    "sciml wrf compare 'control/wrfout_d01_*' 'emulated/wrfout_d01_*'",
    "sciml wrf compare control emulated --floor perturbed --html compare.html",
    "sciml wrf compare radar.nc run --variable RAIN --window 1h --threshold 1",
)


def compare(
    sides: Annotated[
        list[str],
        typer.Argument(
            metavar="REFERENCE CANDIDATE",
            help="wrfout files (a name, a pattern in quotes, a folder), or rain on a grid, of each.",
            show_default=False,
        ),
    ],
    floor: Annotated[
        list[str] | None,
        typer.Option(
            "--floor",
            metavar="RUN",
            help="The reference with a perturbed start (sciml wrf perturb); may be repeated.",
        ),
    ] = None,
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
    """Compare a run's rain, profiles and budgets with another's.

    A control run and a run with the emulator, two models, or observations on the grid of the run. Every score comes
    with the 95 % interval of a block bootstrap. With --floor every score stands beside the same score of perturbed
    runs of the reference: only what is above the floor is more than chaos.
    """
    from sciml.errors import InputError

    reference, candidate = _two(sides)
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
    targets = {"--json": json_file, "--html": html_file, "--picture": picture}
    check_targets(targets, expanded([reference, candidate, *floors]))
    from sciml.verify.forecast.compare import compare_runs

    opened = _opened(
        [reference, candidate, *floors], [*(name or (None, None)), *[None] * len(floors)], variable, quiet
    )
    result = compare_runs(
        opened[0],
        opened[1],
        floor=opened[2:],
        window=window,
        align=align,
        thresholds=threshold,
        scales=scale,
        block=block,
        resamples=resamples,
        seed=seed,
    )
    answer = Answer(json_file, quiet)
    answer.keep(result.to_json)
    _draw(answer, result, html_file, picture)
    answer.say(result)
    answer.files()


def _two(sides: Sequence[str]) -> tuple[str, str]:
    """The reference and the candidate."""
    from sciml.errors import InputError

    if len(sides) == 2:
        return sides[0], sides[1]
    remedy = (
        "quote the pattern, as in 'control/wrfout_d01_*' 'emulated/wrfout_d01_*', or give the two folders"
    )
    if len(sides) < 2:
        raise InputError(f"one side only ({sides[0]}): give REFERENCE and CANDIDATE; {remedy}")
    raise InputError(
        f"{len(sides)} names are given ({sides[0]}, {sides[1]}, ...) where compare takes two, REFERENCE and CANDIDATE: "
        f"the shell expands a pattern without quotes; {remedy}"
    )


def _opened(
    paths: Sequence[str], names: Sequence[str | None], variable: str | None, quiet: bool
) -> list[Source]:
    from sciml.verify.forecast.compare import open_source

    out = []
    with bar("reading", quiet) as progress:
        for k, (path, called) in enumerate(zip(paths, names, strict=True), start=1):
            out.append(open_source(path, called, None if _is_run(path) else variable))
            if progress is not None:
                progress(k, len(paths))
    return out


def _is_run(path: str) -> bool:
    """Whether its first file is WRF output."""
    from sciml.errors import SciMLError
    from sciml.wrf.opening import expand, open_lazily

    try:
        first = open_lazily(expand(path)[0], chunks=None)
    except SciMLError:
        return False
    with first:
        return "RAINC" in first.variables and "RAINNC" in first.variables


def _draw(answer: Answer, result: object, html_file: Path | None, picture: Path | None) -> None:
    if html_file is None and picture is None:
        return
    from sciml.plot import png
    from sciml.storage.atomic import replaced
    from sciml.verify.forecast.compare import RunComparison
    from sciml.verify.forecast.page import chapters, pictures
    from sciml.verify.html_report import render, save

    assert isinstance(result, RunComparison)
    if picture is not None:
        with replaced(picture) as part:
            part.write_bytes(png(pictures(result)[0].figure))
        answer.wrote("picture", picture)
    if html_file is not None:
        reference, candidate = result.rain.names
        save(html_file, render(chapters(result), title=f"{candidate} against {reference}"))
        answer.wrote("page", html_file)
