"""`sciml demo`: both roads, on the data that comes with the package and on problems that it draws."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from sciml.cli.output import Answer, Json, Quiet, check_targets, examples
from sciml.errors import InputError

__all__ = ["EXAMPLES", "Step", "demo", "walk"]

EXAMPLES = examples("sciml demo", "sciml demo -o trial --epochs 20 --operator-epochs 2 --json trial.json")

SAMPLE = "wrfout_d01_convrad_24x24_5min.nc"
TRUTH = "mskf_offline_convrad_24x24_5min.nc"
PRETRAINED = "mskf-convrad"
RESOLUTION, SAMPLES = "63", "256"
EPOCHS, OPERATOR_EPOCHS = 300, 12
BUDGET = 75


@dataclass(frozen=True)
class Step:
    """A stretch of the road: what it is for, and the command that goes it."""

    purpose: str
    arguments: tuple[str, ...]
    until_gone: Path | None = None

    def __str__(self) -> str:
        return "sciml " + shlex.join(self.arguments)


def road(
    output: Path,
    epochs: int = EPOCHS,
    operator_epochs: int = OPERATOR_EPOCHS,
    budget: float = BUDGET,
    anew: bool = False,
) -> list[Step]:
    """List the steps of both pipelines. Each is a command that the user can type as it stands.

    Parameters
    ----------
    epochs, operator_epochs
        Largest number of epochs of each training.
    budget
        Seconds that each training may take.
    anew
        Begin both trainings anew, even if one was cut off.
    """
    page = output / "convection.html"
    limits = ("--time-budget", f"{budget:g}", *(["--anew"] if anew else []))
    return [
        *weather_road(output, ("--epochs", str(epochs), *limits), page),
        *operator_road(output, ("--epochs", str(operator_epochs), *limits), after=page),
    ]


def weather_road(output: Path, limits: tuple[str, ...], page: Path) -> list[Step]:
    """From WRF output to an emulator inside a Fortran program."""
    from sciml.storage.packaged import packaged

    sample, truth = str(packaged(SAMPLE)), str(packaged(TRUTH))
    columns, model, library = (str(output / name) for name in ("columns.zarr", "demo.sciml", "library"))
    numbers = str(output / "scores.json")
    return [
        Step("Draw columns from the WRF sample", ("wrf", "columns", sample, "--truth", truth, "-o", columns)),
        Step(
            "Train an emulator on them",
            ("convection", "train", columns, "-o", model, *limits),
        ),
        Step(
            "Score it, and the pretrained one, against the true scheme",
            (
                *("convection", "evaluate", model, sample, "--truth", truth, "--also", PRETRAINED),
                *("--json", numbers, "--html", str(page)),
            ),
        ),
        Step("Build the library that WRF links", ("coupling", "build", "-o", library, PRETRAINED)),
        Step("Check the library against torch", ("coupling", "check", library)),
        Step("Replay the sample through a Fortran program", ("coupling", "replay", library, sample)),
    ]


def operator_road(output: Path, limits: tuple[str, ...], after: Path) -> list[Step]:
    """From a PDE to an operator held against multigrid, and one problem solved to a guaranteed error."""
    names = ("darcy.zarr", "darcy-test.zarr", "mgno.sciml", "operator.json", "operators.html", "report.html")
    data, test, model, numbers, page, report = (str(output / name) for name in names)
    pose = ("pde", "generate", "darcy-smooth", "--resolution", RESOLUTION, "--count")
    return [
        Step("Draw flows through porous media and solve them", (*pose, SAMPLES, "--seed", "7", "-o", data)),
        Step("And some more to test with", (*pose, "32", "--seed", "1009", "-o", test)),
        Step(
            "Train a multigrid neural operator on them",
            (
                *("pde", "train", "mgno", data, "-o", model),
                *(*limits, "--batch", "8", "--seed", "3"),
            ),
        ),
        Step(
            "Hold it against multigrid",
            ("pde", "verify", model, test, "--json", numbers, "--html", page, "--after", str(after)),
        ),
        Step(
            "Solve one problem to a guaranteed error",
            (
                *("pde", "solve", f"{test}[0]", "--operator", model, "--rtol", "1e-6", "--check"),
                *("--json", str(output / "certified.json"), "--html", report, "--after", page),
                *("--title", "The two roads of sciml"),
            ),
        ),
    ]


def walk(steps: list[Step], quiet: bool = False) -> list[dict[str, Any]]:
    """Go the steps one after the other; the first that fails ends the walk with its own exit code.

    While the file is there that a step names in ``until_gone``, it is not done, and the walk ends after it. Returns
    what was gone: the purpose, the command and the seconds of each step.
    """
    from sciml.cli import app

    gone: list[dict[str, Any]] = []
    for number, step in enumerate(steps, start=1):
        if not quiet:
            typer.secho(f"\n[{number}/{len(steps)}] {step.purpose}", bold=True)
            typer.secho(f"$ {step}", dim=True)
        begin = time.monotonic()
        try:
            app(args=[*step.arguments, *(["--quiet"] if quiet else [])], prog_name="sciml")
        except SystemExit as end:
            if end.code:
                raise typer.Exit(end.code if isinstance(end.code, int) else 1) from None
        seconds = time.monotonic() - begin
        gone.append({"purpose": step.purpose, "command": str(step), "seconds": round(seconds, 1)})
        if not quiet:
            typer.secho(f"({seconds:.0f} s)", dim=True)
        if step.until_gone is not None and step.until_gone.exists():
            if not quiet:
                typer.echo("\nnot done yet: type the same command again to go on")
            break
    return gone


def summary(scores: Path) -> str:
    """Say in a few lines how the two emulators did; every number is the evaluation's."""
    from sciml.verify.emulator.evaluation import f1_text

    told = json.loads(scores.read_text(encoding="utf-8"))
    lines = [f"{'':24}{'trigger F1':>12}{'heating R2':>12}{'rain R2':>12}"]
    for model in (told, *told.get("also", [])):
        outputs = model["outputs"]
        values = (model["trigger"]["f1"], outputs["RTHCUTEN"]["r2"], outputs["PRATEC"]["r2"])
        lines.append(f"{model['model']:24}" + "".join(f"{f1_text(value):>12}" for value in values))
    lines.append(
        f"(demo was trained just now on these very columns: it shows that the road works, not how well. "
        f"{PRETRAINED} was trained on other runs.)"
    )
    return "\n".join(lines)


def operator_summary(numbers: Path, certified: Path) -> str:
    """Say in a few lines what the operator is worth; every number is the evaluation's."""
    told, solved = (json.loads(path.read_text(encoding="utf-8")) for path in (numbers, certified))
    lines = [
        f"{told['model']} on {told['samples']} unseen flows: relative L2 error {told['relative_l2']:.3f}, "
        f"H1 {told['relative_h1']:.3f}",
    ]
    if "certified" in told:
        sharp = told["certified"]["effectivity"]["upper"]
        lines.append(
            f"guaranteed bound / true energy error: {sharp['mean']:.3f}, at most {sharp['greatest']:.3f}"
        )
    if "time" in told:
        lines.append(f"wall-clock of a prediction / multigrid-CG with set-up: {told['time']['ratio']:.2f}")
    start = "" if "from_zero" not in solved else f" ({solved['from_zero']['cycles']:.0f} from zero)"
    lines.append(
        f"one flow in {solved['cycles']:.0f} cycles{start}: error guaranteed below {solved['relative_bound']:.1e}, "
        f"truly {solved['true_error']:.1e}"
    )
    return "\n".join(lines)


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to.")] = Path(
        "demo-output"
    ),
    epochs: Annotated[
        int, typer.Option("--epochs", min=1, help="Largest number of epochs of the emulator's training.")
    ] = EPOCHS,
    operator_epochs: Annotated[
        int,
        typer.Option(
            "--operator-epochs", min=1, help="Largest number of epochs of the neural operator's training."
        ),
    ] = OPERATOR_EPOCHS,
    time_budget: Annotated[
        float,
        typer.Option("--time-budget", min=1.0, metavar="S", help="Seconds that each training may take."),
    ] = BUDGET,
    anew: Annotated[
        bool, typer.Option("--anew", help="Begin both trainings anew, even if one was cut off.")
    ] = False,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Go both roads, on data that come with sciml.

    From WRF output into a Fortran program, and a neural operator against multigrid.
    """
    if output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file: give a folder with -o")
    answer = Answer(json_file, quiet)
    check_targets({"--json": json_file}, [])
    output.mkdir(parents=True, exist_ok=True)
    with _aside(answer.piped):
        gone = walk(road(output, epochs, operator_epochs, time_budget, anew), quiet)
    scores, numbers, certified = (output / f"{name}.json" for name in ("scores", "operator", "certified"))
    report = (output / "report.html").resolve()
    read = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (scores, numbers, certified)}
    answer.keep({"report": str(report), "steps": gone, **read})
    answer.say("\n" + summary(scores) + "\n\n" + operator_summary(numbers, certified))
    answer.files()
    answer.say(f"\nThe report is {report}")


@contextlib.contextmanager
def _aside(piped: bool) -> Iterator[None]:
    """Send what the steps print to standard error, where standard output is for JSON."""
    with contextlib.redirect_stdout(sys.stderr) if piped else contextlib.nullcontext():
        yield
