"""`sciml wrf perturb`: the start of a run with rounding-size errors, for the floor of `sciml wrf compare`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sciml.cli.output import Answer, Json, Quiet, check_targets

__all__ = ["EXAMPLES", "perturb"]

EXAMPLES = (
    "sciml wrf perturb wrfinput_d01 -o wrfinput_d01.perturbed --seed 3",
    "sciml wrf perturb wrfrst_d01_2024-07-01_00:00:00 -o perturbed --size 1e-5",
)


def perturb(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A wrfinput or wrfrst file.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The file to write.")],
    size: Annotated[
        float, typer.Option("--size", help="Standard deviation of the relative change of theta.")
    ] = 1e-6,
    seed: Annotated[int, typer.Option("--seed", help="Of the random numbers; one for each run.")] = 7,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Copy the start of a run with rounding-size errors in theta.

    T and THM (of a restart both time levels) become (T + 300 K) (1 + SIZE N(0,1)) - 300 K with the same random numbers;
    everything else is copied bit by bit. Run WRF from the copy, then give that run to `sciml wrf compare --floor`: it
    shows how far chaos alone drives a run from its control.
    """
    check_targets({"--json": json_file, "--output": output}, [source])
    from sciml.wrf.perturb import perturb as perturbed

    result = perturbed(source, output, size=size, seed=seed)
    answer = Answer(json_file, quiet)
    answer.keep(asdict(result))
    answer.say(result)
    answer.files()
