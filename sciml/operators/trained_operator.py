"""A trained operator: a network, the scaling of its fields, and a description of its training."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sciml.checks import is_number
from sciml.compress.saved import describe_weights, saved_parts, with_compression
from sciml.errors import InputError, MissingVariable, SchemaError
from sciml.multigrid.torch.transfers import LevelLayout
from sciml.nn.parametrize import dense_copy
from sciml.nn.state_dict import load_weights, materialise
from sciml.operators import registry
from sciml.operators.field_scaling import FieldScaling
from sciml.operators.linear_system import mean_free, system_of
from sciml.operators.lipschitz_bound import describe_certificate
from sciml.operators.requirements import check_fields, check_grid, shape_of
from sciml.operators.resampling import Resampling
from sciml.operators.samples import Samples
from sciml.operators.side_values import finer_lift
from sciml.operators.trained_on import describe
from sciml.pde.grid import Grid
from sciml.tables import aligned, html_table
from sciml.train import checkpoint
from sciml.train.weight_form import WeightForm

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
    """Return whether channels should be contiguous in memory, which is 1.4 to 1.6 times as fast for convolutions."""
    return takes(network) == "fields" and bool(getattr(network, "channels_last", True))


def answer(
    network: nn.Module, fields: Mapping[str, Tensor], normalisation: FieldScaling, grid: Grid
) -> Tensor:
    """Evaluate a network on fields, such as (sample, y, x), by name; returns one such field in physical units."""
    if takes(network) == "system":
        stencil, rhs = system_of(fields, grid)
        with torch.autocast(
            rhs.device.type, enabled=False
        ):  # residuals are differences of nearly equal numbers
            physical: Tensor = network(stencil, rhs, LevelLayout.of(grid))
        held = "dirichlet" in grid.boundary.sides.values()
        return physical[:, 0] if held else mean_free(physical[:, 0], grid)
    channels = torch.stack([value.encode(fields[name]) for name, value in normalisation.inputs.items()], 1)
    # The memory format of the weights is not changed, since other strides give other bits after a checkpoint.
    if channels_last(network) and channels.ndim == 4:
        channels = channels.contiguous(memory_format=torch.channels_last)
    prediction: Tensor = network(channels)
    return normalisation.target.decode(
        prediction[:, 0].to(torch.promote_types(prediction.dtype, torch.float32))
    )


@dataclass(frozen=True, eq=False)
class TrainedOperator:
    """A network with the scaling, the inputs and the grid of its training.

    Parameters
    ----------
    network
        Network from (sample, channel, y, x) to (sample, 1, y, x) in normalised units, on a line without y and in a box
        with z; if its attribute ``takes`` is
        ``system``, from a stencil and a right-hand side to the solution. With the attribute ``any_resolution`` it
        accepts grids of other resolutions; otherwise fields on finer grids are averaged to the trained grid.
    normalisation
        Scaling of the inputs, in the order of the channels, and of the target.
    inputs, target
        Names of the inputs and the target in the dataset.
    grid
        Grid of the training data.
    about
        Description of the training: family, its parameters (``problem``), ``ranges`` of the inputs, samples, seed,
        errors, ... Checkpoints of earlier versions may have fewer entries.

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
        """Family of the training data, or ``own data``."""
        return str(self.about.get("family") or "own data")

    @property
    def steps(self) -> bool:
        """Whether the operator advances its target by a time step."""
        return bool(self.about.get("steps", False))

    @property
    def takes_system(self) -> bool:
        """Whether the network takes the system instead of fields."""
        return takes(self.network) == "system"

    @property
    def any_resolution(self) -> bool:
        """Whether the network accepts grids of other resolutions."""
        return self.takes_system or bool(getattr(self.network, "any_resolution", False))

    def resampling(self, grid: Grid) -> Resampling | None:
        """Return the resampling of a grid to the trained resolution; None if the network accepts the grid."""
        if self.any_resolution or grid.shape == self.grid.shape:
            return None
        side = (self.about.get("problem") or {}).get("boundary_value")
        known = float(side) if is_number(side) else None
        return Resampling(grid, replace(self.grid, lengths=grid.lengths), known)

    def scaling(self, grid: Grid) -> FieldScaling:
        """Return the scaling on a grid, with the values of the target on its sides."""
        on_sides = (
            None if grid.shape == self.grid.shape else finer_lift(self.normalisation.target, self.grid, grid)
        )
        if on_sides is None:
            return self.normalisation
        return replace(self.normalisation, target=replace(self.normalisation.target, mean=on_sides))

    def needed(self, there: Container[str]) -> tuple[str, ...]:
        """Return the required inputs; the source of a network that takes the system is optional."""
        spare = {"source"} if takes(self.network) == "system" and len(self.inputs) > 1 else set()
        return tuple(name for name in self.inputs if name in there or name not in spare)

    @torch.no_grad()
    def predict(self, fields: Mapping[str, Tensor], grid: Grid | None = None) -> Tensor:
        """Predict the target for a batch.

        Parameters
        ----------
        fields
            Physical values (sample, y, x) of each input by name, on the network's device and in its precision.
        grid
            Grid of the fields; by default the grid trained on, at the resolution of the fields.

        Returns
        -------
        Tensor
            (sample, y, x) in physical units.

        Raises
        ------
        MissingVariable
            An input is missing.
        InputError
            A field is not an input, the shapes differ, values are not finite real numbers, or the operator does not
            accept the grid.

        Notes
        -----
        For a network that applies to one resolution, fields on a finer grid are averaged to the trained grid and the
        result is interpolated back, see `resampling`.
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
        if len(set(shapes.values())) != 1 or len(shape) != 1 + self.grid.ndim:
            dims = ", ".join(self.grid.dims)
            raise InputError(f"fields of shapes {shapes}: give each as (sample, {dims})")
        grid = grid or replace(self.grid, shape=shape[1:])
        if grid.shape != shape[1:]:
            raise InputError(f"fields of shape {shape} on a grid {grid}: give the grid they lie on")
        self.check(grid)
        return self.ask(fields, grid)

    @torch.no_grad()
    def ask(self, fields: Mapping[str, Tensor], grid: Grid) -> Tensor:
        """Predict the target for a batch of fields that `predict` or `check` has checked."""
        return self.differentiable(fields, grid)

    def differentiable(self, fields: Mapping[str, Tensor], grid: Grid) -> Tensor:
        """Compute the prediction of `ask` with gradients."""
        network = self.network.eval()
        resampling = self.resampling(grid)
        if resampling is not None:
            means = {name: resampling.average(field, name) for name, field in fields.items()}
            prediction = answer(network, means, self.normalisation, self.grid)
            on_sides = finer_lift(self.normalisation.target, self.grid, grid)
            if on_sides is None:
                return resampling.interpolate(prediction)
            # Interpolation assumes that the sides are zero.
            return resampling.interpolate(prediction - self.normalisation.target.mean) + on_sides
        if grid.shape == self.grid.shape:
            return answer(network, fields, self.normalisation, grid)
        try:
            return answer(network, fields, self.scaling(grid), grid)
        except RuntimeError as error:
            raise InputError(
                f"the {type(network).__name__} trained on {self.grid} cannot take {shape_of(grid)} "
                f"({str(error).splitlines()[0]}): use the resolution it was trained at"
            ) from error

    def check(self, grid: Grid) -> None:
        """Check that the operator accepts a grid.

        Raises
        ------
        InputError
            The operator takes fields, and the centring, boundary or rectangle differs from the training data, or the
            resolution is not accepted and cannot be averaged to that of the training data.
        """
        if not self.takes_system:
            check_grid(self, grid)
        if self.resampling(grid) is None:
            scaling = self.scaling(grid)
            for name, value in (*scaling.inputs.items(), (self.target, scaling.target)):
                value.check(grid.shape, name)

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> TrainedOperator:
        """Copy the operator to a device and precision, with dense weights."""
        network = dense_copy(self.network).to(device, dtype)
        return replace(self, network=network.eval(), normalisation=self.normalisation.to(device))

    @property
    def parameters(self) -> int:
        """Number of trained parameters; complex ones count twice."""
        return sum(p.numel() * (2 if p.is_complex() else 1) for p in self.network.parameters())

    def save(self, path: str | Path, history: History | None = None) -> Path:
        """Write a checkpoint of kind ``operator``, a quantized network in its formats; see `sciml.train.checkpoint`."""
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
        compression, formats = saved_parts(self.network)
        tensors = {**weights, **self.normalisation.tensors()}
        return checkpoint.save(path, {**config, **compression}, tensors, history=history, **formats)

    @classmethod
    def load(cls, path: str | Path) -> TrainedOperator:
        """Load an operator from a checkpoint, on the CPU.

        Raises
        ------
        InputError
            There is no such file, or the checkpoint is not of an operator.
        SchemaError, ChecksumError
            The checkpoint is incomplete or damaged.
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
        network = with_compression(network, config, saved.packed, saved.path)
        return cls(network.eval(), normalisation, inputs, target, grid, about)

    def __str__(self) -> str:
        rows = aligned(self._rows().items(), align="<", indent="  ")
        return "\n".join([f"TrainedOperator of {self.family}", *rows])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(f"TrainedOperator of {self.family}", self._rows().items())

    def _rows(self) -> dict[str, str]:
        rows = {
            "network": f"{type(self.network).__name__}, {self.parameters:,} parameters",
            **describe_weights(self.network),
            "maps": f"{', '.join(self.inputs)} to {self.target}{', one step on' if self.steps else ''}",
            **describe(self),
            **dict(WeightForm.rows(self.about)),
            **describe_certificate(self.about),
        }
        hidden = ("steps", "line", "hypercomplex", "free_parameters", "lipschitz_bound")
        for name, value in self.about.items():
            shown = name not in hidden and value not in ("", None)
            if shown and not isinstance(value, Mapping | list | tuple):
                rows[name] = _short(value)
        errors = self.about.get("errors") or {"errors": "none recorded: nothing was held out"}
        rows |= {str(name): _short(value) for name, value in errors.items()}
        return {name.replace("_", " "): value for name, value in rows.items()}


def samples_for(operator: Any, data: xr.Dataset) -> Samples:
    """Make the samples of a dataset for an operator; data without a grid get the kind of grid of the operator.

    Parameters
    ----------
    operator
        A `TrainedOperator`, or anything else with its ``inputs``, ``target``, ``steps`` and ``grid``.
    data
        Dataset as `sciml.pde.open_dataset` returns it.

    Raises
    ------
    MissingVariable
        An input or the target is not in the data.
    InputError
        The data have no ``source``, and the constant source of their family is not 1.
    """
    trained = isinstance(operator, TrainedOperator)
    names = operator.needed({str(name) for name in data}) if trained else operator.inputs
    place: dict[str, Any] = {}
    if "grid" not in data.attrs:
        place = {name: getattr(operator.grid, name) for name in ("boundary", "centring", "lengths")}
    samples = Samples.of(
        data,
        inputs=[name for name in names if not (operator.steps and name == operator.target)] or None,
        target=operator.target,
        rows=operator.grid.ndim == 2,
        **place,
    )
    constant = samples.parameters.get("source", 1.0)
    if trained and takes(operator.network) == "system" and "source" not in samples.inputs and constant != 1.0:
        raise InputError(
            f"the data have no 'source' and describe one of {constant!r}, not 1: add the variable 'source' to them"
        )
    return samples


def build(config: Mapping[str, Any]) -> nn.Module:
    """Make a network from its configuration.

    Raises
    ------
    InputError
        The class or a setting is unknown.
    """
    try:
        made = registry.build(config)
    except TypeError as error:
        raise InputError(f"[network] {config.get('class')}: {error}") from error
    return made


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
