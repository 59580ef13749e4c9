"""The `sciml` command: a file per group, loaded when called, and one way of telling what went wrong."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sciml.cli.demo import demo
from sciml.cli.doctor import doctor
from sciml.errors import SciMLError

__all__ = ["app", "main"]

GROUPS = {
    "wrf": "Open WRF output and draw training columns from it.",
    "convection": "Train and evaluate emulators of the convection scheme.",
    "coupling": "Export an emulator, build the Fortran library, check it.",
    "pde": "Generate datasets of PDE problems, train operators on them, hold their answers against multigrid.",
}
"""The groups and their help, here so that `sciml --help` need not import them."""

RESUME = "run the same command again to go on where it stopped"


def _line(text: object) -> str:
    return " ".join(str(text).split())


def _explain(error: OSError) -> str:
    """Say in one line what the operating system refused, and what to do about the commonest case."""
    where = f" while writing {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full{where}: free some space, or write elsewhere, then {RESUME}"
    if error.filename and error.strerror:
        return f"{error.strerror}: {error.filename}"
    return _line(error) or type(error).__name__


class Rooms(TyperGroup):
    """The top of the command: it loads a group when it is called, and turns errors into one line."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Replace the stand-in of a group by the group itself."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in GROUPS:
            command = typer.main.get_group(importlib.import_module(f"sciml.cli.{name}").app)
            command.name = name
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:
        """Run a command. A `SciMLError` is one line and exit code 2, Ctrl-C one line and 130."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            message, code, cause = f"interrupted; {_line(interrupt) or RESUME}", 130, Exception(interrupt)
        except SciMLError as error:
            message, code, cause = f"error: {_line(error)}", 2, error
        except BrokenPipeError:
            raise
        except OSError as error:
            message, code, cause = f"error: {_explain(error)}", 2, error
        if os.environ.get("SCIML_TRACEBACK") and code == 2:
            raise cause
        sys.stdout.flush()
        print(message, file=sys.stderr, flush=True)
        raise typer.Exit(code)


app = typer.Typer(
    cls=Rooms,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train, check and couple neural emulators of weather-model physics.",
)
for _name, _help in GROUPS.items():
    app.add_typer(typer.Typer(help=_help), name=_name)
app.command()(doctor)
app.command()(demo)


def _version(wanted: bool) -> None:
    if wanted:
        from sciml import __version__

        typer.echo(f"sciml {__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train, check and couple neural emulators of weather-model physics."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the `sciml` command with the arguments given, or with those of the process."""
    app(args=None if arguments is None else list(arguments), prog_name="sciml")
