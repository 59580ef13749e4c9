"""``sciml coupling``: from an emulator to the library that a Fortran host links."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sciml.cli.columns import rce
from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["app", "columns_of", "installed"]

app = typer.Typer(no_args_is_help=True, help="Export an emulator, build the Fortran library, check it.")

SAMPLE = "wrfout_d01_convrad_24x24_5min.nc"
WEIGHTS = "mskf.nc"
QUICK = 100  # soundings of the linear response that is looked at on the way

Model = Annotated[
    str, typer.Argument(help="A checkpoint (*.sciml), or the name of one that comes with sciml.")
]
Built = Annotated[Path, typer.Argument(metavar="DIR", help="The folder that `sciml coupling build` made.")]


@app.command()
def export(
    model: Model,
    output: Annotated[Path, typer.Option("-o", "--output", help="The weights file to write (*.nc).")],
    response: Annotated[
        bool, typer.Option("--response/--no-response", help="Look for modes that grow (some seconds).")
    ] = True,
) -> None:
    """Write the weights of an emulator into the netCDF file that the library reads, and say if it is stable.

    The modes are those of its linear response about the packaged sample's mean sounding; see `response`.
    """
    _export(model, output)
    if response:
        typer.echo(_stability(model))


@app.command()
def response(
    model: Model,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", help="wrfout files whose mean sounding it is about; by default the sample."),
    ] = None,
    columns: Annotated[
        int, typer.Option("--columns", min=8, max=5000, help="At most so many soundings.")
    ] = 400,
    threshold: Annotated[
        float, typer.Option("--threshold", min=0.0, help="Growth per day that is warned of.")
    ] = 1.0,
    smooth: Annotated[
        bool, typer.Option("--smooth", help="Also by automatic differentiation: what of it is no step.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the matrix and every number.")
    ] = None,
    picture: Annotated[Path | None, typer.Option("--picture", help="Draw it (PNG).")] = None,
) -> None:
    """Show how convection alone answers small changes of temperature and vapour, and which of them grow.

    The same small change is put on many soundings at fixed pressure, and the mean of the answers taken: d(dT/dt,
    dq/dt) / d(T, q). Its eigenvalues are growth rates; convection should damp.
    """
    import json

    from sciml.convection.emulator import Emulator
    from sciml.convection.linear_response import linear_response
    from sciml.writing import check_apart, check_replaceable, replaced

    for target in (json_file, picture):
        if target is not None:
            check_replaceable(target)
            check_apart(target, file or [])
    if json_file is not None and picture is not None and json_file.resolve() == picture.resolve():
        raise InputError(f"--json and --picture both name {picture}: give each a file of its own")
    found = linear_response(Emulator.load(model), columns_of(file, columns), smooth=smooth)
    if json_file is not None:
        with replaced(json_file) as part:
            part.write_text(json.dumps(found.to_json()) + "\n", encoding="utf-8")
    if picture is not None:
        from sciml import plot

        drawn = plot.linear_response(
            found.matrix, found.rain, found.spectrum.rates, found.pressure, found.mass, threshold=threshold
        )
        with replaced(picture) as part:
            part.write_bytes(plot.png(drawn))
    typer.echo(f"{found}\n{found.verdict(threshold)}")


@app.command()
def build(
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to put the library into.")],
    model: Annotated[
        str | None, typer.Argument(help="An emulator, whose weights are written to DIR/mskf.nc.")
    ] = None,
    fortran: Annotated[
        bool, typer.Option(help="Put the Fortran module into the library (needs a Fortran compiler).")
    ] = True,
) -> None:
    """Build libsciml_mskf.so with $CC and $FC (else gcc and gfortran) and put it into a folder.

    Beside it go sciml_mskf.h for C, sciml_mskf.f90 for the host's own Fortran compiler and, with MODEL, the
    weights. `sciml coupling check DIR` tries it all.
    """
    from sciml.coupling.build import install
    from sciml.coupling.packing import emulator_weights

    if model is not None:
        from sciml.convection.emulator import Emulator

        emulator_weights(Emulator.load(model))  # a model that is not there is told before the compilers run
    library = install(output, fortran=fortran)
    typer.echo(f"built {library}")
    if model is not None:
        _export(model, output / WEIGHTS)


@app.command()
def check(
    folder: Built,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            "--file", help="wrfout files whose columns it is tried on; by default the packaged sample."
        ),
    ] = None,
    columns: Annotated[int, typer.Option("--columns", min=14, help="At most so many of them.")] = 500,
) -> None:
    """Try a built library with its weights: seal, parity with torch, the same bits for any tiling.

    The last line is the verdict; exit code 0 if all is well, 1 if a check failed, 2 if there is nothing to check.
    """
    from sciml.verify.installed import examine

    library, weights = installed(folder)
    failed = []
    for one in examine(library, weights, columns_of(file, columns)):
        typer.echo(str(one))
        if not one.ok:
            failed.append(one.name)
    if failed:
        typer.echo(f"verdict: FAILED ({', '.join(failed)})")
        raise typer.Exit(1)
    typer.echo(f"verdict: ok, {library} runs {weights.name} as torch does")


@app.command()
def replay(
    folder: Built,
    files: Annotated[list[Path] | None, typer.Argument(help="wrfout files; by default the sample.")] = None,
    tile: Annotated[
        list[str] | None,
        typer.Option("--tile", help="Tiles of WIDTHxHEIGHT columns, as 7x5; may be repeated."),
    ] = None,
    threads: Annotated[
        int,
        typer.Option(
            "--threads", min=1, max=1024, help="OpenMP threads at most; never more than there are processors."
        ),
    ] = 2,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Keep the program, its input and output here.")
    ] = None,
) -> None:
    """Replay wrfout files through a Fortran program, tile by tile, and compare it with torch.

    The program is compiled with $FC against the library in DIR. It holds the fields in WRF's own memory order
    with a halo, and calls the library from inside an OpenMP loop over tiles. Exit code 1 if it does not agree.
    """
    from tempfile import TemporaryDirectory

    from sciml.verify.replayed import replayed

    library, weights = installed(folder)
    tiles = [_tile(text) for text in tile or ("1x1", "7x5", "0x0")]
    columns = columns_of(files, None)
    with TemporaryDirectory(prefix="sciml-replay-") as temporary:
        found = replayed(library, weights, columns, output or Path(temporary), tiles, threads)
    typer.echo(str(found))
    if not found.ok:
        raise typer.Exit(1)


@app.command()
def flags(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of libsciml_mskf.so.")],
    compiler: Annotated[
        str, typer.Option("--compiler", help="Of WRF: gnu (gfortran) or intel (ifort, ifx).")
    ] = "gnu",
    only: Annotated[bool, typer.Option("--only", help="Only the flags, on one line.")] = False,
) -> None:
    """Print the link line that leads WRF's convection scheme through the library, and what to do with it.

    No line of WRF changes: configure.wrf gets the flags, and wrf.exe is linked again.
    """
    from sciml.coupling.linking import link_flags, wrf_lines

    if compiler not in ("gnu", "intel"):
        raise InputError(f"--compiler {compiler}: give gnu (gfortran) or intel (ifort, ifx)")
    family: Literal["gnu", "intel"] = "gnu" if compiler == "gnu" else "intel"
    typer.echo(" ".join(link_flags(folder, family)) if only else wrf_lines(folder, family))


@app.command()
def report(
    files: Annotated[list[Path], typer.Argument(help="Files sciml_mskf_<mode>_*.nc, or folders of them.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every number here.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write a page with pictures.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Of captures: the emulator that is scored on them.")
    ] = None,
) -> None:
    """Turn what the library wrote while a model ran into the evaluation of it.

    Statistics of `shadow`, `emulate` and `guard` are added up over ranks and intervals. Columns of `capture` are
    scored with an emulator, as `sciml convection evaluate` does.
    """
    import json

    from sciml.verify.layout import render, save
    from sciml.verify.shadow import read_statistics
    from sciml.writing import check_apart, check_replaceable, replaced

    listed = [
        one for path in files for one in (sorted(path.glob("sciml_mskf_*.nc")) if path.is_dir() else [path])
    ]
    captured = [path for path in listed if "_capture_" in path.name]
    if not listed:
        raise InputError(
            f"{', '.join(map(str, files))}: no file sciml_mskf_*.nc there; give what a run wrote"
        )
    if captured and len(captured) < len(listed):
        raise InputError("captures and statistics together: report on one of them at a time")
    for target in (json_file, html_file):
        if target is not None:
            check_replaceable(target)
            check_apart(target, listed)
    if captured:
        from sciml.cli.convection import evaluate

        if model is None:
            raise InputError("captures are exact pairs, for an emulator to be scored on: give one by --model")
        evaluate(model, captured, json_file=json_file, html_file=html_file)
        return
    found = read_statistics(listed)
    if json_file is not None:
        with replaced(json_file) as part:
            part.write_text(json.dumps(found.scores(), indent=1) + "\n", encoding="utf-8")
    if html_file is not None:
        save(html_file, render([found.chapter()], title="The emulator inside the model"))
    typer.echo(str(found))


app.command()(rce)


def installed(folder: Path) -> tuple[Path, Path]:
    """The library and the weights in a folder that `build` made.

    Raises
    ------
    InputError
        When one is not there, or there are several.
    """
    found = []
    remedy = f"make both with `sciml coupling build -o {folder} MODEL`"
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: {remedy}")
    for pattern, what in (("libsciml*.so", "library"), ("*.nc", "weights file")):
        there = sorted(folder.glob(pattern))
        if len(there) != 1:
            names = ", ".join(path.name for path in there)
            raise InputError(f"{folder} has {names or 'no ' + what} where one {what} is wanted: {remedy}")
        found.append(there[0])
    return found[0], found[1]


def _export(model: str, output: Path) -> None:
    from sciml.convection.emulator import Emulator
    from sciml.coupling.packing import emulator_weights
    from sciml.coupling.weights import read_weights, write_weights

    emulator = Emulator.load(model)
    write_weights(output, emulator_weights(emulator))
    read_weights(output)  # what cannot be read again is not said to be written
    shape = emulator.network.shape
    typer.echo(
        f"wrote {output}: Bi-LSTM {shape.layers} x {shape.hidden} for columns of {emulator.about['levels']} "
        f"levels, {output.stat().st_size:,} bytes"
    )


def _stability(model: str) -> str:
    """What is said of an emulator's growing modes; one line where that cannot be known."""
    from sciml.convection.emulator import Emulator
    from sciml.convection.linear_response import linear_response

    emulator = Emulator.load(model)
    try:
        own = {name: float(emulator.about[name.lower()]) for name in ("DX", "DT", "CUDT")}
        found = linear_response(emulator, columns_of(None, QUICK).assign_attrs(own))
    except InputError as error:
        return f"not looked for growing modes: {error}"
    table = f"{found.spectrum.table()}\n" if found.spectrum.growing else ""
    return f"{table}{found.verdict()}"


def columns_of(files: list[Path] | None, most: int | None) -> xr.Dataset:
    """The columns of files or of the sample; if there are too many, every so many."""
    from sciml.convection.store import open_columns
    from sciml.data_files import packaged

    columns = open_columns(files or [packaged(SAMPLE)], keep="all")
    step = 1 if most is None else -(-columns.sizes["column"] // most)
    return columns.isel(column=slice(None, None, step)).load()


def _tile(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    if match is None:
        raise InputError(f"--tile {text}: give WIDTHxHEIGHT in columns, as 7x5, or 0x0 for the whole domain")
    return int(match[1]), int(match[2])
