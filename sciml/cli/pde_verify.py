"""`sciml pde verify`, `solve` and `findings`: what an operator is worth beside multigrid."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sciml.cli.told import bar, variable_map
from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from sciml.verify.layout import Chapter

__all__ = ["findings", "solve", "verify"]

Html = Annotated[Path | None, typer.Option("--html", help="Write a page with pictures.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write every number here.")]
After = Annotated[
    list[Path] | None,
    typer.Option("--after", help="A page of an earlier command, whose chapters come first; may be repeated."),
]
Title = Annotated[str, typer.Option("--title", help="Of the page.")]


def verify(
    operator: Annotated[Path, typer.Argument(help="A checkpoint that 'sciml pde train' wrote.")],
    data: Annotated[Path, typer.Argument(help="A dataset with true solutions, not those trained on.")],
    json_file: Json = None,
    html_file: Html = None,
    picture: Annotated[Path | None, typer.Option("--picture", help="Write one picture (PNG).")] = None,
    also: Annotated[
        list[Path] | None, typer.Option("--also", help="A further operator for the same page and JSON.")
    ] = None,
    after: After = None,
    samples: Annotated[int | None, typer.Option("--samples", min=1, help="Only so many samples.")] = None,
    closely: Annotated[
        int, typer.Option("--closely", min=1, help="How many are held against their multigrid hierarchies.")
    ] = 8,
    preconditioned: Annotated[
        int, typer.Option("--preconditioned", min=0, help="And the operator tried as a preconditioner of.")
    ] = 2,
    layout: Annotated[
        str | None, typer.Option("--layout", help="Of a published file that does not tell it, such as fno.")
    ] = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--inputs", help="An input variable, or OURS=THEIRS; may be repeated.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", help="The true solution, or OURS=THEIRS; by default u.")
    ] = None,
    title: Title = "Operators beside multigrid",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Score an operator on problems with known solutions: by norm, by frequency, by multigrid level.

    Where the problems are known too, a few are held against their algebraic multigrid hierarchies: what the operator
    saves as an initial guess and as a preconditioner, how long it takes beside them, and a guaranteed error bound.
    """
    others = [operator, *(also or [])]
    targets = {"--json": json_file, "--html": html_file, "--picture": picture}
    _check_targets(targets, [*others, data, *(after or [])])
    from sciml.operators import TrainedOperator
    from sciml.verify.pde import assess

    truth: Path | xr.Dataset = data
    if inputs or target:
        from sciml.pde import open_dataset

        truth = open_dataset(data, inputs=variable_map(inputs), target=variable_map(target), layout=layout)
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
    written = _write_json(json_file, content)
    if html_file:
        from sciml.verify.pde_page import chapters

        written += _write_page(html_file, chapters(found), after or [], title)
    if picture:
        from sciml.plot import png
        from sciml.verify.pde_figures import portrait
        from sciml.writing import replaced

        with replaced(picture) as part:
            part.write_bytes(png(portrait(found[0])))
        written.append(f"picture: {picture}")
    for text in [*(f"{one}\n" for one in found), *written]:  # first what is kept: a reader may have left
        typer.echo(text)


def solve(
    problem: Annotated[
        str, typer.Argument(help="A family (darcy-rough, ...), or a sample of a dataset: d.zarr[3].")
    ],
    operator: Annotated[
        Path | None,
        typer.Option("--operator", help="What predicts; without one, multigrid begins from zero."),
    ] = None,
    rtol: Annotated[
        float, typer.Option("--rtol", help="Of the guaranteed error in energy, relative to the solution's.")
    ] = 1e-6,
    resolution: Annotated[
        int, typer.Option("--resolution", help="Of a family: unknowns along an axis.")
    ] = 63,
    seed: Annotated[int, typer.Option("--seed", help="Of a family: which problem.")] = 7,
    centring: Annotated[str, typer.Option("--centring", help="Of a family: vertex or cell.")] = "vertex",
    check: Annotated[
        bool, typer.Option("--check", help="Solve by sparse LU too, and tell the true error.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the solution here (netCDF).")
    ] = None,
    json_file: Json = None,
    html_file: Html = None,
    after: After = None,
    title: Title = "A certified solution",
) -> None:
    """Solve one problem to a guaranteed error: predict, then multigrid cycles until the bound is small enough."""
    name, index = _sample(problem)
    inputs = [Path(name)] if index is not None else []
    targets = {"--output": output, "--json": json_file, "--html": html_file}
    _check_targets(targets, [*inputs, *([operator] if operator else []), *(after or [])])
    from sciml.operators import Neural
    from sciml.verify.certify import certify

    posed = _posed(name, index, resolution, seed, centring)
    said = f"sample {index} of {Path(name).name}" if index is not None else f"{name}, seed {seed}"
    found = certify(posed, Neural.load(operator) if operator else None, rtol=rtol, check=check, name=said)
    written = _write_json(json_file, found.to_json())
    if html_file:
        written += _write_page(html_file, [found.chapter()], after or [], title)
    if output:
        from sciml.writing import replaced

        with replaced(output) as part:
            found.solution.u.to_netcdf(part)
        written.append(f"solution: {output}")
    for text in [str(found), *written]:
        typer.echo(text)


def findings(
    json_file: Json = None,
    html_file: Html = None,
    after: After = None,
    operator: Annotated[
        Path | None, typer.Option("--operator", help="A trained operator for the table of initial guesses.")
    ] = None,
    resolution: Annotated[int, typer.Option("--resolution", min=15, help="Unknowns along an axis.")] = 63,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Problems of each kind.")] = 4,
    seed: Annotated[int, typer.Option("--seed", help="Of all that is drawn.")] = 7,
    title: Title = "What learning does not give",
) -> None:
    """Reproduce the honest findings: where a learned or coefficient-blind operator loses to plain multigrid."""
    _check_targets(
        {"--json": json_file, "--html": html_file}, [*([operator] if operator else []), *(after or [])]
    )
    from sciml.operators import TrainedOperator
    from sciml.verify.findings import chapters, reproduce

    trained = TrainedOperator.load(operator) if operator else None
    found = reproduce(resolution=resolution, samples=samples, seed=seed, operator=trained)
    written = _write_json(json_file, found.to_json())
    if html_file:
        written += _write_page(html_file, chapters(found), after or [], title)
    for text in [str(found), *written]:
        typer.echo(text)


def _write_json(path: Path | None, content: dict[str, Any]) -> list[str]:
    if path is None:
        return []
    from sciml.writing import replaced

    with replaced(path) as part:
        part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return [f"numbers: {path}"]


def _write_page(path: Path, chapters: Sequence[Chapter], after: Sequence[Path], title: str) -> list[str]:
    from sciml.verify import layout

    before = [chapter for page in after for chapter in layout.read_chapters(page)]
    layout.save(path, layout.render([*before, *chapters], title=title))
    return [f"page: {path}"]


def _check_targets(targets: dict[str, Path | None], inputs: Sequence[Path]) -> None:
    """Refuse targets that cannot or must not be written before the work is done rather than after it."""
    from sciml.writing import check_apart, check_replaceable

    taken: dict[Path, str] = {}
    for option, path in targets.items():
        if path is None:
            continue
        check_replaceable(path)
        check_apart(path, inputs)
        earlier = taken.setdefault(path.resolve(), option)
        if earlier != option:
            raise InputError(f"{earlier} and {option} both name {path}: give each a file of its own")


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


def _posed(name: str, index: int | None, resolution: int, seed: int, centring: str) -> Any:
    from sciml.pde import open_dataset, problem_of

    if index is not None:
        return problem_of(open_dataset(name), index)
    from sciml.pde.families import FAMILIES

    if name not in FAMILIES:
        raise InputError(
            f"{name!r} is no family ({', '.join(FAMILIES)}) nor a sample of a dataset, such as 'd.zarr[3]'"
        )
    if centring not in ("vertex", "cell"):
        raise InputError(f"--centring {centring}: give vertex or cell")
    return FAMILIES[name].problem(resolution, seed, "cell" if centring == "cell" else "vertex")
