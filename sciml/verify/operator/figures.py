"""Figures of an evaluation of an operator, with captions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sciml import plot
from sciml.plot.fields import Panel
from sciml.tables import number
from sciml.verify.html_report import Picture
from sciml.verify.operator.evaluation import PdeEvaluation
from sciml.verify.operator.planes import middle_plane

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["pictures", "portrait"]

Array = NDArray[Any]
PHASES: Final = 6  # number of distinct values up to which a coefficient has one colour for each
WIDE: Final = 30.0  # ratio of largest to smallest value above which a positive field has a logarithmic scale


def pictures(evaluation: PdeEvaluation) -> Iterator[Picture]:
    """Draw the fields, the spectrum, the levels and the rollout."""
    fields = evaluation.fields
    bound = "bound_density" in fields
    yield Picture(
        "fields",
        portrait(evaluation),
        f"Sample {fields.attrs['sample']}: its relative L2 error, {number(fields.attrs['relative_l2'])}, is the median "
        f"of {fields.attrs['samples']} samples. "
        + (
            "The last two panels show sqrt(energy per area): of the true error, and of its estimate by one multigrid "
            "cycle, scaled so that its integral is the guaranteed bound. The distribution is an estimate, the integral "
            "is guaranteed."
            if bound
            else ""
        )
        + _plane_shown(fields),
        "Fields side by side: " + ", ".join(panel.title for panel in _panels(evaluation)),
    )
    spectrum = evaluation.scores["frequency"]
    wave = np.array(spectrum["wavenumber"])
    whole = sum(spectrum["truth"])
    lines = {name: np.array(spectrum[name]) / whole for name in ("truth", "prediction", "error")}
    yield Picture(
        "spectrum",
        plot.spectra(wave, lines, cutoff=spectrum["cutoff"]),
        "Spectra of truth, prediction and error, relative to the mean square of the truth. Where the error exceeds the "
        "truth, a prediction of zero is better. Grey: incomplete shells at the highest wave numbers.",
        "Spectra; relative error by octave: "
        + ", ".join(
            f"{b['from']:g} to {b['to']:g}: {number(b['relative_error'])}" for b in spectrum["bands"]
        ),
    )
    levels = evaluation.scores.get("levels")
    if levels:
        names = [f"{level['level']:.0f}\n({level['unknowns']:,.0f})" for level in levels]
        both = {name: [level[f"share_of_{name}"] or 0.0 for level in levels] for name in ("truth", "error")}
        yield Picture(
            "levels",
            plot.shares(
                names, both, xlabel="multigrid level (unknowns)", ylabel="share of squared energy (%)"
            ),
            "Shares of truth and error by level of the multigrid hierarchies of the problems: level 0 is the part that "
            "only the finest level can represent.",
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
            "Rollout: the operator applied to its own predictions.",
            "Relative L2 error by step: " + ", ".join(number(x) for x in rollout["relative_l2"]),
        )


def portrait(evaluation: PdeEvaluation) -> Figure:
    """Draw a sample: input, truth, prediction, error, and the guaranteed bound where there is one.

    Of fields in a box the middle plane is drawn, and fields on a line as curves.
    """
    fields = evaluation.fields
    x = fields["x"].values
    if "y" not in fields.dims:
        lines = {name: fields[name].values.tolist() for name in ("truth", "prediction")}
        return plot.curves(x, lines, xlabel="x", ylabel="u")
    lengths = evaluation.scores["grid"]["lengths"]
    return plot.panels(_panels(evaluation), x, fields["y"].values, lengths=tuple(lengths[-2:]))


def _plane_shown(fields: xr.Dataset) -> str:
    if "z" not in fields.dims:
        return ""
    return f" The panels show the plane z = {float(middle_plane(fields)['z']):.3g}."


def _panels(evaluation: PdeEvaluation) -> list[Panel]:
    fields, attrs = middle_plane(evaluation.fields), evaluation.fields.attrs
    drawn = ("truth", "prediction", "error_density", "bound_density")
    inputs = [str(name) for name in fields.data_vars if name not in drawn]
    panels = [_input(name, fields[name].values) for name in inputs[:1]]
    truth, prediction = fields["truth"].values, fields["prediction"].values
    error = prediction - truth
    relative = float(np.linalg.norm(error) / np.linalg.norm(truth))
    panels += [
        Panel("truth", truth, label="u", shared="u"),
        Panel("prediction", prediction, label="u", shared="u"),
        Panel(f"prediction − truth ({relative:.1%} in L2)", error, "signed", "difference of u"),
    ]
    if "bound_density" in fields:
        part = attrs["solution"]
        panels += [
            Panel(
                f"energy error (relative: {attrs['error'] / part:.3g})",
                fields["error_density"].values,
                label="sqrt(energy per area)",
                shared="energy",
            ),
            Panel(
                f"guaranteed bound (relative: {attrs['upper'] / part:.3g})",
                fields["bound_density"].values,
                label="sqrt(energy per area)",
                shared="energy",
            ),
        ]
    return panels


def _input(name: str, values: Array) -> Panel:
    label = name.replace("_", " ")
    if np.unique(values).size <= PHASES:
        return Panel(label, values, "phases", label)
    if values.min() > 0 and values.max() > WIDE * values.min():
        return Panel(label, values, "log", label)
    return Panel(label, values, label=label)
