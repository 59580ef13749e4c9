"""The pictures of an evaluation of an operator, each with the words that go with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sciml import plot
from sciml.plot.fields import Panel
from sciml.verify.html_report import Picture
from sciml.verify.operator.evaluation import PdeEvaluation, number

__all__ = ["pictures", "portrait"]

Array = NDArray[Any]
PHASES: Final = 6  # distinct values up to which a coefficient is shown by steps
WIDE: Final = 30.0  # ratio of largest to smallest from which a positive field is shown on a logarithmic scale


def pictures(evaluation: PdeEvaluation) -> Iterator[Picture]:
    """Draw what there is to see: the fields, the spectrum, the levels, the rollout."""
    fields = evaluation.fields
    bound = "bound_density" in fields
    yield Picture(
        "fields",
        portrait(evaluation),
        f"Sample {fields.attrs['sample']}: its relative L2 error, {number(fields.attrs['relative_l2'])}, is the median "
        f"of {fields.attrs['samples']} samples. "
        + (
            "The last two show sqrt(energy per area): of the true error, and as one multigrid cycle sees it, scaled so "
            "that its integral is the guaranteed bound: where it lies is an estimate, the whole is guaranteed."
            if bound
            else ""
        ),
        "Fields side by side: " + ", ".join(panel.title for panel in _panels(evaluation)),
    )
    found = evaluation.scores["frequency"]
    wave = np.array(found["wavenumber"])
    whole = sum(found["truth"])
    lines = {name: np.array(found[name]) / whole for name in ("truth", "prediction", "error")}
    yield Picture(
        "spectrum",
        plot.spectra(wave, lines, cutoff=found["cutoff"]),
        "Where in frequency truth, prediction and error lie. Where the error lies above the truth, zero would be "
        "better. Grey: only the corners of the grid's frequencies.",
        "Spectra; relative error by octave: "
        + ", ".join(f"{b['from']:g} to {b['to']:g}: {number(b['relative_error'])}" for b in found["bands"]),
    )
    levels = evaluation.scores.get("levels")
    if levels:
        names = [f"{one['level']:.0f}\n({one['unknowns']:,.0f})" for one in levels]
        both = {name: [one[f"share_of_{name}"] or 0.0 for one in levels] for name in ("truth", "error")}
        yield Picture(
            "levels",
            plot.shares(
                names, both, xlabel="multigrid level (unknowns)", ylabel="share of squared energy (%)"
            ),
            "Which level of the problems' own hierarchies truth and error belong to: level 0 is what only the finest "
            "can represent.",
            "Shares of error by level, finest first: " + ", ".join(f"{x:.0%}" for x in both["error"]),
        )
    rollout = evaluation.scores.get("rollout")
    if rollout:
        yield Picture(
            "rollout",
            plot.curves(
                np.arange(1, len(rollout["relative_l2"]) + 1),
                {"operator": rollout["relative_l2"], "unchanged first field": rollout["persistence"]},
                xlabel="step",
                ylabel="relative L2 error",
            ),
            "The operator fed with its own answers.",
            "Relative L2 error by step: " + ", ".join(number(x) for x in rollout["relative_l2"]),
        )


def portrait(evaluation: PdeEvaluation) -> Figure:
    """One picture of a sample: inputs, truth, prediction, error, and the guaranteed bound where there is one."""
    fields = evaluation.fields
    shape = evaluation.scores["grid"]
    return plot.panels(
        _panels(evaluation), fields["x"].values, fields["y"].values, lengths=tuple(shape["lengths"])
    )


def _panels(evaluation: PdeEvaluation) -> list[Panel]:
    fields, attrs = evaluation.fields, evaluation.fields.attrs
    drawn = ("truth", "prediction", "error_density", "bound_density")
    inputs = [str(name) for name in fields.data_vars if name not in drawn]
    found = [_input(name, fields[name].values) for name in inputs[:1]]
    truth, said = fields["truth"].values, fields["prediction"].values
    error = said - truth
    relative = float(np.linalg.norm(error) / np.linalg.norm(truth))
    found += [
        Panel("truth", truth, label="u", shared="u"),
        Panel("prediction", said, label="u", shared="u"),
        Panel(f"prediction − truth ({relative:.1%} in L2)", error, "signed", "u"),
    ]
    if "bound_density" in fields:
        part = attrs["solution"]
        found += [
            Panel(
                f"error in energy: {attrs['error'] / part:.3g} of u's",
                fields["error_density"].values,
                label="sqrt(energy per area)",
                shared="energy",
            ),
            Panel(
                f"its bound: at most {attrs['upper'] / part:.3g} of u's",
                fields["bound_density"].values,
                label="sqrt(energy per area)",
                shared="energy",
            ),
        ]
    return found


def _input(name: str, values: Array) -> Panel:
    said = name.replace("_", " ")
    if np.unique(values).size <= PHASES:
        return Panel(said, values, "phases", said)
    if values.min() > 0 and values.max() > WIDE * values.min():
        return Panel(said, values, "log", said)
    return Panel(said, values, label=said)
