"""`sciml convection attribute`: from which layers and inputs a tendency of a column network comes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sciml.cli.help_pages import examples
from sciml.cli.output import Json, Output, Quiet, progress_bar
from sciml.cli.targets import check_targets, expand_inputs

__all__ = ["EXAMPLES", "attribute"]

EXAMPLES = examples(
    "sciml convection attribute pure.sciml wrfout_d01_a.nc --figure from.png",
    "sciml convection attribute pure.sciml c.zarr --head RQVCUTEN -o heads.nc",
)
SAMPLED = 4096  # columns of the files among which those are chosen that the network looks at


def attribute(
    model: Annotated[str, typer.Argument(help="Checkpoint (*.sciml), or the name of a packaged one.")],
    files: Annotated[
        list[Path], typer.Argument(help="wrfout files, captured or drawn pairs, or a columns store.")
    ],
    head: Annotated[
        str, typer.Option("--head", metavar="NAME", help="Head of a layer, such as RTHCUTEN or RQVCUTEN.")
    ] = "RTHCUTEN",
    columns: Annotated[
        int,
        typer.Option(
            "--columns", min=1, max=64, help="Number of columns, of those that the network looks at."
        ),
    ] = 8,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the attribution of each column (netCDF)."),
    ] = None,
    figure: Annotated[
        Path | None, typer.Option("--figure", metavar="FILE", help="Write a figure of the means (PNG).")
    ] = None,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Attribute a tendency of a network to layers and inputs.

    The network is linearized by its frozen action at each column: the contributions of all inputs of all layers and of
    the biases add up to the head exactly. It explains a value, and is no response to a change.
    """
    targets = {"--output": output, "--json": json_file, "--figure": figure}
    check_targets(targets, [*expand_inputs(files), Path(model)])
    from sciml.cli.model_arguments import load_columns
    from sciml.convection.attribution import attribution, looked_at
    from sciml.convection.emulator import Emulator
    from sciml.verify.emulator.attribution_report import summarize

    emulator = Emulator.load(model)
    chosen = looked_at(emulator, load_columns(files, SAMPLED), columns)
    with progress_bar("columns", quiet) as progress:
        made = attribution(emulator, chosen, head, progress=progress)
    summary = summarize(made)
    report = Output(json_file, quiet)
    report.write_json({"model": model, **summary.to_json()})
    if output or figure:
        from sciml.plot import png
        from sciml.storage.atomic import replaced
        from sciml.storage.provenance import attribute

        if output:
            with replaced(output) as part:
                made.assign_attrs(attribute()).to_netcdf(part)
            report.add_file("attribution", output)
        if figure:
            with replaced(figure) as part:
                part.write_bytes(png(summary.figure()))
            report.add_file("figure", figure)
    report.print(summary)
    report.print_files()
