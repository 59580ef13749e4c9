"""Tables and figure of the emulators in each precision, from the numbers of `compress.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from sciml.plot.style import COLOURS, StyledFigure, style
from sciml.tables import aligned

GROUPS = ("stopped by the parcel test", "nothing rises", "shallow", "deep")
LOSS = "mean 1 - R2"  # over the outputs
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def mean_loss(row: Mapping[str, Any]) -> float | None:
    """Return the mean of 1 - R2 over the outputs of a form; None without R2."""
    r2 = [value for output, value in (row["r2"] or {}).items() if output != "F1"]
    return 1 - sum(r2) / len(r2) if r2 else None


def table(name: str, result: Mapping[str, Any]) -> list[str]:
    """Return the lines of the tables of an emulator: sizes and times, and R2."""
    head = ["", "network us", "speed-up", "whole us", "speed-up", *GROUPS, "checkpoint", "ratio"]
    rows = [[*head, "weights file", "ratio", "resident", LOSS]]
    first = result["forms"]["float32"]
    for form, row in result["forms"].items():
        us, faster = row["us"], row["speed-up"]
        cells = [form, f"{us['network']:.2f}", f"{faster['network']:.2f}"]
        if row.get("peer"):
            rows.append([*cells, *["-"] * (len(rows[0]) - len(cells))])
            continue
        cells += [f"{us['all']:.2f}", f"{faster['all']:.2f}"]
        cells += [f"{us[group]:.2f}" if group in us else "-" for group in GROUPS]
        for size in ("checkpoint", "weights_file"):
            cells += [f"{row[size]:,}", f"{first[size] / row[size]:.2f}"]
        loss = mean_loss(row)
        cells += ["-" if row["resident"] is None else f"{row['resident']:,.0f}"]
        rows.append([*cells, "-" if loss is None else f"{loss:.3g}"])
    lines = [
        f"\n{name} ({result['class']}), {result['parameters']:,} parameters; us per column, bytes",
        *aligned(rows),
    ]
    if first["r2"]:
        ours = {form: row["r2"] for form, row in result["forms"].items() if not row.get("peer")}
        lines.append("R2 of each output, and F1")
        body = [[output, *(f"{r2[output]:.5f}" for r2 in ours.values())] for output in first["r2"]]
        lines += aligned([["", *ours], *body])
    return lines


def figure(results: Mapping[str, Any]) -> Figure:
    """Draw the time of the whole emulator against the bytes of its weights file, and against the mean of 1 - R2.

    Parameters
    ----------
    results
        Numbers of `measure` by emulator.

    Returns
    -------
    matplotlib.figure.Figure
        Figure with logarithmic axes. Lines connect the forms that no other one exceeds in both numbers. Forms
        whose mean R2 is below 0 are left out of the right panel.
    """
    panels: dict[str, Callable[[Mapping[str, Any]], float | None]] = {
        "weights file (bytes)": lambda row: float(row["weights_file"]),
        "mean of 1 − R² of the outputs": lambda row: (
            loss if (loss := mean_loss(row)) is not None and loss < 1 else None
        ),
    }
    names = list(
        dict.fromkeys(
            form
            for result in results.values()
            for form, row in result["forms"].items()
            if not row.get("peer")
        )
    )
    with style():
        drawn = StyledFigure(figsize=(10.0, 4.2))
        grid = drawn.subplots(1, 2)
        for axes, (title, value) in zip(grid, panels.items(), strict=True):
            for colour, (name, result) in zip(COLOURS.values(), results.items(), strict=False):
                points = {
                    form: (row["us"]["all"], y)
                    for form, row in result["forms"].items()
                    if not row.get("peer") and (y := value(row)) is not None
                }
                for marker, form in zip(MARKERS, names, strict=False):
                    if form in points:
                        axes.plot(*points[form], marker, color=colour, markersize=5)
                front = [
                    p
                    for p in sorted(points.values())
                    if not any(q < p and q[1] <= p[1] for q in points.values())
                ]
                if front:
                    axes.plot(*zip(*front, strict=True), color=colour, linewidth=0.8, label=name)
            axes.set(xscale="log", yscale="log", xlabel="time of a column (µs)", ylabel=title)
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.xaxis.set_major_locator(LogLocator(10, (1, 2, 5)))
            axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        for marker, form in zip(MARKERS, names, strict=False):
            grid[0].plot([], [], marker, color="#8a8a8a", markersize=5, label=form)
        drawn.legend(*grid[0].get_legend_handles_labels(), loc="outside right center")
    return drawn
