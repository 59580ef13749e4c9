"""``sciml convection analogs``: predict tendencies of columns by the most similar stored columns."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sciml.checks import check_fraction
from sciml.cli.help_pages import examples
from sciml.cli.option_groups import expand_options
from sciml.cli.output import Json, Output, Quiet
from sciml.cli.runs import select_runs
from sciml.cli.targets import check_targets, expand_inputs
from sciml.cli.worker_options import WorkerOptions
from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from sciml.convection.analogs import AnalogMemory
    from sciml.verify.emulator.analog_scores import AnalogScores

__all__ = ["EXAMPLES", "analogs"]

EXAMPLES = examples(
    "sciml convection analogs columns.zarr wrfout_d01_a.nc -o analogs.nc",
    "sciml convection analogs columns.zarr b.nc --html b.html --json b.json",
    "sciml convection analogs runs.zarr runs.zarr --exclude 3 --run 3",
)

PROFILES = "profiles"  # value of --features


@expand_options
def analogs(
    stored: Annotated[
        Path, typer.Argument(metavar="STORE", help="Columns store (*.zarr), or file of pairs, to search in.")
    ],
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="wrfout files, pairs, or a columns store, whose columns to predict."
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write predictions and novelty (*.nc)."),
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            "--reference",
            metavar="FILE",
            help="Output of the true scheme for a wrfout in FILE... (mskf_offline_*); may be repeated, in order.",
        ),
    ] = None,
    exclude: Annotated[
        list[int] | None,
        typer.Option(
            "--exclude", metavar="RUN", help="Run of the store to leave out, for tests; may be repeated."
        ),
    ] = None,
    run: Annotated[
        list[int] | None,
        typer.Option("--run", metavar="RUN", help="Predict only columns of this run; may be repeated."),
    ] = None,
    features: Annotated[
        str,
        typer.Option(
            "--features",
            metavar="MODEL",
            help="Emulator whose features of the plume determine which columns are similar, or profiles for those of "
            "temperature, vapour and ascent.",
        ),
    ] = "mskf-convrad",
    tendency: Annotated[
        list[str] | None,
        typer.Option(
            "--tendency",
            metavar="NAME",
            help="Output of the scheme to predict; may be repeated. Default: RTHCUTEN and RQVCUTEN.",
        ),
    ] = None,
    members: Annotated[
        int, typer.Option("--members", metavar="N", min=1, help="Number of stored columns in an ensemble.")
    ] = 32,
    coverage: Annotated[
        float, typer.Option("--coverage", metavar="X", help="Probability of the intervals.")
    ] = 0.9,
    seed: Annotated[
        int,
        typer.Option("--seed", metavar="N", min=0, help="Seed of the draw that calibrates the intervals."),
    ] = 7,
    worker_options: WorkerOptions,
    figure: Annotated[
        Path | None, typer.Option("--figure", metavar="FILE", help="Write a figure (PNG).")
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write an HTML page with the figure.")
    ] = None,
    title: Annotated[
        str, typer.Option("--title", metavar="TEXT", help="Title of the page.")
    ] = "Analog ensembles",
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Predict tendencies by the most similar stored columns.

    Each column gets the mean tendencies of its ensemble, an interval, and its novelty, which is above 1 where the store
    has nothing similar. The store may be larger than the memory. True tendencies in the files are only used for scores.
    """
    inputs = [stored, *files, *(reference or []), Path(features)]
    targets = {"--output": output, "--figure": figure, "--html": html_file, "--json": json_file}
    check_targets(targets, expand_inputs(inputs))
    if output is not None and output.suffix != ".nc":
        raise InputError(f"--output {output}: give a netCDF file, such as {output.with_suffix('.nc')}")
    check_fraction("--coverage", coverage, example="0.9")
    from sciml.columns.open import open_columns
    from sciml.convection.analogs import TENDENCIES, AnalogMemory
    from sciml.progress import StageProgress
    from sciml.verify.emulator.analog_scores import score_analogs

    begun, names = time.monotonic(), tuple(tendency or TENDENCIES)
    measure = _features(features)
    columns = select_runs(open_columns(files, truth=reference or None, keep="all"), run or [])
    known = select_runs(open_columns(stored), exclude or [], drop=True)
    with (
        worker_options.chosen(quiet) as workers,
        StageProgress() if quiet else StageProgress.automatic(transient=True) as stages,
    ):
        memory = AnalogMemory(
            _of_same_levels(known, columns),
            tendencies=names,
            features=measure,
            members=members,
            workers=workers,
            seed=seed,
            progress=stages,
        )
        answer = memory.predict(columns, coverage=coverage, progress=stages)
    scores = score_analogs(answer, columns, names, memory=str(memory), coverage=coverage)
    report = Output(json_file, quiet)
    if output is not None:
        _write_answer(answer, output)
        report.add_file("predictions", output)
    if figure is not None or html_file is not None:
        data = ", ".join(path.resolve().name for path in files)
        _write_figures(report, memory, answer, columns, scores, (figure, html_file), f"{title}\n{data}")
    report.write_json({**scores.to_json(), "held_out": memory.held_out, "seconds": time.monotonic() - begun})
    report.print(scores)
    report.print_files()


def _features(name: str) -> Any:
    """Return the features of the plume that an emulator sees, or None for profiles."""
    if name == PROFILES:
        return None
    from sciml.convection.analog_features import PlumeFeatures
    from sciml.convection.emulator import Emulator

    return PlumeFeatures(Emulator.load(name))


def _of_same_levels(stored: xr.Dataset, columns: xr.Dataset) -> xr.Dataset:
    """Select the stored columns with as many levels as the others, or if there are none, with the most usual number."""
    import numpy as np

    if "LEVELS" not in stored.variables:
        return stored
    levels = stored["LEVELS"].values
    present, counts = np.unique(levels, return_counts=True)
    own = columns.sizes["level"]
    return stored.isel(column=np.flatnonzero(levels == (own if own in present else present[counts.argmax()])))


def _write_answer(answer: xr.Dataset, path: Path) -> None:
    from sciml.storage.atomic import replaced
    from sciml.storage.provenance import attribute

    packed = {
        str(name): {"zlib": True, "complevel": 4, "shuffle": True, "dtype": "float32"}
        for name in answer.data_vars
    }
    with replaced(path) as part:
        answer.assign_attrs(attribute()).to_netcdf(part, engine="netcdf4", encoding=packed)


def _write_figures(
    report: Output,
    memory: AnalogMemory,
    answer: xr.Dataset,
    columns: xr.Dataset,
    scores: AnalogScores,
    paths: tuple[Path | None, Path | None],
    heading: str,
) -> None:
    """Write the figure and the page, if they are asked for."""
    from sciml import plot
    from sciml.storage.atomic import replaced
    from sciml.verify import html_report
    from sciml.verify.emulator.analog_page import analog_chapters, analog_figure, column_to_show

    shown = column_to_show(answer, memory.tendencies[0])
    members = memory.ensemble(columns.isel(column=[shown]))
    drawing = analog_figure(members, answer, columns, memory.tendencies, scores.asked)
    figure, page = paths
    if figure is not None:
        with replaced(figure) as part:
            part.write_bytes(plot.png(drawing))
        report.add_file("figure", figure)
    if page is not None:
        title, data = heading.split("\n")
        html_report.save(page, html_report.render(analog_chapters(scores, drawing, data), title=title))
        report.add_file("page", page)
