"""`sciml convection`: train an emulator of the convection scheme, and score it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sciml.cli.convection_analogs import EXAMPLES as ANALOGS
from sciml.cli.convection_analogs import analogs
from sciml.cli.convection_attribute import EXAMPLES as ATTRIBUTE
from sciml.cli.convection_attribute import attribute
from sciml.cli.convection_augment import EXAMPLES as AUGMENT
from sciml.cli.convection_augment import Reference, augment
from sciml.cli.help_pages import CommandGroup, examples
from sciml.cli.model_arguments import load_algorithm
from sciml.cli.option_groups import expand_options
from sciml.cli.output import Json, Output, Quiet, progress_bar
from sciml.cli.runs import select_runs
from sciml.cli.targets import check_targets, expand_inputs
from sciml.cli.training_options import TrainingOptions
from sciml.cli.worker_options import WorkerOptions
from sciml.errors import InputError

if TYPE_CHECKING:
    from sciml.verify.emulator.evaluation import Evaluation

__all__ = ["app"]

app = CommandGroup(
    no_args_is_help=True,
    help="Train emulators of the convection scheme, and score them.",
)


def complete_balance(incomplete: str) -> list[str]:
    """Return the keys of a balance that begin with the given text, for shell completion."""
    return [key for key in ("run", "class") if key.startswith(incomplete)]


def complete_budgets(incomplete: str) -> list[str]:
    """Return the budgets that begin with the given text, for shell completion."""
    return [key for key in ("water", "energy") if key.startswith(incomplete)]


def complete_robust(incomplete: str) -> list[str]:
    """Return the keys of robust groups that begin with the given text, for shell completion."""
    return [key for key in ("run", "dx", "season") if key.startswith(incomplete)]


@app.command(
    epilog=examples(
        "sciml convection train columns.zarr -o mskf.sciml --hold-out 3 --epochs 40",
        "sciml convection train a.zarr b.zarr -o m.sciml --robust run",
        "sciml convection train columns.zarr -o pure.sciml --network bilstm",
    )
)
@expand_options
def train(
    columns: Annotated[list[Path], typer.Argument(help="Columns store (*.zarr), or files of pairs.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Checkpoint to write (*.sciml).")],
    reference: Reference = None,
    hold_out: Annotated[
        list[int] | None,
        typer.Option("--hold-out", metavar="RUN", help="Run used for validation; may be repeated."),
    ] = None,
    exclude: Annotated[
        list[int] | None,
        typer.Option(
            "--exclude", metavar="RUN", help="Run to leave out of the training, for tests; may be repeated."
        ),
    ] = None,
    balance: Annotated[
        list[str] | None,
        typer.Option(
            "--balance",
            metavar="KEY",
            help="Sample so that each run (run), class (class) or class of each run (both) has the same share; may be "
            "repeated.",
            autocompletion=complete_balance,
        ),
    ] = None,
    robust: Annotated[
        str | None,
        typer.Option(
            "--robust",
            metavar="KEY",
            help="Train for the worst group of columns: run, dx or season. \\[robust] of --config has more settings.",
            autocompletion=complete_robust,
        ),
    ] = None,
    multipliers: Annotated[
        list[str] | None,
        typer.Option(
            "--multipliers",
            metavar="BUDGET",
            help="Budget to close by a Lagrange multiplier, where the network does not by construction: water "
            "(published) or energy (published, bilstm, transformer); may be repeated.",
            autocompletion=complete_budgets,
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            "--network",
            metavar="NAME",
            help="Network to train: plume-closure (the default) computes the plume of the scheme, bilstm and "
            "transformer learn it, published is the network of Zhong, Yu and Li (2024).",
        ),
    ] = None,
    fraction: Annotated[
        float,
        typer.Option(
            "--fraction", metavar="X", help="Fraction of the training columns to use, drawn by the seed."
        ),
    ] = 1.0,
    pretrained: Annotated[
        Path | None,
        typer.Option(
            "--pretrained",
            metavar="FILE",
            help="Checkpoint of 'sciml convection pretrain' that the network transformer starts from.",
        ),
    ] = None,
    options: TrainingOptions,
    # The name of --restart in scripts from before the renaming; to be removed with them.
    anew: Annotated[bool, typer.Option("--anew", hidden=True)] = False,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Train an emulator on columns.

    The same command resumes an interrupted training. Options take precedence over the file of
    --config, and the file over the defaults.
    """
    from sciml.columns.open import open_columns
    from sciml.convection.training import train as train_emulator
    from sciml.train import checkpoint
    from sciml.train.progress import automatic

    inputs = [*columns, *(reference or []), *([pretrained] if pretrained else [])]
    checkpoint.check_target(output, inputs)  # before the columns are opened
    check_targets({"--json": json_file}, [*expand_inputs(inputs), output])
    begun = time.monotonic()
    fit, settings, data, groups, conserved = options.read("data", "robust", "multipliers")
    conserved |= {"budgets": multipliers} if multipliers else {}
    groups |= {} if robust is None else {"by": robust}
    settings |= {} if network is None else {"kind": network}
    unknown = sorted(set(data) - {"balance"})
    if unknown:
        raise InputError(f"{options.config} has [data] {', '.join(unknown)}: it may have balance")
    emulator = train_emulator(
        open_columns(columns, truth=reference or None),
        output,
        hold_out=hold_out or (),
        exclude=exclude or (),
        fit=fit,
        network=settings,
        balance=balance or data.get("balance", ()),
        fraction=fraction,
        pretrained=pretrained,
        robust=groups,
        multipliers=conserved,
        resume=not (options.restart or anew),
        progress=automatic(quiet),
    )
    Output(json_file, quiet).report_training(output, emulator, time.monotonic() - begun)


@app.command(
    epilog=examples(
        "sciml convection pretrain wrfout_d01_* -o pretrained.sciml",
        "sciml convection pretrain columns.zarr -o p.sciml --exclude 3",
    )
)
@expand_options
def pretrain(
    files: Annotated[list[Path], typer.Argument(help="wrfout files, pairs, or columns stores.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Checkpoint to write (*.sciml).")],
    exclude: Annotated[
        list[int] | None,
        typer.Option("--exclude", metavar="RUN", help="Run to leave out, for tests; may be repeated."),
    ] = None,
    masked: Annotated[
        float, typer.Option("--masked", metavar="X", help="Probability that a layer is masked.")
    ] = 0.3,
    options: TrainingOptions,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Pretrain a column transformer on profiles without targets.

    It learns to reconstruct masked layers. The same command resumes an interrupted pretraining.
    """
    from sciml.convection.pretraining import pretrain as pretrain_network
    from sciml.train import checkpoint
    from sciml.train.progress import automatic

    checkpoint.check_target(output, files)
    check_targets({"--json": json_file}, [*expand_inputs(files), output])
    begun = time.monotonic()
    fit, settings = options.read()
    made = pretrain_network(
        files,
        output,
        exclude=exclude or (),
        fit=fit,
        network=settings,
        share=masked,
        resume=not options.restart,
        progress=automatic(quiet),
    )
    Output(json_file, quiet).report_training(output, made, time.monotonic() - begun)


@app.command(
    epilog=examples(
        "sciml convection evaluate mskf-convrad wrfout_d01_a.nc --html page.html",
        "sciml convection evaluate build a.nc --compare mskf-convrad --json s.json",
        "sciml convection evaluate a.sciml columns.zarr --by run,dx --by run,class",
    )
)
@expand_options
def evaluate(
    model: Annotated[
        str,
        typer.Argument(help="Checkpoint or its name, library (*.so) with --weights, or folder with both."),
    ],
    files: Annotated[
        list[Path], typer.Argument(help="wrfout files, captured or drawn pairs, or a columns store.")
    ],
    *,
    reference: Reference = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", metavar="FILE", help="Weights file of the library.")
    ] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            "--compare", metavar="MODEL", help="Another model for the same page and JSON; may be repeated."
        ),
    ] = None,
    run: Annotated[
        list[int] | None,
        typer.Option("--run", metavar="RUN", help="Score only columns of this run; may be repeated."),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            metavar="KEYS",
            help="Also score each group of columns: run, dx, dt, cudt, levels, class, or several such as run,class. "
            "May be repeated for further tables.",
        ),
    ] = None,
    weighted: Annotated[
        bool, typer.Option("--weighted", help="Weight the columns by the variable WEIGHT.")
    ] = False,
    block: Annotated[
        int, typer.Option("--block", min=1, help="Number of columns in memory at a time, in each process.")
    ] = 8192,
    worker_options: WorkerOptions,
    figure: Annotated[
        Path | None, typer.Option("--figure", metavar="FILE", help="Write a summary figure (PNG).")
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write an HTML page with figures.")
    ] = None,
    title: Annotated[
        str, typer.Option("--title", metavar="TEXT", help="Title of the page.")
    ] = "The emulator and the scheme",
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Score a model against the true scheme.

    Columns with tendencies that the scheme held from an earlier call are not scored.
    """
    from sciml.columns.open import open_columns
    from sciml.verify.emulator.evaluate import assess
    from sciml.verify.emulator.groups import check_keys

    keys = check_keys([[key.strip() for key in text.split(",")] for text in by or []])

    models = [model, *(compare or [])]
    inputs = [*files, *(reference or []), *([weights] if weights else []), *map(Path, models)]
    targets = {"--json": json_file, "--html": html_file, "--figure": figure}
    check_targets(targets, expand_inputs(inputs))
    algorithms = [load_algorithm(model, weights), *(load_algorithm(name, None) for name in models[1:])]
    columns = select_runs(open_columns(files, truth=reference or None, keep="all"), run or [])
    runs = f" (RUN {', '.join(map(str, run))})" if run else ""
    data = ", ".join(path.resolve().name for path in files) + runs
    evaluations: list[Evaluation] = []
    with worker_options.chosen(quiet) as workers:
        for name, algorithm in zip(map(_short_name, models), algorithms, strict=True):
            with progress_bar(f"evaluating {name}", quiet) as progress:
                evaluations.append(
                    assess(
                        columns,
                        algorithm,
                        model=name,
                        data=data,
                        weighted=weighted,
                        by=keys,
                        block=block,
                        workers=workers,
                        progress=progress,
                    )
                )
    output = Output(json_file, quiet)  # Files are written first, because a closed pipe ends the command.
    _write(output, evaluations, html_file, figure, title)
    output.print(*(f"{evaluation}\n" for evaluation in evaluations))
    output.print_files()


def _write(
    output: Output, evaluations: list[Evaluation], html_file: Path | None, figure: Path | None, title: str
) -> None:
    """Write the JSON, the page and the figure, if they are asked for."""
    content = evaluations[0].to_json()
    if len(evaluations) > 1:
        content["also"] = [evaluation.to_json() for evaluation in evaluations[1:]]
    output.write_json(content)
    if html_file:
        from sciml.verify.emulator.page import write_page

        write_page(html_file, evaluations, title=title)
        output.add_file("page", html_file)
    if figure:
        from sciml.plot import png
        from sciml.storage.atomic import replaced
        from sciml.verify.emulator.figures import portrait

        with replaced(figure) as part:
            part.write_bytes(png(portrait(evaluations[0])))
        output.add_file("figure", figure)


def _short_name(model: str) -> str:
    """Return the name of a model without its folders and the suffix of a checkpoint."""
    path = Path(model)
    return path.stem if path.suffix == ".sciml" else path.name or model


app.command(epilog=AUGMENT)(augment)
app.command(epilog=ANALOGS)(analogs)
app.command(epilog=ATTRIBUTE)(attribute)
