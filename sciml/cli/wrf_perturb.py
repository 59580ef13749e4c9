"""`sciml wrf perturb`: initial state with rounding-size errors, for the floor of `sciml wrf compare`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sciml.cli.output import Json, Output, Quiet
from sciml.cli.targets import check_targets

__all__ = ["EXAMPLES", "perturb"]

EXAMPLES = (
    "sciml wrf perturb wrfinput_d01 -o wrfinput_d01.perturbed --seed 3",
    "sciml wrf perturb wrfrst_d01_2024-07-01_00:00:00 -o perturbed --size 1e-5",
)


def perturb(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="wrfinput or wrfrst file.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="File to write.")],
    size: Annotated[
        float, typer.Option("--size", help="Standard deviation of the relative change of theta.")
    ] = 1e-6,
    seed: Annotated[
        int, typer.Option("--seed", help="Seed of the random numbers; use another for each run.")
    ] = 7,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Copy an initial state with rounding-size errors in theta.

    T and THM (both time levels in a restart) become (T + 300 K) (1 + SIZE N(0,1)) - 300 K with the same random numbers.
    All other variables are copied bit by bit. Run WRF from the copy and give that run to `sciml wrf compare --floor`.
    Its departure from the control is the effect of chaos alone.
    """
    check_targets({"--json": json_file, "--output": output}, [source])
    from sciml.wrf.perturb import perturb as write_perturbed

    result = write_perturbed(source, output, size=size, seed=seed)
    report = Output(json_file, quiet)
    report.write_json(asdict(result))
    report.print(result)
    report.print_files()
