"""``sciml coupling rce``: columns in radiative-convective equilibrium, the emulator their only convection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sciml.cli.output import Answer, Json, Quiet, check_targets, examples, expanded

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from sciml.verify.library.equilibrium import Equilibrium

__all__ = ["EXAMPLES", "rce"]

EXAMPLES = examples(
    "sciml coupling rce build --days 30 --members 20",
    "sciml coupling rce build --days 5 --picture rce.png --json rce.json",
)

DOTS = 85  # of the picture, per inch: it is for a page
SEEN = 1000  # states in which strange features are looked for


def rce(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder that `sciml coupling build` made.")
    ],
    days: Annotated[float, typer.Option("--days", min=1.0, max=10000.0, help="To run for.")] = 30.0,
    members: Annotated[int, typer.Option("--members", min=1, max=10000, help="Columns, all different.")] = 20,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of where they begin and of their winds.")] = 7,
    sst: Annotated[float, typer.Option("--sst", help="Temperature of the sea, K.")] = 301.0,
    cooling: Annotated[float, typer.Option("--cooling", help="Of the troposphere, K per day.")] = 1.5,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", metavar="FILE", help="wrfouts to begin about; by default the sample."),
    ] = None,
    threads: Annotated[
        int, typer.Option("--threads", min=1, max=1024, help="Threads of the library, at most.")
    ] = 2,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write the history (*.nc).")
    ] = None,
    picture: Annotated[Path | None, typer.Option("--picture", metavar="FILE", help="Draw it (PNG).")] = None,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Run columns to equilibrium, the emulator their only convection.

    A Fortran host, compiled with $FC against the library in DIR, calls it as WRF does. Exit code 1 if a budget does
    not close, or something is negative or not finite; drift and novelty are told, and are yours to judge.
    """
    from sciml.cli.model_arguments import columns_of, installed
    from sciml.coupling.rce_host import simulate
    from sciml.coupling.rce_setup import Climate, Start
    from sciml.storage.atomic import replaced
    from sciml.verify.library.equilibrium import equilibrium

    check_targets({"--output": output, "--picture": picture, "--json": json_file}, expanded(file or []))
    answer = Answer(json_file, quiet)
    library, weights = installed(folder)
    climate = Climate(sst=sst, cooling=cooling)
    start = Start.of(columns_of(file, None), days=days, members=members, seed=seed, gusts=climate.gusts)
    history, said = simulate(library, weights, start, climate, threads=threads)
    found = equilibrium(history)
    if output is not None:
        packed = {str(name): {"zlib": True, "complevel": 4, "shuffle": True} for name in history.data_vars}
        with replaced(output) as part:
            history.to_netcdf(part, engine="netcdf4", encoding=packed)
    if picture is not None:
        from sciml import plot

        with replaced(picture) as part:
            part.write_bytes(plot.png(_draw(found), dots=DOTS))
    answer.keep({**found.numbers, "ok": found.ok})
    answer.say(said, _strange(history, weights), found)
    if not found.ok:
        raise typer.Exit(1)


def _strange(history: xr.Dataset, weights: Path) -> str:
    """Which features are beyond the training in the last third of a run; in some states, when there are many."""
    from sciml.coupling.export import emulator_from
    from sciml.coupling.weights_file import read_weights
    from sciml.verify.emulator.novelty import novel_features

    last = history.isel(time=slice(-max(1, history.sizes["time"] // 3), None))
    step = -(-last.sizes["time"] * last.sizes["member"] // SEEN)
    some = last.isel(time=slice(None, None, step), member=slice(SEEN))
    found = novel_features(emulator_from(read_weights(weights)), some)
    rows = [f"  {one}" for one in found] or ["  none"]
    return "\n".join(["features outside the training, last third:", *rows])


def _draw(found: Equilibrium) -> Figure:
    """The picture of a run: where it drifts above, what rains and how strange it is below."""
    from sciml import plot

    def course(title: str, unit: str, bands: dict[str, str], of: str = "courses") -> plot.Course:
        source = found.courses if of == "courses" else found.profiles
        taken = {
            label: (source[name].mean, source[name].low, source[name].high) for label, name in bands.items()
        }
        return plot.Course(title, unit, taken)

    def thirds(title: str, unit: str, name: str) -> plot.Course:
        return course(title, unit, {"last third": f"{name} last", "first third": f"{name} first"}, "profiles")

    heating = {"convection": "convection", "condensation": "condensation"}
    profiles = [
        thirds("temperature less the start's", "K", "T"),
        thirds("vapour less the start's", "g kg⁻¹", "q"),
        thirds("relative humidity over water", "%", "RH"),
        course("heating, last third", "K day⁻¹", heating, "profiles"),
    ]
    courses = [
        course(
            "rain and evaporation",
            "mm day⁻¹",
            {"convective": "convective", "large-scale": "large-scale", "evaporation": "evaporation"},
        ),
        course("calls that convect", "% of calls", {"shallow": "shallow", "deep": "deep"}),
        course("outside the training", "% of calls that convect", {"novel": "novel"}),
        course("convective energy (CAPE)", "kJ kg⁻¹", {"CAPE": "CAPE"}),
    ]
    days, members = found.numbers["days"], found.numbers["members"]
    title = f"{members} columns with the emulator as their convection, {days:g} days: mean, and range shaded"
    return plot.equilibrium(found.pressure / 100, profiles, found.days, courses, title=title)
