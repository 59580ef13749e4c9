"""`sciml convection`: train an emulator of the convection scheme, and say how good it is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sciml.cli.help_pages import Room
from sciml.cli.output import Answer, Json, Quiet, bar, check_targets, examples, expanded, settings
from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from sciml.solve import Algorithm
    from sciml.verify.emulator.evaluation import Evaluation

__all__ = ["app"]

app = Room(
    no_args_is_help=True,
    help="Train emulators of the convection scheme, and score them.",
)

Truth = Annotated[
    list[Path] | None,
    typer.Option(
        "--truth", metavar="FILE", help="The true scheme's answers to a wrfout (mskf_offline_*), in order."
    ),
]


@app.command(
    epilog=examples(
        "sciml convection train columns.zarr -o mskf.sciml",
        "sciml convection train columns.zarr -o mskf.sciml --hold-out 3 --epochs 40",
        "sciml convection train mskf_pairs_a.nc -o a.sciml --config fit.toml --seed 3",
    )
)
def train(
    columns: Annotated[list[Path], typer.Argument(help="A columns store (*.zarr), or files of pairs.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The checkpoint to write (*.sciml).")],
    truth: Truth = None,
    hold_out: Annotated[
        list[int] | None, typer.Option("--hold-out", help="A RUN to keep for validation; may be repeated.")
    ] = None,
    exclude: Annotated[
        list[int] | None, typer.Option("--exclude", help="A RUN to leave out, for tests; may be repeated.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML with tables \\[fit] and \\[network].")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the columns.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Columns per step.")] = None,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", help="Highest rate.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of everything that is drawn.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda, ...")] = None,
    time_limit: Annotated[
        float | None, typer.Option("--time-limit", help="Stop, resumable, after so many seconds.")
    ] = None,
    time_budget: Annotated[
        float | None,
        typer.Option(
            "--time-budget",
            help="Seconds for the whole training: the learning rate falls to its end in them.",
        ),
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Begin anew, even if a training was cut off.")] = False,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Train an emulator on columns; the same command resumes it.

    What is given here goes before what the file of --config says, and that before the defaults.
    """
    from sciml.columns.open import open_columns
    from sciml.convection.training import train as train_emulator
    from sciml.train import checkpoint
    from sciml.train.progress import automatic

    checkpoint.check_target(output, [*columns, *(truth or [])])  # here, for the columns are opened first
    check_targets({"--json": json_file}, [*expanded([*columns, *(truth or [])]), output])
    begun = time.monotonic()
    given = {
        "epochs": epochs,
        "batch_size": batch,
        "learning_rate": learning_rate,
        "seed": seed,
        "device": device,
        "time_limit_s": time_limit,
        "time_budget_s": time_budget,
    }
    tables = settings(config)
    tables["fit"] = {**tables["fit"], **{name: x for name, x in given.items() if x is not None}}
    emulator = train_emulator(
        open_columns(columns, truth=truth or None),
        output,
        hold_out=hold_out or (),
        exclude=exclude or (),
        fit=tables["fit"],
        network=tables["network"],
        resume=not anew,
        progress=automatic(quiet),
    )
    Answer(json_file, quiet).trained(output, emulator, time.monotonic() - begun)


@app.command(
    epilog=examples(
        "sciml convection evaluate mskf-convrad wrfout_d01_a.nc --html page.html",
        "sciml convection evaluate mskf.sciml wrfout.nc --truth mskf_offline.nc",
        "sciml convection evaluate build pairs.nc --also mskf-convrad --json s.json",
    )
)
def evaluate(
    model: Annotated[
        str,
        typer.Argument(help="A checkpoint or its name, a library (*.so) with --weights, or its folder."),
    ],
    files: Annotated[
        list[Path], typer.Argument(help="wrfout files, captured or drawn pairs, or a columns store.")
    ],
    truth: Truth = None,
    weights: Annotated[Path | None, typer.Option("--weights", metavar="FILE", help="Of a library.")] = None,
    also: Annotated[
        list[str] | None,
        typer.Option("--also", metavar="MODEL", help="A further one, for the same page and JSON."),
    ] = None,
    run: Annotated[
        list[int] | None, typer.Option("--run", metavar="RUN", help="Only columns of this RUN.")
    ] = None,
    weighted: Annotated[bool, typer.Option("--weighted", help="Weigh columns by WEIGHT.")] = False,
    block: Annotated[int, typer.Option("--block", min=1, help="Columns in memory at a time.")] = 8192,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Write one picture (PNG).")
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with pictures.")
    ] = None,
    title: Annotated[
        str, typer.Option("--title", metavar="TEXT", help="Of the page.")
    ] = "The emulator and the scheme",
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Score a model against the true scheme.

    Columns that the scheme did not compute at that call (held from an earlier one) are never scored.
    """
    from sciml.verify.emulator.evaluate import assess

    inputs = [*files, *(truth or []), *([weights] if weights else []), *map(Path, (model, *(also or [])))]
    targets = {"--json": json_file, "--html": html_file, "--picture": picture}
    check_targets(targets, expanded(inputs))
    named = [(model, _algorithm(model, weights)), *((name, _algorithm(name, None)) for name in also or [])]
    columns = _columns(files, truth or [], run or [])
    data = ", ".join(path.resolve().name for path in files) + (
        f" (RUN {', '.join(map(str, run))})" if run else ""
    )
    found: list[Evaluation] = []
    for name, algorithm in named:
        with bar(f"evaluating {_short(name)}", quiet) as told:
            one = assess(
                columns,
                algorithm,
                model=_short(name),
                data=data,
                weighted=weighted,
                block=block,
                progress=told,
            )
        found.append(one)
    # First what is kept: whoever reads what is printed may have left.
    answer = Answer(json_file, quiet)
    _write(answer, found, html_file, picture, title)
    for one in found:
        answer.say(f"{one}\n")
    answer.files()


def _write(
    answer: Answer, found: list[Evaluation], html_file: Path | None, picture: Path | None, title: str
) -> None:
    """Write the files asked for."""
    content = found[0].to_json()
    if len(found) > 1:
        content["also"] = [one.to_json() for one in found[1:]]
    answer.keep(content)
    if html_file:
        from sciml.verify.emulator.page import write_page

        write_page(html_file, found, title=title)
        answer.wrote("page", html_file)
    if picture:
        from sciml.plot import png
        from sciml.storage.atomic import replaced
        from sciml.verify.emulator.figures import portrait

        with replaced(picture) as part:
            part.write_bytes(png(portrait(found[0])))
        answer.wrote("picture", picture)


def _short(name: str) -> str:
    """What to call a model: a path without its folders, except where that would say nothing."""
    path = Path(name)
    return path.stem if path.suffix == ".sciml" else path.name or name


def _algorithm(model: str, weights: Path | None) -> Algorithm[Any, Any, Any]:
    """Load a checkpoint, a library with its weights, or the folder that `sciml coupling build` made."""
    path = Path(model)
    if path.suffix == ".so" or (path.is_dir() and any(path.glob("*.so"))):
        library, weights = _built(path, weights)
        from sciml.coupling import FortranEmulator

        native: Algorithm[Any, Any, Any] = FortranEmulator(str(library), str(weights))
        return native
    if weights is not None:
        raise InputError(f"--weights {weights} goes with a library (*.so), and {model} is none")
    from sciml.convection.emulator import Emulator
    from sciml.convection.published_bilstm import KIND, PublishedEmulator
    from sciml.train import checkpoint

    loaded: Algorithm[Any, Any, Any]
    if checkpoint.load(checkpoint.resolve(model)).kind == KIND:
        loaded = PublishedEmulator.load(model)
    else:
        loaded = Emulator.load(model)
    return loaded


def _built(path: Path, weights: Path | None) -> tuple[Path, Path]:
    """The library and its weights: as given, or the only ones in the folder."""
    folder = path if path.is_dir() else path.parent

    def only(pattern: str, what: str, remedy: str) -> Path:
        there = sorted(folder.glob(pattern))
        if len(there) != 1:
            names = ", ".join(one.name for one in there) or "none"
            raise InputError(f"{folder} has {len(there)} {what} ({names}): {remedy}")
        return there[0]

    library = only("libsciml*.so", "libraries", "name the library itself") if path.is_dir() else path
    if weights is None:
        weights = only("*.nc", "weights files", "give one with --weights")
    for one in (library, weights):
        if not one.is_file():
            raise InputError(f"{one} is not there: make it with 'sciml coupling build -o DIR MODEL'")
    return library, weights


def _columns(files: list[Path], truth: list[Path], run: list[int]) -> xr.Dataset:
    """The columns of files of any form, held ones included, of the runs asked for."""
    import numpy as np

    from sciml.columns.open import open_columns

    columns = open_columns(files, truth=truth or None, keep="all")
    if not run:
        return columns
    runs = columns["RUN"].values
    absent = [number for number in dict.fromkeys(run) if number not in runs]
    if absent:
        there = ", ".join(map(str, np.unique(runs)))
        raise InputError(f"no column of RUN {', '.join(map(str, absent))}: the files hold RUN {there}")
    here = np.isin(runs, run)
    return columns.isel(column=np.flatnonzero(here))
