"""The `sciml` command: a file per group, loaded when called, and one way of telling what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from sciml.cli.demo import EXAMPLES as DEMO
from sciml.cli.demo import demo
from sciml.cli.doctor import EXAMPLES as DOCTOR
from sciml.cli.doctor import doctor
from sciml.cli.help_pages import Room
from sciml.cli.lazy_groups import Rooms, warned

__all__ = ["GROUPS", "app", "main"]

GROUPS = {
    "wrf": "1) Look into WRF output, and draw training columns from it.",
    "convection": "2) Train emulators of the convection scheme, and score them.",
    "coupling": "3) Build an emulator into the library that WRF links.",
    "pde": "Pose PDE problems, train operators on them, solve to a bound.",
}
"""The groups and their help, here so that `sciml --help` need not build them."""

START = "Start"
WEATHER = "Weather: from WRF output into WRF"
OPERATORS = "Operators: PDE problems against multigrid"

ABOUT = "Neural operators held against multigrid, and emulators of weather-model physics that WRF links."

LAST = (
    "sciml COMMAND --help ends with examples. Every command takes --json FILE (- for standard output) and --quiet. "
    "sciml --install-completion lets TAB complete commands and options; sciml --version tells the version."
)


class Contents(Rooms):
    """The rooms of this command."""

    groups = GROUPS


app = Room(
    cls=Contents,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help=ABOUT,
    epilog=LAST,
)
app.command(rich_help_panel=START, epilog=DOCTOR)(doctor)
app.command(rich_help_panel=START, epilog=DEMO)(demo)
for _name, _help in GROUPS.items():
    _panel = OPERATORS if _name == "pde" else WEATHER
    app.add_typer(typer.Typer(help=_help), name=_name, rich_help_panel=_panel)


def _version(wanted: bool) -> None:
    if wanted:
        from sciml.version import __version__

        typer.echo(f"sciml {__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Neural operators held against multigrid, and emulators of weather-model physics that WRF links."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the `sciml` command with the arguments given, or with those of the process."""
    with warned():
        app(args=None if arguments is None else list(arguments), prog_name="sciml")
