"""`sciml pde verify`, `solve` and `findings`: compare operators with multigrid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sciml.cli.data_options import DataOptions
from sciml.cli.help_pages import examples
from sciml.cli.option_groups import expand_options
from sciml.cli.output import Json, Output, Quiet, progress_bar
from sciml.cli.page_options import PageOptions
from sciml.cli.posed_problems import draw_problem, parse_sample
from sciml.cli.targets import check_targets
from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from sciml.verify.operator.evaluation import PdeEvaluation

__all__ = ["FINDINGS", "SOLVE", "VERIFY", "findings", "solve", "verify"]

VERIFY = examples(
    "sciml pde verify darcy.sciml test.zarr --html report.html --json scores.json",
    "sciml pde verify a.sciml t.zarr --compare darcy-any --multigrid-samples 16",
    "sciml pde verify own.sciml k.npz --boundary dirichlet --centring cell",
)
SOLVE = examples(
    "sciml pde solve darcy-rough --operator darcy-any --rtol 1e-6 --check",
    "sciml pde solve 'd.zarr[3]' -o solution.nc --json certified.json",
)
FINDINGS = examples("sciml pde findings", "sciml pde findings --resolution 31 --html findings.html")


@expand_options
def verify(
    operator: Annotated[Path, typer.Argument(help="Checkpoint that 'sciml pde train' wrote.")],
    data: Annotated[Path, typer.Argument(help="Dataset with true solutions, not the one used for training.")],
    *,
    compare: Annotated[
        list[Path] | None,
        typer.Option(
            "--compare",
            metavar="OPERATOR",
            help="Another operator for the same page and JSON; may be repeated.",
        ),
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, help="Number of samples to score; default: all.")
    ] = None,
    multigrid_samples: Annotated[
        int,
        typer.Option(
            "--multigrid-samples", min=1, help="Number of samples compared with their multigrid hierarchies."
        ),
    ] = 8,
    preconditioned: Annotated[
        int,
        typer.Option(
            "--preconditioned",
            min=0,
            help="Number of samples solved with the operator as a preconditioner.",
        ),
    ] = 2,
    resolutions: Annotated[
        str | None,
        typer.Option(
            "--resolutions",
            metavar="N,N",
            help="Also score the problems of the data at these numbers of unknowns along each axis.",
        ),
    ] = None,
    data_options: DataOptions,
    figure: Annotated[
        Path | None, typer.Option("--figure", metavar="FILE", help="Write a summary figure (PNG).")
    ] = None,
    page: PageOptions,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Score an operator by norm, frequency and multigrid level.

    If the data define the problems too, some samples are compared with algebraic multigrid: iterations saved by the
    operator as an initial guess and as a preconditioner, wall-clock time, and a guaranteed error bound.
    """
    paths = [operator, *(compare or [])]
    targets = {"--json": json_file, "--html": page.html_file, "--figure": figure}
    check_targets(targets, [*paths, data, *page.earlier])
    from sciml.operators import TrainedOperator
    from sciml.verify.operator.evaluate import assess

    others = _numbers(resolutions)
    described = set(data_options.given()) - {"--layout"}  # The layout is passed to `assess`.
    dataset: Path | xr.Dataset = data_options.open(data) if described else data
    operators = [(path.stem, TrainedOperator.load(path)) for path in paths]
    evaluations = []
    for name, trained in operators:
        with progress_bar(f"evaluating {name}", quiet) as progress:
            evaluations.append(
                assess(
                    trained,
                    dataset,
                    model=name,
                    data=data.name,
                    samples=samples,
                    multigrid_samples=multigrid_samples,
                    preconditioned=preconditioned,
                    layout=data_options.layout,
                    resolutions=others,
                    progress=progress,
                )
            )
    _write(Output(json_file, quiet), evaluations, figure, page)


def _numbers(text: str | None) -> tuple[int, ...]:
    """Return the numbers of a list separated by commas."""
    parts = [part.strip() for part in text.split(",")] if text is not None else []
    if not all(part.isdecimal() for part in parts):
        raise InputError(f"--resolutions {text}: give whole numbers, such as 127,255")
    return tuple(map(int, parts))


def _write(output: Output, evaluations: list[PdeEvaluation], figure: Path | None, page: PageOptions) -> None:
    """Write the files, then print the scores, because a closed pipe ends the command."""
    content = evaluations[0].to_json()
    if len(evaluations) > 1:
        content["also"] = [evaluation.to_json() for evaluation in evaluations[1:]]
    output.write_json(content)
    if page.html_file:
        from sciml.verify.operator.page import chapters

        page.write(output, chapters(evaluations), "Operators compared with multigrid")
    if figure:
        from sciml.plot import png
        from sciml.storage.atomic import replaced
        from sciml.verify.operator.figures import portrait

        with replaced(figure) as part:
            part.write_bytes(png(portrait(evaluations[0])))
        output.add_file("figure", figure)
    output.print(*(f"{evaluation}\n" for evaluation in evaluations))
    output.print_files()


@expand_options
def solve(
    problem: Annotated[
        str, typer.Argument(help="Family of problems (darcy-rough, ...), or sample of a dataset: d.zarr[3].")
    ],
    *,
    operator: Annotated[
        Path | None,
        typer.Option(
            "--operator", metavar="MODEL", help="Operator for the initial guess; default: start from zero."
        ),
    ] = None,
    rtol: Annotated[
        float,
        typer.Option(
            "--rtol",
            metavar="X",
            help="Guaranteed error in the energy norm, relative to the solution's norm.",
        ),
    ] = 1e-6,
    resolution: Annotated[
        int,
        typer.Option(
            "--resolution", metavar="N", help="Number of unknowns along each axis, for a problem of a family."
        ),
    ] = 63,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="Seed of the problem, for a problem of a family.")
    ] = 7,
    check: Annotated[
        bool, typer.Option("--check", help="Also solve with sparse LU and report the true error.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the solution (netCDF).")
    ] = None,
    data_options: DataOptions,
    page: PageOptions,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Solve one problem to a guaranteed error.

    Multigrid cycles are applied to a prediction or to zero until the error bound is small enough. The unknowns of a
    family are at vertices unless --centring is cell.
    """
    name, index = parse_sample(problem)
    sources = [Path(name)] if index is not None else []
    targets = {"--output": output, "--json": json_file, "--html": page.html_file}
    check_targets(targets, [*sources, *([operator] if operator else []), *page.earlier])
    from sciml.operators import Neural
    from sciml.verify.operator.certificate import certify

    if index is None:
        _reject_data_options(name, data_options)
        drawn = draw_problem(name, resolution, seed, data_options.centring or "vertex")
        posed, title = drawn, f"{name}, seed {seed}"
    else:
        from sciml.pde import problem_of

        dataset = data_options.open(Path(name))
        posed, title = problem_of(dataset, index), f"sample {index} of {Path(name).name}"
    certificate = certify(
        posed, Neural.load(operator) if operator else None, rtol=rtol, check=check, name=title
    )
    result = Output(json_file, quiet)
    result.write_json(certificate.to_json())
    if page.html_file:
        page.write(result, [certificate.chapter()], "A certified solution")
    if output:
        from sciml.storage.atomic import replaced
        from sciml.storage.provenance import attribute

        with replaced(output) as part:
            certificate.solution.u.to_dataset().assign_attrs(attribute()).to_netcdf(part)
        result.add_file("solution", output)
    result.print(certificate)
    result.print_files()


@expand_options
def findings(
    *,
    operator: Annotated[
        Path | None,
        typer.Option(
            "--operator", metavar="MODEL", help="Trained operator for the table of initial guesses."
        ),
    ] = None,
    resolution: Annotated[
        int, typer.Option("--resolution", min=15, help="Number of unknowns along each axis.")
    ] = 63,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Number of problems of each kind.")] = 4,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed of all random choices.")] = 7,
    page: PageOptions,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Reproduce problems for which plain multigrid is better."""
    targets = {"--json": json_file, "--html": page.html_file}
    check_targets(targets, [*([operator] if operator else []), *page.earlier])
    from sciml.operators import TrainedOperator
    from sciml.verify.operator.negative_results import chapters, reproduce

    trained = TrainedOperator.load(operator) if operator else None
    results = reproduce(resolution=resolution, samples=samples, seed=seed, operator=trained)
    output = Output(json_file, quiet)
    output.write_json(results.to_json())
    if page.html_file:
        page.write(output, chapters(results), "Limits of learned operators")
    output.print(results)
    output.print_files()


def _reject_data_options(name: str, data_options: DataOptions) -> None:
    """Raise if a problem of a family is given options that apply only to a dataset."""
    given = [option for option in data_options.given() if option != "--centring"]
    if given:
        raise InputError(
            f"{', '.join(given)} with {name}: these options apply to a sample of a dataset, such as 'd.zarr[3]'"
        )
