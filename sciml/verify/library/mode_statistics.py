"""Statistics that the library wrote in a run of WRF, summed over ranks and intervals, as a table and a page.

The files are those of the modes of the native library (``sciml_mskf_shadow_*.nc`` and others); their attributes
describe their content.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml import plot
from sciml.errors import InputError, SciMLError
from sciml.schemes.mskf import MSKF
from sciml.storage.containment import check_hdf5
from sciml.storage.damage import DAMAGE, reason_of
from sciml.tables import aligned, number, plain
from sciml.verify.emulator.accumulate import LEVELS, OUTPUTS
from sciml.verify.emulator.evaluation import f1_text
from sciml.verify.emulator.figures import SHOWN
from sciml.verify.emulator.moments import NIL
from sciml.verify.emulator.scores import trigger_scores
from sciml.verify.html_report import Chapter, Picture, drawn, table

__all__ = ["ModeStatistics", "read_statistics"]

Array = NDArray[Any]

COUNTS: Final = ("COLUMNS", "HELD", "NOVEL", "OUTSIDE", "LIMITED", "UNSOUND", "RETURNED")
#: Classes that the emulator returned; files of earlier versions do not have them.
CLASSES: Final = tuple(name.upper() for name in MSKF.classes)
ATTRIBUTES: Final = ("MODE", "DX", "NX", "NY", "NOVELTY_LIMIT", "FIRST_STEP", "LAST_STEP", "RANK")
SUMS: Final = (
    *COUNTS,
    *CLASSES,
    "SECONDS_EMULATOR",
    "SECONDS_SCHEME",
    "RAIN_SCHEME",
    "RAIN_EMULATOR",
    "CONFUSION",
    "HEIGHT",
)
SCALARS: Final = MSKF.output_scalars
_TRUTH, _SQUARED, _ERROR, _ERROR_SQUARED, _LARGEST = range(5)
_NIL: Final = 1e-30
F1: Final = ".4f"


@final
@dataclass(frozen=True)
class ModeStatistics:
    """Statistics of a run over all its files.

    Attributes
    ----------
    mode
        ``shadow``, ``emulate`` or ``guard``.
    files, ranks, steps
        Numbers of files and ranks; first and last step.
    limit
        Setting ``novelty``.
    sums
        Counts and sums by name, as in the files.
    outputs
        Moments by output, shape (moment, level) or (moment,): sums of the value of the scheme, its square, the error,
        its square; the largest error. Only in shadow files.
    """

    mode: str
    files: int
    ranks: int
    steps: tuple[int, int]
    limit: float
    sums: dict[str, Array]
    outputs: dict[str, Array]

    def scores(self) -> dict[str, Any]:
        """Return all numbers for `json.dump`."""
        count = {name: int(self.sums[name]) for name in COUNTS}
        content: dict[str, Any] = {
            "mode": self.mode,
            "files": self.files,
            "ranks": self.ranks,
            "first_step": self.steps[0],
            "last_step": self.steps[1],
            "columns": {name.lower(): value for name, value in count.items()},
            "greatest_novelty": float(self.sums["NOVELTY"]),
            "seconds": {"emulator": float(self.sums["SECONDS_EMULATOR"])},
            "microseconds_per_column": self.microseconds(),
        }
        if self._has_classes:
            content["answered"] = {name.lower(): int(self.sums[name]) for name in CLASSES}
        if self.outputs:
            content["seconds"]["scheme"] = float(self.sums["SECONDS_SCHEME"])
            content["trigger"] = trigger_scores(self.sums["CONFUSION"])
            rain = {name: float(self.sums[f"RAIN_{name.upper()}"]) for name in ("scheme", "emulator")}
            content["rain"] = {**rain, "ratio": rain["emulator"] / rain["scheme"] if rain["scheme"] else None}
            content["outputs"] = {name: self.score(name) for name in self.outputs}
        result: dict[str, Any] = plain(content)
        return result

    @property
    def _has_classes(self) -> bool:
        return all(name in self.sums for name in CLASSES)

    def microseconds(self) -> dict[str, float | None]:
        """Compute the time of the emulator, and in shadow mode of the scheme, per evaluated column."""
        asked = float(self.sums["COLUMNS"])
        seconds = {name: f"SECONDS_{name.upper()}" for name in ("emulator", "scheme")}
        return {
            name: 1e6 * float(self.sums[key]) / asked if asked else None
            for name, key in seconds.items()
            if key in self.sums
        }

    @property
    def triggered(self) -> float:
        """Number of columns in which the scheme or the emulator triggered; the outputs are compared over these."""
        confusion = self.sums["CONFUSION"]
        return float(confusion.sum() - confusion[0, 0])

    @property
    def matched(self) -> float:
        """Number of columns in which both triggered: CUTOP and CUBOT are compared over these."""
        return float(self.sums["CONFUSION"][1:, 1:].sum())

    def score(self, name: str) -> dict[str, float | None]:
        """Compute R², bias and RMSE of an output over all levels, and its largest error.

        R² is None where the scheme's values do not vary by more than `sciml.verify.emulator.moments.NIL`.
        """
        moments = self.outputs[name].reshape(5, -1)
        count = (self.matched if name in LEVELS else self.triggered) * moments.shape[1]
        if not count:
            return {"r2": None, "bias": None, "rmse": None, "largest_error": None}
        total = moments.sum(1)
        spread = total[_SQUARED] - total[_TRUTH] ** 2 / count
        return {
            "r2": None
            if total[_SQUARED] / count < _NIL or spread <= NIL.get(name, 0.0) ** 2 * count
            else 1 - total[_ERROR_SQUARED] / spread,
            "bias": total[_ERROR] / count,
            "rmse": float(np.sqrt(total[_ERROR_SQUARED] / count)),
            "largest_error": moments[_LARGEST].max(),
        }

    def rows(self) -> list[list[str]]:
        """Return the table of the outputs, with its head."""
        rows = [["output", "unit", "R²", "bias", "RMSE", "largest error"]]
        for name in self.outputs:
            score = self.score(name)
            forms = (".4f", "+.2e", ".2e", ".2e")
            cells = [number(x, form) for x, form in zip(score.values(), forms, strict=True)]
            rows.append([name, OUTPUTS[name], *cells])
        return rows

    def headline(self) -> list[str]:
        """Summarise the statistics in a few lines."""
        count = {name: int(self.sums[name]) for name in COUNTS}
        looked = max(count["COLUMNS"], 1)
        lines = [
            f"mode {self.mode}, steps {self.steps[0]} to {self.steps[1]} (files: {self.files}, ranks: {self.ranks})",
            f"{count['COLUMNS']:,} columns computed; {count['HELD']:,} columns held the tendencies of an earlier call",
            f"{count['OUTSIDE']:,} columns unlike those of the training ({count['OUTSIDE'] / looked:.2%}, of novelty "
            f"above 1); {count['NOVEL']:,} above novelty {self.limit:g}; largest novelty "
            f"{float(self.sums['NOVELTY']):.3g}",
            f"{count['LIMITED']:,} columns with a limited response, {count['UNSOUND']:,} with unsound values, "
            f"{count['RETURNED']:,} computed by the scheme instead",
        ]
        if self._has_classes:
            none, shallow, deep = (int(self.sums[name]) for name in CLASSES)
            lines.append(
                f"the emulator computed {none:,} columns with no convection, {shallow:,} with shallow and {deep:,} "
                "with deep convection"
            )
        if self.outputs:
            scores = self.scores()
            trigger, rain = scores["trigger"], scores["rain"]
            ratio = "–" if rain["ratio"] is None else f"{rain['ratio']:.3f}"
            lines.append(
                f"trigger F1 {f1_text(trigger['f1'], F1)}, deep F1 {f1_text(trigger['f1_deep'], F1)}, shallow F1 "
                f"{f1_text(trigger['f1_shallow'], F1)}; rain, emulator / scheme {ratio}"
            )
        each = self.microseconds()
        lines.append(
            ", ".join(
                f"{name} {float(self.sums[f'SECONDS_{name.upper()}']):.3g} s"
                + ("" if time is None else f" ({time:.1f} microseconds per column)")
                for name, time in each.items()
            )
        )
        return lines

    def __str__(self) -> str:
        lines = aligned(self.rows() if self.outputs else [], align="<<>")
        return "\n".join([*self.headline(), *([""] if lines else []), *lines])

    def chapter(self) -> Chapter:
        """Return the chapter of a report page."""
        paragraphs = "".join(f"<p>{line}</p>" for line in self.headline())
        if not self.outputs:
            return Chapter.of(f"The library in mode {self.mode}", paragraphs)
        head, *rows = self.rows()
        caption = (
            "Scores over the columns in which the scheme or the emulator triggered (CUTOP and CUBOT: both)"
        )
        parts = [paragraphs, table(caption, head, rows)]
        if self.triggered and self.score("RTHCUTEN")["r2"] is not None:
            parts += [drawn(picture) for picture in self.pictures()]
        return Chapter.of("The library in mode shadow", *parts)

    def pictures(self) -> Sequence[Picture]:
        """Draw R², bias and RMSE by level."""
        height = self.sums["HEIGHT"] / self.triggered / 1000.0
        named = [name for name in SHOWN if name in self.outputs and self.score(name)["r2"] is not None]
        moments = {name: self.outputs[name] / self.triggered for name in named}
        spread = {name: x[_SQUARED] - x[_TRUTH] ** 2 for name, x in moments.items()}
        share = {
            name: np.where(
                spread[name] > 1e-6 * spread[name].max(),
                1 - x[_ERROR_SQUARED] / np.maximum(spread[name], _NIL),
                np.nan,
            )
            for name, x in moments.items()
        }
        acting: Array = np.flatnonzero(spread["RTHCUTEN"] > 4e-6 * spread["RTHCUTEN"].max())
        top = float(height[min(acting[-1] + 2, height.size - 1)]) if acting.size else float(height[-1])
        panels = []
        for name in named:
            title, factor, unit = SHOWN[name]
            x = moments[name]
            deviation = np.sqrt(np.maximum(spread[name], 0)) * factor
            truth, bias = x[_TRUTH] * factor, x[_ERROR] * factor
            rmse = np.sqrt(x[_ERROR_SQUARED]) * factor
            panels.append(plot.Profile(title, unit, truth, deviation, truth + bias, deviation, bias, rmse))
        return [
            Picture(
                "r2_by_level",
                plot.score_by_level(height, share, top=top),
                "R² of each output by level.",
                "R² by level of " + ", ".join(named),
            ),
            Picture(
                "errors",
                plot.errors(height, panels, top=top),
                "Bias and RMSE by height, and the standard deviation of the scheme's values.",
                "Error by height of " + ", ".join(named),
            ),
        ]


def read_statistics(paths: Iterable[str | Path]) -> ModeStatistics:
    """Read and sum the statistics files of a run.

    Parameters
    ----------
    paths
        Files that the library wrote in one mode, of any ranks and intervals of one domain. Repeated paths are an error.

    Raises
    ------
    InputError
        There is no file, a file has no statistics, or the files are of several modes, domains or numbers of levels.
    """
    listed = sorted({Path(path).resolve() for path in paths})
    if not listed:
        raise InputError("no statistics to report on: give the files sciml_mskf_shadow_*.nc that a run wrote")
    opened = [_opened(path) for path in listed]
    first = opened[0]
    for path, statistics in zip(listed, opened, strict=True):
        for name in ("MODE", "DX", "NX", "NY", "NOVELTY_LIMIT"):
            if statistics.attrs[name] != first.attrs[name]:
                raise InputError(
                    f"{path.name} has {name} {statistics.attrs[name]}, {listed[0].name} has {first.attrs[name]}: "
                    "report on one mode and one domain at a time"
                )
        if others := set(map(str, statistics.variables)) ^ set(map(str, first.variables)):
            raise InputError(
                f"only one of {path.name} and {listed[0].name} has {', '.join(sorted(others))}: they are of two "
                "versions of the library; report on one at a time"
            )
        if statistics.sizes.get("bottom_top") != first.sizes.get("bottom_top"):
            raise InputError(
                f"{path.name} and {listed[0].name} have different numbers of levels: report on one at a time"
            )
    sums = {
        name: np.sum([statistics[name].values for statistics in opened], 0) for name in SUMS if name in first
    }
    sums["NOVELTY"] = np.max([statistics["NOVELTY"].values for statistics in opened], 0)
    outputs = {}
    for name in (*SHOWN, "RQSCUTEN", *SCALARS):
        if name in first and (name not in LEVELS or "LEVEL_MOMENTS" in first.attrs):
            parts = np.stack([statistics[name].values for statistics in opened])
            outputs[name] = parts.sum(0)
            outputs[name][_LARGEST] = parts[:, _LARGEST].max(0)
    steps = [int(statistics.attrs[name]) for statistics in opened for name in ("FIRST_STEP", "LAST_STEP")]
    ranks = {int(statistics.attrs["RANK"]) for statistics in opened}
    return ModeStatistics(
        str(first.attrs["MODE"]),
        len(opened),
        len(ranks),
        (min(steps), max(steps)),
        float(first.attrs["NOVELTY_LIMIT"]),
        sums,
        outputs,
    )


def _opened(path: Path) -> xr.Dataset:
    try:
        check_hdf5(path)
        with xr.open_dataset(path, decode_times=False) as ds:
            loaded: xr.Dataset = ds.load()
    except SciMLError:
        raise
    except DAMAGE as error:
        raise InputError(f"cannot open {path} as netCDF: {reason_of(error)}") from error
    if "CONFUSION" not in loaded and "RETURNED" not in loaded:
        raise InputError(
            f"{path.name} contains no statistics of the library: give sciml_mskf_shadow_*.nc, _emulate_*.nc or "
            "_guard_*.nc (files of `capture` are for `sciml convection evaluate` and `train`)"
        )
    absent = [name for name in ATTRIBUTES if name not in loaded.attrs]
    absent += [name for name in (*COUNTS, "NOVELTY") if name not in loaded]
    if absent:
        raise InputError(
            f"{path} does not have {', '.join(absent)}: it is damaged, or of another version of the library; run WRF "
            "again with the library of this version"
        )
    return loaded
