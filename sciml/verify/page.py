"""One self-contained page about evaluations: tables, pictures, definitions; nothing from elsewhere."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sciml.errors import InputError
from sciml.plot import png
from sciml.verify.evaluation import Evaluation, figure
from sciml.verify.figures import Picture, pictures
from sciml.writing import replaced

__all__ = ["render_page", "write_page"]

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
figure{margin:1rem 0 1.8rem}
figure img{max-width:100%;height:auto;display:block}
figcaption{color:#555;font-size:.9rem;max-width:46rem}
.beside{display:flex;flex-wrap:wrap;gap:0 3rem;align-items:flex-start}
.beside figure{max-width:22rem}
dl{font-size:.9rem;max-width:60rem}
dt{font-weight:600;margin-top:.5rem}
dd{margin:0 0 0 1.2rem;color:#444}
footer{color:#555;font-size:.85rem;padding:2.5rem 1.5rem 3rem}
@media print{h2{break-before:page}figure{break-inside:avoid}}
"""

DOTS: Final = 144
BESIDE: Final = ("confusion", "reliability")


def write_page(
    path: str | os.PathLike[str],
    evaluations: Sequence[Evaluation],
    *,
    title: str = "How well the emulator knows the scheme",
) -> Path:
    """Write the page about one or more evaluations, with every picture inside it.

    Parameters
    ----------
    path
        Of the HTML file; written under a temporary name, then renamed.
    evaluations
        In the order in which they are told; with several a table compares them.
    title
        Heading of the page.

    Raises
    ------
    InputError
        If there is no evaluation.
    """
    path = Path(path)
    text = render_page(evaluations, title=title)
    with replaced(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def render_page(evaluations: Sequence[Evaluation], *, title: str = "Evaluation") -> str:
    """The page of `write_page` as text."""
    if not evaluations:
        raise InputError("a page needs at least one evaluation")
    from sciml import __version__

    head = html.escape(title)
    links = "".join(
        f'<a href="#model-{i}">{html.escape(one.model)}</a>' for i, one in enumerate(evaluations, 1)
    )
    several = _comparison(evaluations) if len(evaluations) > 1 else ""
    sections = "".join(_section(i, one) for i, one in enumerate(evaluations, 1))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{head}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE}</style></head><body>"
        '<a class="skip" href="#content">Skip to the content</a>'
        f"<header><h1>{head}</h1></header>"
        f'<nav aria-label="Sections">{links}<a href="#definitions">Definitions</a></nav>'
        f'<main id="content">{several}{sections}{_definitions(evaluations[0])}</main>'
        f"<footer>Made by sciml {html.escape(__version__)}. Every number on this page comes from the "
        "evaluation; the JSON file of the same command holds them all.</footer></body></html>\n"
    )


def _section(number: int, one: Evaluation) -> str:
    scores = one.scores
    told = "".join(f"<p>{html.escape(line)}</p>" for line in one.headline()[1:])
    drawn = {picture.name: picture for picture in pictures(one)}
    beside = "".join(_picture(drawn.pop(name)) for name in BESIDE if name in drawn)
    parts = [
        f'<section aria-labelledby="model-{number}"><h2 id="model-{number}">{html.escape(one.model)}</h2>',
        f'<p class="quiet">Evaluated on {html.escape(one.data)}.</p>{told}',
        _picture(drawn.pop("maps")) if "maps" in drawn else "",
        "<h3>Every output</h3>",
        _outputs(one),
        _picture(drawn.pop("r2_by_level")) if "r2_by_level" in drawn else "",
        f'<h3>None, shallow or deep</h3><div class="beside">{beside}</div>',
        "<h3>Profiles</h3>" + "".join(_picture(p) for n, p in drawn.items() if n != "scatter"),
        "<h3>Rain and heating of the column</h3>",
        _picture(drawn["scatter"]) if "scatter" in drawn else "",
        _rain(scores["rain"]) if "rain" in scores else "",
        "<h3>Budgets</h3>",
        _budgets(scores["budgets"]),
        _novelty(scores["novelty"]) if scores["novelty"] else "",
        "</section>",
    ]
    return "".join(parts)


def _picture(picture: Picture) -> str:
    data = base64.b64encode(png(picture.figure, DOTS)).decode()
    width = int(picture.figure.get_figwidth() * 96)
    return (
        f'<figure><img width="{width}" alt="{html.escape(picture.text, quote=True)}" '
        f'src="data:image/png;base64,{data}">'
        f"<figcaption>{html.escape(picture.caption)}</figcaption></figure>"
    )


def _table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], text: int = 1) -> str:
    """A table whose first ``text`` columns are words and the rest numbers."""

    def cell(i: int, value: str) -> str:
        if i == 0:
            return f'<th scope="row">{html.escape(value)}</th>'
        return f"<td{' class=text' if i < text else ''}>{html.escape(value)}</td>"

    top = "".join(
        f'<th scope="col"{" class=text" if 0 < i < text else ""}>{html.escape(name)}</th>'
        for i, name in enumerate(head)
    )
    body = "".join("<tr>" + "".join(cell(i, x) for i, x in enumerate(row)) + "</tr>" for row in rows)
    said = html.escape(caption)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{said}"><table><caption>{said}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _outputs(one: Evaluation) -> str:
    head, *rows = one.rows()
    how = "weighted" if one.scores["weighted_scores"] else "unweighted"
    caption = (
        f"Scores ({how}) over the truly triggered columns; “all” over every column, “class mean” a baseline"
    )
    return _table(caption, head, rows, text=2)


def _comparison(evaluations: Sequence[Evaluation]) -> str:
    """Scores by row and models by column: the number of models is small, that of outputs is not."""
    rows = [
        [f"trigger, {name}", *(figure(one.scores["trigger"][key]) for one in evaluations)]
        for key, name in (("f1", "F1"), ("f1_deep", "F1 of deep"), ("f1_shallow", "F1 of shallow"))
    ]
    for name in dict.fromkeys(name for one in evaluations for name in one.scores["outputs"]):
        found = [one.scores["outputs"].get(name, {}).get("r2") for one in evaluations]
        if any(value is not None for value in found):
            rows.append([f"{name}, R²", *(figure(value) for value in found)])
    caption = "F1 of the trigger, and R² over the truly triggered columns, model by model"
    table = _table(caption, ["score", *(one.model for one in evaluations)], rows)
    return f"<section><h2>All together</h2>{table}</section>"


def _rain(rain: Mapping[str, Any]) -> str:
    keys = ("hits", "misses", "false_alarms", "pod", "far", "csi", "frequency_bias", "ets", "hss")
    there = [key for key in keys if key in rain["contingency"][0]]
    rows = [
        [
            f"{one['threshold']:g}",
            *(figure(one[key], "{:,.0f}" if i < 3 else "{:.3f}") for i, key in enumerate(there)),
        ]
        for one in rain["contingency"]
    ]
    head = ["at least (mm/h)", *(key.replace("_", " ") for key in there)]
    means = figure(rain["mean_truth"], "{:.4f}"), figure(rain["mean_prediction"], "{:.4f}")
    return f"<p>Mean rain rate over all columns: true {means[0]}, predicted {means[1]} mm/h.</p>" + _table(
        "Rain or no rain, by threshold", head, rows
    )


def _budgets(found: Mapping[str, Any]) -> str:
    rows = []
    for name in ("water", "enthalpy", "momentum"):
        for kind in ("deep", "shallow"):
            for source in ("truth", "prediction"):
                one = found.get(name, {}).get(source, {}).get(kind)
                if one:
                    numbers = (one[key] for key in ("median", "p01", "p99", "abs_median", "abs_max"))
                    rows.append([name, kind, source, *(figure(x, "{:+.1e}") for x in numbers)])
    head = ["residual", "class", "of", "median", "1st percentile", "99th", "median size", "largest size"]
    text = _table("Relative imbalance of the column, defined below", head, rows, text=3)
    if "negative_vapour_columns" in found:
        made = found["negative_vapour_columns"]
        text += (
            f"<p>Columns in which a step of {found['negative_vapour_dt']:g} s makes vapour negative: "
            f"true {made['truth']:,}, predicted {made['prediction']:,}.</p>"
        )
    return text


def _novelty(found: Mapping[str, Any]) -> str:
    rows = [
        [
            name,
            f"{found[name]['columns']:,}",
            figure(found[name]["f1"]),
            figure(found[name].get("heating_nmae")),
        ]
        for name in ("inside", "outside")
    ]
    caption = "Columns inside and outside the training range (novelty 1 is its edge)"
    head = ["novelty", "columns", "F1 of the trigger", "error of column heating (nmae)"]
    return (
        f"<h3>Novelty</h3><p>Of {found['looked_at']:,} columns that were looked at more closely, "
        f"{figure(found.get('fraction_above_1'), '{:.2%}')} lie outside the training range: median "
        f"{figure(found.get('median'))}, 99th percentile {figure(found.get('p99'))}, largest "
        f"{figure(found.get('max'))}.</p>{_table(caption, head, rows)}"
    )


def _definitions(one: Evaluation) -> str:
    items = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>"
        for name, text in one.scores["definitions"].items()
    )
    return f'<section><h2 id="definitions">Definitions</h2><dl>{items}</dl></section>'
