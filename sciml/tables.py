"""A small table as HTML: what problems, solutions, hierarchies, networks and checkpoints show in a notebook."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Table", "html_table", "network_table", "number", "number_or_switch", "plain"]

# Inline, for a notebook's viewer may take style sheets out. No colour of text or ground is set, and the lines are
# half-transparent grey, so that it reads on dark and on light.
_LINE = "1px solid rgba(128,128,128,.35)"
_CELL = f"padding:.15em .8em .15em 0;border:0;border-top:{_LINE};vertical-align:top;font-variant-numeric:tabular-nums"
_NAME = f"{_CELL};text-align:left;font-weight:normal;opacity:.75"
_HEAD = "padding:.15em .8em .15em 0;border:0;font-weight:normal;opacity:.75"
_QUIET = "opacity:.75"
_TABLE = "border-collapse:collapse;background:transparent;margin:.2em 0;width:auto"
_NUMBER = re.compile(r"[-+<>]?[\d,]*\.?\d+(e[-+]?\d+)?%?( x \d+)*", re.IGNORECASE)


def html_table(title: str, rows: Iterable[Sequence[str]], *, head: Sequence[str] = (), note: str = "") -> str:
    """Return an HTML table with a title; all text is escaped.

    Parameters
    ----------
    title
        Text above the rows; its first line is bold.
    rows
        Cells as text; the first cell of a row is its name. Columns of numbers are right-aligned.
    head
        Names of the columns, if there are any.
    note
        Text below the rows, such as a remedy.

    Examples
    --------
    >>> shown = html_table("A <b>", [("cycles", "8"), ("grid", "63 x 63")])
    >>> "A &lt;b&gt;" in shown, ">63 x 63</td>" in shown, "<script" in shown
    (True, True, False)
    """
    cells = [list(map(str, row)) for row in rows]
    width = max((len(row) for row in cells), default=0)
    right = [i > 0 and _of_numbers([row[i] for row in cells if i < len(row)]) for i in range(width)]
    top = "".join(
        f'<th scope="col" style="{_HEAD};text-align:{_side(i < width and right[i])}">{html.escape(name)}</th>'
        for i, name in enumerate(head)
    )
    thead = f"<thead><tr>{top}</tr></thead>" if top else ""
    first, *more = title.splitlines() or [""]
    lines = "".join(f'<div style="{_QUIET}">{html.escape(line)}</div>' for line in more)
    foot = f'<div style="{_QUIET}">{html.escape(note)}</div>' if note else ""
    return (
        f'<div style="margin:.3em 0 .8em"><div style="font-weight:600">{html.escape(first)}</div>{lines}'
        f'<table aria-label="{html.escape(first)}" style="{_TABLE}">{thead}'
        f"<tbody>{''.join(_row(row, right) for row in cells)}</tbody></table>{foot}</div>"
    )


def network_table(network: Any) -> str:
    """Return an HTML table of the class, the number of parameters and the settings of a network."""
    settings = dict(network.config())
    name = str(settings.pop("class"))
    count = sum(p.numel() for p in network.parameters())
    rows = ((key.replace("_", " "), _in_line(value)) for key, value in settings.items())
    return html_table(name, [("parameters", f"{count:,}"), *rows])


@dataclass(frozen=True)
class Table:
    """A caption, a head, and rows of text whose first cell is a name."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        table = [list(self.head), *map(list, self.rows)]
        width = [max(len(row[i]) for row in table) for i in range(len(self.head))]
        lines = [
            "  ".join(
                cell.ljust(size) if i == 0 else cell.rjust(size)
                for i, (cell, size) in enumerate(zip(row, width, strict=True))
            ).rstrip()
            for row in table
        ]
        return "\n".join([self.caption, lines[0], "-" * max(map(len, lines)), *lines[1:]])


def number(value: float | None, form: str = ".3g") -> str:
    """Return a number with three digits; a dash where there is none.

    Examples
    --------
    >>> number(0.0123456), number(123.0), number(None), number(5.28)
    ('0.0123', '123', '–', '5.28')
    """
    return "–" if value is None else format(value, form)


def number_or_switch(value: float) -> str:
    """A statistic as text: yes or no, a whole number, or six digits.

    Examples
    --------
    >>> number_or_switch(True), number_or_switch(1234567), number_or_switch(0.12345678)
    ('yes', '1234567', '0.123457')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, int) else f"{value:g}"


def _in_line(value: Any) -> str:
    """Return a setting as text, nested ones separated by commas."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_in_line(part)}" for name, part in value.items())
    return ", ".join(map(_in_line, value)) if isinstance(value, list | tuple) else str(value)


def _row(row: Sequence[str], right: Sequence[bool]) -> str:
    name, *rest = row
    cells = "".join(
        f'<td style="{_CELL};text-align:{_side(right[i])}">{html.escape(value)}</td>'
        for i, value in enumerate(rest, start=1)
    )
    # The background is set because some notebooks stripe the rows.
    return f'<tr style="background:transparent"><th scope="row" style="{_NAME}">{html.escape(name)}</th>{cells}</tr>'


def _side(right: bool) -> str:
    return "right" if right else "left"


def _of_numbers(column: Sequence[str]) -> bool:
    """Return whether a column has only numbers, grids such as 63 x 63, and dashes."""
    filled = [cell for cell in column if cell not in ("", "-", "–")]
    return bool(filled) and all(_NUMBER.fullmatch(cell) for cell in filled)


def plain(value: Any) -> Any:
    """Convert numbers, arrays and nested containers to values of JSON; NaN and infinity become None.

    Examples
    --------
    >>> plain({"r2": np.float32("nan"), "levels": np.array([0.5, np.inf])})
    {'r2': None, 'levels': [0.5, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.bool_ | bool):
        return bool(value)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.floating | float):
        return float(value) if np.isfinite(value) else None
    return value
