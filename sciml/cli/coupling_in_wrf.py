"""`sciml coupling flags` and `report`: link WRF with the library, and evaluate the files that it wrote in WRF."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sciml.cli.help_pages import examples
from sciml.cli.output import Json, Output, Quiet
from sciml.cli.targets import check_targets
from sciml.errors import InputError

__all__ = ["FLAGS", "REPORT", "flags", "report"]

FLAGS = examples(
    "sciml coupling flags build",
    "sciml coupling flags build --apply ../WRF/configure.wrf",
    "sciml coupling flags --undo ../WRF/configure.wrf",
)
REPORT = examples(
    "sciml coupling report run/ --html shadow.html --json shadow.json",
    "sciml coupling report run/sciml_mskf_capture_1.nc --model mskf-convrad",
)


def flags(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="Folder with libsciml_mskf.so; not needed for --undo."),
    ] = None,
    compiler: Annotated[
        str,
        typer.Option(
            "--compiler", metavar="KIND", help="Compiler of WRF: gnu (gfortran) or intel (ifort, ifx)."
        ),
    ] = "gnu",
    only: Annotated[bool, typer.Option("--only", help="Print only the flags, on one line.")] = False,
    apply: Annotated[
        Path | None,
        typer.Option("--apply", metavar="FILE", help="Add the flags to this configure.wrf, after a backup."),
    ] = None,
    undo: Annotated[
        Path | None,
        typer.Option("--undo", metavar="FILE", help="Remove the flags from this configure.wrf."),
    ] = None,
    case: Annotated[
        str | None,
        typer.Option(
            "--case",
            metavar="NAME",
            help="Case that WRF was compiled for; default: read from the folder of FILE.",
        ),
    ] = None,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Print or apply the flags that link WRF with the library.

    WRF's calls of its convection scheme then go through the library. The source of WRF does not change: the flags are
    added to configure.wrf, and wrf.exe is linked again.
    """
    from sciml.coupling.configure_wrf import BACKUP, apply_line, compiled_case, remove_line
    from sciml.coupling.link_flags import link_flags, make_line, relinking, wrf_lines

    if compiler not in ("gnu", "intel"):
        raise InputError(f"--compiler {compiler}: give gnu (gfortran) or intel (ifort, ifx)")
    if sum(map(bool, (only, apply, undo))) > 1:
        raise InputError("--only, --apply and --undo: give one of them")
    check_targets({"--json": json_file}, [path for path in (apply, undo) if path])
    output = Output(json_file, quiet)
    if undo is not None:
        removed = remove_line(undo)
        output.write_json({"file": str(undo), "removed": removed})
        output.print(f"{undo}: flags removed; link WRF again" if removed else f"{undo} has no flags of sciml")
        output.print_files()
        return
    if folder is None:
        raise InputError("no DIR given: name the folder that `sciml coupling build -o DIR MODEL` made")
    family: Literal["gnu", "intel"] = "gnu" if compiler == "gnu" else "intel"
    words = link_flags(folder, family)
    content = {"folder": str(folder), "compiler": family, "flags": words}
    if apply is None:
        text = " ".join(words) if only else wrf_lines(folder, family, case=case)
    else:
        change = apply_line(apply, make_line(folder, family))
        content |= {"file": str(apply), "change": change}
        backup = f"; the original file is {apply.name}{BACKUP}" if change == "added" else ""
        text = (
            f"# 1. {apply}: flags {change}{backup}\n{relinking(folder, family, case or compiled_case(apply))}"
        )
    output.write_json(content)
    output.print(text)
    output.print_files()


def report(
    files: Annotated[
        list[Path], typer.Argument(help="Files sciml_mskf_<mode>_*.nc, or folders with such files.")
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="MODEL", help="Emulator to score on captured columns."),
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write an HTML page with figures.")
    ] = None,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Evaluate the files that the library wrote while WRF ran.

    Statistics of the modes `shadow`, `emulate` and `guard` are summed over ranks and intervals. Columns of the mode
    `capture` are scored with an emulator, as by `sciml convection evaluate`.
    """
    from sciml.verify.html_report import render, save
    from sciml.verify.library.mode_statistics import read_statistics

    listed = [
        file for path in files for file in (sorted(path.glob("sciml_mskf_*.nc")) if path.is_dir() else [path])
    ]
    captured = [path for path in listed if "_capture_" in path.name]
    if not listed:
        raise InputError(
            f"{', '.join(map(str, files))}: there is no file sciml_mskf_*.nc. The library writes them into `directory` "
            "of sciml_mskf.nml, except with mode = 'original'; WRF calls the library only with cu_physics = 11"
        )
    if captured and len(captured) < len(listed):
        raise InputError("captures and statistics together: give one kind of file at a time")
    check_targets({"--json": json_file, "--html": html_file}, listed)
    if captured:
        from sciml.cli.convection import evaluate

        if model is None:
            raise InputError(
                "captures contain columns to score an emulator on: give the emulator with --model"
            )
        evaluate(model=model, files=captured, json_file=json_file, html_file=html_file, quiet=quiet)
        return
    statistics = read_statistics(listed)
    output = Output(json_file, quiet)
    output.write_json(statistics.scores())
    if html_file is not None:
        save(html_file, render([statistics.chapter()], title="The emulator in WRF"))
        output.add_file("page", html_file)
    output.print(statistics)
    output.print_files()
