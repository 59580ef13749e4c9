"""How a command's help is laid out: its examples at the end, as they were written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand
from typer.models import CommandFunctionType

__all__ = ["Page", "Room"]


class Page(TyperCommand):
    """A command whose help ends with its epilog line by line, which typer would wrap as prose."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help, by rich or into the formatter, and then the epilog."""
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


class Room(typer.Typer):
    """A group of commands whose help are such pages."""

    def command(self, *args: Any, **kwargs: Any) -> Callable[[CommandFunctionType], CommandFunctionType]:
        """As typer's, for a `Page`."""
        return super().command(*args, **{"cls": Page, **kwargs})
