"""Figures of an evaluation, with captions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sciml import plot
from sciml.constants import DAY
from sciml.plot.maps import draw_map
from sciml.plot.profiles import draw_profile
from sciml.plot.style import StyledFigure, set_title
from sciml.verify.emulator.evaluation import Evaluation
from sciml.verify.html_report import Picture

__all__ = ["Picture", "fullest_frame", "pictures", "portrait"]

Array = NDArray[Any]

SHOWN: Final = {
    "RTHCUTEN": ("heating", DAY, "K day⁻¹"),
    "RQVCUTEN": ("vapour", DAY * 1e3, "g kg⁻¹ day⁻¹"),
    "RQCCUTEN": ("cloud water", DAY * 1e3, "g kg⁻¹ day⁻¹"),
    "RQICUTEN": ("cloud ice", DAY * 1e3, "g kg⁻¹ day⁻¹"),
    "RQRCUTEN": ("rain water", DAY * 1e3, "g kg⁻¹ day⁻¹"),
    "RUCUTEN": ("wind, u", DAY, "m s⁻¹ day⁻¹"),
    "RVCUTEN": ("wind, v", DAY, "m s⁻¹ day⁻¹"),
    "CLDFRA_DP": ("deep cloud fraction", 100.0, "%"),
    "CLDFRA_SH": ("shallow cloud fraction", 100.0, "%"),
    "QC_CU": ("convective cloud water", 1e3, "g kg⁻¹"),
    "QI_CU": ("convective cloud ice", 1e3, "g kg⁻¹"),
}
"""Title, factor and unit of each profile."""

PROFILES: Final = {
    "deep": ("RTHCUTEN", "RQVCUTEN", "RQCCUTEN", "RQICUTEN", "RUCUTEN", "RVCUTEN", "CLDFRA_DP", "QC_CU"),
    "shallow": ("RTHCUTEN", "RQVCUTEN", "RQCCUTEN", "RQRCUTEN", "RUCUTEN", "RVCUTEN", "CLDFRA_SH", "QC_CU"),
}
NO_FRAME: Final = 0.3  # share of the grid below which a map would be mostly empty


def pictures(evaluation: Evaluation) -> Iterator[Picture]:
    """Draw maps, classes, reliability, profiles, errors, scores by level and histograms."""
    yield from _maps(evaluation)
    trigger = evaluation.scores["trigger"]
    yield Picture(
        "confusion",
        plot.confusion(trigger["confusion"], trigger["classes"]),
        "Predicted class by true class.",
        f"Confusion matrix, rows truth, of {', '.join(trigger['classes'])}: {trigger['confusion']}",
    )
    if "reliability" in trigger:
        named = {"P_TRIGGER": "triggered", "P_DEEP": "deep"}
        stated = {named[name]: scores for name, scores in trigger["reliability"].items()}
        summary = "; ".join(
            f"{name}: Brier score {x['brier']:.4f}, calibration error {x['calibration_error']:.4f}"
            for name, x in stated.items()
        )
        yield Picture(
            "reliability",
            plot.reliability(stated),
            "Observed frequency of convection by predicted probability; calibrated probabilities lie on the diagonal.",
            f"Reliability diagram. {summary}",
        )
    for subset in PROFILES:
        yield from _profiles(evaluation, subset)
    yield from _levels(evaluation)
    yield from _scatter(evaluation)


def _panels(evaluation: Evaluation, subset: str, names: tuple[str, ...]) -> list[plot.Profile]:
    panels = []
    for name in names:
        if name not in evaluation.profiles:
            continue
        title, factor, unit = SHOWN[name]
        profiles = evaluation.profiles[name].sel(subset=subset)
        values = {
            x: profiles.sel(statistic=x).values * factor
            for x in ("truth", "truth_std", "prediction", "prediction_std", "bias", "rmse")
        }
        panels.append(plot.Profile(title, unit, **values))
    return panels


def _top(evaluation: Evaluation, subset: str = "triggered") -> float:
    """Return the height (km) above which the scheme has no tendencies in these columns, with a margin."""
    heights = evaluation.profiles["height"].values
    heights = heights[np.isfinite(heights)]
    heated = evaluation.profiles.get("RTHCUTEN")
    if heated is None:
        return float(heights[-1])
    spread = np.nan_to_num(heated.sel(subset=subset, statistic="truth_std").values)
    acting = np.flatnonzero(spread > 0.002 * spread.max())
    return float(heights[min(acting[-1] + 2, heights.size - 1)]) if acting.size else float(heights[-1])


def _profiles(evaluation: Evaluation, subset: str) -> Iterator[Picture]:
    panels = _panels(evaluation, subset, PROFILES[subset])
    count = evaluation.scores["columns"][subset]
    if not panels or not count:
        return
    height, top = evaluation.profiles["height"].values, _top(evaluation, subset)
    yield Picture(
        f"profiles_{subset}",
        plot.profiles(height, panels, top=top),
        f"Profiles of the {count:,} columns that the scheme classifies as {subset}: mean and standard deviation.",
        f"Mean profiles of {subset} columns, truth and prediction: {', '.join(p.title for p in panels)}",
    )
    yield Picture(
        f"errors_{subset}",
        plot.errors(height, panels, top=top),
        f"Bias and RMSE over the same {count:,} columns, and the standard deviation of the truth.",
        f"Error by height of {subset} columns: {', '.join(p.title for p in panels)}",
    )


def _levels(evaluation: Evaluation) -> Iterator[Picture]:
    profiles = evaluation.profiles
    names = [name for name in SHOWN if name in profiles]
    if not names:
        return
    chosen = {x: profiles[x].sel(subset="triggered", statistic="r2").values for x in names}
    yield Picture(
        "r2_by_level",
        plot.score_by_level(profiles["height"].values, chosen, top=_top(evaluation)),
        "R² of each output by level, over the columns in which the scheme triggered.",
        "R² by level of " + ", ".join(names),
    )


def _scatter(evaluation: Evaluation) -> Iterator[Picture]:
    columns = evaluation.columns
    true_kind = columns["KIND"].sel(source="truth").values
    pairs = []
    for name, title, factor, unit, least in (
        ("PRATEC", "rain rate, deep columns", 3600.0, "mm h⁻¹", 2),
        ("HEATING", "column heating, triggered columns", 1.0, "W m⁻²", 1),
        ("MOISTENING", "column moistening, triggered", 3600.0, "mm h⁻¹", 1),
    ):
        if name in columns and (true_kind >= least).any():
            true, predicted = columns[name].values[:, true_kind >= least] * factor
            pairs.append(plot.Pair(title, unit, true, predicted))
    if pairs:
        yield Picture(
            "scatter",
            plot.density(pairs),
            "Column integrals, predicted and true; the line shows equality.",
            "Two-dimensional histograms of " + "; ".join(pair.title for pair in pairs),
        )


def fullest_frame(evaluation: Evaluation) -> tuple[str, dict[str, Array]] | None:
    """Map the frame (one Time of one RUN) with the most evaluated columns; if several have as many, the rainiest.

    Returns
    -------
    tuple or None
        The time as text; by name of the column table, an array (2, south_north, west_east), truth and
        prediction, NaN where nothing was evaluated. None where the columns do not cover a grid.
    """
    columns = evaluation.columns
    if not {"Time", "south_north", "west_east", "PRATEC"} <= set(columns.variables):
        return None
    time = columns["Time"].values
    run = columns["RUN"].values.astype(str) if "RUN" in columns.variables else np.zeros(time.size, "U1")
    y, x = columns["south_north"].values.astype(int), columns["west_east"].values.astype(int)
    keys, frame = np.unique(np.char.add(np.char.add(run, " "), time.astype(str)), return_inverse=True)
    count = np.bincount(frame)
    rain = np.bincount(frame, columns["PRATEC"].sel(source="truth").values)
    best = int(np.lexsort((rain, count))[-1])
    here = frame == best
    y, x = y[here] - y[here].min(), x[here] - x[here].min()
    shape = int(y.max()) + 1, int(x.max()) + 1
    if here.sum() < max(NO_FRAME * shape[0] * shape[1], 16) or min(shape) < 4:
        return None
    maps = {}
    for name in ("PRATEC", "HEATING", "KIND"):
        if name in columns:
            maps[name] = np.full((2, *shape), np.nan)
            maps[name][:, y, x] = columns[name].values[:, here]
    return str(keys[best]).split(" ", 1)[1].removesuffix(".000000000").replace("T", " "), maps


def _maps(evaluation: Evaluation) -> Iterator[Picture]:
    frame = fullest_frame(evaluation)
    if frame is None:
        return
    time, maps = frame
    fields = [plot.Field("Rain rate", "mm h⁻¹", *(maps["PRATEC"] * 3600))]
    if "HEATING" in maps:
        fields.append(plot.Field("Column heating", "W m⁻²", *maps["HEATING"]))
    yield Picture(
        "maps",
        plot.triptych(fields),
        f"Maps of the frame of {time}. Columns in grey were not evaluated at this time.",
        f"Maps at {time}: true, predicted, and their difference, of rain rate and column heating",
    )


def portrait(evaluation: Evaluation) -> Figure:
    """Draw maps of true and predicted rain, and profiles of heating.

    Without a map (sampled columns) the figure has the profiles of heating and drying.

    Parameters
    ----------
    evaluation
        Result of `sciml.verify.assess`.

    Returns
    -------
    matplotlib.figure.Figure
        Figure in the style of the package.
    """
    height, top = evaluation.profiles["height"].values, _top(evaluation)
    frame = fullest_frame(evaluation)
    with plot.style():
        if frame is None:
            figure = StyledFigure(figsize=(6.4, 3.0))
            axes = list(figure.subplots(1, 2, sharey=True))
            kinds = [("deep", "RTHCUTEN"), ("deep", "RQVCUTEN")]
        else:
            figure = StyledFigure(figsize=(10.0, 3.0))
            grid = figure.subplots(1, 4, width_ratios=(1.2, 1.2, 0.95, 0.95))
            _rain_maps(figure, list(grid[:2]), frame[1]["PRATEC"] * 3600)
            axes = list(grid[2:])
            kinds = [("deep", "RTHCUTEN"), ("shallow", "RTHCUTEN")]
        for panel_axes, (subset, name) in zip(axes, kinds, strict=True):
            for panel in _panels(evaluation, subset, (name,)):
                draw_profile(panel_axes, height, panel, top=top)
                set_title(panel_axes, f"{panel.title}, {subset}")
        axes[0].set_ylabel("height (km)")
        axes[1].tick_params(labelleft=False)
        handles, _ = axes[0].get_legend_handles_labels()
        axes[0].legend(
            handles[1:3], ["MSKF", "emulator"], loc="upper right", borderaxespad=0, handlelength=1.2
        )
    return figure


def _rain_maps(figure: Figure, axes: list[Any], rain: Array) -> None:
    limit = float(np.nanmax(rain)) or 1.0
    for panel, values, title in zip(axes, rain, ("rain rate, MSKF", "rain rate, emulator"), strict=True):
        mesh = draw_map(panel, values, limit)
        panel.set_xlabel("west–east (grid points)")
        set_title(panel, title)
    axes[0].set_ylabel("south–north (grid points)")
    axes[1].tick_params(labelleft=False)
    figure.colorbar(mesh, ax=axes, shrink=0.85, aspect=20, pad=0.02, label="mm h⁻¹")
