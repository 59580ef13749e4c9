"""Options of the `pde` commands that write an HTML page; chapters of earlier pages can be included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sciml.cli.output import Output
    from sciml.verify.html_report import Chapter

__all__ = ["PageOptions"]


@dataclass(frozen=True)
class PageOptions:
    """The page to write, the earlier pages whose chapters come first, and the title."""

    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write an HTML page with figures.")
    ] = None
    prepend: Annotated[
        list[Path] | None,
        typer.Option(
            "--prepend",
            metavar="PAGE",
            help="Page of an earlier command, whose chapters come first; may be repeated.",
        ),
    ] = None
    title: Annotated[str | None, typer.Option("--title", metavar="TEXT", help="Title of the page.")] = None

    @property
    def earlier(self) -> list[Path]:
        """The pages whose chapters come first."""
        return self.prepend or []

    def write(self, output: Output, chapters: Sequence[Chapter], title: str) -> None:
        """Write the page, with the given title unless the option ``--title`` is used."""
        if self.html_file is None:
            return
        from sciml.verify import html_report

        before = [chapter for page in self.earlier for chapter in html_report.read_chapters(page)]
        text = html_report.render([*before, *chapters], title=self.title or title)
        html_report.save(self.html_file, text)
        output.add_file("page", self.html_file)
