"""What all commands ask for and tell alike: `--json`, `--quiet`, examples, files of settings, a bar at work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from sciml.errors import InputError

__all__ = ["Answer", "Json", "Quiet", "bar", "check_targets", "examples", "expanded", "settings", "size_of"]

Json = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the numbers as JSON; - for standard output."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but what is wrong.")]

PIPE = Path("-")
"""What stands for standard output where a file is asked for."""


def examples(*commands: str) -> str:
    r"""The end of a command's help: command lines that can be typed as they stand.

    Parameters
    ----------
    commands
        Of at most 76 characters, so that they are not wrapped at 80 columns.

    Examples
    --------
    >>> examples("sciml doctor")
    'Examples:\n  sciml doctor'
    """
    return "\n".join(["Examples:", *(f"  {command}" for command in commands)])


@dataclass
class Answer:
    """Where a command's answer goes: JSON to its file or to standard output, text to where it is in nobody's way.

    Parameters
    ----------
    json_file
        As `--json` gives it. Standard output then has nothing but JSON, and text goes to standard error.
    quiet
        Whether only what is wrong is said.
    """

    json_file: Path | None = None
    quiet: bool = False
    _written: list[str] = field(default_factory=list)

    @property
    def piped(self) -> bool:
        """Whether the JSON goes to standard output."""
        return self.json_file == PIPE

    def keep(self, content: Mapping[str, Any] | Callable[[], Mapping[str, Any]], *, indent: int = 1) -> None:
        """Write the numbers, if they are asked for: NaN and infinity as null, the file whole or not at all.

        A function is only called where they are asked for. With an ``indent`` of 0 all is on one line.

        Raises
        ------
        SciMLError
            The file cannot be written.
        """
        if self.json_file is None:
            return
        import json

        from sciml.storage.atomic import replaced
        from sciml.verify.emulator.moments import plain

        found = plain(content() if callable(content) else content)
        text = json.dumps(found, indent=indent or None, allow_nan=False)
        if self.piped:
            typer.echo(text)
            return
        with replaced(self.json_file) as part:
            part.write_text(text + "\n", encoding="utf-8")
        self.wrote("numbers", self.json_file)

    def wrote(self, what: str, path: Path) -> None:
        """Remember that a file was written, for `files` to tell."""
        self._written.append(f"{what}: {path}")

    def say(self, *texts: object) -> None:
        """Print lines of text."""
        if not self.quiet:
            for text in texts:
                typer.echo(str(text), err=self.piped)

    def warn(self, text: str) -> None:
        """Print what must not be missed, even by those who want it quiet."""
        typer.echo(text, err=self.piped or self.quiet)

    def trained(self, output: Path, model: Any, seconds: float) -> None:
        """Tell of a training that ended, or that its time limit cut off: then what to do."""
        from sciml.train.state import resume_path

        cut = resume_path(output).exists()

        def content() -> dict[str, Any]:
            size = None if cut else size_of(output)
            told = {"checkpoint": str(output), "finished": not cut, "bytes": size, "seconds": seconds}
            return {**told, "parameters": _parameters(model), "about": model.about}

        self.keep(content)
        if cut:
            self.warn(f"stopped at the time limit: run the same command again to go on with {output}")
        else:
            self.say(f"{model}\nsaved: {output}")
        self.files()

    def files(self) -> None:
        """Print which files were written."""
        self.say(*self._written)


def _parameters(model: Any) -> int:
    """How many numbers were trained, complex ones counted twice."""
    return sum(one.numel() * (2 if one.is_complex() else 1) for one in model.network.parameters())


def check_targets(targets: Mapping[str, Path | None], inputs: Iterable[str | Path]) -> None:
    """Refuse targets that cannot or must not be written before the work is done rather than after it.

    Parameters
    ----------
    targets
        By the option that names them; of `--json`, standard output too.
    inputs
        What is read, over which nothing may be written.

    Raises
    ------
    InputError
        A folder, a device, one of the inputs, or one file under two names.
    """
    from sciml.storage.atomic import check_apart, check_replaceable

    read = list(inputs)
    taken: dict[Path, str] = {}
    for option, path in targets.items():
        if path is None or (option == "--json" and path == PIPE):
            continue
        check_replaceable(path)
        check_apart(path, read)
        earlier = taken.setdefault(path.resolve(), option)
        if earlier != option:
            raise InputError(f"{earlier} and {option} both name {path}: give each a file of its own")


def expanded(given: Iterable[str | Path]) -> list[Path]:
    """What is given, and the files that a glob, a folder of wrfouts or a library with its weights stand for."""
    from sciml.wrf.opening import expand

    found: list[Path] = []
    for one in map(Path, given):
        folder = one.parent if one.suffix == ".so" else one
        beside = [*folder.glob("*.so"), *folder.glob("*.nc")] if folder.is_dir() else []
        with suppress(InputError):  # a store, a model, or nothing: told where it is opened
            beside += expand(one)
        found += [one, *beside]
    return found


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files in a folder."""
    if not path.is_dir():
        return path.stat().st_size
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())


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
