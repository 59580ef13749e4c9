"""`sciml coupling flags` and `report`: linking WRF with the library, and what it wrote while WRF ran."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sciml.cli.told import Answer, Json, Quiet, check_targets, examples
from sciml.errors import InputError

__all__ = ["FLAGS", "REPORT", "flags", "report"]

FLAGS = examples("sciml coupling flags build", "sciml coupling flags build --compiler intel --only")
REPORT = examples(
    "sciml coupling report run/ --html shadow.html --json shadow.json",
    "sciml coupling report run/sciml_mskf_capture_1.nc --model mskf-convrad",
)


def flags(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of libsciml_mskf.so.")],
    compiler: Annotated[
        str,
        typer.Option("--compiler", metavar="KIND", help="Of WRF: gnu (gfortran) or intel (ifort, ifx)."),
    ] = "gnu",
    only: Annotated[bool, typer.Option("--only", help="Only the flags, on one line.")] = False,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Print the line that links WRF with the library.

    It leads WRF's convection scheme through the library. No line of WRF changes: configure.wrf gets the flags, and
    wrf.exe is linked again.
    """
    from sciml.coupling.linking import link_flags, wrf_lines

    if compiler not in ("gnu", "intel"):
        raise InputError(f"--compiler {compiler}: give gnu (gfortran) or intel (ifort, ifx)")
    check_targets({"--json": json_file}, [])
    family: Literal["gnu", "intel"] = "gnu" if compiler == "gnu" else "intel"
    found = link_flags(folder, family)
    text = " ".join(found) if only else wrf_lines(folder, family)
    answer = Answer(json_file, quiet)
    answer.keep({"folder": str(folder), "compiler": family, "flags": found})
    answer.say(text)
    answer.files()


def report(
    files: Annotated[list[Path], typer.Argument(help="Files sciml_mskf_<mode>_*.nc, or folders of them.")],
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="MODEL", help="Of captures: the emulator that is scored on them."),
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with pictures.")
    ] = None,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Evaluate what the library wrote while a model ran.

    Statistics of `shadow`, `emulate` and `guard` are added up over ranks and intervals. Columns of `capture` are
    scored with an emulator, as `sciml convection evaluate` does.
    """
    from sciml.verify.layout import render, save
    from sciml.verify.shadow import read_statistics

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
    check_targets({"--json": json_file, "--html": html_file}, listed)
    if captured:
        from sciml.cli.convection import evaluate

        if model is None:
            raise InputError("captures are exact pairs, for an emulator to be scored on: give one by --model")
        evaluate(model, captured, json_file=json_file, html_file=html_file, quiet=quiet)
        return
    found = read_statistics(listed)
    answer = Answer(json_file, quiet)
    answer.keep(found.scores())
    if html_file is not None:
        save(html_file, render([found.chapter()], title="The emulator inside the model"))
        answer.wrote("page", html_file)
    answer.say(found)
    answer.files()
