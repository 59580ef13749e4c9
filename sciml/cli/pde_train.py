"""`sciml pde train`: train an operator on a dataset of problems and their solutions."""

from __future__ import annotations

import enum
import time
from pathlib import Path
from typing import Annotated

import typer

from sciml.cli import data_options as own_data
from sciml.cli.output import Answer, Json, Quiet, check_targets, examples, settings
from sciml.errors import InputError

__all__ = ["EXAMPLES", "train"]

EXAMPLES = examples(
    "sciml pde train mgno d.zarr -o darcy.sciml --epochs 10 --batch 8 --seed 3",
    "sciml pde train fno d.zarr -o fno.sciml --hold-out 128 --json fno.json",
    "sciml pde train mgno k.npz -o own.sciml --boundary dirichlet --centring cell",
)


class Network(enum.StrEnum):
    """What may be trained, by its name on the command line."""

    mgno = "mgno"
    hierarchy = "hierarchy"
    fno = "fno"


class LossName(enum.StrEnum):
    """See `sciml.operators.training.Loss`."""

    h1 = "h1"
    l2 = "l2"
    h1_truncated = "h1-truncated"
    h1_fft = "h1-fft"
    h1_helmholtz = "h1-helmholtz"
    residual = "residual"


CLASSES = {Network.mgno: "MgNO", Network.hierarchy: "HierarchyNet", Network.fno: "FNO"}


def train(
    network: Annotated[Network, typer.Argument(help="The kind of network.")],
    data: Annotated[Path, typer.Argument(help="A dataset: zarr, netCDF, .mat, .h5, .npz or .pt.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The checkpoint to write (*.sciml).")],
    published: Annotated[
        str | None,
        typer.Option(
            "--published",
            metavar="NAME",
            help="With mgno: the official network, settings and loss of a benchmark.",
        ),
    ] = None,
    loss: Annotated[
        LossName | None,
        typer.Option(
            "--loss", metavar="NAME", help=f"What is minimised: {', '.join(LossName)}; by default h1."
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", metavar="N", help="Passes over the samples.")
    ] = None,
    batch: Annotated[int | None, typer.Option("--batch", metavar="N", help="Samples per step.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", metavar="X", help="Highest rate.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="Of everything that is drawn.")
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option("--validation", metavar="DATA", help="To validate with: the best epoch is kept."),
    ] = None,
    hold_out: Annotated[
        int | None,
        typer.Option("--hold-out", metavar="N", help="Or so many samples of the data, drawn by the seed."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="TOML with tables \\[fit] and \\[network]."),
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, ...")
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option("--time-limit", metavar="S", help="Stop, resumable, after so many seconds."),
    ] = None,
    time_budget: Annotated[
        float | None,
        typer.Option(
            "--time-budget",
            metavar="S",
            help="Seconds for the whole training: the learning rate falls to its end in them.",
        ),
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Begin anew, even if a training was cut off.")] = False,
    inputs: own_data.Inputs = None,
    target: own_data.Target = None,
    layout: own_data.Layout = None,
    dims: own_data.Dims = None,
    stride: own_data.Stride = 1,
    boundary: own_data.Sides = None,
    centring: own_data.Centring = None,
    dirichlet: own_data.Dirichlet = None,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Train an operator on a dataset; the same command resumes it.

    What is given here goes before what the file of --config says, and that before the defaults or the recipe.
    """
    if published is not None and network is not Network.mgno:
        raise InputError(f"--published {published} is an MgNO: give mgno, not {network.value}")
    if validation is not None and hold_out is not None:
        raise InputError(f"--validation {validation} and --hold-out {hold_out}: give one of the two")
    from sciml.operators.training import train as train_operator
    from sciml.train.progress import automatic

    check_targets({"--json": json_file}, [data, output, *([validation] if validation else [])])
    begun = time.monotonic()
    tables = settings(config)
    given = {
        "epochs": epochs,
        "batch_size": batch,
        "learning_rate": learning_rate,
        "seed": seed,
        "device": device,
        "time_limit_s": time_limit,
        "time_budget_s": time_budget,
    }
    fit = {**tables["fit"], **{name: value for name, value in given.items() if value is not None}}
    kind = {} if published else {"class": CLASSES[network]}
    operator = train_operator(
        data,
        output,
        network={**kind, **tables["network"]},
        loss=None if loss is None else loss.value,
        published=published,
        validation=validation if validation is not None else hold_out,
        fit=fit,
        inputs=own_data.variable_map(inputs),
        target=own_data.target_of(target),
        layout=layout,
        dims=dims or None,
        stride=stride,
        boundary=own_data.boundary_of(boundary),
        centring=centring,  # type: ignore[arg-type]
        side_values=own_data.side_values(dirichlet),
        resume=not anew,
        progress=automatic(quiet),
    )
    Answer(json_file, quiet).trained(output, operator, time.monotonic() - begun)
