"""Groups of commands that are imported when they are called."""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Mapping
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

from sciml.cli.error_lines import ClickException, UsageError, exit_with_line
from sciml.cli.targets import holding_outputs
from sciml.errors import SciMLError

__all__ = ["LazyGroups"]

METAVARS = {
    "<int>": "N",
    "<int range>": "N",
    "<list[int]>": "N",
    "<float>": "X",
    "<float range>": "X",
    "<path>": "PATH",
    "<str>": "TEXT",
}
"""Names in the help for the value of an option that has no metavar, by the type that typer would print."""


class LazyGroups(TyperGroup):
    """A group of groups. Each name in `groups` is a module of `sciml.cli`, imported when it is called."""

    groups: ClassVar[Mapping[str, str]] = {}

    def load(self, name: str) -> Any:
        """Import the group of that name and return it."""
        group: Any = typer.main.get_group(importlib.import_module(f"sciml.cli.{name}").app)
        group.name = name
        group.epilog = f"sciml {name} COMMAND --help lists a command's options and ends with examples."
        for param in group.get_params(typer.Context(group)):
            param.hidden = param.name == "help"  # The commands are listed first.
        return group

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Replace the placeholder of a group by the group; suggest the group of a command given without it."""
        try:
            name, command, rest = super().resolve_command(ctx, args)
        except UsageError as error:
            matches = [group for group in self.groups if args[0] in self.load(group).commands]
            if matches:
                lines = " or ".join(f"'sciml {group} {args[0]}'" for group in matches)
                error.message = f"No such command {args[0]!r}. Did you mean {lines}?"
            raise
        command = self.load(str(name)) if name in self.groups else command
        return name, command and _format_texts(command), rest

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print each group with the names of its commands. The epilog describes the options."""
        for param in self.get_params(ctx):
            param.hidden = True  # type: ignore[attr-defined]  # every parameter here is an option
        for name in self.groups if self.rich_markup_mode == "rich" else ():
            names = ", ".join(self.load(name).commands)
            self.commands[name].short_help = f"{self.groups[name]}\n[dim]{names}[/]"
        super().format_help(ctx, formatter)

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the options before the command. An error or Ctrl-C is printed as one line."""
        try:
            return super().make_context(*args, **kwargs)
        except (ClickException, KeyboardInterrupt) as error:
            raise exit_with_line(error) from None

    def invoke(self, ctx: Any) -> Any:
        """Run a command. An error is printed as one line with exit code 2, Ctrl-C as one line with 130."""
        try:
            with holding_outputs():
                return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (KeyboardInterrupt, SciMLError, OSError, ClickException) as error:
            if os.environ.get("SCIML_TRACEBACK") and not isinstance(error, KeyboardInterrupt):
                raise
            raise exit_with_line(error) from None


def _format_texts(command: Any) -> Any:
    """Join the lines of each paragraph of the help, and set the metavars of the options."""
    if command.help:
        paragraphs = inspect.cleandoc(command.help).split("\n\n")
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
        command.short_help = command.help.partition("\n")[0]  # shell completion would truncate it
    ctx = typer.Context(command)
    for param in command.get_params(ctx):
        if getattr(param, "is_flag", False):
            param.metavar = ""
        elif param.param_type_name == "option" and param.metavar is None and hasattr(param, "display_type"):
            param.metavar = METAVARS.get(param.display_type(ctx))
    for subcommand in getattr(command, "commands", {}).values():
        _format_texts(subcommand)
    return command
