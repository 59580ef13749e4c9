"""``sciml coupling``: from an emulator to the library that a Fortran host links."""

from __future__ import annotations

import re
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sciml.cli.coupling_in_wrf import FLAGS, REPORT, flags, report
from sciml.cli.coupling_rce import EXAMPLES as RCE
from sciml.cli.coupling_rce import rce
from sciml.cli.help_pages import Room
from sciml.cli.model_arguments import columns_of, installed
from sciml.cli.output import Answer, Json, Quiet, check_targets, examples, expanded
from sciml.errors import InputError

if TYPE_CHECKING:
    pass

__all__ = ["app"]

app = Room(no_args_is_help=True, help="Build an emulator into the library that WRF links.")

WEIGHTS = "mskf.nc"
QUICK = 100  # soundings of the linear response that is looked at on the way

Model = Annotated[
    str, typer.Argument(help="A checkpoint (*.sciml), or the name of one that comes with sciml.")
]
Built = Annotated[Path, typer.Argument(metavar="DIR", help="The folder that `sciml coupling build` made.")]


Wrfouts = Annotated[
    list[Path] | None,
    typer.Option("--file", metavar="FILE", help="wrfout files, in place of the packaged sample."),
]


@app.command(
    epilog=examples(
        "sciml coupling export mskf-convrad -o mskf.nc",
        "sciml coupling export mine.sciml -o mskf.nc --no-response --json mskf.json",
    )
)
def export(
    model: Model,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The weights file to write (*.nc).")
    ],
    response: Annotated[
        bool, typer.Option("--response/--no-response", help="Look for modes that grow (some seconds).")
    ] = True,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Write an emulator's weights file, and say if it is stable.

    The modes are those of its linear response about the packaged sample's mean sounding; see `response`.
    """
    check_targets({"--output": output, "--json": json_file}, [model])
    answer = Answer(json_file, quiet)
    told, line = _export(model, output)
    answer.say(line)
    if response:
        found, verdict = _stability(model)
        told = {**told, **found}
        answer.say(verdict)
    answer.keep(told)
    answer.files()


@app.command(
    epilog=examples(
        "sciml coupling response mskf-convrad --picture response.png",
        "sciml coupling response mine.sciml --file wrfout_d01_a.nc --smooth",
    )
)
def response(
    model: Model,
    file: Wrfouts = None,
    columns: Annotated[
        int, typer.Option("--columns", min=8, max=5000, help="At most so many soundings.")
    ] = 400,
    threshold: Annotated[
        float, typer.Option("--threshold", min=0.0, help="Growth per day that is warned of.")
    ] = 1.0,
    smooth: Annotated[
        bool, typer.Option("--smooth", help="Also by automatic differentiation: what of it is no step.")
    ] = False,
    picture: Annotated[Path | None, typer.Option("--picture", metavar="FILE", help="Draw it (PNG).")] = None,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Show how convection answers small changes, and which of them grow.

    The same small change is put on many soundings at fixed pressure, and the mean of the answers taken: d(dT/dt,
    dq/dt) / d(T, q). Its eigenvalues are growth rates; convection should damp.
    """
    from sciml.convection.emulator import Emulator
    from sciml.convection.linear_response import linear_response
    from sciml.storage.atomic import replaced

    check_targets({"--json": json_file, "--picture": picture}, expanded(file or []))
    answer = Answer(json_file, quiet)
    found = linear_response(Emulator.load(model), columns_of(file, columns), smooth=smooth)
    answer.keep(found.to_json(), indent=0)
    if picture is not None:
        from sciml import plot

        drawn = plot.linear_response(
            found.matrix, found.rain, found.spectrum.rates, found.pressure, found.mass, threshold=threshold
        )
        with replaced(picture) as part:
            part.write_bytes(plot.png(drawn))
    answer.say(found, found.verdict(threshold))


@app.command(
    epilog=examples(
        "sciml coupling build -o build mskf-convrad",
        "sciml coupling build -o build mine.sciml --json build.json --quiet",
        "sciml coupling build -o build --no-fortran",
    )
)
def build(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The folder to put the library into.")
    ],
    model: Annotated[
        str | None, typer.Argument(help="An emulator, whose weights are written to DIR/mskf.nc.")
    ] = None,
    fortran: Annotated[
        bool, typer.Option(help="Put the Fortran module into the library (needs a Fortran compiler).")
    ] = True,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Build the library with $CC and $FC, else gcc and gfortran.

    Into the folder go also sciml_mskf.h for C, sciml_mskf.f90 for the host's own Fortran compiler and, with MODEL,
    the weights. `sciml coupling check DIR` tries it all.
    """
    from sciml.coupling.build import install
    from sciml.coupling.export import emulator_weights

    check_targets({"--json": json_file}, [] if model is None else [model])
    answer, begun = Answer(json_file, quiet), time.monotonic()
    if model is not None:
        from sciml.convection.emulator import Emulator

        emulator_weights(Emulator.load(model))  # a model that is not there is told before the compilers run
    library = install(output, fortran=fortran)
    answer.say(f"built {library}")
    told: dict[str, Any] = {"library": str(library), "fortran": fortran, "weights": None}
    if model is not None:
        told["weights"], line = _export(model, output / WEIGHTS)
        answer.say(line)
    files = {one.name: one.stat().st_size for one in sorted(output.iterdir()) if one.is_file()}
    answer.keep({**told, "files": files, "seconds": time.monotonic() - begun})
    answer.files()


@app.command(
    epilog=examples(
        "sciml coupling check build",
        "sciml coupling check build --file wrfout_d01_a.nc --columns 2000",
    )
)
def check(
    folder: Built,
    file: Wrfouts = None,
    columns: Annotated[int, typer.Option("--columns", min=14, help="Try it on at most so many.")] = 500,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Try a built library: parity with torch, bits, threads.

    Its seal, parity with torch, the same bits for any tiling and by any number of threads. The last line is the
    verdict; exit code 0 if all is well, 1 if a check failed, 2 if there is nothing to check.
    """
    from sciml.verify.library.checks import examine

    library, weights = installed(folder)
    check_targets({"--json": json_file}, [library, weights, *expanded(file or [])])
    answer, done = Answer(json_file, quiet), []
    for one in examine(library, weights, columns_of(file, columns)):
        answer.say(one)
        done.append(one)
    failed = [one.name for one in done if not one.ok]
    told = {"library": str(library), "weights": str(weights), "ok": not failed}
    answer.keep({**told, "checks": [asdict(one) for one in done]})
    answer.files()
    if failed:
        answer.say(f"verdict: FAILED ({', '.join(failed)})")
        raise typer.Exit(1)
    answer.say(f"verdict: ok, {library} runs {weights.name} as torch does")


@app.command(
    epilog=examples(
        "sciml coupling replay build wrfout_d01_a.nc",
        "sciml coupling replay build --tile 7x5 --tile 0x0 --threads 4 -o replayed",
    )
)
def replay(
    folder: Built,
    files: Annotated[list[Path] | None, typer.Argument(help="wrfout files; by default the sample.")] = None,
    tile: Annotated[
        list[str] | None,
        typer.Option("--tile", metavar="WxH", help="Tiles of so many columns, as 7x5; may be repeated."),
    ] = None,
    threads: Annotated[
        int,
        typer.Option(
            "--threads", min=1, max=1024, help="Threads of the library, at most; never more than processors."
        ),
    ] = 2,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Keep the program, its input and output here."),
    ] = None,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Replay wrfouts through a Fortran program, against torch.

    The program is compiled with $FC against the library in DIR. It holds the fields in WRF's own memory order
    with a halo, and calls the library from inside an OpenMP loop over tiles. Exit code 1 if it does not agree.
    """
    from tempfile import TemporaryDirectory

    from sciml.verify.library.replay import replayed

    library, weights = installed(folder)
    check_targets({"--json": json_file}, [library, weights, *expanded(files or [])])
    tiles = [_tile(text) for text in tile or ("1x1", "7x5", "0x0")]
    columns = columns_of(files, None)
    with TemporaryDirectory(prefix="sciml-replay-") as temporary:
        found = replayed(library, weights, columns, output or Path(temporary), tiles, threads)
    answer = Answer(json_file, quiet)
    told = {"ok": found.ok, "runs": found.runs, "differing": found.differing}
    answer.keep({**told, "parity": found.parity.to_json()})
    answer.files()
    answer.say(found)
    if not found.ok:
        raise typer.Exit(1)


for _command, _epilog in ((rce, RCE), (flags, FLAGS), (report, REPORT)):
    app.command(epilog=_epilog)(_command)


def _export(model: str, output: Path) -> tuple[dict[str, Any], str]:
    """Write the weights; what is told of them, as data and as a line."""
    from sciml.convection.emulator import Emulator
    from sciml.coupling.export import emulator_weights
    from sciml.coupling.weights_file import read_weights, write_weights

    emulator = Emulator.load(model)
    write_weights(output, emulator_weights(emulator))
    read_weights(output)  # what cannot be read again is not said to be written
    shape, levels, size = emulator.network.shape, emulator.about["levels"], output.stat().st_size
    told = {"layers": shape.layers, "hidden": shape.hidden, "levels": levels, "bytes": size}
    line = f"wrote {output}: Bi-LSTM {shape.layers} x {shape.hidden} for columns of {levels} levels, {size:,} bytes"
    return {"model": model, "weights": str(output), **told}, line


def _stability(model: str) -> tuple[dict[str, Any], str]:
    """What is said of an emulator's growing modes, as data and as text; one line where that cannot be known."""
    from sciml.convection.emulator import Emulator
    from sciml.convection.linear_response import linear_response

    emulator = Emulator.load(model)
    try:
        own = {name: float(emulator.about[name.lower()]) for name in ("DX", "DT", "CUDT")}
        found = linear_response(emulator, columns_of(None, QUICK).assign_attrs(own))
    except InputError as error:
        return {"growing": None}, f"not looked for growing modes: {error}"
    table = f"{found.spectrum.table()}\n" if found.spectrum.growing else ""
    told = {"growing": [{"per_day": mode.growth, "part": mode.part} for mode in found.spectrum.growing]}
    return told, f"{table}{found.verdict()}"


def _tile(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    if match is None:
        raise InputError(f"--tile {text}: give WIDTHxHEIGHT in columns, as 7x5, or 0x0 for the whole domain")
    return int(match[1]), int(match[2])
