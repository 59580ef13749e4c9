"""`sciml coupling flags` and `report`: linking WRF with the library, and what it wrote while WRF ran."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sciml.cli.output import Answer, Json, Quiet, check_targets, examples
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
        Path | None, typer.Argument(metavar="DIR", help="Folder of libsciml_mskf.so; not needed to --undo.")
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
        typer.Option("--apply", metavar="FILE", help="Put the flags into this configure.wrf, with a backup."),
    ] = None,
    undo: Annotated[
        Path | None,
        typer.Option("--undo", metavar="FILE", help="Take the flags out of this configure.wrf again."),
    ] = None,
    case: Annotated[
        str | None,
        typer.Option(
            "--case", metavar="NAME", help="Case that WRF was compiled as; default: looked up beside FILE."
        ),
    ] = None,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Link WRF with the library: print the flags or apply them.

    WRF's calls of its convection scheme then go through the library. No line of WRF changes: configure.wrf gets the
    flags, and wrf.exe is linked again.
    """
    from sciml.coupling.configure_wrf import BACKUP, apply_line, compiled_case, remove_line
    from sciml.coupling.link_flags import link_flags, make_line, relinking, wrf_lines

    if compiler not in ("gnu", "intel"):
        raise InputError(f"--compiler {compiler}: give gnu (gfortran) or intel (ifort, ifx)")
    if sum(map(bool, (only, apply, undo))) > 1:
        raise InputError("--only, --apply and --undo: give one of them")
    check_targets({"--json": json_file}, [one for one in (apply, undo) if one])
    answer = Answer(json_file, quiet)
    if undo is not None:
        removed = remove_line(undo)
        answer.keep({"file": str(undo), "removed": removed})
        answer.say(
            f"{undo}: the flags are taken out; link WRF again" if removed else f"{undo} has no flags of sciml"
        )
        answer.files()
        return
    if folder is None:
        raise InputError("no DIR given: name the folder that `sciml coupling build -o DIR MODEL` made")
    family: Literal["gnu", "intel"] = "gnu" if compiler == "gnu" else "intel"
    words = link_flags(folder, family)
    content = {"folder": str(folder), "compiler": family, "flags": words}
    if apply is None:
        text = " ".join(words) if only else wrf_lines(folder, family, case=case)
    else:
        done = apply_line(apply, make_line(folder, family))
        content |= {"file": str(apply), "change": done}
        backup = f"; the file as it was is {apply.name}{BACKUP}" if done == "added" else ""
        text = (
            f"# 1. {apply}: flags {done}{backup}\n{relinking(folder, family, case or compiled_case(apply))}"
        )
    answer.keep(content)
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
    from sciml.verify.html_report import render, save
    from sciml.verify.library.mode_statistics import read_statistics

    listed = [
        one for path in files for one in (sorted(path.glob("sciml_mskf_*.nc")) if path.is_dir() else [path])
    ]
    captured = [path for path in listed if "_capture_" in path.name]
    if not listed:
        raise InputError(
            f"{', '.join(map(str, files))}: no file sciml_mskf_*.nc there. The library writes them into the setting "
            "`directory` of sciml_mskf.nml, except with mode = 'original'; with another cu_physics than 11 WRF never "
            "calls it"
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
