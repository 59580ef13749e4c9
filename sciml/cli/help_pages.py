"""The layout of a command's help: examples at the end, line by line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand
from typer.models import CommandFunctionType

from sciml.errors import InputError
from sciml.parallel.launch import started_by_torchrun

__all__ = ["CommandGroup", "CommandWithExamples", "examples"]

ARGUMENTS = "sciml.arguments"


def examples(*commands: str) -> str:
    r"""Return the epilog of a command's help: command lines that can be copied.

    Parameters
    ----------
    commands
        Lines of at most 76 characters, so that they are not wrapped at 80 columns.

    Examples
    --------
    >>> examples("sciml doctor")
    'Examples:\n  sciml doctor'
    """
    return "\n".join(["Examples:", *(f"  {command}" for command in commands)])


class CommandWithExamples(TyperCommand):
    """A command whose help ends with its epilog line by line, which typer would wrap as prose.

    What it writes records its arguments and inputs, see `sciml.storage.provenance`. Only trainings, which have the
    option ``--communication``, may be started by torchrun.
    """

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> Any:
        """Parse the arguments; remember them as they were given."""
        given = tuple(args)
        ctx = super().make_context(info_name, args, *more, **extra)
        ctx.meta[ARGUMENTS] = given
        return ctx

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what it writes meanwhile records it."""
        if started_by_torchrun() and all(param.name != "communication" for param in self.params):
            raise InputError(f"{ctx.command_path} runs in one process: start it without torchrun")
        from sciml.cli.recorded import describe_command
        from sciml.storage.provenance import recorded

        with recorded(describe_command(self, ctx, ctx.meta.get(ARGUMENTS, ()))):
            return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help with rich, or write it into the formatter; then the epilog."""
        last, self.epilog = self.epilog, None
        try:
            super().format_help(ctx, formatter)
        finally:
            self.epilog = last
        if not last:
            return
        lines = "\n".join(f" {line}" for line in last.splitlines())
        if formatter.getvalue():
            formatter.write(f"\n{lines}\n")
        else:
            typer.echo(f"\n{lines}")


class CommandGroup(typer.Typer):
    """A group whose commands print their examples at the end of their help."""

    def command(self, *args: Any, **kwargs: Any) -> Callable[[CommandFunctionType], CommandFunctionType]:
        """As `typer.Typer.command`, with `CommandWithExamples` as the class of the command."""
        return super().command(*args, **{"cls": CommandWithExamples, **kwargs})
