"""Pictures and a chapter of the Green's functions of an operator."""

from __future__ import annotations

import html
from collections.abc import Iterator

from matplotlib.figure import Figure

from sciml.operators.greens import GreensFunctions
from sciml.plot.fields import Panel, panels
from sciml.tables import number
from sciml.verify.html_report import Chapter, Picture, drawn, table

__all__ = ["chapter", "pictures", "portrait"]

MOST = 3  # sources and modes that are drawn


def portrait(result: GreensFunctions) -> Figure:
    """Draw the responses to up to three sources: network, inverse, and their difference."""
    fields = []
    for k, (row, column) in enumerate(result.points[:MOST]):
        shared = f"source {k}"
        source = f"source at row {row}, column {column}"
        fields += [
            Panel(f"network, {source}", result.network[k], "plain", shared=shared),
            Panel(f"inverse, {source}", result.exact[k], "plain", shared=shared),
            Panel(f"difference, {result.errors[k]:.1%}", result.network[k] - result.exact[k], "signed"),
        ]
    return _panels(result, fields, 3)


def modes(result: GreensFunctions) -> Figure:
    """Draw the leading left singular vectors of the network, and those of the inverse below."""
    count = min(MOST, len(result.modes))
    fields = []
    named = (
        ("network", result.modes, result.singular_values),
        ("inverse", result.exact_modes, result.exact_singular_values),
    )
    for name, vectors, values in named:
        for k in range(count):
            own = vectors[k] * (1.0 if vectors[k].sum() >= 0 else -1.0)  # their sign is arbitrary
            fields.append(Panel(f"{name}, mode {k + 1}: {values[k]:.3g}", own, "signed"))
    return _panels(result, fields, count)


def _panels(result: GreensFunctions, fields: list[Panel], columns: int) -> Figure:
    y, x = result.grid.coordinates()
    ly, lx = result.grid.lengths
    return panels(fields, x, y, columns=columns, lengths=(ly, lx))


def pictures(result: GreensFunctions) -> Iterator[Picture]:
    """Draw the responses and the singular vectors, with captions."""
    places = ", ".join(f"({row}, {column})" for row, column in result.points[:MOST])
    yield Picture(
        "greens",
        portrait(result),
        "Responses to a unit source in one control volume: of the linear operator that the network is at the source of "
        "the problem, of the inverse of the system (pyamg), and their difference, with its relative norm.",
        f"Green's functions for sources at {places}, beside the exact ones",
    )
    yield Picture(
        "modes",
        modes(result),
        "Leading left singular vectors with their singular values. Vectors of equal values are not unique.",
        "Leading singular vectors of the network and of the inverse",
    )


def chapter(result: GreensFunctions, name: str) -> Chapter:
    """Return the chapter of a page."""
    kind = (
        "the frozen action, which gives the prediction from the source"
        if result.mode == "frozen"
        else "the tangent, the response to a change of the source"
    )
    lines = [
        f"{name} as a linear operator from source to solution: {kind}. Error of {len(result.points)} Green's functions "
        f"{number(result.error)}, symmetry defect {number(result.asymmetry)} (0 for the exact operator), residual (the "
        f"effect of the biases) {number(result.residual)} of the prediction.",
    ]
    pairs = zip(result.singular_values, result.exact_singular_values, strict=True)
    rows = [
        [str(k), f"{own:.4g}", f"{exact:.4g}", f"{own / exact:.3f}"]
        for k, (own, exact) in enumerate(pairs, 1)
    ]
    values = table("Singular values", ["mode", "network", "inverse", "ratio"], rows)
    text = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
    return Chapter.of("The operator as a matrix", text, values, *map(drawn, pictures(result)))
