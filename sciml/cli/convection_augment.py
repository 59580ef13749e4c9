"""`sciml convection augment`: write a store with more columns to train on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from sciml.cli.help_pages import examples
from sciml.cli.output import Json, Output, Quiet
from sciml.cli.targets import check_targets, expand_inputs, total_size

__all__ = ["EXAMPLES", "augment"]

EXAMPLES = examples(
    "sciml convection augment columns.zarr -o more.zarr --exclude 3",
    "sciml convection augment a.zarr b.zarr -o more.zarr --factor 2 --seed 11",
    "sciml convection augment columns.zarr -o more.zarr --teacher mine.sciml",
)
Reference = Annotated[
    list[Path] | None,
    typer.Option(
        "--reference",
        metavar="FILE",
        help="Output of the true scheme for a wrfout (mskf_offline_*); may be repeated, in order.",
    ),
]


def augment(
    columns: Annotated[list[Path], typer.Argument(help="Columns store (*.zarr), or files of pairs.")],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="STORE", help="Store to write, such as more.zarr.")
    ],
    reference: Reference = None,
    teacher: Annotated[
        str,
        typer.Option(
            "--teacher", metavar="MODEL", help="Checkpoint, or its name, that labels the new columns."
        ),
    ] = "mskf-regimes",
    factor: Annotated[
        float,
        typer.Option("--factor", metavar="X", help="Number of mixtures for each column of a run."),
    ] = 1.0,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of all random choices.")] = 7,
    exclude: Annotated[
        list[int] | None,
        typer.Option("--exclude", metavar="RUN", help="Run to leave out, for tests; may be repeated."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing store of that name.")
    ] = False,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Write a store with more columns to train on.

    It contains the given columns and mixtures of two columns of a run with smooth noise. The teacher, a plume-closure
    emulator, computes the outputs of the scheme in the mixtures, so that a network without a plume learns from it. The
    coordinate SYNTHETIC marks the mixtures, and evaluation leaves them out. After an interruption the same command
    resumes.
    """
    inputs = [*columns, *(reference or [])]
    check_targets({"--json": json_file}, [*expand_inputs(inputs), output])
    from sciml.convection.augmentation import augment as write_augmented
    from sciml.progress import StageProgress

    report, begun = Output(json_file, quiet), time.monotonic()
    made = write_augmented(
        columns,
        output,
        teacher=teacher,
        factor=factor,
        seed=seed,
        exclude=exclude or (),
        truth=reference,
        overwrite=overwrite,
        progress=StageProgress() if quiet else None,
    )
    content = {"store": str(output), "teacher": teacher, "factor": factor, "seed": seed, **made.to_json()}
    report.write_json({**content, "bytes": total_size(output), "seconds": time.monotonic() - begun})
    report.print(made, f"{output}: {made.total} columns, {total_size(output) / 1e6:.1f} MB")
    report.print_files()
