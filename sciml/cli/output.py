"""Output of all commands: `--json`, `--quiet`, text, and progress bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from sciml.cli.targets import STDOUT, total_size
from sciml.parallel.launch import is_first_started
from sciml.progress import progress_bar

__all__ = ["Json", "Output", "Quiet", "progress_bar"]

Json = Annotated[
    Path | None,
    typer.Option(
        "--json", metavar="FILE", help="Write the numbers as JSON to this file; - for standard output."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors and warnings.")]


@dataclass
class Output:
    """Destination of a command's output: JSON to a file or standard output, text to the terminal.

    Of several processes that torchrun started, the first one has an output.

    Parameters
    ----------
    json_file
        Value of `--json`. If it is standard output, only JSON goes there, and text goes to standard error.
    quiet
        Whether only errors and warnings are printed.
    """

    json_file: Path | None = None
    quiet: bool = False
    _files: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not is_first_started():
            self.json_file, self.quiet = None, True

    @property
    def json_to_stdout(self) -> bool:
        """Whether the JSON goes to standard output."""
        return self.json_file == STDOUT

    def write_json(
        self,
        content: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
        *,
        indent: int = 1,
        record: bool = True,
    ) -> None:
        """Write the numbers as JSON if `--json` is given, atomically; NaN and infinity become null.

        The key ``sciml_provenance`` has the record of the command.

        Parameters
        ----------
        content
            The numbers, or a function that computes them, which is called only if `--json` is given.
        indent
            Spaces of indentation; with 0 everything is on one line.
        record
            Whether to add the record; False for a table whose keys are names.

        Raises
        ------
        SciMLError
            The file cannot be written.
        """
        if self.json_file is None:
            return
        import json

        from sciml.storage.atomic import replaced
        from sciml.storage.provenance import PROVENANCE, command_record, written_now
        from sciml.tables import plain

        values = plain(content() if callable(content) else content)
        if record and (made := command_record()) is not None:
            values |= {PROVENANCE: {**made.to_json(), "written": written_now()}}
        text = json.dumps(values, indent=indent or None, allow_nan=False)
        if self.json_to_stdout:
            typer.echo(text)
            return
        with replaced(self.json_file) as part:
            part.write_text(text + "\n", encoding="utf-8")
        self.add_file("numbers", self.json_file)

    def add_file(self, content: str, path: Path) -> None:
        """Add a file that was written to the list that `print_files` prints."""
        self._files.append(f"{content}: {path}")

    def print(self, *texts: object) -> None:
        """Print lines of text, unless the command is quiet."""
        if not self.quiet:
            for text in texts:
                typer.echo(str(text), err=self.json_to_stdout)

    def warn(self, text: str) -> None:
        """Print a line of text even if the command is quiet."""
        if is_first_started():
            typer.echo(text, err=self.json_to_stdout or self.quiet)

    def report_training(self, output: Path, model: Any, seconds: float) -> None:
        """Report a training that is finished, or describe how to resume one that the time limit stopped."""
        from sciml.train.state import resume_path

        stopped = resume_path(output).exists()

        def content() -> dict[str, Any]:
            size = None if stopped else total_size(output)
            summary = {"checkpoint": str(output), "finished": not stopped, "bytes": size, "seconds": seconds}
            return {**summary, "parameters": _count_parameters(model), "about": model.about}

        self.write_json(content)
        if stopped:
            self.warn(f"stopped at the time limit: run the same command again to continue {output}")
        else:
            self.print(f"{model}\nsaved: {output}")
        self.print_files()

    def print_files(self) -> None:
        """Print which files were written."""
        self.print(*self._files)


def _count_parameters(model: Any) -> int:
    """Return the number of trained real numbers; a complex parameter counts twice."""
    return sum(weight.numel() * (2 if weight.is_complex() else 1) for weight in model.network.parameters())
