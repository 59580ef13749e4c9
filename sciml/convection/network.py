"""Networks: bidirectional LSTMs over the levels of a column, the published one and that of the emulator."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from sciml.convection import targets as plume_targets
from sciml.convection.adjustment import shallow_strength
from sciml.convection.architecture import ERROR_SCALE, Architecture
from sciml.convection.feature_scaling import DISTANCE, FeatureScaling, joined_inputs
from sciml.convection.physics import Physics, physics
from sciml.convection.plume import DEEP
from sciml.convection.plume_coordinate import spread
from sciml.convection.response import respond
from sciml.convection.sounding import Sounding
from sciml.errors import SchemaError
from sciml.nn.lstm import LSTM
from sciml.tables import html_table
from sciml.train import Batch, BatchSource

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ERROR_SCALE", "Architecture", "BiLSTM", "Closure"]

PUSH_BOUND = 16.0  # m/s over one layer of the plume's coordinate


class BiLSTM(nn.Module):
    """Stacked bidirectional LSTM layers over the levels, and a linear map of each level's state.

    Parameters
    ----------
    channels, hidden, layers, outputs
        Number of inputs of a level, hidden size of a direction, number of layers, and number of outputs of a level.
    levels
        Number of levels of a column for an additional output of the whole column, computed by a further channel and a
        linear map over the levels; None for no such output.

    Notes
    -----
    `published` is the network of Zhong, Yu and Li, GMD 17, 3667 (2024): 27 channels, 3 layers of 32, a 1x1
    convolution to 8 profiles and, for the trigger, one to 1 channel and a linear map of the 44 levels.
    """

    lstm_heads: ClassVar[tuple[str, ...]] = ("profiles", "channel")
    lstm_pools: ClassVar[tuple[str, ...]] = ("trigger",)
    output_layers: ClassVar[tuple[str, ...]] = ("profiles", "channel", "trigger")

    def __init__(
        self, channels: int, hidden: int, layers: int, outputs: int, *, levels: int | None = None
    ) -> None:
        super().__init__()
        self.lstm = LSTM(channels, hidden, layers, bidirectional=True, batch_first=True)
        self.profiles = nn.Linear(2 * hidden, outputs)
        self.channel = nn.Linear(2 * hidden, 1) if levels else None
        self.trigger = nn.Linear(levels, 1) if levels else None

    @classmethod
    def published(cls, levels: int = 44) -> BiLSTM:
        """Make the network of the published emulator, with 66,422 parameters at 44 levels.

        Examples
        --------
        >>> sum(p.numel() for p in BiLSTM.published().parameters())
        66422
        """
        return cls(27, 32, 3, 8, levels=levels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map (column, level, channel) to profiles (column, level, output) and the logit of the trigger (column,)."""
        state, _ = self.lstm(x)
        if self.channel is None or self.trigger is None:
            return self.profiles(state), None
        return self.profiles(state), self.trigger(self.channel(state).squeeze(-1)).squeeze(-1)


def _groups(
    values: np.ndarray[Any, Any], keys: np.ndarray[Any, Any], least: int = 200
) -> list[np.ndarray[Any, Any]]:
    """Split values by their keys; groups of few values are left out, unless all are."""
    groups = [values[keys == key] for key in np.unique(keys)]
    return [group for group in groups if len(group) >= least] or [values]


class Closure(nn.Module):
    """The learned part of the emulator, in the coordinate of the plume.

    It predicts a correction of the wind of the cloud (bounded), the error to expect of the heating, and a probability
    of convection, which does not decide anything. Everything else is the scheme's own physics
    (`sciml.convection.physics`), and the response conserves water and momentum exactly (`sciml.convection.response`).
    """

    command: ClassVar[str] = "plume-closure"
    settings: ClassVar[tuple[str, ...]] = ("hidden", "layers", "pooled", "below", "cloud")
    targets: ClassVar[tuple[str, ...]] = plume_targets.TARGETS
    fit: ClassVar[Mapping[str, Any]] = {}
    facts: ClassVar[Mapping[str, int]] = {"enthalpy": 2, "log_error": 1}
    selects: ClassVar[str] = "plume rises"
    least_levels: ClassVar[int] = 20
    absent: ClassVar[tuple[str, ...]] = ()
    kernel: ClassVar[str | None] = "plume-closure"
    lstm_heads: ClassVar[tuple[str, ...]] = ("level",)
    scaling: ClassVar[type[FeatureScaling]] = FeatureScaling
    output_layers: ClassVar[tuple[str, ...]] = ("level", "column")

    def __init__(self, shape: Architecture | None = None) -> None:
        super().__init__()
        self.shape = shape or Architecture()
        inputs = len(self.shape.channels) + len(self.shape.scalars)
        width = 2 * self.shape.hidden
        self.lstm = LSTM(inputs, self.shape.hidden, self.shape.layers, bidirectional=True, batch_first=True)
        self.level = nn.Linear(width, 1)
        self.pool = nn.Linear(width + len(self.shape.scalars), self.shape.pooled)
        self.column = nn.Linear(self.shape.pooled, 2)
        for head in (self.level, self.column):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        with torch.no_grad():
            self.column.bias[0] = 4.0  # a plume almost always convects

    def forward(self, channels: Tensor, scalars: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute push, logit of the trigger, and logarithm of the expected error.

        Parameters
        ----------
        channels
            (column, layer, channel), standardised.
        scalars
            (column, scalar), standardised.

        Returns
        -------
        tuple of Tensor
            (column, layer) in m/s over each layer; (column,) logit; (column,) natural logarithm of the expected error
            of the heating, relative to `ERROR_SCALE`.
        """
        state, _ = self.lstm(joined_inputs(channels, scalars))
        push = PUSH_BOUND * torch.tanh(self.level(state).squeeze(-1) / PUSH_BOUND)
        pooled = torch.tanh(self.pool(torch.cat([state.mean(1), scalars], -1)))
        column = self.column(pooled)
        return push, column[:, 0], column[:, 1]

    @classmethod
    def shape_of(cls, settings: Mapping[str, Any]) -> Architecture:
        """Make an architecture from the settings of a training."""
        return Architecture(**settings)

    @classmethod
    def fitted(cls, shape: Architecture, columns: xr.Dataset) -> Architecture:
        """Return the shape, which does not depend on the columns."""
        return shape

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Closure:
        """Make an untrained network from the data of `Architecture.to_json`."""
        return cls(Architecture.from_json(plain))

    def check_scaling(self, scaling: FeatureScaling, path: Path | None) -> None:
        """Check that a checkpoint's scaling has the sizes of the network."""
        made = (self.shape.below + self.shape.cloud, len(self.shape.channels))
        if tuple(scaling.mean.shape) != made:
            raise SchemaError(
                f"{path} is normalised for {tuple(scaling.mean.shape)} layers and channels, its "
                f"network takes {made}: train it again"
            )

    @staticmethod
    def prepare(columns: xr.Dataset, shape: Architecture, levels: int) -> dict[str, Tensor] | None:
        """See `sciml.convection.targets.prepare`."""
        part = plume_targets.prepare(columns, shape)
        return None if part is None else plume_targets.padded(part, levels)

    def calibrate(self, source: BatchSource) -> None:
        """Do nothing: the outputs have fixed scales."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """See `sciml.convection.targets.losses`."""
        return plume_targets.losses(self, batch)

    def measured(self, source: BatchSource) -> dict[str, Any]:
        """Compute the range of the enthalpy imbalance, and the error of a usual and of a novel column.

        `usual_error` (K/s) is the 99th percentile of the error of the training columns. `log_error` (natural logarithm)
        is an expected error: of the training columns whose error is usual, 2 % exceed it at the grid spacing where most
        do, and fewer at the others.
        """
        expected, true, imbalance, spacing = [], [], [], []
        with torch.no_grad():
            for batch in source.batches(4096):
                expected.append(self(batch["x"], batch["y"])[-1].cpu().numpy())
                true.append(batch["log_error"].cpu().numpy())
                imbalance.append(batch["enthalpy"].cpu().numpy())
                spacing.append(batch["y"][:, self.shape.scalars.index("scale")].cpu().numpy())
        error, balance = np.concatenate(true), np.concatenate(imbalance)
        limit = np.quantile(error, 0.99)
        usual = error <= limit
        by_spacing = _groups(np.concatenate(expected)[usual], np.concatenate(spacing)[usual])
        return {
            "enthalpy": [float(balance.min()), float(balance.max())],
            "log_error": max(float(np.quantile(x, 0.98)) for x in by_spacing),
            "usual_error": ERROR_SCALE * (math.exp(limit) - plume_targets.LEAST_ERROR),
        }

    def observe(self, s: Sounding) -> Physics | None:
        """Compute the physics of the columns whose plume rises; None if there are none."""
        return physics(s, self.shape)

    def answer(
        self, seen: Physics, scaling: FeatureScaling, about: Mapping[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute class and outputs by name of the columns whose plume rises; differentiable."""
        s, plume, down, times = seen.sounding, seen.plume, seen.down, seen.times
        x, y = scaling.standardise(seen.channels, seen.scalars)
        dtype = self.level.weight.dtype
        push, logit, log_error = self(x.to(dtype), y.to(dtype))
        strength = torch.where(plume.kind == DEEP, seen.closed.strength, shallow_strength(s, plume, times))
        low, high = about["enthalpy"]
        pushed = spread(push.double(), seen.coordinate.positions).T
        # the energy closure decides: the learned probability is right less often in climates of no training run
        active = seen.closed.convects
        answer = respond(s, plume, down, times, strength, pushed, active, (float(low), float(high)))
        distance = scaling.novelty(seen.channels, seen.scalars)
        far = torch.where(distance > DISTANCE, distance / DISTANCE, torch.zeros_like(distance))
        expected = torch.exp(log_error.double() - float(about["log_error"]))
        beside = {
            "NOVELTY": torch.maximum(expected, far),
            "P_TRIGGER": torch.sigmoid(logit.double()),
        }
        return answer.kind, {**answer.fields, **beside}

    def describe(self) -> str:
        """Describe the network in a few words."""
        shape, count = self.shape, sum(p.numel() for p in self.parameters())
        return f"Bi-LSTM {shape.layers} x {shape.hidden}, {shape.below} + {shape.cloud} layers, {count} parameters"

    def _repr_html_(self) -> str:
        count = sum(p.numel() for p in self.parameters())
        settings = (
            (name, ", ".join(value) if isinstance(value, list) else str(value))
            for name, value in self.shape.to_json().items()
        )
        return html_table("Closure", [("parameters", f"{count:,}"), *settings])
