"""A trained operator as an algorithm: ``solve(problem, Neural.load("darcy.sciml"))``."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from sciml.checks import check_whole
from sciml.errors import InputError
from sciml.multigrid.torch.stencils import stencil_of
from sciml.multigrid.torch.transfers import LevelLayout
from sciml.operators.requirements import check_family, check_logarithms
from sciml.operators.samples import Samples
from sciml.operators.smoothing import smoothed
from sciml.operators.trained_on import Ranges, compare, compare_dataset
from sciml.operators.trained_operator import TrainedOperator, mean_free, samples_for, takes
from sciml.pde.elliptic import Elliptic, discretize
from sciml.pde.grid import Field, Grid
from sciml.pde.solution import FieldSolution, axis_attributes, field_attributes, labelled
from sciml.pde.system import System
from sciml.solve import Result
from sciml.tables import html_table
from sciml.train.environment import chosen_device

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Neural", "SolvePrecision"]

SolvePrecision = Literal["float32", "float64", "bfloat16"]


@dataclass(frozen=True, eq=False)
class Neural:
    """Algorithm: evaluate a trained operator, without an error bound; `Corrected` computes one.

    Parameters
    ----------
    operator
        Trained operator; `load` reads one.
    device
        ``cpu``, ``cuda``, ...; ``auto`` uses a GPU if there is one.
    precision
        ``bfloat16`` computes under autocast, with inputs and outputs in float32; a network that takes the system
        computes in float32.
    smooth
        Number of steps that smooth a prediction with the matrix of its problem, see `sciml.operators.smoothing`. It
        reduces the H1 error, most of all at another resolution than that of the training.

    Raises
    ------
    InputError
        The argument is not a trained operator, the precision or device does not exist, or ``smooth`` is less than 0.
        Raised by `run` and `predict`: the matrix is not symmetric definite, which ``smooth`` needs. Raised by `run`:
        the problem belongs to another family than the training data, or has another rectangle, boundary or centring,
        or a resolution that the operator does not accept.

    Examples
    --------
    >>> solution = solve(Darcy(63, seed=7), Neural.load("darcy.sciml"))  # doctest: +SKIP
    >>> solution.u.dims, solution.error_bound  # doctest: +SKIP
    (('y', 'x'), None)
    """

    operator: TrainedOperator
    device: str = "cpu"
    precision: SolvePrecision = "float32"
    smooth: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.operator, TrainedOperator):
            raise InputError(
                f"Neural({type(self.operator).__name__}): give a TrainedOperator, or use Neural.load(PATH)"
            )
        if self.precision not in get_args(SolvePrecision):
            raise InputError(
                f"precision={self.precision!r}: give one of {', '.join(get_args(SolvePrecision))}"
            )
        chosen_device(self.device)
        check_whole("smooth", self.smooth, 0)

    @classmethod
    def load(
        cls, path: str | Path, *, device: str = "cpu", precision: SolvePrecision = "float32", smooth: int = 0
    ) -> Neural:
        """Load the operator from a checkpoint, see `TrainedOperator.load`."""
        return cls(TrainedOperator.load(path), device, precision, smooth)

    def init(self, problem: Elliptic | System) -> TrainedOperator:
        """Check that the operator fits the problem, and return it on its device and in its precision."""
        self._check(problem)
        kind = torch.float64 if self.precision == "float64" else torch.float32
        return self.operator.to(chosen_device(self.device), kind)

    def run(self, problem: Elliptic | System, state: TrainedOperator) -> FieldSolution:
        """Predict the solution of a problem, in float64 with its coordinates.

        The result is `Result.NOVEL` if the problem is outside of the training data. ``notes`` explain why, and how the
        operator was applied at another resolution. ``stats`` contains ``seconds``; ``novelty``, the distance of the
        inputs from the training range relative to its width; and ``refinement``, the ratio of the grid spacings of
        training and problem.
        """
        self._check(problem)
        if not isinstance(state, TrainedOperator) or state.about != self.operator.about:
            raise InputError(
                f"state={type(state).__name__} is not of this operator: give what init(problem, this Neural) returns"
            )
        start = time.perf_counter()
        values = self.values(problem, state)
        seconds = time.perf_counter() - start
        comparison = compare(self.operator, problem)
        stats = {"seconds": seconds, "novelty": comparison.novelty, "refinement": comparison.refinement}
        result = Result.NOVEL if comparison.reasons else Result.SUCCESS
        if not np.isfinite(values).all():
            result = Result.NOT_FINITE
        return FieldSolution(labelled(values, problem.grid), result, stats, notes=comparison.notes)

    def values(self, problem: Elliptic | System, state: TrainedOperator) -> Field:
        """Predict and smooth the solution (y, x) of a problem that has been checked."""
        predicted = self._predicted(problem, state)
        if not self.smooth or not np.isfinite(predicted).all():
            return predicted
        return smoothed(
            problem if isinstance(problem, System) else discretize(problem), predicted, self.smooth
        )

    def _predicted(self, problem: Elliptic | System, state: TrainedOperator) -> Field:
        kind = torch.float64 if self.precision == "float64" else torch.float32
        device = chosen_device(self.device)
        if takes(state.network) == "system":
            system = problem if isinstance(problem, System) else discretize(problem)
            stencil = stencil_of(system.matrix, system.on_grid).to(device, kind)[None]
            rhs = torch.from_numpy(system.field(system.rhs)).to(device, kind)[None, None]
            with torch.no_grad():  # not in bfloat16, since residuals are differences of nearly equal numbers
                # linear in the right-hand side, so that it can be scaled to the size of those in the training
                size = rhs.abs().amax().clamp_min(torch.finfo(kind).tiny)
                answer = state.network(stencil, rhs / size, LevelLayout.of(system.on_grid))[0, 0] * size
            if system.kind == "semidefinite":
                answer = mean_free(answer, system.on_grid)
            return np.asarray(answer.double().cpu().numpy())
        assert not isinstance(problem, System)
        fields = {
            name: torch.from_numpy(_field(problem, name)).to(device, kind)[None] for name in state.inputs
        }
        return np.asarray(self._ask(state, fields, problem.grid)[0].double().cpu().numpy())

    def predict(self, data: xr.Dataset | str | Path, *, batch: int = 32) -> xr.DataArray:
        """Predict all samples of a dataset.

        Parameters
        ----------
        data
            Dataset as for `sciml.operators.training.train`, with the inputs of the operator.
        batch
            Number of samples to predict at a time.

        Returns
        -------
        xr.DataArray
            Predictions (sample, y, x), (sample, x) or (sample, z, y, x), float32; for a time series with time, one step
            after each time
            except the last. The attributes ``novelty`` and ``notes`` describe how far the data are from the training
            data.

        Raises
        ------
        InputError
            The operator does not accept the grid of the data, an input is missing, or values are not finite.

        Warns
        -----
        UserWarning
            The data are outside of the training data.
        """
        check_whole("batch", batch, 1)
        mine = self.operator
        opened = _opened(data)
        samples = samples_for(mine, opened)
        if samples.steps != mine.steps:
            raise InputError(
                f"the operator {'steps in time' if mine.steps else 'does not step in time'}, the data "
                f"{'is' if samples.steps else 'is not'} a time series: give data like that it was trained on"
            )
        mine.check(samples.grid)
        device = chosen_device(self.device)
        kind = torch.float64 if self.precision == "float64" else torch.float32
        state = mine.to(device, kind)
        parts: list[np.ndarray[Any, Any]] = []
        ranges, first = Ranges(), 0
        for block in samples.source(np.arange(len(samples))).batches(batch):
            fields = {name: block[name].to(device, kind) for name in samples.inputs}
            ranges.add({name: field.cpu().numpy() for name, field in fields.items()})
            predicted = self._ask(state, fields, samples.grid).float().cpu().numpy()
            parts.append(self._smoothed_rows(opened, predicted, first, samples.grid))
            first += len(predicted)
        comparison = compare_dataset(mine, opened, samples, ranges)
        if comparison.reasons:
            warnings.warn(f"outside of the training: {'; '.join(comparison.reasons)}", stacklevel=2)
        attrs = {"novelty": comparison.novelty, "notes": "; ".join(comparison.notes)}
        return _arranged(np.concatenate(parts), samples).assign_attrs(attrs)

    def _smoothed_rows(
        self, data: xr.Dataset, predicted: np.ndarray[Any, Any], first: int, grid: Grid
    ) -> Any:
        """Smooth the predictions of the samples from the one of number ``first``."""
        if not self.smooth:
            return predicted
        from sciml.pde import problem_of

        if self.operator.steps:
            raise InputError(f"smooth={self.smooth}: a step in time has no matrix: give smooth=0")
        rows = [
            smoothed(discretize(problem_of(data, first + row, grid)), values, self.smooth)
            for row, values in enumerate(predicted)
        ]
        return np.stack(rows).astype(np.float32)

    def _ask(self, state: TrainedOperator, fields: Mapping[str, Tensor], grid: Grid) -> Tensor:
        """Evaluate the operator on its device, (sample, y, x)."""
        check_logarithms(state, fields)
        with self._cast(next(iter(fields.values())).device):
            return state.ask(fields, grid)

    def _cast(self, device: torch.device) -> torch.autocast:
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.precision == "bfloat16")

    def _check(self, problem: Elliptic | System) -> None:
        """Check that the operator accepts the problem."""
        mine = self.operator
        if mine.steps:
            raise InputError(f"the operator of {mine.family} steps in time: use Stepper(operator, steps)")
        if takes(mine.network) == "system":
            _check_system(problem)
            return
        if isinstance(problem, System) or not hasattr(problem, "grid"):
            raise InputError(
                f"the operator of {mine.family} takes {', '.join(mine.inputs)}, a {type(problem).__name__} has none: "
                "give the problem itself"
            )
        check_family(mine, problem)
        for name in mine.inputs:
            if not callable(getattr(problem, f"{name}_field", None)):
                raise InputError(
                    f"the operator of {mine.family} takes {', '.join(mine.inputs)}, a {type(problem).__name__} has no "
                    f"{name}: load the checkpoint of its own family"
                )
        mine.check(problem.grid)

    def __str__(self) -> str:
        return f"Neural ({self.precision} on {self.device})\n{self.operator}"

    def _repr_html_(self) -> str:
        rows = [("precision", self.precision), ("device", self.device), *self.operator._rows().items()]
        return html_table(f"Neural: operator of {self.operator.family}", rows)


def _opened(data: xr.Dataset | str | Path) -> xr.Dataset:
    import xarray as xr

    if isinstance(data, xr.Dataset):
        return data
    from sciml.pde import open_dataset

    opened: xr.Dataset = open_dataset(data)
    return opened


def _check_system(problem: Elliptic | System) -> None:
    if not isinstance(problem, Elliptic | System):
        raise InputError(
            f"a {type(problem).__name__} has no linear system: use an operator that takes its fields, or "
            "Stepper.load(PATH) where it is stepped in time"
        )
    kind = problem.kind if isinstance(problem, System) else discretize(problem).kind
    if kind not in ("definite", "semidefinite"):
        raise InputError(
            f"the system is {kind}, and the operator was made for symmetric definite ones: use "
            + ("AMG()" if kind == "nonsymmetric" else "Direct()")
        )


def _field(problem: Any, name: str) -> Field:
    return np.ascontiguousarray(getattr(problem, f"{name}_field")(), dtype=np.float64)


def _arranged(values: np.ndarray[Any, Any], samples: Samples) -> xr.DataArray:
    """Arrange rows as samples, or as samples and times, with the coordinates of the grid."""
    import xarray as xr

    grid = samples.grid
    shape = (samples.samples, -1, *grid.shape) if samples.steps else values.shape
    dims = ("sample", "time", *grid.dims) if samples.steps else ("sample", *grid.dims)
    coords = {
        dim: (dim, points, axis_attributes(dim))
        for dim, points in zip(grid.dims, grid.coordinates(), strict=True)
    }
    return xr.DataArray(
        values.reshape(shape), coords, dims, name=samples.target, attrs=field_attributes("solution")
    )
