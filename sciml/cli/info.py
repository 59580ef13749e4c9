"""`sciml info`: what a file is, and what made it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sciml.cli.help_pages import examples
from sciml.cli.output import Json, Output, Quiet
from sciml.cli.targets import check_targets

if TYPE_CHECKING:
    from sciml.storage.provenance import Provenance
    from sciml.verify.artefacts import Artefact

__all__ = ["EXAMPLES", "info"]

EXAMPLES = examples(
    "sciml info columns.zarr",
    "sciml info mskf.sciml --json -",
)


def info(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Store, checkpoint, dataset, weights file, library, JSON, page or WRF file."
        ),
    ],
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Describe a file and what made it.

    The record has the command, its options with their defaults, the seeds, the checksums of what was read, and the
    versions. `sciml reproduce FILE` runs the command again and compares.
    """
    check_targets({"--json": json_file}, [file])
    from sciml.verify.artefacts import read_artefact

    artefact = read_artefact(file)
    report = Output(json_file, quiet)
    record = artefact.provenance
    content: dict[str, Any] = {"path": str(file), "kind": artefact.kind, "facts": dict(artefact.facts)}
    content |= {"provenance": None if record is None else record.to_json(), "written": dict(artefact.written)}
    report.write_json(content, record=False)
    report.print(f"{file}: {artefact.kind}", *_facts(artefact))
    report.print(*(_record(artefact, record) if record is not None else [_without_record(artefact)]))
    if artefact.more:
        report.print(f"more: {artefact.more}")
    report.print_files()


def _facts(artefact: Artefact) -> list[str]:
    from sciml.tables import aligned

    return list(aligned(list(artefact.facts.items()), align="<", indent="  ")) if artefact.facts else []


def _without_record(artefact: Artefact) -> str:
    if artefact.kind == "WRF file":
        return "made by WRF: it has no record of sciml"
    return "it has no record of what made it: an earlier version of sciml, or another program, wrote it"


def _record(artefact: Artefact, record: Provenance) -> Iterable[str]:
    """Return the record as lines of text."""
    from sciml.tables import aligned

    rows = [("made by", record.line())]
    if "arguments" in artefact.written:
        rows.append(("arguments", " ".join(artefact.written["arguments"])))
    if "time" in artefact.written:
        rows.append(("written", artefact.written["time"]))
    rows += [("seeds", ", ".join(f"{name} {seed}" for name, seed in record.seeds.items()))] * bool(
        record.seeds
    )
    rows.append(("versions", ", ".join(f"{name} {version}" for name, version in record.versions.items())))
    if record.commit:
        rows.append(("revision", record.commit[:12] + ", with local changes" * record.changed))
    for source in record.inputs:
        size = (
            f"{source.size:,} bytes, sha256 {source.sha256[:16]}"
            if source.sha256
            else "not there when written"
        )
        part = ", sampled" * source.sampled
        rows.append((f"input {source.option}", f"{source.given} ({size}{part})"))
    for earlier in record.earlier:
        listed = ", ".join(f"{name} {version}" for name, version in dict(earlier.get("versions", {})).items())
        rows.append(("begun with", f"{listed}, revision {str(earlier.get('commit', ''))[:12]}"))
    options = asdict(record)["options"]
    given = [f"{name}={value}" for name, value in options.items() if value not in (None, [], False)]
    rows.append(("options", ", ".join(given)))
    return aligned(rows, align="<", indent="  ")
