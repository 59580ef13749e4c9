"""`sciml scheme`: train, score and export an emulator of a scheme that the user declares."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from sciml.cli.help_pages import CommandGroup, examples
from sciml.cli.option_groups import expand_options
from sciml.cli.output import Json, Output, Quiet
from sciml.cli.targets import check_targets
from sciml.cli.training_options import TrainingOptions

__all__ = ["app"]

app = CommandGroup(
    no_args_is_help=True,
    help="Train and export emulators of a scheme that you declare.",
)

Scheme = Annotated[Path, typer.Argument(help="Declaration of the scheme (*.toml).")]
Pairs = Annotated[
    list[Path], typer.Argument(help="netCDF files with the fields of the scheme, (column, level).")
]
Model = Annotated[Path, typer.Argument(help="Checkpoint of the emulator (*.sciml).")]


@app.command(
    epilog=examples("sciml scheme check kessler.toml", "sciml scheme check kessler.toml --json k.json")
)
def check(scheme: Scheme, json_file: Json = None, quiet: Quiet = False) -> None:
    """Check a declaration and list its fields and closures."""
    from sciml.schemes import load_scheme
    from sciml.schemes.declaration import scheme_table
    from sciml.tables import aligned

    check_targets({"--json": json_file}, [scheme])
    declared = load_scheme(scheme)
    rows = [("field", "", "shape", "units", "bounds")]
    for group, fields in (("input", declared.inputs), ("output", declared.outputs)):
        rows += [
            (
                f.name,
                group,
                "profile" if f.is_profile else "scalar",
                f.units,
                f"{f.bounds[0]:g} to {f.bounds[1]:g}",
            )
            for f in fields
        ]
    report = Output(json_file, quiet)
    report.print(f"scheme {declared.name}", *aligned(rows, align="<", indent="  "))
    for name, terms in declared.closures.items():
        report.print(f"  closure {name}: {', '.join(terms)}")
    report.write_json(scheme_table(declared))
    report.print_files()


@app.command(
    epilog=examples(
        "sciml scheme train kessler.toml pairs.nc -o kessler.sciml",
        "sciml scheme train k.toml a.nc b.nc -o k.sciml --validation c.nc",
    )
)
@expand_options
def train(
    scheme: Scheme,
    pairs: Pairs,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Checkpoint to write (*.sciml).")],
    validation: Annotated[
        list[Path] | None,
        typer.Option("--validation", metavar="FILE", help="Pairs used for validation; may be repeated."),
    ] = None,
    options: TrainingOptions,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Train an emulator of a declared scheme on pairs.

    Files may have columns of other numbers of levels. The same command resumes an interrupted training.
    """
    from sciml.emulation import open_groups
    from sciml.emulation.training import train as train_emulator
    from sciml.schemes import load_scheme
    from sciml.train import checkpoint
    from sciml.train.progress import automatic

    inputs = [scheme, *pairs, *(validation or [])]
    checkpoint.check_target(output, inputs)
    check_targets({"--json": json_file}, [*inputs, output])
    begun = time.monotonic()
    fit, network = options.read()
    declared = load_scheme(scheme)
    emulator = train_emulator(
        declared,
        open_groups(pairs, declared),
        output,
        validation=open_groups(validation, declared) if validation else None,
        fit=fit,
        network=network,
        resume=not options.restart,
        progress=automatic(quiet),
    )
    Output(json_file, quiet).report_training(output, emulator, time.monotonic() - begun)


@app.command(
    epilog=examples(
        "sciml scheme evaluate kessler.sciml held_out.nc",
        "sciml scheme evaluate kessler.sciml held_out.nc --json scores.json",
    )
)
def evaluate(model: Model, pairs: Pairs, json_file: Json = None, quiet: Quiet = False) -> None:
    """Score an emulator of a declared scheme on pairs.

    Files may have columns of other numbers of levels; the scores of each number follow.
    """
    from dataclasses import asdict

    from sciml.emulation import SchemeEmulator, open_groups
    from sciml.emulation import evaluate as score
    from sciml.tables import aligned

    check_targets({"--json": json_file}, [model, *pairs])
    emulator = SchemeEmulator.load(model)
    groups = open_groups(pairs, emulator.scheme)
    scores = score(emulator, groups)
    parts = {group.sizes["level"]: score(emulator, group) for group in groups if len(groups) > 1}
    report = Output(json_file, quiet)
    report.print(scores)
    if parts:
        rows = [
            (name, *(f"{part.r2[name]:.4f}" for part in parts.values()))
            for name in emulator.scheme.output_names
        ]
        report.print(*aligned([("R2 by levels", *map(str, parts)), *rows], indent="  "))
    report.write_json(
        {**asdict(scores), "levels": {str(number): asdict(part) for number, part in parts.items()}}
    )
    report.print_files()


@app.command(
    epilog=examples(
        "sciml scheme export kessler.sciml -o kessler.nc",
        "sciml scheme export kessler.sciml -o kessler.nc --quiet",
    )
)
def export(
    model: Model,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Weights file to write (*.nc).")
    ],
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Write the weights file of a declared scheme for the library.

    `sciml coupling build` writes the library, sciml_column.h and sciml_column.f90 that run it.
    """
    from sciml.coupling.scheme_export import scheme_weights
    from sciml.coupling.weights_file import write_weights
    from sciml.emulation import SchemeEmulator

    check_targets({"--output": output, "--json": json_file}, [model])
    emulator = SchemeEmulator.load(model)
    write_weights(output, scheme_weights(emulator))
    report = Output(json_file, quiet)
    report.print(f"{output}: {output.stat().st_size} bytes, for sciml_column_run of {emulator.scheme.name}")
    report.write_json(
        {"weights": str(output), "bytes": output.stat().st_size, "scheme": emulator.scheme.name}
    )
    report.print_files()
