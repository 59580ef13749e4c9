"""Errors and warnings of the commands as one line of text, with the exit code."""

from __future__ import annotations

import errno
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from sciml.parallel.launch import started_by_torchrun

__all__ = ["ClickException", "UsageError", "exit_with_line", "plain_warnings"]

RESUME = "run the same command again to resume"

REMEDIES = {
    errno.ENOENT: "check the path with ls",
    errno.EACCES: "give another path, or ask for access to this one",
    errno.EROFS: "write elsewhere",
    errno.EISDIR: "give a file in it",
    errno.ENOTDIR: "a part of the path is a file: give another path",
}
"""Remedies for errors of the operating system, by error number; a full disk has its own message."""

# typer does not export these classes; in some versions of typer they are not those of click.
UsageError: Any = typer.BadParameter.__base__
ClickException: Any = UsageError.__base__


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print each UserWarning as one line of text, without the place in the code that raised it."""
    default = warnings.formatwarning

    def format_line(message: Warning | str, category: type[Warning], *place: Any, **source: Any) -> str:
        if category is UserWarning:
            line = f"warning: {_join_lines(message)}\n"
            return line if _prints(line) else ""
        return default(message, category, *place, **source)

    warnings.formatwarning = format_line  # not showwarning, so that recording warnings still works
    try:
        yield
    finally:
        warnings.formatwarning = default


def exit_with_line(error: Any) -> Exception:
    """Print the line of an error; return the exception that ends the command with the exit code."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return error  # type: ignore[no-any-return]  # the help, which is already printed
    code = 130 if isinstance(error, KeyboardInterrupt) else 2
    if isinstance(error, KeyboardInterrupt):
        message = f"interrupted; {_join_lines(error) or RESUME}"
    elif isinstance(error, ClickException):
        message = f"error: {_describe_usage_error(error)}"
    elif isinstance(error, OSError):
        message = f"error: {_describe_os_error(error)}"
    else:
        message = f"error: {_join_lines(error)}"
    sys.stdout.flush()
    if _prints(message):
        print(message, file=sys.stderr, flush=True)
    return typer.Exit(code)


def _prints(line: str) -> bool:
    """Return whether this process prints a line; of several that torchrun started, one does."""
    if not started_by_torchrun():
        return True
    from sciml.train.launch_messages import prints

    return prints(line)


def _describe_usage_error(error: Any) -> str:
    """Return one line: the error in a command line, similar names, and the command that prints the help."""
    near = sorted(getattr(error, "possibilities", None) or ())
    complete = near or "Did you mean" in error.message  # else click's message, with the parameter
    text = _join_lines(error.message if complete else error.format_message())
    text = text.replace(": Value error, ", ": ")
    ctx = getattr(error, "ctx", None)
    commands = getattr(getattr(ctx, "command", None), "commands", {})
    if text.startswith("No such command") and "Did you mean" not in text and commands:
        text = f"{text.rstrip('.')}: there are {', '.join(commands)}"
    if getattr(error, "option_name", None) == "--json" and "argument" in text:
        text = f"{text.rstrip('.')}: give a file, or - for standard output"
    if not text.endswith((".", "?")):
        text += "."
    if near and "Did you mean" not in text:
        text += f" Did you mean {' or '.join(near)}?"
    return text if ctx is None else f"{text} See '{ctx.command_path} --help'"


def _describe_os_error(error: OSError) -> str:
    """Return one line: the error of the operating system, and its remedy if there is a common one."""
    where = f" while writing {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full{where}: free some space, or write elsewhere, then {RESUME}"
    if error.filename and error.strerror:
        remedy = REMEDIES.get(error.errno or 0)
        return f"{error.strerror}: {error.filename}" + (f"; {remedy}" if remedy else "")
    return _join_lines(error) or type(error).__name__


def _join_lines(text: object) -> str:
    return " ".join(str(text).split())
