"""`sciml demo`: both pipelines, on the data of the package and on generated problems."""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from sciml.cli.help_pages import examples
from sciml.cli.output import Json, Output, Quiet
from sciml.cli.targets import check_targets
from sciml.errors import InputError

__all__ = ["EXAMPLES", "Step", "demo", "demo_steps", "run_steps"]

EXAMPLES = examples("sciml demo", "sciml demo -o trial --epochs 20 --operator-epochs 2 --json trial.json")

SAMPLE = "wrfout_d01_convrad_24x24_5min.nc"
REFERENCE = "mskf_offline_convrad_24x24_5min.nc"
PRETRAINED = "mskf-convrad"
RESOLUTION, SAMPLES = "63", "256"
EPOCHS, OPERATOR_EPOCHS = 300, 12
BUDGET = 75


@dataclass(frozen=True)
class Step:
    """A step of a workflow: its purpose, the arguments of its command, and a file that exists until it is finished.

    The command is sciml, or `module` of Python.
    """

    purpose: str
    arguments: tuple[str, ...]
    resume_file: Path | None = None
    module: str = ""

    def __str__(self) -> str:
        return f"{f'python -m {self.module}' if self.module else 'sciml'} {shlex.join(self.arguments)}"

    def run(self, more: tuple[str, ...] = ()) -> int:
        """Run the command and return its exit code; `more` are further arguments of sciml."""
        from sciml.cli.application import app

        if self.module:
            return subprocess.run(
                [sys.executable, "-m", self.module, *self.arguments], check=False
            ).returncode
        try:
            app(args=[*self.arguments, *more], prog_name="sciml")
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(bool(end.code))
        return 0


def demo_steps(
    output: Path,
    epochs: int = EPOCHS,
    operator_epochs: int = OPERATOR_EPOCHS,
    budget: float = BUDGET,
    restart: bool = False,
) -> list[Step]:
    """Return the steps of both pipelines. Each is a command that the user can copy.

    Parameters
    ----------
    epochs, operator_epochs
        Maximum number of epochs of each training.
    budget
        Seconds that each training may take.
    restart
        Whether both trainings start from the beginning, even if one was interrupted.
    """
    page = output / "convection.html"
    limits = ("--time-budget", f"{budget:g}", *(["--restart"] if restart else []))
    return [
        *weather_steps(output, ("--epochs", str(epochs), *limits), page),
        *operator_steps(output, ("--epochs", str(operator_epochs), *limits), earlier=page),
    ]


def weather_steps(output: Path, limits: tuple[str, ...], page: Path) -> list[Step]:
    """Return the steps from WRF output to an emulator in a Fortran program."""
    from sciml.storage.packaged import packaged

    sample, reference = str(packaged(SAMPLE)), str(packaged(REFERENCE))
    columns, model, library = (str(output / name) for name in ("columns.zarr", "demo.sciml", "library"))
    numbers = str(output / "scores.json")
    return [
        Step(
            "Extract columns from the WRF sample",
            ("wrf", "columns", sample, "--reference", reference, "-o", columns),
        ),
        Step(
            "Train an emulator on them",
            ("convection", "train", columns, "-o", model, *limits),
        ),
        Step(
            "Score it and the pretrained emulator against the true scheme",
            (
                *("convection", "evaluate", model, sample, "--reference", reference),
                *("--compare", PRETRAINED, "--json", numbers, "--html", str(page)),
            ),
        ),
        Step("Build the library that WRF links", ("coupling", "build", "-o", library, PRETRAINED)),
        Step("Check the library against torch", ("coupling", "check", library)),
        Step("Replay the sample through a Fortran program", ("coupling", "replay", library, sample)),
    ]


def operator_steps(output: Path, limits: tuple[str, ...], earlier: Path) -> list[Step]:
    """Return the steps from a PDE to an operator compared with multigrid, and a solution with an error bound."""
    names = ("darcy.zarr", "darcy-test.zarr", "mgno.sciml", "operator.json", "operators.html", "report.html")
    data, test, model, numbers, page, report = (str(output / name) for name in names)
    generate = ("pde", "generate", "darcy-smooth", "--resolution", RESOLUTION, "--count")
    return [
        Step("Generate flows through porous media", (*generate, SAMPLES, "--seed", "7", "-o", data)),
        Step("Generate more of them for testing", (*generate, "32", "--seed", "1009", "-o", test)),
        Step(
            "Train a multigrid neural operator on them",
            (
                *("pde", "train", "mgno", data, "-o", model),
                *(*limits, "--batch-size", "8", "--seed", "3"),
            ),
        ),
        Step(
            "Compare it with multigrid",
            ("pde", "verify", model, test, "--json", numbers, "--html", page, "--prepend", str(earlier)),
        ),
        Step(
            "Solve one problem to a guaranteed error",
            (
                *("pde", "solve", f"{test}[0]", "--operator", model, "--rtol", "1e-6", "--check"),
                *("--json", str(output / "certified.json"), "--html", report, "--prepend", page),
                *("--title", "The two pipelines of sciml"),
            ),
        ),
    ]


def run_steps(steps: list[Step], quiet: bool = False) -> list[dict[str, Any]]:
    """Run the steps one after the other; a step that fails ends the run with its exit code.

    A step is unfinished while its ``resume_file`` exists; the run ends after such a step.

    Returns
    -------
    list of dict
        The purpose, the command and the seconds of each step that was run.
    """
    completed: list[dict[str, Any]] = []
    for number, step in enumerate(steps, start=1):
        if not quiet:
            typer.secho(f"\n[{number}/{len(steps)}] {step.purpose}", bold=True)
            typer.secho(f"$ {step}", dim=True)
        begin = time.monotonic()
        if code := step.run(("--quiet",) if quiet else ()):
            raise typer.Exit(code)
        seconds = time.monotonic() - begin
        completed.append({"purpose": step.purpose, "command": str(step), "seconds": round(seconds, 1)})
        if not quiet:
            typer.secho(f"({seconds:.0f} s)", dim=True)
        if step.resume_file is not None and step.resume_file.exists():
            if not quiet:
                typer.echo("\nnot finished yet: run the same command again to resume")
            break
    return completed


def summary(scores: Path) -> str:
    """Return the scores of the two emulators as a few lines of text."""
    from sciml.tables import aligned
    from sciml.verify.emulator.evaluation import f1_text

    evaluation = json.loads(scores.read_text(encoding="utf-8"))
    rows = [["", "trigger F1", "heating R2", "rain R2"]]
    for model in (evaluation, *evaluation.get("also", [])):
        outputs = model["outputs"]
        values = (model["trigger"]["f1"], outputs["RTHCUTEN"]["r2"], outputs["PRATEC"]["r2"])
        rows.append([model["model"], *map(f1_text, values)])
    lines = aligned(rows, widths=(24, 12, 12, 12), gap="")
    lines.append(
        f"(demo was trained on the columns that it is scored on: its scores do not measure its quality. "
        f"{PRETRAINED} was trained on other runs.)"
    )
    return "\n".join(lines)


def operator_summary(numbers: Path, certified: Path) -> str:
    """Return the scores of the operator and the certified solution as a few lines of text."""
    scores, solved = (json.loads(path.read_text(encoding="utf-8")) for path in (numbers, certified))
    lines = [
        f"{scores['model']} on {scores['samples']} unseen flows: relative L2 error {scores['relative_l2']:.3f}, "
        f"H1 {scores['relative_h1']:.3f}",
    ]
    if "certified" in scores:
        sharp = scores["certified"]["effectivity"]["upper"]
        lines.append(
            f"guaranteed bound / true energy error: {sharp['mean']:.3f}, at most {sharp['greatest']:.3f}"
        )
    if "time" in scores:
        lines.append(f"wall-clock of a prediction / multigrid-CG with set-up: {scores['time']['ratio']:.2f}")
    start = "" if "from_zero" not in solved else f" ({solved['from_zero']['cycles']:.0f} from zero)"
    lines.append(
        f"one flow in {solved['cycles']:.0f} cycles{start}: error guaranteed below {solved['relative_bound']:.1e}, "
        f"true error {solved['true_error']:.1e}"
    )
    return "\n".join(lines)


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")] = Path("demo-output"),
    epochs: Annotated[
        int, typer.Option("--epochs", min=1, help="Maximum number of epochs of the emulator's training.")
    ] = EPOCHS,
    operator_epochs: Annotated[
        int,
        typer.Option(
            "--operator-epochs", min=1, help="Maximum number of epochs of the neural operator's training."
        ),
    ] = OPERATOR_EPOCHS,
    time_budget: Annotated[
        float,
        typer.Option(
            "--time-budget", min=1.0, metavar="S", help="Maximum number of seconds of each training."
        ),
    ] = BUDGET,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Start both trainings from the beginning instead of resuming them."),
    ] = False,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Run both pipelines on data that come with sciml.

    The first leads from WRF output to an emulator in a Fortran program; the second compares a neural operator with
    multigrid.
    """
    if output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file: give a folder with -o")
    result = Output(json_file, quiet)
    check_targets({"--json": json_file}, [])
    output.mkdir(parents=True, exist_ok=True)
    with _stdout_to_stderr(result.json_to_stdout):
        completed = run_steps(demo_steps(output, epochs, operator_epochs, time_budget, restart), quiet)
    scores, numbers, certified = (output / f"{name}.json" for name in ("scores", "operator", "certified"))
    report = (output / "report.html").resolve()
    content = {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (scores, numbers, certified)
    }
    result.write_json({"report": str(report), "steps": completed, **content})
    result.print("\n" + summary(scores) + "\n\n" + operator_summary(numbers, certified))
    result.print_files()
    result.print(f"\nThe report is {report}")


@contextlib.contextmanager
def _stdout_to_stderr(redirect: bool) -> Iterator[None]:
    """Redirect the output of the steps to standard error if standard output is for JSON."""
    with contextlib.redirect_stdout(sys.stderr) if redirect else contextlib.nullcontext():
        yield
