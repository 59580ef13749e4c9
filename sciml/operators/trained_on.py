"""The training range of an operator, and the distance of a problem, a grid or a dataset from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from sciml.errors import InputError
from sciml.multigrid.torch.stencils import stencil_of
from sciml.operators.requirements import SCALED, Trained, lengths_of, shape_of, short
from sciml.operators.resampling import POSITIVE, Resampling, refinement
from sciml.pde.elliptic import Elliptic
from sciml.pde.grid import Grid
from sciml.pde.system import System

if TYPE_CHECKING:
    import xarray as xr

    from sciml.operators.samples import Samples

__all__ = [
    "Comparison",
    "Ranges",
    "compare",
    "compare_dataset",
    "compare_start",
    "describe",
]

BEYOND = 0.01
"""Distance from the training range, relative to its width, up to which a value counts as inside."""
MEASURED = 4.0
"""Largest refinement at which `bench/operators.py` measures the errors."""
VARIED = 0.2
"""Value of `Resampling.variation` from which averages do not represent a coefficient; interfaces give less than 0.1."""
STRETCHED = 1.2
"""Largest factor between the ratios of the grid spacings of problem and training, for networks that take the system."""

Array = npt.NDArray[Any]


class Ranges:
    """Least and greatest values of fields that are added in blocks.

    Raises
    ------
    InputError
        Raised by `add`: a value is not finite.
    """

    def __init__(self, fields: Mapping[str, Array] | None = None) -> None:
        self.values: dict[str, tuple[float, float]] = {}
        self.add(fields or {})

    def add(self, fields: Mapping[str, Array]) -> None:
        """Add fields of any shape by name."""
        for name, field in fields.items():
            low, high = float(field.min()), float(field.max())
            if not math.isfinite(low + high):
                where = tuple(int(i) for i in np.argwhere(~np.isfinite(field))[0])
                raise InputError(
                    f"{name} is {field[where]} at index {where} of its batch: give finite values"
                )
            before = self.values.get(name, (low, high))
            self.values[name] = (min(low, before[0]), max(high, before[1]))


@dataclass(frozen=True)
class Comparison:
    """Comparison of a problem or a dataset with the training of an operator.

    Parameters
    ----------
    novelty
        Distance of the inputs from the training range, relative to its width.
    refinement
        Ratio of the grid spacings of training and problem, along the axis with the largest ratio.
    reasons
        Reasons why the error may be larger than in the validation; may be empty.
    transfer
        Description of the transfer to a grid of another resolution; empty at the resolution of the training data.
    """

    novelty: float
    refinement: float
    reasons: tuple[str, ...]
    transfer: str

    @property
    def notes(self) -> tuple[str, ...]:
        """The transfer and the reasons, as notes of a solution."""
        return ((self.transfer,) if self.transfer else ()) + self.reasons


def compare(operator: Trained, problem: Any) -> Comparison:
    """Compare a problem that the operator accepts with its training data."""
    if operator.takes_system:
        return _compare_system(operator, problem.grid, _contrast(problem))
    fields = {name: np.asarray(getattr(problem, f"{name}_field")(), np.float64) for name in operator.inputs}
    novelty, reasons = _outside(operator, Ranges(fields))
    finest, transfer, why = _resolution(operator, problem.grid)
    reasons += why
    if not operator.about.get("problem"):
        reasons.append(
            "the equation, right-hand side and boundary data of the training are not recorded (own data): whether "
            f"they are those of this {type(problem).__name__} is unknown"
        )
    reasons += _subgrid(operator, problem.grid, fields)
    return Comparison(novelty, finest, tuple(reasons), transfer)


def compare_dataset(operator: Trained, dataset: xr.Dataset, samples: Samples, ranges: Ranges) -> Comparison:
    """Compare a dataset with the training data of an operator.

    Parameters
    ----------
    operator
        Operator to compare with.
    dataset, samples
        The dataset, and its samples for the operator.
    ranges
        Ranges of the inputs.
    """
    if operator.takes_system:
        low, high = ranges.values.get("coefficient", (1.0, 1.0))
        return _compare_system(operator, samples.grid, high / low if low > 0 else math.inf)
    novelty, reasons = _outside(operator, ranges)
    finest, transfer, why = _resolution(operator, samples.grid)
    reasons += why + _other_problem(operator, samples)
    declared = [part.strip() for part in str(dataset.attrs.get("inputs", "")).split(",") if part.strip()]
    unseen = [] if operator.steps else [name for name in declared if name not in operator.inputs]
    first = {
        name: np.asarray(samples.fields[name][0], np.float64) for name in operator.inputs if name in POSITIVE
    }
    reasons += _subgrid(operator, samples.grid, first)
    if unseen:
        reasons.append(f"the data have the inputs {', '.join(unseen)}, which the operator does not take")
    return Comparison(novelty, finest, tuple(reasons), transfer)


def compare_start(operator: Trained, start: Array, grid: Grid) -> Comparison:
    """Compare the initial state of a rollout with the states in the training data."""
    novelty, reasons = _outside(operator, Ranges({operator.target: start}))
    finest, transfer, why = _resolution(operator, grid)
    if not operator.about.get("problem"):
        why.append("the equation of the training is not recorded (own data)")
    return Comparison(novelty, finest, (*reasons, *why), transfer)


def _outside(operator: Trained, ranges: Ranges) -> tuple[float, list[str]]:
    """Return the distance of the inputs from the training range, and the inputs outside of it."""
    known = operator.about.get("ranges") or {}
    novelty, reasons = 0.0, []
    for name, (least, most) in ranges.values.items():
        if name not in known:
            reasons.append(f"the checkpoint does not record the range of {name}")
            continue
        low, high = known[name]
        width = (high - low) or max(abs(high), 1.0)
        beyond = max(0.0, (low - least) / width, (most - high) / width)
        novelty = max(novelty, beyond)
        if beyond > BEYOND:
            reasons.append(f"{name} is {least:.4g} to {most:.4g}, in the training {low:.4g} to {high:.4g}")
    return novelty, reasons


def _resolution(operator: Trained, grid: Grid) -> tuple[float, str, list[str]]:
    """Return the refinement, the transfer, and the reasons why the error may be larger."""
    line = bool(operator.about.get("line"))
    along = refinement(grid, operator.grid)[1:] if line else refinement(grid, operator.grid)
    finest, coarsest = max(along), min(along)
    independent = operator.takes_system and getattr(operator.network, "any_resolution", False)
    if grid.shape == operator.grid.shape or independent:
        return finest, "", []
    here = f"{shape_of(grid, line)} where it was trained at {shape_of(operator.grid, line)}"
    transfer = f"{here}: inputs averaged to the trained grid, the answer interpolated"
    if operator.any_resolution:
        transfer = f"{here}: {_directly(operator)}"
    reasons = []
    if operator.takes_system:
        reasons.append(f"a {type(operator.network).__name__} does not say that it takes any resolution")
    if finest > MEASURED + 1e-9:
        reasons.append(f"the grid is {finest:.3g} times finer; errors are measured up to {MEASURED:g} times")
    if coarsest < 1 - 1e-9:
        reasons.append("the grid is coarser than the trained one")
    kind = (operator.about.get("problem") or {}).get("problem")
    if kind not in (None, *SCALED):
        reasons.append(f"discrete solutions of {kind} at two resolutions differ more than those of Darcy")
    return finest, transfer, reasons


def _directly(operator: Trained) -> str:
    """Describe how the network computes fields at another resolution."""
    fixed = getattr(operator.network, "grid", None)
    if not isinstance(fixed, tuple):
        return "answered directly"
    return f"answered directly, with its linear maps on {' x '.join(map(str, fixed))}"


def _subgrid(operator: Trained, grid: Grid, fields: Mapping[str, Array]) -> list[str]:
    """Return a reason for positive inputs that vary within the control volumes of the trained grid."""
    mine = operator.grid
    if grid.shape == mine.shape or min(refinement(grid, mine)) < 1 - 1e-9:
        return []
    resampling = Resampling(grid, replace(mine, lengths=grid.lengths))
    remarks = []
    for name in (field for field in fields if field in POSITIVE):
        varies = resampling.variation(torch.from_numpy(fields[name]))
        if varies > VARIED:
            remarks.append(
                f"{name} varies within the cells of the trained grid (arithmetic over harmonic mean "
                f"{math.exp(varies):.3g}), which the operator was not trained on"
            )
    return remarks


def _other_problem(operator: Trained, samples: Samples) -> list[str]:
    """Return the attributes of a dataset that differ from the training data."""
    known, here = operator.about.get("problem") or {}, samples.parameters
    if not known or not here:
        return []
    names = [name for name in known if name in here and known[name] != here[name]]
    free = () if "problem" in names else operator.inputs
    return [
        f"{name} of the data is {short(here[name])}, of the training {short(known[name])}"
        for name in names
        if name not in free
    ]


def _compare_system(operator: Trained, grid: Grid, contrast: float) -> Comparison:
    """Compare the contrast, the sides and the aspect ratio of the cells, for a network that takes the system."""
    mine = operator.grid
    finest, transfer, reasons = _resolution(operator, grid)
    if (grid.centring, grid.boundary) != (mine.centring, mine.boundary):
        reasons.append(
            f"the grid is {grid.centring}-centred, {grid.boundary}; it was trained {mine.centring}-centred, "
            f"{mine.boundary}"
        )
    stretched = grid.spacing[0] / grid.spacing[1] / (mine.spacing[0] / mine.spacing[1])
    if max(stretched, 1 / stretched) > STRETCHED:
        reasons.append(
            f"the grid spacings are {grid.spacing[0]:.3g} x {grid.spacing[1]:.3g} (y, x), a ratio that differs by "
            f"{max(stretched, 1 / stretched):.3g} from the trained one"
        )
    known = _trained_contrast(operator)
    novelty = 0.0
    if known is None:
        reasons.append("the checkpoint does not record the contrast of the coefficients")
    else:
        novelty = max(0.0, math.log(contrast) / max(math.log(known), math.log(2.0)) - 1)
        if novelty > BEYOND:
            reasons.append(f"the contrast of the coefficient is {contrast:.3g}, in the training {known:.3g}")
    return Comparison(novelty, finest, tuple(reasons), transfer)


def _contrast(problem: Elliptic | System) -> float:
    """Return the ratio of largest to smallest coefficient, or to smallest coupling along an axis of a matrix."""
    if not isinstance(problem, System):
        return _ratio(np.asarray(problem.terms().diffusion))
    stencil = stencil_of(problem.matrix, problem.on_grid).double().numpy()
    couplings: Iterable[Array] = (np.abs(stencil[index]) for index in (1, 3, 5, 7))
    return max(
        (_ratio(coupling[coupling > 0]) for coupling in couplings if (coupling > 0).any()), default=1.0
    )


def _ratio(values: Array) -> float:
    return float(values.max()) / float(values.min())


def _trained_contrast(operator: Trained) -> float | None:
    """Return the largest contrast in the training data, at most that of the range of all coefficients."""
    if "coefficient" not in operator.inputs:
        return 1.0 if operator.about.get("ranges") else None
    low, high = (operator.about.get("ranges") or {}).get("coefficient", (0.0, 0.0))
    return high / low if low > 0 else None


def describe(operator: Trained) -> dict[str, str]:
    """Describe the training data as rows of a table; entries missing in the checkpoint are shown as unknown."""
    about, line = operator.about, bool(operator.about.get("line"))
    rows = {"trained on": f"{operator.grid}, {lengths_of(operator.grid, line)}"}
    ranges = about.get("ranges") or {}
    for name in operator.inputs:
        low, high = ranges.get(name, (math.nan, math.nan))
        rows[f"range of {name}"] = f"{low:.4g} to {high:.4g}" if name in ranges else "not recorded"
    if about.get("target_range"):
        low, high = about["target_range"]
        rows[f"range of {operator.target} (target)"] = f"{low:.4g} to {high:.4g}"
    known = about.get("problem") or {}
    for name, value in known.items():
        if name not in ("problem", *operator.inputs):
            rows[name] = value.get("function", short(value)) if isinstance(value, Mapping) else short(value)
    if not known:
        rows["equation, boundary data"] = "not recorded (own data)"
    if operator.takes_system and getattr(operator.network, "any_resolution", False):
        rows["other resolutions"] = "answered directly"
    elif operator.any_resolution:
        rows["other resolutions"] = f"{_directly(operator)}, measured up to {MEASURED:g} times finer"
    else:
        rows["other resolutions"] = (
            "refused"
            if operator.steps
            else f"finer ones by averages and interpolation, measured up to {MEASURED:g} times"
        )
    return rows
