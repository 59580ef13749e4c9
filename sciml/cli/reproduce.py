"""`sciml reproduce`: run the command that wrote a file again, and compare."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sciml.cli.help_pages import examples
from sciml.cli.output import Json, Output, Quiet
from sciml.cli.targets import check_targets
from sciml.errors import InputError

if TYPE_CHECKING:
    from sciml.verify.artefacts import Artefact

__all__ = ["EXAMPLES", "reproduce"]

EXAMPLES = examples(
    "sciml reproduce columns.zarr",
    "sciml reproduce mskf.sciml --input old/columns.zarr=columns.zarr",
    "sciml reproduce darcy.sciml --check",
)


def reproduce(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="File or folder that a command of sciml wrote.")
    ],
    moved: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="OLD=NEW", help="New place of a recorded input; may be repeated."),
    ] = None,
    only_check: Annotated[
        bool, typer.Option("--check", help="Only check the inputs and the versions; run nothing.")
    ] = False,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="DIR", help="Folder to write the rerun to; default: none remains."),
    ] = None,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Run the command that wrote a file again, and compare.

    The inputs must have the recorded checksums. The command writes into a temporary folder; other files that it wrote
    at the time are not written. The exit code is 0 if the content is equal, 1 if it differs, and 2 after an error.
    """
    check_targets({"--json": json_file}, [file])
    from sciml.cli.rerun import check_inputs, differing_versions, find_base, prepare
    from sciml.storage.provenance import current
    from sciml.verify.artefacts import compare, read_artefact

    artefact, places = read_artefact(file), _parse_moved(moved or [])
    record = artefact.provenance
    if record is None:
        raise InputError(
            f"{file} has no record of what made it, see 'sciml info {file}': it cannot be reproduced"
        )
    unknown = [old for old in places if old not in {source.given for source in record.inputs}]
    if unknown:
        known = ", ".join(source.given for source in record.inputs) or "none"
        raise InputError(f"--input {unknown[0]}=...: the recorded inputs are {known}")
    report = Output(json_file, quiet)
    with ExitStack() as stack:
        folder = _folder(keep) or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="sciml-reproduce-"))
        )
        base = find_base(record, file, places)
        rerun = prepare(record, *_target(artefact), folder, places)
        differing = differing_versions(record, current())
        cautions = [*differing, *rerun.cautions]
        for line in cautions:
            report.warn(f"warning: {line}")
        inputs = check_inputs(record, base, places)
        checked = f"{len(inputs)} input{'s' * (len(inputs) != 1)} unchanged" if inputs else "no inputs"
        content: dict[str, Any] = {"file": str(file), "command": list(record.command), "warnings": cautions}
        if only_check:
            report.write_json({**content, "inputs": len(inputs)})
            report.print(f"{file}: {checked}; to run it: {record.line()}")
            report.print_files()
            return
        report.print(f"{checked}; running: {record.line()}")
        rerun.run(base, quiet)
        made = rerun.output / file.name if _is_member(artefact) else rerun.output
        result = compare(artefact.path, made, outputs=folder)
        report.write_json({**content, "inputs": len(inputs), **result.to_json()})
    (report.print if result.equal else report.warn)(f"{file}: {result}")
    if keep:
        report.print(f"the rerun is {made}")
    report.print_files()
    if not result.equal:
        raise typer.Exit(1)


def _parse_moved(given: list[str]) -> dict[str, Path]:
    """Parse ``--input``.

    Raises
    ------
    InputError
        A value is not of the form OLD=NEW, or there is no such path.
    """
    places = {}
    for text in given:
        old, equals, new = text.rpartition("=")
        if not equals or not old or not new:
            raise InputError(f"--input {text}: give OLD=NEW, the recorded path and the new one")
        if not Path(new).exists():
            raise InputError(f"--input {text}: {new} does not exist")
        places[old] = Path(new).resolve()
    return places


def _folder(keep: Path | None) -> Path | None:
    """Make the folder of ``--keep``, which must be empty."""
    if keep is None:
        return None
    keep.mkdir(parents=True, exist_ok=True)
    if any(keep.iterdir()):
        raise InputError(f"--keep {keep} is not empty: give a new folder")
    return keep.resolve()


def _is_member(artefact: Artefact) -> bool:
    """Return whether a file is one of those that a command wrote into a folder."""
    record = artefact.provenance
    words = record.command[:2] if record is not None else ()
    return (
        words in (("coupling", "build"), ("coupling", "replay"))
        and artefact.output == "output"
        and (not artefact.path.is_dir())
    )


def _target(artefact: Artefact) -> tuple[str, str]:
    """Return the option that named a file, and the name of its rerun."""
    name = "folder" if _is_member(artefact) else artefact.path.resolve().name
    return artefact.output, name
