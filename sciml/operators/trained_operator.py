"""A trained operator: a network, the scaling of its fields, and a description of its training."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sciml.errors import InputError, MissingVariable, SchemaError
from sciml.multigrid.torch.stencils import diffusion_stencil
from sciml.multigrid.torch.transfers import LevelLayout
from sciml.nn.parametrize import dense_copy
from sciml.nn.state_dict import load_weights, materialise
from sciml.operators import registry
from sciml.operators.field_scaling import FieldScaling
from sciml.operators.requirements import check_fields, check_grid
from sciml.operators.resampling import Resampling
from sciml.operators.samples import Samples
from sciml.operators.side_values import finer_lift
from sciml.operators.trained_on import describe
from sciml.pde.grid import Grid
from sciml.tables import html_table
from sciml.train import checkpoint

if TYPE_CHECKING:
    import xarray as xr

    from sciml.train.history import History

__all__ = [
    "OPERATOR_KIND",
    "TrainedOperator",
    "answer",
    "build",
    "channels_last",
    "mean_free",
    "samples_for",
    "system_of",
    "takes",
]

OPERATOR_KIND = "operator"  # of the checkpoint


def takes(network: nn.Module | type[nn.Module]) -> str:
    """Return the input of a network or of its class.

    ``fields`` are normalised, as channels; the ``system`` is a stencil and a right-hand side.
    """
    return str(getattr(network, "takes", "fields"))


def channels_last(network: nn.Module) -> bool:
    """Whether the channels should lie next to each other: 1.4 to 1.6 times as fast for convolutions, not for FFTs."""
    return takes(network) == "fields" and bool(getattr(network, "channels_last", True))


def system_of(fields: Mapping[str, Tensor], grid: Grid) -> tuple[Tensor, Tensor]:
    """The stencil (sample, 9, y, x) and right-hand side (sample, 1, y, x) of coefficient and source.

    What is missing of the two is 1. The boundary data are zero.
    """
    given = next(iter(fields.values()))
    value = torch.ones_like(given)
    stencil = diffusion_stencil(fields.get("coefficient", value), grid)
    volumes = torch.from_numpy(grid.volumes()).to(given)
    return stencil, (fields.get("source", value) * volumes)[:, None]


def answer(
    network: nn.Module, fields: Mapping[str, Tensor], normalisation: FieldScaling, grid: Grid
) -> Tensor:
    """Evaluate a network on fields (sample, y, x) by name; physical units, (sample, y, x), differentiable."""
    if takes(network) == "system":
        stencil, rhs = system_of(fields, grid)
        with torch.autocast(
            rhs.device.type, enabled=False
        ):  # residuals are differences of nearly equal numbers
            physical: Tensor = network(stencil, rhs, LevelLayout.of(grid))
        held = "dirichlet" in grid.boundary.sides.values()
        return physical[:, 0] if held else mean_free(physical[:, 0], grid)
    channels = torch.stack([value.encode(fields[name]) for name, value in normalisation.inputs.items()], 1)
    # The weights stay as they are: other strides of theirs would be other bits after a checkpoint.
    if channels_last(network):
        channels = channels.contiguous(memory_format=torch.channels_last)
    prediction: Tensor = network(channels)
    return normalisation.target.decode(
        prediction[:, 0].to(torch.promote_types(prediction.dtype, torch.float32))
    )


def mean_free(u: Tensor, grid: Grid) -> Tensor:
    """Fields (..., y, x) less their means over the rectangle: of all that differ by a constant, what solvers return."""
    shares = torch.from_numpy(grid.volumes() / grid.volumes().sum()).to(u)
    return u - (u * shares).sum((-2, -1), keepdim=True)


@dataclass(frozen=True, eq=False)
class TrainedOperator:
    """A network with everything that is needed to evaluate it.

    Parameters
    ----------
    network
        Maps (sample, channel, y, x) to (sample, 1, y, x) in normalised units, or a stencil and a right-hand side to
        the solution where its attribute ``takes`` is ``system``. Its attribute ``any_resolution`` says that it answers
        grids of other resolutions itself; without it, finer ones are answered through the trained one.
    normalisation
        Scaling of the inputs, in the order of the channels, and of the target.
    inputs, target
        Their names in the dataset.
    grid
        The one trained on.
    about
        What the training says of itself: family, its parameters (``problem``), the ``ranges`` of the inputs, samples,
        seed, errors, ... A checkpoint of an earlier version may hold less.

    Examples
    --------
    >>> operator = TrainedOperator.load("darcy.sciml")  # doctest: +SKIP
    >>> operator.predict({"coefficient": torch.ones(1, 63, 63)}).shape  # doctest: +SKIP
    torch.Size([1, 63, 63])
    """

    network: nn.Module
    normalisation: FieldScaling
    inputs: tuple[str, ...]
    target: str
    grid: Grid
    about: Mapping[str, Any]

    @property
    def family(self) -> str:
        """The family of problems trained on, or ``own data``."""
        return str(self.about.get("family") or "own data")

    @property
    def steps(self) -> bool:
        """Whether it advances its target in time rather than solve for it."""
        return bool(self.about.get("steps", False))

    @property
    def takes_system(self) -> bool:
        """Whether the network takes the system rather than fields."""
        return takes(self.network) == "system"

    @property
    def any_resolution(self) -> bool:
        """Whether the network itself takes grids of other resolutions, as it takes the system or says of itself."""
        return self.takes_system or bool(getattr(self.network, "any_resolution", False))

    def resampling(self, grid: Grid) -> Resampling | None:
        """How fields on a grid come to the trained resolution; None where the network takes the grid itself."""
        if self.any_resolution or grid.shape == self.grid.shape:
            return None
        side = (self.about.get("problem") or {}).get("boundary_value")
        known = float(side) if isinstance(side, int | float) else None
        return Resampling(grid, replace(self.grid, lengths=grid.lengths), known)

    def needed(self, there: Container[str]) -> tuple[str, ...]:
        """The inputs that must be there: a network that takes the system takes a source of 1 where there is none."""
        spare = {"source"} if takes(self.network) == "system" and len(self.inputs) > 1 else set()
        return tuple(name for name in self.inputs if name in there or name not in spare)

    @torch.no_grad()
    def predict(self, fields: Mapping[str, Tensor], grid: Grid | None = None) -> Tensor:
        """The target for a batch.

        Parameters
        ----------
        fields
            Physical values (sample, y, x) of each input by name, on the network's device and in its precision.
        grid
            Grid of the fields; by default the grid trained on, at the resolution of the fields.

        Returns
        -------
        Tensor
            (sample, y, x), physical units.

        Raises
        ------
        MissingVariable
            An input is not there.
        InputError
            A field that is no input, fields of different shapes, values that are not finite real numbers, or a grid
            that the operator cannot take.

        Notes
        -----
        A network that holds for one resolution answers on a finer grid through the trained one: see `resampling`.
        """
        for name in self.needed(fields):
            if name not in fields:
                raise MissingVariable(
                    f"the operator's input {name!r} is not there, only {', '.join(fields) or 'nothing'}: "
                    f"it was trained on {', '.join(self.inputs)}"
                )
        check_fields(self, fields)
        shapes = {name: tuple(field.shape) for name, field in fields.items()}
        shape = next(iter(shapes.values()))
        if len(set(shapes.values())) != 1 or len(shape) != 3:
            raise InputError(f"fields of shapes {shapes}: give each as (sample, y, x)")
        grid = grid or replace(self.grid, shape=(shape[1], shape[2]))
        if grid.shape != shape[1:]:
            raise InputError(f"fields of shape {shape} on a grid {grid}: give the grid they lie on")
        self.check(grid)
        return self.ask(fields, grid)

    @torch.no_grad()
    def ask(self, fields: Mapping[str, Tensor], grid: Grid) -> Tensor:
        """The target for a batch of fields that `predict` or `check` has looked at."""
        network = self.network.eval()
        resampling = self.resampling(grid)
        if resampling is not None:
            means = {name: resampling.average(field, name) for name, field in fields.items()}
            prediction = answer(network, means, self.normalisation, self.grid)
            on_sides = finer_lift(self.normalisation.target, self.grid, grid)
            if on_sides is None:
                return resampling.interpolate(prediction)
            # Interpolation takes the sides as zero.
            return resampling.interpolate(prediction - self.normalisation.target.mean) + on_sides
        if grid.shape == self.grid.shape:
            return answer(network, fields, self.normalisation, grid)
        try:
            return answer(network, fields, self.normalisation, grid)
        except RuntimeError as error:
            raise InputError(
                f"the {type(network).__name__} trained on {self.grid} cannot take {grid.shape[0]} x "
                f"{grid.shape[1]} ({str(error).splitlines()[0]}): use the resolution it was trained at"
            ) from error

    def check(self, grid: Grid) -> None:
        """Raise an error for a grid that the operator cannot take.

        Raises
        ------
        InputError
            Of an operator that takes fields: another centring, boundary or rectangle than trained on, or a resolution
            that neither the network nor averages to the trained resolution can answer.
        """
        if not self.takes_system:
            check_grid(self, grid)
        if self.resampling(grid) is None:
            for name, value in (*self.normalisation.inputs.items(), (self.target, self.normalisation.target)):
                value.check(grid.shape, name)

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> TrainedOperator:
        """Copy to a device and precision, with dense weights; those of this operator stay where they are."""
        network = dense_copy(self.network).to(device, dtype)
        return replace(self, network=network.eval(), normalisation=self.normalisation.to(device))

    @property
    def parameters(self) -> int:
        """Number of trained parameters; complex ones count twice."""
        return sum(p.numel() * (2 if p.is_complex() else 1) for p in self.network.parameters())

    def save(self, path: str | Path, history: History | None = None) -> Path:
        """Write a checkpoint of kind ``operator``; see `sciml.train.checkpoint`."""
        config = {
            "kind": OPERATOR_KIND,
            "network": self.network.config(),  # type: ignore[operator]
            "grid": self.grid.to_json(),
            "inputs": list(self.inputs),
            "target": self.target,
            "normalisation": self.normalisation.ways(),
            "about": dict(self.about),
        }
        weights = {f"network.{name}": value for name, value in materialise(self.network).items()}
        return checkpoint.save(path, config, {**weights, **self.normalisation.tensors()}, history=history)

    @classmethod
    def load(cls, path: str | Path) -> TrainedOperator:
        """From a checkpoint, on the CPU.

        Raises
        ------
        InputError
            No such file, or a checkpoint of something else.
        SchemaError, ChecksumError
            A checkpoint without what an operator needs, or a damaged one.
        """
        saved = checkpoint.load(path, kind=OPERATOR_KIND)
        try:
            config = saved.config
            grid = Grid.from_json(config["grid"])
            inputs, target = tuple(map(str, config["inputs"])), str(config["target"])
            about, described, ways = dict(config["about"]), dict(config["network"]), config["normalisation"]
        except (KeyError, TypeError, ValueError) as error:
            raise SchemaError(
                f"{saved.path} does not contain what an operator needs ({error!r}): train it again"
            ) from error
        tensors = saved.state_dict()
        try:
            network = build(described)
            normalisation = FieldScaling.load(ways, tensors)
        except (InputError, SchemaError) as error:
            raise type(error)(f"{saved.path}: {error}") from error
        weights = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
        load_weights(network, weights, saved.path)
        return cls(network.eval(), normalisation, inputs, target, grid, about)

    def __str__(self) -> str:
        rows = self._rows()
        width = max(map(len, rows)) + 2
        lines = (f"  {name:<{width}}{value}" for name, value in rows.items())
        return "\n".join([f"TrainedOperator of {self.family}", *lines])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(f"TrainedOperator of {self.family}", self._rows().items())

    def _rows(self) -> dict[str, str]:
        rows = {
            "network": f"{type(self.network).__name__}, {self.parameters:,} parameters",
            "maps": f"{', '.join(self.inputs)} to {self.target}{', one step on' if self.steps else ''}",
            **describe(self),
        }
        for name, value in self.about.items():
            if (
                not isinstance(value, Mapping | list | tuple)
                and name not in ("steps", "line")
                and value not in ("", None)
            ):
                rows[name] = _short(value)
        errors = self.about.get("errors") or {"errors": "none recorded: nothing was held out"}
        rows |= {str(name): _short(value) for name, value in errors.items()}
        return {name.replace("_", " "): value for name, value in rows.items()}


def samples_for(operator: Any, data: xr.Dataset) -> Samples:
    """The samples of a dataset as an operator takes them, on its kind of grid where the data have none.

    Parameters
    ----------
    operator
        A `TrainedOperator`, or anything else with its ``inputs``, ``target``, ``steps`` and ``grid``.
    data
        As `sciml.pde.open_dataset` opens it.

    Raises
    ------
    MissingVariable
        An input or the target is not in the data.
    InputError
        A family whose constant source is not the 1 that is taken where the data have no ``source``.
    """
    trained = isinstance(operator, TrainedOperator)
    names = operator.needed({str(name) for name in data}) if trained else operator.inputs
    has_grid = "grid" in data.attrs
    samples = Samples.of(
        data,
        inputs=[name for name in names if not (operator.steps and name == operator.target)] or None,
        target=operator.target,
        boundary=None if has_grid else operator.grid.boundary,
        centring=None if has_grid else operator.grid.centring,
        lengths=None if has_grid else operator.grid.lengths,
    )
    constant = samples.parameters.get("source", 1.0)
    if trained and takes(operator.network) == "system" and "source" not in samples.inputs and constant != 1.0:
        raise InputError(
            f"the data have no 'source' and describe one of {constant!r}, not 1: add the variable 'source' to them"
        )
    return samples


def build(config: Mapping[str, Any]) -> nn.Module:
    """A network from its configuration.

    Raises
    ------
    InputError
        A class or a setting that there is not.
    """
    try:
        made = registry.build(config)
    except TypeError as error:
        raise InputError(f"[network] {config.get('class')}: {error}") from error
    return made


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
