"""``sciml coupling``: build an emulator into the library that a Fortran host links, and test it."""

from __future__ import annotations

import re
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from sciml.cli.coupling_in_wrf import FLAGS, REPORT, flags, report
from sciml.cli.coupling_rce import EXAMPLES as RCE
from sciml.cli.coupling_rce import rce
from sciml.cli.help_pages import CommandGroup, examples
from sciml.cli.model_arguments import find_library, load_algorithm, load_columns
from sciml.cli.output import Json, Output, Quiet
from sciml.cli.targets import check_targets, expand_inputs, hold
from sciml.errors import InputError

__all__ = ["app"]

app = CommandGroup(no_args_is_help=True, help="Build an emulator into the library that WRF links.")

WEIGHTS = "mskf.nc"
QUICK = 100  # number of soundings of the linear response that `export` computes

Model = Annotated[str, typer.Argument(help="Checkpoint (*.sciml), or the name of one that comes with sciml.")]
Library = Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `sciml coupling build` made.")]
Wrfouts = Annotated[
    list[Path] | None,
    typer.Option(
        "--file", metavar="FILE", help="wrfout file to use instead of the packaged sample; may be repeated."
    ),
]


@app.command(
    epilog=examples(
        "sciml coupling export mskf-convrad -o mskf.nc",
        "sciml coupling export mine.sciml -o mskf.nc --no-response --json mskf.json",
        "sciml coupling export small.sciml -o network.onnx --float --no-response",
    )
)
def export(
    model: Model,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Weights file to write (*.nc), or the bare network as a graph (*.onnx).",
        ),
    ],
    response: Annotated[
        bool, typer.Option("--response/--no-response", help="Compute the growing modes (takes some seconds).")
    ] = True,
    floats: Annotated[
        bool,
        typer.Option(
            "--float", help="Write the graph of a quantized network in float32, with its decoded weights."
        ),
    ] = False,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Write an emulator's weights file and report its stability.

    A graph (*.onnx) holds the network alone, for other programs: the library cannot read it. The LSTM of ONNX computes
    in floats, so that the graph of a quantized network needs ``--float`` and differs from it by rounding.

    The modes are those of the linear response about the mean sounding of the packaged sample; see `response`.
    """
    check_targets({"--output": output, "--json": json_file}, [model])
    report = Output(json_file, quiet)
    if floats and output.suffix != ".onnx":
        raise InputError(f"--float with {output}: it applies to graphs (*.onnx) alone; leave it out")
    content, line = _export(model, output, floats=floats)
    report.print(line)
    if response:
        growth, verdict = _compute_growth(model)
        content = {**content, **growth}
        report.print(verdict)
    report.write_json(content)
    report.print_files()


@app.command(
    epilog=examples(
        "sciml coupling response mskf-convrad --figure response.png",
        "sciml coupling response mine.sciml --file wrfout_d01_a.nc --smooth",
        "sciml coupling response build --columns 5000 --json native.json",
    )
)
def response(
    model: Annotated[
        str, typer.Argument(help="Checkpoint, name of a packaged one, or folder of `sciml coupling build`.")
    ],
    file: Wrfouts = None,
    columns: Annotated[
        int, typer.Option("--columns", min=8, max=5000, help="Maximum number of soundings.")
    ] = 400,
    threshold: Annotated[
        float,
        typer.Option("--threshold", min=0.0, help="Growth rate per day above which a mode causes a warning."),
    ] = 1.0,
    smooth: Annotated[
        bool,
        typer.Option(
            "--smooth", help="Also compute the smooth part of the response by automatic differentiation."
        ),
    ] = False,
    figure: Annotated[
        Path | None, typer.Option("--figure", metavar="FILE", help="Write a figure of the response (PNG).")
    ] = None,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Compute the linear response of convection and its growing modes.

    The same small change is added to many soundings at fixed pressure, and the responses are averaged: d(dT/dt,
    dq/dt) / d(T, q). The eigenvalues of this matrix are growth rates. Positive rates belong to growing modes.
    Soundings drawn again with replacement give the sampling noise of each block.
    """
    from sciml.convection.linear_response import linear_response
    from sciml.storage.atomic import replaced

    check_targets({"--json": json_file, "--figure": figure}, expand_inputs(file or []))
    output = Output(json_file, quiet)
    result = linear_response(load_algorithm(model, None), load_columns(file, columns), smooth=smooth)
    output.write_json(result.to_json(), indent=0)
    if figure is not None:
        from sciml import plot

        drawn = plot.linear_response(
            result.matrix,
            result.rain,
            result.spectrum.rates,
            result.pressure,
            result.mass,
            threshold=threshold,
        )
        with replaced(figure) as part:
            part.write_bytes(plot.png(drawn))
    output.print(result, result.verdict(threshold))


@app.command(
    epilog=examples(
        "sciml coupling build -o build mskf-convrad",
        "sciml coupling build -o build mine.sciml --json build.json --quiet",
        "sciml coupling build -o build --no-fortran",
    )
)
def build(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write the library to.")
    ],
    model: Annotated[
        str | None, typer.Argument(help="Emulator whose weights are written to DIR/mskf.nc.")
    ] = None,
    fortran: Annotated[
        bool, typer.Option(help="Include the Fortran module in the library (needs a Fortran compiler).")
    ] = True,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Build the library with $CC and $FC, else gcc and gfortran.

    The folder also gets sciml_mskf.h for C, sciml_mskf.f90 for the host's own Fortran compiler and, with MODEL, the
    weights. `sciml coupling check DIR` tests the result.
    """
    from sciml.coupling.build import install
    from sciml.coupling.export import emulator_weights

    check_targets({"--json": json_file}, [] if model is None else [model])
    hold(output)
    report, begun = Output(json_file, quiet), time.monotonic()
    if model is not None:
        from sciml.convection.emulator import Emulator

        emulator_weights(Emulator.load(model))  # so that an error in the model is raised before compiling
    library = install(output, fortran=fortran)
    report.print(f"built {library}")
    content: dict[str, Any] = {"library": str(library), "fortran": fortran, "weights": None}
    if model is not None:
        content["weights"], line = _export(model, output / WEIGHTS)
        report.print(line)
    files = {file.name: file.stat().st_size for file in sorted(output.iterdir()) if file.is_file()}
    report.write_json({**content, "files": files, "seconds": time.monotonic() - begun})
    report.print_files()


@app.command(
    epilog=examples(
        "sciml coupling check build",
        "sciml coupling check build --file wrfout_d01_a.nc --columns 2000",
    )
)
def check(
    folder: Library,
    file: Wrfouts = None,
    columns: Annotated[
        int, typer.Option("--columns", min=14, help="Maximum number of columns to test on.")
    ] = 500,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Test a built library and its weights file.

    The checks are the checksum, parity with torch, and bit-equal results for any tiling and number of threads. The last
    line is the verdict. The exit code is 0 if all checks pass, 1 if one fails, and 2 if there is nothing to check.
    """
    from sciml.verify.library.checks import examine

    library, weights = find_library(folder)
    check_targets({"--json": json_file}, [library, weights, *expand_inputs(file or [])])
    output, results = Output(json_file, quiet), []
    for result in examine(library, weights, load_columns(file, columns)):
        output.print(result)
        results.append(result)
    failed = [result.name for result in results if not result.ok]
    content = {"library": str(library), "weights": str(weights), "ok": not failed}
    output.write_json({**content, "checks": [asdict(result) for result in results]})
    output.print_files()
    if failed:
        output.print(f"verdict: FAILED ({', '.join(failed)})")
        raise typer.Exit(1)
    output.print(f"verdict: ok, {library} runs {weights.name} as torch does")


@app.command(
    epilog=examples(
        "sciml coupling replay build wrfout_d01_a.nc",
        "sciml coupling replay build --tile 7x5 --tile 0x0 --threads 4 -o replayed",
    )
)
def replay(
    folder: Library,
    files: Annotated[
        list[Path] | None, typer.Argument(help="wrfout files; default: the packaged sample.")
    ] = None,
    tile: Annotated[
        list[str] | None,
        typer.Option(
            "--tile",
            metavar="WxH",
            help="Size of a tile in columns, such as 7x5, or 0x0 for the whole domain; may be repeated.",
        ),
    ] = None,
    threads: Annotated[
        int,
        typer.Option(
            "--threads", min=1, max=1024, help="Maximum number of threads; at most the number of processors."
        ),
    ] = 2,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Folder for the program, its input and output."),
    ] = None,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Replay wrfouts in a Fortran program, and compare with torch.

    The program is compiled with $FC and linked with the library in DIR. It stores the fields in WRF's memory order
    with a halo, and calls the library in an OpenMP loop over tiles. The exit code is 1 if the results differ.
    """
    from tempfile import TemporaryDirectory

    from sciml.storage.provenance import sidecar
    from sciml.verify.library.replay import replayed

    library, weights = find_library(folder)
    check_targets({"--json": json_file}, [library, weights, *expand_inputs(files or [])])
    tiles = [_parse_tile(text) for text in tile or ("1x1", "7x5", "0x0")]
    columns = load_columns(files, None)
    with TemporaryDirectory(prefix="sciml-replay-") as temporary:
        result = replayed(library, weights, columns, output or Path(temporary), tiles, threads)
    if output is not None:
        sidecar(output)
    report = Output(json_file, quiet)
    content = {"ok": result.ok, "runs": result.runs, "differing": result.differing}
    report.write_json({**content, "parity": result.parity.to_json()})
    report.print_files()
    report.print(result)
    if not result.ok:
        raise typer.Exit(1)


for _command, _epilog in ((rce, RCE), (flags, FLAGS), (report, REPORT)):
    app.command(epilog=_epilog)(_command)


def _export(model: str, output: Path, *, floats: bool = False) -> tuple[dict[str, Any], str]:
    """Write the weights file; return its description as data and as a line."""
    from sciml.convection.emulator import Emulator
    from sciml.coupling.export import emulator_weights
    from sciml.coupling.weights_file import read_weights, write_weights

    emulator = Emulator.load(model)
    weights = emulator_weights(emulator)
    if output.suffix == ".onnx":
        from sciml.coupling.onnx_oracle import write_onnx

        write_onnx(output, weights, floats=floats)
    else:
        write_weights(output, weights)
        read_weights(output)  # so that only a readable file is reported as written
    size = output.stat().st_size
    names = ("layers", "hidden", "below", "cloud", "levels")
    shape = emulator.network.shape.to_json()
    content = {name: shape[name] for name in names if name in shape}
    levels = f"{shape['levels']} levels" if "levels" in shape else "any number of levels"
    line = f"wrote {output}: {emulator.network.describe()}, for {levels}, {size:,} bytes"
    if emulator.network.absent:
        line += f"; it does not predict {', '.join(emulator.network.absent)}, which are zero"
    content |= {"network": emulator.network.command}
    return {"model": model, "weights": str(output), **content, "bytes": size}, line


def _compute_growth(model: str) -> tuple[dict[str, Any], str]:
    """Compute the growing modes of an emulator; return them as data and as text, or the reason why not."""
    from sciml.convection.emulator import Emulator
    from sciml.convection.linear_response import linear_response

    emulator = Emulator.load(model)
    try:
        columns = load_columns(None, QUICK)
        trained = {name: emulator.about[name.lower()] for name in ("DX", "DT", "CUDT")}
        attrs = {
            name: min(max(float(columns.attrs[name]), low), high) for name, (low, high) in trained.items()
        }
        result = linear_response(emulator, columns.assign_attrs(attrs))
    except InputError as error:
        return {"growing": None}, f"growing modes were not computed: {error}"
    table = f"{result.spectrum.table()}\n" if result.spectrum.growing else ""
    modes = [{"per_day": mode.growth, "part": mode.part} for mode in result.spectrum.growing]
    return {"growing": modes}, f"{table}{result.verdict()}"


def _parse_tile(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    if match is None:
        raise InputError(f"--tile {text}: give WIDTHxHEIGHT in columns, as 7x5, or 0x0 for the whole domain")
    return int(match[1]), int(match[2])
