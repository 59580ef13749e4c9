"""`sciml pde verify`, `solve` and `findings`: what an operator is worth beside multigrid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sciml.cli import data_options as own_data
from sciml.cli.output import Answer, Json, Quiet, bar, check_targets, examples
from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from sciml.verify.html_report import Chapter

__all__ = ["FINDINGS", "SOLVE", "VERIFY", "findings", "solve", "verify"]

VERIFY = examples(
    "sciml pde verify darcy.sciml test.zarr --html report.html --json scores.json",
    "sciml pde verify darcy.sciml test.zarr --also darcy-any --closely 16",
    "sciml pde verify own.sciml k.npz --boundary dirichlet --centring cell",
)
SOLVE = examples(
    "sciml pde solve darcy-rough --operator darcy-any --rtol 1e-6 --check",
    "sciml pde solve 'd.zarr[3]' -o solution.nc --json certified.json",
)
FINDINGS = examples("sciml pde findings", "sciml pde findings --resolution 31 --html findings.html")

Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page with pictures.")]
After = Annotated[
    list[Path] | None,
    typer.Option(
        "--after",
        metavar="PAGE",
        help="Of an earlier command, whose chapters come first; may be repeated.",
    ),
]
Title = Annotated[str, typer.Option("--title", metavar="TEXT", help="Of the page.")]


def verify(
    operator: Annotated[Path, typer.Argument(help="A checkpoint that 'sciml pde train' wrote.")],
    data: Annotated[Path, typer.Argument(help="A dataset with true solutions, not those trained on.")],
    also: Annotated[
        list[Path] | None,
        typer.Option("--also", metavar="OPERATOR", help="A further one, for the same page and JSON."),
    ] = None,
    samples: Annotated[int | None, typer.Option("--samples", min=1, help="Only so many samples.")] = None,
    closely: Annotated[
        int, typer.Option("--closely", min=1, help="How many are held against their multigrid hierarchies.")
    ] = 8,
    preconditioned: Annotated[
        int, typer.Option("--preconditioned", min=0, help="And the operator tried as a preconditioner of.")
    ] = 2,
    inputs: own_data.Inputs = None,
    target: own_data.Target = None,
    layout: own_data.Layout = None,
    dims: own_data.Dims = None,
    stride: own_data.Stride = 1,
    boundary: own_data.Sides = None,
    centring: own_data.Centring = None,
    dirichlet: own_data.Dirichlet = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Write one picture (PNG).")
    ] = None,
    html_file: Html = None,
    after: After = None,
    title: Title = "Operators beside multigrid",
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Score an operator by norm, by frequency, by multigrid level.

    Where the problems are known too, a few are held against their algebraic multigrid hierarchies: what the operator
    saves as an initial guess and as a preconditioner, how long it takes beside them, and a guaranteed error bound.
    """
    others = [operator, *(also or [])]
    targets = {"--json": json_file, "--html": html_file, "--picture": picture}
    check_targets(targets, [*others, data, *(after or [])])
    from sciml.operators import TrainedOperator
    from sciml.verify.operator.evaluate import assess

    truth: Path | xr.Dataset = data
    if inputs or target or dims or boundary or centring or dirichlet or stride > 1:
        truth = own_data.opened(
            data,
            inputs=inputs,
            target=target,
            layout=layout,
            dims=dims,
            stride=stride,
            boundary=boundary,
            centring=centring,
            dirichlet=dirichlet,
        )
    loaded = [(path.stem, TrainedOperator.load(path)) for path in others]
    found = []
    for name, one in loaded:
        with bar(f"asking {name}", quiet) as told:
            found.append(
                assess(
                    one,
                    truth,
                    model=name,
                    data=data.name,
                    samples=samples,
                    closely=closely,
                    preconditioned=preconditioned,
                    layout=layout,
                    progress=told,
                )
            )
    content = found[0].to_json()
    if len(found) > 1:
        content["also"] = [one.to_json() for one in found[1:]]
    answer = Answer(json_file, quiet)  # first what is kept: a reader may have left
    answer.keep(content)
    if html_file:
        from sciml.verify.operator.page import chapters

        _write_page(answer, html_file, chapters(found), after or [], title)
    if picture:
        from sciml.plot import png
        from sciml.storage.atomic import replaced
        from sciml.verify.operator.figures import portrait

        with replaced(picture) as part:
            part.write_bytes(png(portrait(found[0])))
        answer.wrote("picture", picture)
    answer.say(*(f"{one}\n" for one in found))
    answer.files()


def solve(
    problem: Annotated[
        str, typer.Argument(help="A family (darcy-rough, ...), or a sample of a dataset: d.zarr[3].")
    ],
    operator: Annotated[
        Path | None,
        typer.Option(
            "--operator", metavar="MODEL", help="What predicts; without one, multigrid begins from zero."
        ),
    ] = None,
    rtol: Annotated[
        float,
        typer.Option(
            "--rtol", metavar="X", help="Of the guaranteed error in energy, relative to the solution's."
        ),
    ] = 1e-6,
    resolution: Annotated[
        int, typer.Option("--resolution", metavar="N", help="Of a family: unknowns along an axis.")
    ] = 63,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of a family: which problem.")] = 7,
    check: Annotated[
        bool, typer.Option("--check", help="Solve by sparse LU too, and tell the true error.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the solution (netCDF).")
    ] = None,
    inputs: own_data.Inputs = None,
    target: own_data.Target = None,
    layout: own_data.Layout = None,
    dims: own_data.Dims = None,
    stride: own_data.Stride = 1,
    boundary: own_data.Sides = None,
    centring: own_data.Centring = None,
    dirichlet: own_data.Dirichlet = None,
    html_file: Html = None,
    after: After = None,
    title: Title = "A certified solution",
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Solve one problem to a guaranteed error.

    From a prediction or from zero, multigrid cycles are done until the bound is small enough. A family lies at
    vertices unless --centring says cell.
    """
    name, index = _sample(problem)
    sources = [Path(name)] if index is not None else []
    targets = {"--output": output, "--json": json_file, "--html": html_file}
    check_targets(targets, [*sources, *([operator] if operator else []), *(after or [])])
    from sciml.operators import Neural
    from sciml.verify.operator.certificate import certify

    if index is None:
        named = {
            "--inputs": inputs,
            "--target": target,
            "--layout": layout,
            "--dims": dims,
            "--boundary": boundary,
        }
        _refuse_of_family(
            name, [*(option for option, value in named.items() if value)] + ["--stride"] * (stride > 1)
        )
        posed, said = _drawn(name, resolution, seed, centring or "vertex"), f"{name}, seed {seed}"
    else:
        from sciml.pde import problem_of

        dataset = own_data.opened(
            Path(name),
            inputs=inputs,
            target=target,
            layout=layout,
            dims=dims,
            stride=stride,
            boundary=boundary,
            centring=centring,
            dirichlet=dirichlet,
        )
        posed, said = problem_of(dataset, index), f"sample {index} of {Path(name).name}"
    found = certify(posed, Neural.load(operator) if operator else None, rtol=rtol, check=check, name=said)
    answer = Answer(json_file, quiet)
    answer.keep(found.to_json())
    if html_file:
        _write_page(answer, html_file, [found.chapter()], after or [], title)
    if output:
        from sciml.storage.atomic import replaced

        with replaced(output) as part:
            found.solution.u.to_netcdf(part)
        answer.wrote("solution", output)
    answer.say(found)
    answer.files()


def findings(
    operator: Annotated[
        Path | None,
        typer.Option("--operator", metavar="MODEL", help="Trained, for the table of initial guesses."),
    ] = None,
    resolution: Annotated[int, typer.Option("--resolution", min=15, help="Unknowns along an axis.")] = 63,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Problems of each kind.")] = 4,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of all that is drawn.")] = 7,
    html_file: Html = None,
    after: After = None,
    title: Title = "What learning does not give",
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Reproduce where learning loses to plain multigrid."""
    check_targets(
        {"--json": json_file, "--html": html_file}, [*([operator] if operator else []), *(after or [])]
    )
    from sciml.operators import TrainedOperator
    from sciml.verify.operator.negative_results import chapters, reproduce

    trained = TrainedOperator.load(operator) if operator else None
    found = reproduce(resolution=resolution, samples=samples, seed=seed, operator=trained)
    answer = Answer(json_file, quiet)
    answer.keep(found.to_json())
    if html_file:
        _write_page(answer, html_file, chapters(found), after or [], title)
    answer.say(found)
    answer.files()


def _write_page(
    answer: Answer, path: Path, chapters: Sequence[Chapter], after: Sequence[Path], title: str
) -> None:
    from sciml.verify import html_report as layout

    before = [chapter for page in after for chapter in layout.read_chapters(page)]
    layout.save(path, layout.render([*before, *chapters], title=title))
    answer.wrote("page", path)


def _sample(given: str) -> tuple[str, int | None]:
    """A name with a number in brackets after it is a sample of a dataset."""
    name, bracket, rest = given.partition("[")
    if not bracket:
        if Path(given).exists():
            raise InputError(f"{given} holds many problems: say which one, such as '{given}[0]'")
        return name, None
    try:
        return name, int(rest.removesuffix("]"))
    except ValueError:
        raise InputError(f"{given!r}: a sample of a dataset is told as 'd.zarr[3]'") from None


def _drawn(name: str, resolution: int, seed: int, centring: str) -> Any:
    """A problem of a family."""
    from sciml.pde.families import FAMILIES

    if name not in FAMILIES:
        raise InputError(
            f"{name!r} is no family ({', '.join(FAMILIES)}) nor a sample of a dataset, such as 'd.zarr[3]'"
        )
    if centring not in ("vertex", "cell"):
        raise InputError(f"--centring {centring}: give vertex or cell")
    return FAMILIES[name].problem(resolution, seed, "cell" if centring == "cell" else "vertex")


def _refuse_of_family(name: str, given: list[str]) -> None:
    """Refuse what only a dataset can be asked."""
    if given:
        raise InputError(
            f"{', '.join(given)} with {name}: they are of a sample of a dataset, such as 'd.zarr[3]'"
        )
