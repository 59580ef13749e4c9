"""``sciml coupling``: from an emulator to the library that a Fortran host links."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Export an emulator, build the Fortran library, check it.")

SAMPLE = "wrfout_d01_convrad_24x24_5min.nc"
WEIGHTS = "mskf.nc"

Model = Annotated[
    str, typer.Argument(help="A checkpoint (*.sciml), or the name of one that comes with sciml.")
]
Built = Annotated[Path, typer.Argument(metavar="DIR", help="The folder that `sciml coupling build` made.")]


@app.command()
def export(
    model: Model,
    output: Annotated[Path, typer.Option("-o", "--output", help="The weights file to write (*.nc).")],
) -> None:
    """Write the weights of an emulator into the netCDF file that the library reads."""
    _export(model, output)


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
    for one in examine(library, weights, _columns(file, columns)):
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
    columns = _columns(files, None)
    with TemporaryDirectory(prefix="sciml-replay-") as temporary:
        found = replayed(library, weights, columns, output or Path(temporary), tiles, threads)
    typer.echo(str(found))
    if not found.ok:
        raise typer.Exit(1)


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


def _columns(files: list[Path] | None, most: int | None) -> xr.Dataset:
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
