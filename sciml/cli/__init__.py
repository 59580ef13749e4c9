"""The `sciml` command: one module for each group of commands, imported when it is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from sciml.cli.demo import EXAMPLES as DEMO
from sciml.cli.demo import demo
from sciml.cli.doctor import EXAMPLES as DOCTOR
from sciml.cli.doctor import doctor
from sciml.cli.error_lines import plain_warnings
from sciml.cli.help_pages import CommandGroup
from sciml.cli.lazy_groups import LazyGroups

__all__ = ["GROUPS", "app", "main"]

GROUPS = {
    "wrf": "1) Describe and compare WRF output, and extract columns.",
    "convection": "2) Train emulators of the convection scheme, and score them.",
    "coupling": "3) Build an emulator into the library that WRF links.",
    "pde": "Generate PDE data, train operators, solve with error bounds.",
}
"""The groups and their help texts, so that `sciml --help` works without importing the groups."""

START = "Start"
WEATHER = "Weather: from WRF output to an emulator in WRF"
OPERATORS = "Operators: neural operators and multigrid for PDEs"

ABOUT = "Emulators of convection for WRF, and neural operators compared with multigrid."

EPILOG = (
    "sciml COMMAND --help ends with examples. Every command takes --json FILE (- for standard output) and --quiet. "
    "sciml --install-completion lets TAB complete commands and options; sciml --version prints the version."
)


class Groups(LazyGroups):
    """The groups of the command `sciml`."""

    groups = GROUPS


app = CommandGroup(
    cls=Groups,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help=ABOUT,
    epilog=EPILOG,
)
app.command(rich_help_panel=START, epilog=DOCTOR)(doctor)
app.command(rich_help_panel=START, epilog=DEMO)(demo)
for _name, _help in GROUPS.items():
    _panel = OPERATORS if _name == "pde" else WEATHER
    app.add_typer(typer.Typer(help=_help), name=_name, rich_help_panel=_panel)


def _print_version(requested: bool) -> None:
    if requested:
        from sciml.version import __version__

        typer.echo(f"sciml {__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Emulators of convection for WRF, and neural operators compared with multigrid."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the `sciml` command with the given arguments, or with those of the process."""
    with plain_warnings():
        app(args=None if arguments is None else list(arguments), prog_name="sciml")
