"""`sciml pde train`: train an operator on a dataset of problems and their solutions."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Any

import typer

from sciml.cli.told import settings
from sciml.errors import InputError

__all__ = ["train"]


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
    data: Annotated[Path, typer.Argument(help="A dataset: zarr, netCDF, .mat (v7.3), .h5 or .npz.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The checkpoint to write (*.sciml).")],
    published: Annotated[
        str | None,
        typer.Option(
            "--published", help="With mgno: the official network, settings and loss of a benchmark."
        ),
    ] = None,
    loss: Annotated[LossName | None, typer.Option("--loss", help="What is minimised; by default h1.")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the samples.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Samples per step.")] = None,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", help="Highest rate.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of everything that is drawn.")] = None,
    validation: Annotated[
        Path | None, typer.Option("--validation", help="A dataset to validate with: the best epoch is kept.")
    ] = None,
    hold_out: Annotated[
        int | None, typer.Option("--hold-out", help="Or so many samples of the data, drawn by the seed.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML with tables \\[fit] and \\[network].")
    ] = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--inputs", help="An input variable, or OURS=THEIRS; may be repeated.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", help="The variable to learn, or OURS=THEIRS; by default u.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option("--layout", help="Of a published file that does not tell it, such as fno.")
    ] = None,
    stride: Annotated[int, typer.Option("--stride", min=1, help="Take every so many points.")] = 1,
    boundary: Annotated[
        str | None,
        typer.Option("--boundary", help="dirichlet, neumann or periodic, or west,east,south,north."),
    ] = None,
    centring: Annotated[
        str | None, typer.Option("--centring", help="Where the values lie: vertex or cell.")
    ] = None,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda, ...")] = None,
    time_limit: Annotated[
        float | None, typer.Option("--time-limit", help="Stop, resumable, after so many seconds.")
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Begin anew, even if a training was cut off.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Train an operator on a dataset; cut off, the same command goes on where it stopped.

    What is given here goes before what the file of --config says, and that before the defaults or the recipe.
    """
    if published is not None and network is not Network.mgno:
        raise InputError(f"--published {published} is an MgNO: give mgno, not {network.value}")
    if validation is not None and hold_out is not None:
        raise InputError(f"--validation {validation} and --hold-out {hold_out}: give one of the two")
    from sciml.operators.training import train as train_operator
    from sciml.train.progress import automatic
    from sciml.train.state import resume_path

    tables = settings(config)
    given = {
        "epochs": epochs,
        "batch_size": batch,
        "learning_rate": learning_rate,
        "seed": seed,
        "device": device,
        "time_limit_s": time_limit,
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
        inputs=_named(inputs),
        target=target if target is None or "=" not in target else _named([target]),  # type: ignore[arg-type]
        layout=layout,
        stride=stride,
        boundary=_boundary(boundary),
        centring=centring,  # type: ignore[arg-type]
        resume=not anew,
        progress=automatic(quiet),
    )
    if resume_path(output).exists():
        typer.echo(f"stopped at the time limit: run the same command again to go on with {output}")
    else:
        typer.echo(f"{operator}\nsaved: {output}")


def _named(told: list[str] | None) -> list[str] | dict[str, str] | None:
    """Names, or ours and theirs where any says OURS=THEIRS."""
    if not told:
        return None
    if not any("=" in one for one in told):
        return told
    pairs = [one.partition("=") for one in told]
    return {ours: theirs or ours for ours, _, theirs in pairs}


def _boundary(told: str | None) -> Any:
    """One kind for every side, or four."""
    if told is None:
        return None
    from sciml.pde.grid import Boundary

    kinds = [kind.strip() for kind in told.split(",")]
    if len(kinds) not in (1, 4):
        raise InputError(f"--boundary {told}: give one kind, or four as west,east,south,north")
    return Boundary(*(kinds * 4 if len(kinds) == 1 else kinds))  # type: ignore[arg-type]
