"""The top of the command: groups that are loaded when they are called, and one line for each way of going wrong."""

from __future__ import annotations

import errno
import importlib
import inspect
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

from sciml.errors import SciMLError

__all__ = ["Rooms", "warned"]

RESUME = "run the same command again to go on where it stopped"

REMEDIES = {
    errno.ENOENT: "look for it with ls, and give the path as it is there",
    errno.EACCES: "give a path that you may use, or ask for the right to this one",
    errno.EROFS: "write elsewhere",
    errno.EISDIR: "give a file in it",
    errno.ENOTDIR: "give a path whose folders are folders",
}
"""What to do about what the operating system refuses; a full disk is told apart."""

SHORT = {
    "<int>": "N",
    "<int range>": "N",
    "<list[int]>": "N",
    "<float>": "X",
    "<float range>": "X",
    "<path>": "PATH",
    "<str>": "TEXT",
}
"""How the kinds of an option's value are called in its help, where the option has no name for it."""

# The classes are public by their children alone, and are not click's in every version of typer.
UsageError: Any = typer.BadParameter.__base__
ClickException: Any = UsageError.__base__


class Rooms(TyperGroup):
    """A group of groups; those in `groups` are imported when they are called, from a module of their name."""

    groups: ClassVar[Mapping[str, str]] = {}

    def room(self, name: str) -> Any:
        """The group of that name, imported now."""
        group: Any = typer.main.get_group(importlib.import_module(f"sciml.cli.{name}").app)
        group.name = name
        group.epilog = f"sciml {name} COMMAND --help tells a command's options, and ends with examples."
        for param in group.get_params(typer.Context(group)):
            param.hidden = param.name == "help"  # the commands come first, and this goes without saying
        return group

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Replace the stand-in of a group by the group itself; of a command without its group, tell the group."""
        try:
            name, command, rest = super().resolve_command(ctx, args)
        except UsageError as error:
            there = [group for group in self.groups if args[0] in self.room(group).commands]
            if there:
                lines = " or ".join(f"'sciml {group} {args[0]}'" for group in there)
                error.message = f"No such command {args[0]!r}. Did you mean {lines}?"
            raise
        command = self.room(str(name)) if name in self.groups else command
        return name, command and _tidy(command), rest

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the contents: each group with the names of its commands. The options are told in the last lines."""
        for param in self.get_params(ctx):
            param.hidden = True  # type: ignore[attr-defined]  # not of an argument, which there is none of
        for name in self.groups if self.rich_markup_mode == "rich" else ():
            names = ", ".join(self.room(name).commands)
            self.commands[name].short_help = f"{self.groups[name]}\n[dim]{names}[/]"
        super().format_help(ctx, formatter)

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the options before the command."""
        try:
            return super().make_context(*args, **kwargs)
        except ClickException as error:
            raise _ended(error) from None

    def invoke(self, ctx: Any) -> Any:
        """Run a command. What goes wrong is one line and exit code 2, Ctrl-C one line and 130."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (KeyboardInterrupt, SciMLError, OSError, ClickException) as error:
            if os.environ.get("SCIML_TRACEBACK") and not isinstance(error, KeyboardInterrupt):
                raise
            raise _ended(error) from None


@contextmanager
def warned() -> Iterator[None]:
    """Print a warning of ours as a line of text, without the place in the code that gave it."""
    usual = warnings.formatwarning

    def line(message: Warning | str, category: type[Warning], *place: Any, **source: Any) -> str:
        if category is UserWarning:
            return f"warning: {_line(message)}\n"
        return usual(message, category, *place, **source)

    warnings.formatwarning = line  # not showwarning: whoever records warnings still does
    try:
        yield
    finally:
        warnings.formatwarning = usual


def _tidy(command: Any) -> Any:
    """Make the help of a group or command read well: paragraphs in one piece, no type where a flag has none."""
    if command.help:
        paragraphs = inspect.cleandoc(command.help).split("\n\n")
        command.help = "\n\n".join(" ".join(one.split()) for one in paragraphs)
        command.short_help = command.help.partition("\n")[0]  # which completion would cut short
    ctx = typer.Context(command)
    for param in command.get_params(ctx):
        if getattr(param, "is_flag", False):
            param.metavar = ""
        elif param.param_type_name == "option" and param.metavar is None and hasattr(param, "display_type"):
            param.metavar = SHORT.get(param.display_type(ctx))
    for below in getattr(command, "commands", {}).values():
        _tidy(below)
    return command


def _ended(error: Any) -> Exception:
    """Print the line of an error; what ends the command with its exit code."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return error  # type: ignore[no-any-return]  # the help, which is printed already
    code = 130 if isinstance(error, KeyboardInterrupt) else 2
    if isinstance(error, KeyboardInterrupt):
        message = f"interrupted; {_line(error) or RESUME}"
    elif isinstance(error, ClickException):
        message = f"error: {_misused(error)}"
    elif isinstance(error, OSError):
        message = f"error: {_refused(error)}"
    else:
        message = f"error: {_line(error)}"
    sys.stdout.flush()
    print(message, file=sys.stderr, flush=True)
    return typer.Exit(code)


def _misused(error: Any) -> str:
    """Say in one line what is wrong with a command line, what was meant perhaps, and where it is told."""
    near = sorted(getattr(error, "possibilities", None) or ())
    done = (
        near or "Did you mean" in error.message
    )  # else the message of the kind of error, with its parameter
    said = _line(error.message if done else error.format_message()).replace(": Value error, ", ": ")
    ctx = getattr(error, "ctx", None)
    commands = getattr(getattr(ctx, "command", None), "commands", {})
    if said.startswith("No such command") and "Did you mean" not in said and commands:
        said = f"{said.rstrip('.')}: there are {', '.join(commands)}"
    if getattr(error, "option_name", None) == "--json" and "argument" in said:
        said = f"{said.rstrip('.')}: give a file, or - for standard output"
    if not said.endswith((".", "?")):
        said += "."
    if near and "Did you mean" not in said:
        said += f" Did you mean {' or '.join(near)}?"
    return said if ctx is None else f"{said} See '{ctx.command_path} --help'"


def _refused(error: OSError) -> str:
    """Say in one line what the operating system refused, and what to do about the commonest case."""
    where = f" while writing {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full{where}: free some space, or write elsewhere, then {RESUME}"
    if error.filename and error.strerror:
        remedy = REMEDIES.get(error.errno or 0)
        return f"{error.strerror}: {error.filename}" + (f"; {remedy}" if remedy else "")
    return _line(error) or type(error).__name__


def _line(text: object) -> str:
    return " ".join(str(text).split())
