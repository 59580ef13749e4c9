"""HTML report pages: style, tables, figures, definitions, and the combination of pages.

A page consists of chapters between marks, so that a later command can include the chapters in its page.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from sciml.errors import InputError
from sciml.plot import png
from sciml.storage.atomic import replaced
from sciml.storage.provenance import PROVENANCE, command_record, written_now

__all__ = ["Chapter", "Picture", "definitions", "drawn", "read_chapters", "render", "save", "table"]

STYLE: Final = """
:root{color-scheme:light}
body{margin:0;background:#fff;color:#222;font:16px/1.55 system-ui,"Segoe UI","DejaVu Sans",sans-serif}
main,header,nav,footer{max-width:68rem;margin:0 auto;padding:0 1.5rem}
header{padding-top:2.5rem}
h1{font-size:1.7rem;font-weight:600;margin:0 0 .3rem;text-wrap:balance}
h2{font-size:1.3rem;font-weight:600;margin:3rem 0 .6rem;border-top:1px solid #ddd;padding-top:1.5rem}
h3{font-size:1.05rem;font-weight:600;margin:2rem 0 .4rem}
p{max-width:46rem;margin:.4rem 0 .8rem}
.quiet{color:#555}
nav a{margin-right:1.2rem}
a{color:#00558a}
a:focus-visible,.wide:focus-visible{outline:3px solid #d55e00;outline-offset:2px}
.skip{position:absolute;left:-99rem}
.skip:focus{left:1rem;top:1rem;background:#fff;padding:.5rem}
.wide{overflow-x:auto;margin:.6rem 0 1.2rem}
table{border-collapse:collapse;font-size:.86rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:#555;padding:0 0 .4rem}
th,td{padding:.28rem .7rem;text-align:right;white-space:nowrap;font-weight:400}
thead th{border-bottom:1.5px solid #888;font-weight:600;vertical-align:bottom}
tbody tr{border-bottom:1px solid #eee}
tbody tr:hover{background:#f6f9fa}
th[scope=row]{text-align:left;font-weight:600}
thead th:first-child,td.text,th.text{text-align:left}
td.best{font-weight:600}
.stacked td,.stacked th{white-space:pre-line;vertical-align:top}
figure{margin:1rem 0 1.8rem}
figure img{max-width:100%;height:auto;display:block}
figcaption{color:#555;font-size:.9rem;max-width:46rem}
.beside{display:flex;flex-wrap:wrap;gap:0 3rem;align-items:flex-start}
.beside figure{max-width:22rem}
.pair{display:flex;flex-wrap:wrap;gap:0 2rem;align-items:flex-start}
.pair figure{max-width:31rem}
dl{font-size:.9rem;max-width:60rem}
dt{font-weight:600;margin-top:.5rem}
dd{margin:0 0 0 1.2rem;color:#444}
footer{color:#555;font-size:.85rem;padding:2.5rem 1.5rem 3rem}
@media print{h2{break-before:page}figure{break-inside:avoid}}
"""

DOTS: Final = 144
BEGIN: Final = "<!-- chapter {} -->"
END: Final = "<!-- end of chapter -->"
BETWEEN: Final = re.compile(r"<!-- chapter (.*?) -->(.*?)<!-- end of chapter -->", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure with its caption and alternative text."""

    name: str
    figure: Figure
    caption: str
    text: str


@dataclasses.dataclass(frozen=True)
class Chapter:
    """A part of a page: its title in the links at the top, and its HTML, whose first heading is an h2.

    Its ids must be unique within its page; a page that includes it numbers them again.
    """

    title: str
    body: str

    @classmethod
    def of(cls, title: str, *parts: str) -> Chapter:
        """Make a chapter with a heading and these parts."""
        return cls(title, f"<section><h2>{html.escape(title)}</h2>{''.join(parts)}</section>")


def render(chapters: Sequence[Chapter], *, title: str) -> str:
    """Render a page as text, without external resources.

    Raises
    ------
    InputError
        There is no chapter.

    Examples
    --------
    >>> page = render([Chapter.of("One", "<p>first</p>")], title="A & B")
    >>> "<h1>A &amp; B</h1>" in page, 'href="#chapter-1"' in page
    (True, True)
    """
    if not chapters:
        raise InputError("a page needs at least one evaluation")
    from sciml.version import __version__

    head = html.escape(title)
    links = "".join(
        f'<a href="#chapter-{i}">{html.escape(chapter.title)}</a>' for i, chapter in enumerate(chapters, 1)
    )
    body = "".join(_marked(i, chapter) for i, chapter in enumerate(chapters, 1))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{head}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE}</style></head><body>"
        '<a class="skip" href="#content">Skip to the content</a>'
        f"<header><h1>{head}</h1></header>"
        f'<nav aria-label="Sections">{links}</nav><main id="content">{body}</main>'
        f"<footer>Made by sciml {html.escape(__version__)}. The JSON file of the same command has "
        "every number of this page.</footer></body></html>\n"
    )


def _marked(number: int, chapter: Chapter) -> str:
    # Two hyphens in a row would end the HTML comment with the title.
    name = html.escape(chapter.title).replace("--", "&#45;&#45;")
    return f'{BEGIN.format(name)}<div id="chapter-{number}">{chapter.body}</div>{END}'


def read_chapters(path: str | os.PathLike[str]) -> list[Chapter]:
    """Read the chapters of a page that `save` wrote.

    Raises
    ------
    InputError
        There is no such file, or it is not a page of sciml.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the page {path}: {error}") from error
    chapters = [
        Chapter(
            html.unescape(name), re.sub(r'^<div id="chapter-\d+">(.*)</div>$', r"\1", body, flags=re.DOTALL)
        )
        for name, body in BETWEEN.findall(text)
    ]
    if not chapters:
        raise InputError(f"{path} has no chapters: give a page that a command of sciml wrote with --html")
    return chapters


def save(path: str | os.PathLike[str], page: str) -> Path:
    """Write the text of a page under a temporary name, then rename the file.

    A page of a command has the record of the command, which its footer shows.
    """
    path, record = Path(path), command_record()
    if record is not None:
        text = json.dumps({**record.to_json(), "written": written_now()}, sort_keys=True)
        page = page.replace("</head>", f'<meta name="{PROVENANCE}" content="{html.escape(text)}"></head>', 1)
        page = page.replace("</footer>", f"<p>{html.escape(record.line())}</p></footer>", 1)
    with replaced(path) as part:
        part.write_text(page, encoding="utf-8")
    return path


def drawn(picture: Picture, dots: int | None = None) -> str:
    """Return the HTML of a figure with its caption, the image embedded."""
    data = base64.b64encode(png(picture.figure, dots or DOTS, record=False)).decode()
    width = int(picture.figure.get_figwidth() * 96)
    return (
        f'<figure><img width="{width}" alt="{html.escape(picture.text, quote=True)}" '
        f'src="data:image/png;base64,{data}">'
        f"<figcaption>{html.escape(picture.caption)}</figcaption></figure>"
    )


def table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], text: int = 1, *, stacked: bool = False
) -> str:
    """Return a table whose first ``text`` columns are words; cells have several lines if ``stacked``."""

    def cell(i: int, value: str) -> str:
        if i == 0:
            return f'<th scope="row">{html.escape(value)}</th>'
        return f"<td{' class=text' if i < text else ''}>{html.escape(value)}</td>"

    top = "".join(
        f'<th scope="col"{" class=text" if 0 < i < text else ""}>{html.escape(name)}</th>'
        for i, name in enumerate(head)
    )
    body = "".join("<tr>" + "".join(cell(i, x) for i, x in enumerate(row)) + "</tr>" for row in rows)
    label = html.escape(caption)
    return (
        f'<div class="wide{" stacked" if stacked else ""}" tabindex="0" role="region" aria-label="{label}">'
        f"<table><caption>{label}</caption>"
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def definitions(items: Mapping[str, str]) -> str:
    """Return a list of terms and their definitions."""
    entries = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in items.items()
    )
    return f"<dl>{entries}</dl>"
