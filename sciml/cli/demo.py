"""`sciml demo`: the whole road on the data that comes with the package."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from sciml.errors import InputError

__all__ = ["demo"]

SAMPLE = "wrfout_d01_convrad_24x24_5min.nc"
TRUTH = "mskf_offline_convrad_24x24_5min.nc"
PRETRAINED = "mskf-convrad"


@dataclass(frozen=True)
class Step:
    """A stretch of the road: what it is for, and the command that goes it."""

    purpose: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return "sciml " + shlex.join(self.arguments)


def road(output: Path, epochs: int) -> list[Step]:
    """List the steps. Each is a command that the user can type as it stands."""
    from sciml.data_files import packaged

    sample, truth = str(packaged(SAMPLE)), str(packaged(TRUTH))
    columns, model, library = (str(output / name) for name in ("columns.zarr", "demo.sciml", "library"))
    page, numbers = str(output / "report.html"), str(output / "scores.json")
    return [
        Step("Draw columns from the WRF sample", ("wrf", "columns", sample, "--truth", truth, "-o", columns)),
        Step(
            "Train an emulator on them",
            ("convection", "train", columns, "-o", model, "--epochs", str(epochs)),
        ),
        Step(
            "Score it, and the pretrained one, against the true scheme",
            (
                *("convection", "evaluate", model, sample, "--truth", truth, "--also", PRETRAINED),
                *("--json", numbers, "--html", page),
            ),
        ),
        Step("Build the library that WRF links", ("coupling", "build", "-o", library, PRETRAINED)),
        Step("Check the library against torch", ("coupling", "check", library)),
        Step("Replay the sample through a Fortran program", ("coupling", "replay", library, sample)),
    ]


def walk(steps: list[Step]) -> None:
    """Go the steps one after the other; the first that fails ends the demo with its own exit code."""
    from sciml.cli import app

    for number, step in enumerate(steps, start=1):
        typer.secho(f"\n[{number}/{len(steps)}] {step.purpose}", bold=True)
        typer.secho(f"$ {step}", dim=True)
        begin = time.monotonic()
        try:
            app(args=list(step.arguments), prog_name="sciml")
        except SystemExit as end:
            if end.code:
                raise typer.Exit(end.code if isinstance(end.code, int) else 1) from None
        typer.secho(f"({time.monotonic() - begin:.0f} s)", dim=True)


def summary(scores: Path) -> str:
    """Say in a few lines how the two emulators did; every number is the evaluation's."""
    told = json.loads(scores.read_text(encoding="utf-8"))
    lines = [f"{'':24}{'trigger F1':>12}{'heating R2':>12}{'rain R2':>12}"]
    for model in (told, *told.get("also", [])):
        outputs = model["outputs"]
        values = (model["trigger"]["f1"], outputs["RTHCUTEN"]["r2"], outputs["PRATEC"]["r2"])
        lines.append(f"{model['model']:24}" + "".join(f"{value:12.3f}" for value in values))
    lines.append(
        f"(demo was trained just now on these very columns: it shows that the road works, not how well. "
        f"{PRETRAINED} was trained on other runs.)"
    )
    return "\n".join(lines)


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to.")] = Path(
        "demo-output"
    ),
    epochs: Annotated[
        int, typer.Option("--epochs", min=1, help="How long to train; by default a minute or two.")
    ] = 300,
) -> None:
    """Open the sample, train, evaluate, build the Fortran library, replay the sample through it."""
    if output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file: give a folder with -o")
    output.mkdir(parents=True, exist_ok=True)
    walk(road(output, epochs))
    shown = summary(output / "scores.json")
    typer.echo(f"\n{shown}\n\nThe report is {(output / 'report.html').resolve()}")
