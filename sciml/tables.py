"""Tables as text and as HTML, and numbers as text: what summaries, reports and notebooks show."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import isfinite
from typing import Any

import numpy as np

__all__ = [
    "Table",
    "aligned",
    "decimals",
    "finite_number",
    "html_table",
    "named_values",
    "network_table",
    "number",
    "number_or_switch",
    "plain",
    "ruled",
    "score_text",
]

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
        return "\n".join([self.caption, *ruled(aligned([self.head, *self.rows]))])


def aligned(
    rows: Iterable[Sequence[object]],
    *,
    align: str = "<>",
    widths: Sequence[int] = (),
    gap: str = "  ",
    indent: str = "",
) -> list[str]:
    r"""Lines of text of rows, with aligned columns; a cell may have several lines.

    Parameters
    ----------
    rows
        Cells, the first of each row usually its name.
    align
        ``<`` (left) or ``>`` (right) for each column; the last one applies to all columns that follow.
    widths
        Least widths of the first columns; a column is as wide as its longest line.
    gap, indent
        Text between columns, and before the first.

    Examples
    --------
    >>> print("\n".join(aligned([("score", "1 mm", "5 mm"), ("csi", "0.5", "0.25\n(n = 3)")])))
    score  1 mm     5 mm
    csi     0.5     0.25
                 (n = 3)
    """
    cells = [[str(cell).split("\n") for cell in row] for row in rows]
    count = max(map(len, cells), default=0)
    least = [*widths, *[0] * count]
    width = [
        max(least[i], *(len(line) for row in cells for line in (row[i] if i < len(row) else ("",))))
        for i in range(count)
    ]
    sides = align + align[-1] * count
    return [
        (
            indent
            + gap.join(
                line.rjust(width[i]) if sides[i] == ">" else line.ljust(width[i])
                for i, line in enumerate(lines)
            )
        ).rstrip()
        for row in cells
        for lines in zip_longest(*row, fillvalue="")
    ]


def ruled(lines: Sequence[str]) -> list[str]:
    """Lines of a table with a rule below the first, its head.

    Examples
    --------
    >>> ruled(["name  value", "a         1"])
    ['name  value', '-----------', 'a         1']
    """
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def named_values(rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of the names and values of a solution, indented below its title.

    Examples
    --------
    >>> named_values([("grid", "31 x 31")])
    ['  grid                           31 x 31']
    """
    return aligned(rows, widths=(24, 14), gap="", indent="  ")


def number(value: float | None, form: str = ".3g") -> str:
    """Return a number with three digits; a dash where there is none.

    Examples
    --------
    >>> number(0.0123456), number(123.0), number(None), number(5.28)
    ('0.0123', '123', '–', '5.28')
    """
    return "–" if value is None else format(value, form)


def finite_number(value: float, form: str = ".4g") -> str:
    """A number with four digits; a hyphen where it is not finite.

    Examples
    --------
    >>> finite_number(0.0123456), finite_number(float("nan"))
    ('0.01235', '-')
    """
    return format(value, form) if isfinite(value) else "-"


def decimals(value: float) -> str:
    """A number with three decimals, four digits from 100 on; a hyphen where it is not finite.

    Examples
    --------
    >>> decimals(0.4999), decimals(-0.0001), decimals(1234.5), decimals(float("inf"))
    ('0.500', '0.000', '1234', '-')
    """
    if abs(value) >= 100:
        return finite_number(value)
    return finite_number(value, ".3f").replace("-0.000", "0.000")


def score_text(value: float | None, form: str = ".3f") -> str:
    """A score as text; a dash where there is none. A value slightly below 1 is not rounded to 1.000.

    Examples
    --------
    >>> score_text(0.98765), score_text(0.99991), score_text(1.0), score_text(None)
    ('0.988', '>0.999', '1.000', '–')
    """
    rounds_up = value is not None and form == ".3f" and 0.9995 <= value < 1
    return ">0.999" if rounds_up else number(value, form)


def number_or_switch(value: float, whole: str = "d", real: str = "g") -> str:
    """A statistic as text: yes or no, a whole number, or six digits.

    Examples
    --------
    >>> number_or_switch(True), number_or_switch(1234567), number_or_switch(0.12345678)
    ('yes', '1234567', '0.123457')
    >>> number_or_switch(1234567, whole=",d")
    '1,234,567'
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format(value, whole if isinstance(value, int) else real)


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
