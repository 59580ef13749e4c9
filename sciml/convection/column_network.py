"""What a network must offer to be trained, evaluated and saved as an `Emulator`: the protocol of column networks.

A class that has these names, registered with `sciml.convection.registry.register`, is trained by
``sciml convection train --network NAME`` and evaluated like those of the package, wherever it is defined.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

if TYPE_CHECKING:
    import xarray as xr

    from sciml.convection.sounding import Sounding
    from sciml.train import Batch, BatchSource

__all__ = ["ColumnNetwork", "Observed", "Scaling", "Shape"]


class Observed(Protocol):
    """Inputs of the columns that a network looks at; of any class."""

    @property
    def index(self) -> Tensor:
        """Numbers of these columns in the batch, int64 (column,)."""
        ...


class Shape(Protocol):
    """Settings of a network, as its checkpoint stores them."""

    def to_json(self) -> dict[str, Any]:
        """Return the settings as values that JSON can store."""
        ...


class Scaling(Protocol):
    """Scaling of the inputs, computed from those of the training columns; see `FeatureScaling`."""

    @classmethod
    def of(cls, channels: Tensor, scalars: Tensor) -> Self:
        """Compute from raw inputs (level, channel, column) and (scalar, column), float64."""
        ...

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], file: str | Path = "the checkpoint") -> Self:
        """Make from the tensors of a checkpoint; raise `SchemaError` if one is missing."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors by name, for a checkpoint."""
        ...

    def to(self, device: str | torch.device) -> Self:
        """Copy to another device."""
        ...

    def standardise(self, channels: Tensor, scalars: Tensor) -> tuple[Tensor, Tensor]:
        """Scale raw inputs to (column, level, channel) and (column, scalar)."""
        ...


@runtime_checkable
class ColumnNetwork(Protocol):
    """A network of columns: a `torch.nn.Module` made of a shape, with the names below.

    Attributes
    ----------
    command
        Its name on the command line and in checkpoints.
    settings
        Names of its settings in ``[network]``.
    targets
        WRF names of the scheme's outputs that its training needs.
    fit
        Settings of its training that differ from `sciml.convection.training.DEFAULTS`.
    facts
        Names in `Emulator.about` that `measured` returns, and how many numbers each has.
    selects
        What the columns that it looks at have, for messages: "plume rises".
    least_levels
        Least number of levels of a column.
    absent
        Outputs of the scheme that it does not predict; they are zero.
    kernel
        Name of its kernel in the native library, or None if it has none.
    scaling
        Class of the scaling of its inputs.
    shape
        Its settings.

    Further attributes are optional. Two are for networks that `sciml.compress.quantize` gives a reduced arithmetic:
    ``lstm_heads``, the names of the linear layers that map the states of its LSTM, and ``lstm_pools``, of those that
    map such a head over all levels. ``output_layers`` names the layers that `sciml.nn.binarize` leaves real at the end
    of the network; by default that is the last.

    A network that does not close all budgets of a column by construction may train them by multipliers: ``budgets`` has
    their names, ``losses_and_budgets(batch)`` the losses and `sciml.convection.budgets.Budgets`, and
    ``true_budgets(batch)`` those of the scheme.
    """

    command: ClassVar[str]
    settings: ClassVar[tuple[str, ...]]
    targets: ClassVar[tuple[str, ...]]
    fit: ClassVar[Mapping[str, Any]]
    facts: ClassVar[Mapping[str, int]]
    selects: ClassVar[str]
    least_levels: ClassVar[int]
    absent: ClassVar[tuple[str, ...]]
    kernel: str | None
    scaling: ClassVar[type[Any]]
    shape: Any

    @classmethod
    def shape_of(cls, settings: Mapping[str, Any]) -> Any:
        """Make a shape of settings, which have names of `settings`; raise `InputError` for a bad value."""
        ...

    @classmethod
    def fitted(cls, shape: Any, columns: xr.Dataset) -> Any:
        """Complete a shape by what the columns determine, such as the number of levels."""
        ...

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Self:
        """Make an untrained network from the data of its shape; raise `InputError` if they are none of its."""
        ...

    @staticmethod
    def prepare(columns: xr.Dataset, shape: Any, levels: int) -> dict[str, Tensor] | None:
        """Compute inputs and targets of columns of equal length.

        Parameters
        ----------
        columns
            Inputs and targets, `KIND`, and the settings of the run.
        shape
            Shape of the network.
        levels
            Number of levels of the longest column of the training: profiles by level are extended to it.

        Returns
        -------
        dict or None
            Tensors whose first dimension is the column: ``channels`` (column, level, channel) and ``scalars`` (column,
            scalar), not standardised; ``row``, the number of each column; and all that `losses` needs. None if the
            network looks at none of the columns.
        """
        ...

    def calibrate(self, source: BatchSource) -> None:
        """Set scales of the outputs, as buffers, from the training data."""
        ...

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the named losses of a batch, ``loss`` among them; ``x`` and ``y`` are the standardised inputs."""
        ...

    def measured(self, source: BatchSource) -> dict[str, Any]:
        """Compute the values of `facts` after the training, from the training data."""
        ...

    def observe(self, s: Sounding) -> Any:
        """Compute the inputs of the columns that the network looks at, as `Observed`; None if there are none."""
        ...

    def answer(self, seen: Any, scaling: Any, about: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute class (column,) and outputs by WRF name, (level, column) or (column,), of the observed columns."""
        ...

    def describe(self) -> str:
        """Describe the network in a few words."""
        ...
