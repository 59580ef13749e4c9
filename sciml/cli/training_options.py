"""Options of the two training commands, and the TOML file of `--config`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from sciml.errors import InputError

__all__ = ["TrainingOptions", "read_settings"]


@dataclass(frozen=True)
class TrainingOptions:
    """Settings of a training; those not given come from the file of ``--config``, else from the defaults."""

    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Settings file: TOML with tables \\[fit] and \\[network]."
        ),
    ] = None
    epochs: Annotated[
        int | None, typer.Option("--epochs", metavar="N", help="Number of passes over the training data.")
    ] = None
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", metavar="N", help="Number of samples (columns) in a training step."),
    ] = None
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", metavar="X", help="Highest learning rate.")
    ] = None
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", help="Seed of the initial weights and of all random choices."),
    ] = None
    device: Annotated[
        str | None, typer.Option("--device", metavar="NAME", help="Device to train on: auto, cpu, cuda, ...")
    ] = None
    time_limit: Annotated[
        float | None,
        typer.Option(
            "--time-limit",
            metavar="S",
            help="Seconds after which the training stops; the same command resumes it.",
        ),
    ] = None
    time_budget: Annotated[
        float | None,
        typer.Option(
            "--time-budget",
            metavar="S",
            help="Seconds of the whole training, over which the learning rate decays.",
        ),
    ] = None
    hypercomplex: Annotated[
        int | None,
        typer.Option(
            "--hypercomplex",
            metavar="N",
            help="Number of terms of hypercomplex weights, about 1/N of the parameters.",
        ),
    ] = None
    binary: Annotated[
        str | None,
        typer.Option(
            "--binary",
            metavar="KIND",
            help="Kind of binary weights in all layers but the first and the last: periodic (BiPer) or sign.",
        ),
    ] = None
    norm: Annotated[
        str | None,
        typer.Option(
            "--norm",
            metavar="NAME",
            help="Normalisation in place of the activation: evonorm-b0 to evonorm-s2, batchnorm-relu or "
            "groupnorm-relu.",
        ),
    ] = None
    accumulate: Annotated[
        int | None,
        typer.Option(
            "--accumulate",
            metavar="N",
            help="Number of parts of a batch that are computed one after the other, to save memory.",
        ),
    ] = None
    communication: Annotated[
        str | None,
        typer.Option(
            "--communication",
            metavar="NAME",
            help="Form of the gradients that processes of torchrun exchange: float32, bfloat16 or powersgd.",
        ),
    ] = None
    restart: Annotated[
        bool,
        typer.Option(
            "--restart", help="Start from the beginning instead of resuming an interrupted training."
        ),
    ] = False

    def read(self, *more: str) -> tuple[dict[str, Any], ...]:
        """Return the settings of the fit, of the network, and of the other tables that the file may have.

        Raises
        ------
        InputError
            The file of ``--config`` is not TOML, or has other tables.
        """
        tables = read_settings(self.config, *more)
        given = {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "seed": self.seed,
            "device": self.device,
            "time_limit_s": self.time_limit,
            "time_budget_s": self.time_budget,
            "accumulate": self.accumulate,
            "communication": self.communication,
        }
        fit = {**tables["fit"], **{name: value for name, value in given.items() if value is not None}}
        form = {"hypercomplex": self.hypercomplex, "binary": self.binary, "norm": self.norm}
        network = {**tables["network"], **{name: value for name, value in form.items() if value is not None}}
        return fit, network, *(tables[name] for name in more)


def read_settings(config: Path | None, *more: str) -> dict[str, dict[str, Any]]:
    """Read the tables of a TOML file: ``fit`` (settings of the training), ``network`` and those named in ``more``.

    Raises
    ------
    InputError
        The file is not TOML, or has other tables.
    """
    import tomllib

    tables: dict[str, dict[str, Any]] = {"fit": {}, "network": {}, **{name: {} for name in more}}
    if config is None:
        return tables
    try:
        content = tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{config} cannot be read ({error.strerror}): give a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{config} is not a TOML file: {error}") from error
    for name, table in content.items():
        if name not in tables or not isinstance(table, dict):
            raise InputError(f"{config} has [{name}]: it may have the tables {', '.join(tables)}")
        tables[name] = table
    return tables
