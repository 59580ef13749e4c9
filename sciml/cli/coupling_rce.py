"""``sciml coupling rce``: run columns to radiative-convective equilibrium with the emulator as their convection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sciml.cli.help_pages import examples
from sciml.cli.output import Json, Output, Quiet
from sciml.cli.targets import check_targets, expand_inputs

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from sciml.verify.library.equilibrium import Equilibrium

__all__ = ["EXAMPLES", "rce"]

EXAMPLES = examples(
    "sciml coupling rce build --days 30 --members 20",
    "sciml coupling rce build --days 5 --figure rce.png --json rce.json",
)

DPI = 85  # resolution of the figure, for a page
MOST_STATES = 1000  # number of states in which novel features are counted


def rce(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `sciml coupling build` made.")],
    days: Annotated[
        float, typer.Option("--days", min=1.0, max=10000.0, help="Length of the run in days.")
    ] = 30.0,
    members: Annotated[
        int,
        typer.Option(
            "--members", min=1, max=10000, help="Number of columns, each with its own initial state."
        ),
    ] = 20,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Seed of the initial states and of the winds.")
    ] = 7,
    sst: Annotated[float, typer.Option("--sst", help="Sea surface temperature in K.")] = 301.0,
    cooling: Annotated[
        float, typer.Option("--cooling", help="Radiative cooling of the troposphere in K per day.")
    ] = 1.5,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            "--file", metavar="FILE", help="wrfout file for the initial states; default: the packaged sample."
        ),
    ] = None,
    threads: Annotated[
        int, typer.Option("--threads", min=1, max=1024, help="Maximum number of threads of the library.")
    ] = 2,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write the history of the run (*.nc)."),
    ] = None,
    figure: Annotated[
        Path | None, typer.Option("--figure", metavar="FILE", help="Write a figure of the run (PNG).")
    ] = None,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Run columns to equilibrium with the emulator as convection.

    A Fortran program, compiled with $FC and linked with the library in DIR, calls the library as WRF does. The exit
    code is 1 if a budget does not close, or a value is negative or not finite. Drift and novelty are only reported.
    """
    from sciml.cli.model_arguments import find_library, load_columns
    from sciml.coupling.rce_host import simulate
    from sciml.coupling.rce_setup import Climate, Start
    from sciml.storage.atomic import replaced
    from sciml.storage.provenance import attribute
    from sciml.verify.library.equilibrium import equilibrium

    check_targets({"--output": output, "--figure": figure, "--json": json_file}, expand_inputs(file or []))
    report = Output(json_file, quiet)
    library, weights = find_library(folder)
    climate = Climate(sst=sst, cooling=cooling)
    start = Start.of(load_columns(file, None), days=days, members=members, seed=seed, gusts=climate.gusts)
    history, log = simulate(library, weights, start, climate, threads=threads)
    result = equilibrium(history)
    if output is not None:
        packed = {str(name): {"zlib": True, "complevel": 4, "shuffle": True} for name in history.data_vars}
        with replaced(output) as part:
            history.assign_attrs(attribute()).to_netcdf(part, engine="netcdf4", encoding=packed)
    if figure is not None:
        from sciml import plot

        with replaced(figure) as part:
            part.write_bytes(plot.png(_draw(result), dots=DPI))
    report.write_json({**result.numbers, "ok": result.ok})
    report.print(log, _list_novel_features(history, weights), result)
    if not result.ok:
        raise typer.Exit(1)


def _list_novel_features(history: xr.Dataset, weights: Path) -> str:
    """List the features outside the training range in the last third of a run, from at most `MOST_STATES` states."""
    from sciml.coupling.export import emulator_from
    from sciml.coupling.weights_file import read_weights
    from sciml.verify.emulator.novelty import novel_features

    last = history.isel(time=slice(-max(1, history.sizes["time"] // 3), None))
    step = -(-last.sizes["time"] * last.sizes["member"] // MOST_STATES)
    states = last.isel(time=slice(None, None, step), member=slice(MOST_STATES))
    features = novel_features(emulator_from(read_weights(weights)), states)
    rows = [f"  {feature}" for feature in features] or ["  none"]
    return "\n".join(["features outside the training range, last third:", *rows])


def _draw(result: Equilibrium) -> Figure:
    """Draw a run: profiles of the drift above; rain, triggered calls and novelty over time below."""
    from sciml import plot

    def course(title: str, unit: str, bands: dict[str, str], of: str = "courses") -> plot.Course:
        source = result.courses if of == "courses" else result.profiles
        values = {
            label: (source[name].mean, source[name].low, source[name].high) for label, name in bands.items()
        }
        return plot.Course(title, unit, values)

    def thirds(title: str, unit: str, name: str) -> plot.Course:
        return course(title, unit, {"last third": f"{name} last", "first third": f"{name} first"}, "profiles")

    heating = {"convection": "convection", "condensation": "condensation"}
    profiles = [
        thirds("temperature minus initial", "K", "T"),
        thirds("vapour minus initial", "g kg⁻¹", "q"),
        thirds("relative humidity over water", "%", "RH"),
        course("heating, last third", "K day⁻¹", heating, "profiles"),
    ]
    courses = [
        course(
            "rain and evaporation",
            "mm day⁻¹",
            {"convective": "convective", "large-scale": "large-scale", "evaporation": "evaporation"},
        ),
        course("convecting calls", "% of calls", {"shallow": "shallow", "deep": "deep"}),
        course("outside the training range", "% of convecting calls", {"novel": "novel"}),
        course("CAPE", "kJ kg⁻¹", {"CAPE": "CAPE"}),
    ]
    days, members = result.numbers["days"], result.numbers["members"]
    title = (
        f"{members} columns with the emulator as convection, {days:g} days: mean (line) and range (shaded)"
    )
    return plot.equilibrium(result.pressure / 100, profiles, result.days, courses, title=title)
