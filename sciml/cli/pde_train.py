"""`sciml pde train`: train an operator on a dataset of problems and their solutions."""

from __future__ import annotations

import enum
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sciml.cli.data_options import DataOptions
from sciml.cli.help_pages import examples
from sciml.cli.option_groups import expand_options
from sciml.cli.output import Json, Output, Quiet
from sciml.cli.targets import check_targets
from sciml.cli.training_options import TrainingOptions
from sciml.errors import InputError
from sciml.operators.registry import commands

__all__ = ["EXAMPLES", "train"]

EXAMPLES = examples(
    "sciml pde train mgno d.zarr -o darcy.sciml --epochs 10 --batch-size 8",
    "sciml pde train fno d.zarr -o fno.sciml --hold-out 128 --json fno.json",
    "sciml pde train mgno k.npz -o own.sciml --boundary dirichlet --centring cell",
)


if TYPE_CHECKING:
    Network = str
else:
    Network = enum.StrEnum("Network", {name: name for name in commands()})
    """Names of the networks on the command line."""


class LossName(enum.StrEnum):
    """Names of the losses, see `sciml.operators.training.Loss`."""

    h1 = "h1"
    l2 = "l2"
    h1_truncated = "h1-truncated"
    h1_fft = "h1-fft"
    h1_helmholtz = "h1-helmholtz"
    residual = "residual"


@expand_options
def train(
    network: Annotated[Network, typer.Argument(help="Network to train.")],
    data: Annotated[Path, typer.Argument(help="Dataset: zarr, netCDF, .mat, .h5, .npz or .pt.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Checkpoint to write (*.sciml).")],
    published: Annotated[
        str | None,
        typer.Option(
            "--published",
            metavar="NAME",
            help="Benchmark whose published MgNO, settings and loss are used; requires mgno.",
        ),
    ] = None,
    loss: Annotated[
        LossName | None,
        typer.Option("--loss", metavar="NAME", help=f"Loss to minimise: {', '.join(LossName)}; default: h1."),
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option("--validation", metavar="DATA", help="Dataset for validation: the best epoch is saved."),
    ] = None,
    hold_out: Annotated[
        int | None,
        typer.Option(
            "--hold-out", metavar="N", help="Number of samples of the data, drawn at random, for validation."
        ),
    ] = None,
    options: TrainingOptions,
    data_options: DataOptions,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Train an operator on a dataset.

    The same command resumes an interrupted training. Options take precedence over the file of
    --config, and the file over the defaults or the published settings.
    """
    if published is not None and network != "mgno":
        raise InputError(f"--published {published} is an MgNO: give mgno, not {network}")
    if published is not None and options.norm is not None:
        raise InputError(
            f"--norm {options.norm} is for other networks than that of --published: give one of the two"
        )
    if validation is not None and hold_out is not None:
        raise InputError(f"--validation {validation} and --hold-out {hold_out}: give one of the two")
    from sciml.operators.training import train as train_operator
    from sciml.train.progress import automatic

    check_targets({"--json": json_file}, [data, output, *([validation] if validation else [])])
    begun = time.monotonic()
    fit, architecture = options.read()
    class_name = {} if published else {"class": commands()[network]}
    operator = train_operator(
        data,
        output,
        network={**class_name, **architecture},
        loss=None if loss is None else loss.value,
        published=published,
        validation=validation if validation is not None else hold_out,
        fit=fit,
        **data_options.to_arguments(),
        resume=not options.restart,
        progress=automatic(quiet),
    )
    Output(json_file, quiet).report_training(output, operator, time.monotonic() - begun)
