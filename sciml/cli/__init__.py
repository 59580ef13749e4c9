"""The `sciml` command: one module for each group of commands, imported when it is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from sciml.cli.application import GROUPS, app
from sciml.cli.compress import EXAMPLES as COMPRESS
from sciml.cli.compress import compress
from sciml.cli.demo import EXAMPLES as DEMO
from sciml.cli.demo import demo
from sciml.cli.doctor import EXAMPLES as DOCTOR
from sciml.cli.doctor import doctor
from sciml.cli.error_lines import plain_warnings
from sciml.cli.info import EXAMPLES as INFO
from sciml.cli.info import info
from sciml.cli.reproduce import EXAMPLES as REPRODUCE
from sciml.cli.reproduce import reproduce

__all__ = ["GROUPS", "app", "main"]

START = "Start"
WEATHER = "Weather: from WRF output to an emulator in WRF"
OPERATORS = "Operators: neural operators and multigrid for PDEs"

app.command(rich_help_panel=START, epilog=DOCTOR)(doctor)
app.command(rich_help_panel=START, epilog=DEMO)(demo)
app.command(rich_help_panel=START, epilog=COMPRESS)(compress)
app.command(rich_help_panel=START, epilog=INFO)(info)
app.command(rich_help_panel=START, epilog=REPRODUCE)(reproduce)
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
