"""What several groups of the command ask for and show alike: files of settings, and a bar while they work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sciml.errors import InputError

__all__ = ["bar", "settings", "variable_map"]


def settings(config: Path | None) -> dict[str, dict[str, Any]]:
    """Read the tables of a TOML file: fit (settings of the training) and network.

    Raises
    ------
    InputError
        The file is no TOML, or has other tables.
    """
    import tomllib

    tables: dict[str, dict[str, Any]] = {"fit": {}, "network": {}}
    if config is None:
        return tables
    try:
        read = tomllib.loads(config.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{config} is not a TOML file: {error}") from error
    for name, table in read.items():
        if name not in tables or not isinstance(table, dict):
            raise InputError(f"{config} has [{name}]: it may have the tables {', '.join(tables)}")
        tables[name] = table
    return tables


@contextmanager
def bar(text: str, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar where someone is watching, lines in a log; it is called with how much is done, and of how much."""
    import sys
    import time

    if quiet:
        yield None
        return
    if not sys.stderr.isatty():
        begun = last = time.monotonic()

        def line(done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last > 10 or (done == total and now - begun > 10):
                last = now
                print(f"{text}: {done} of {total}, {now - begun:.0f} s", file=sys.stderr, flush=True)

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(text, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def variable_map(names: str | list[str] | None) -> list[str] | dict[str, str] | None:
    """What ``--inputs`` and ``--target`` say: names, or ours of theirs where there is a ``=``.

    Examples
    --------
    >>> variable_map(["coefficient=coeff"])
    {'coefficient': 'coeff'}
    >>> variable_map("k,source")
    ['k', 'source']
    """
    if not names:
        return None
    given = [names] if isinstance(names, str) else names
    listed = [part for one in given for part in one.split(",") if part]
    if any("=" in one for one in listed):
        pairs = (one.partition("=") for one in listed)
        return {ours: theirs or ours for ours, _, theirs in pairs}
    return listed
