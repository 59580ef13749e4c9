"""`sciml pde greens`: the Green's functions of an operator."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sciml.cli.help_pages import examples
from sciml.cli.option_groups import expand_options
from sciml.cli.output import Json, Output, Quiet, progress_bar
from sciml.cli.page_options import PageOptions
from sciml.cli.posed_problems import draw_problem, parse_sample
from sciml.cli.targets import check_targets
from sciml.errors import InputError

if TYPE_CHECKING:
    from sciml.operators import TrainedOperator

__all__ = ["EXAMPLES", "greens"]

EXAMPLES = examples(
    "sciml pde greens poisson.sciml --figure greens.png --json greens.json",
    "sciml pde greens poisson.sciml 'd.zarr[3]' --point 8,8 --html greens.html",
    "sciml pde greens cycles.sciml darcy-rough --resolution 127 --modes 10",
)


@expand_options
def greens(
    operator: Annotated[Path, typer.Argument(help="Checkpoint that 'sciml pde train' wrote.")],
    problem: Annotated[
        str | None,
        typer.Argument(
            help="Problem at whose source the network is linearized: a family, or a sample such as d.zarr[3]; default: "
            "one like those of the training."
        ),
    ] = None,
    *,
    point: Annotated[
        list[str] | None,
        typer.Option(
            "--point",
            metavar="ROW,COLUMN",
            help="Place of a source; may be repeated. Default: the centre and four points at quarters.",
        ),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            "--mode",
            metavar="MODE",
            help="frozen: the operator that gives the prediction; tangent: the response to a change.",
        ),
    ] = "frozen",
    modes: Annotated[int, typer.Option("--modes", min=1, help="Number of singular values and vectors.")] = 6,
    resolution: Annotated[
        int | None,
        typer.Option(
            "--resolution",
            metavar="N",
            min=3,
            help="Number of unknowns along each axis; default: that of the training.",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="Seed of the problem and of the random vectors.")
    ] = 7,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", metavar="FILE", help="Write a figure of the Green's functions (PNG)."),
    ] = None,
    page: PageOptions,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Read an operator as a matrix: its Green's functions.

    The network is linearized at the source of a problem, without its matrix, and compared with the inverse of the
    discrete system: responses to single sources, symmetry, singular values and vectors.
    """
    targets = {"--json": json_file, "--html": page.html_file, "--figure": figure}
    name, index = (None, None) if problem is None else parse_sample(problem)
    check_targets(targets, [operator, *([Path(name)] if name and index is not None else []), *page.earlier])
    wanted = _check_mode(mode)
    points = None if point is None else [_parse_point(text) for text in point]
    from sciml.operators import TrainedOperator
    from sciml.operators.greens import greens_functions

    trained = TrainedOperator.load(operator)
    posed = _pose(trained, name, index, resolution, seed)
    with progress_bar("responses", quiet) as progress:
        result = greens_functions(
            trained, posed, points, modes=modes, seed=seed, mode=wanted, progress=progress
        )
    output = Output(json_file, quiet)
    output.write_json({"operator": str(operator), **result.to_json()})
    if page.html_file:
        from sciml.verify.operator.greens_report import chapter

        page.write(output, [chapter(result, operator.name)], "Green's functions of an operator")
    if figure:
        from sciml.plot import png
        from sciml.storage.atomic import replaced
        from sciml.verify.operator.greens_report import portrait

        with replaced(figure) as part:
            part.write_bytes(png(portrait(result)))
        output.add_file("figure", figure)
    output.print(result)
    output.print_files()


def _check_mode(mode: str) -> Literal["frozen", "tangent"]:
    if mode not in ("frozen", "tangent"):
        raise InputError(f"--mode {mode}: give frozen or tangent")
    return "frozen" if mode == "frozen" else "tangent"


def _parse_point(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+),(\d+)", text.replace(" ", ""))
    if match is None:
        raise InputError(f"--point {text}: give a row and a column, such as 8,8")
    return int(match[1]), int(match[2])


def _pose(
    operator: TrainedOperator, name: str | None, index: int | None, resolution: int | None, seed: int
) -> Any:
    """Return the problem: a sample, a problem of a family, or one like those of the training."""
    if index is not None:
        if resolution is not None:
            raise InputError(
                f"--resolution {resolution} with {name}[{index}]: a sample has its own; leave it out"
            )
        from sciml.pde import open_dataset, problem_of

        return problem_of(open_dataset(str(name)), index)
    size = resolution or operator.grid.shape[0]
    if name is not None:
        return draw_problem(name, size, seed, operator.grid.centring)
    from sciml.pde.families import FAMILIES, Family

    parameters = operator.about.get("problem")
    if operator.family not in FAMILIES and not parameters:
        raise InputError(
            "the operator was trained on data of no known family: give a sample of a dataset, such as 'd.zarr[3]'"
        )
    family = (
        Family.from_parameters(operator.family, parameters, operator.inputs)
        if parameters
        else FAMILIES[operator.family]
    )
    shape = operator.grid.shape if resolution is None else (resolution, resolution)
    posed = family.problem(shape, seed, operator.grid.centring)
    return posed if operator.takes_system else replace(posed, **_place(operator, posed))


def _place(operator: TrainedOperator, posed: Any) -> dict[str, Any]:
    """Return the boundary and the rectangle of the training, for a problem that has them."""
    here = {"boundary": operator.grid.boundary, "lengths": operator.grid.lengths}
    return {key: value for key, value in here.items() if hasattr(posed, key)}
