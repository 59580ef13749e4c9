"""What pure networks share: inputs in pressure layers, heads, losses and decoding.

Such a network replaces the scheme and knows nothing of its plume. It looks at the columns that pass the scheme's parcel
test, and predicts their class and all outputs that a host needs. What it does not learn are the constraints: no
tendency without convection, water and momentum that close, vapour that stays positive, and bounded outputs. Each class
adds the modules that map the layers to states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, smooth_l1_loss

from sciml.constants import DAY
from sciml.convection import layer_targets
from sciml.convection.budgets import Budgets, energy_imbalance
from sciml.convection.column_shape import ColumnShape
from sciml.convection.feature_scaling import DISTANCE, FeatureScaling, joined_inputs
from sciml.convection.layer_outputs import COLUMN_HEADS, HEADS, LayerOutputs, decoded
from sciml.convection.level_outputs import outputs_of
from sciml.convection.plume import DEEP, NONE, SHALLOW
from sciml.convection.prepared_profiles import Profiles, profiles
from sciml.convection.sounding import Sounding
from sciml.nn.norm_activation import TokenNorm
from sciml.train import Batch, BatchSource

__all__ = ["CLASSES", "LayerNetwork"]

CLASSES = (SHALLOW, DEEP)  # in the order of the heads
ERROR_SCALE = 1e-6  # K/s
ERROR_BOUND = 8.0
LEAST_TIME, MOST_TIME = 60.0, DAY  # s
# Weights of the errors, in units of the root mean square of each output.
WEIGHTS = {
    "RTHCUTEN": 1.0,
    "RQVCUTEN": 1.0,
    "RQCCUTEN": 0.7,
    "RQICUTEN": 0.4,
    "RQRCUTEN": 0.3,
    "RUCUTEN": 0.4,
    "RVCUTEN": 0.4,
    "CLDFRA": 0.3,
    "QC_CU": 0.3,
    "QI_CU": 0.2,
}
LEAST_SPREAD = (*[1e-14] * 7, 1e-2, 1e-5, 1e-5)
LEAST_RAIN = 1e-6  # mm/s
LEAST_CONDENSATE = 0.02  # of the root mean square of RQVCUTEN
SHALLOW_WEIGHT = 1.0
LARGE_ERROR = 4.0  # root mean squares; larger errors count linearly
PROFILE_WEIGHT = 5.0
CLASS_WEIGHT, EXTENT_WEIGHT, RAIN_WEIGHT, TIME_WEIGHT, ERROR_WEIGHT = 0.8, 0.05, 0.3, 0.2, 0.02


def _budgets(batch: Batch, tendencies: Tensor) -> Budgets:
    """Compute the imbalances of tendencies (column, layer, output) of RTHCUTEN and RQVCUTEN."""
    mass, enthalpy, latent = batch["budget"].unbind(-1)
    heating = tendencies[..., 0]
    energy = energy_imbalance(mass, enthalpy, latent, heating, tendencies[..., 1])
    exchange = (mass * enthalpy * heating.abs()).sum(1)
    return Budgets({"energy": energy}, {"energy": exchange}, (batch["kind"] != NONE).to(heating.dtype))


class LayerNetwork(nn.Module):
    """A network over fixed pressure layers, with separate heads for deep and shallow convection.

    A subclass has `command`, `settings`, `kernel` and `shape_of` of a `sciml.convection.column_network.ColumnNetwork`,
    and the two methods that raise here.

    Parameters
    ----------
    shape
        Sizes and layers; `fitted` sets the layers.
    """

    shape_class: ClassVar[type[ColumnShape]] = ColumnShape
    targets: ClassVar[tuple[str, ...]] = layer_targets.TARGETS
    fit: ClassVar[Mapping[str, Any]] = {"epochs": 60, "learning_rate": 3e-3}
    facts: ClassVar[Mapping[str, int]] = {"log_error": 1}
    selects: ClassVar[str] = "parcel rises"
    least_levels: ClassVar[int] = 20
    absent: ClassVar[tuple[str, ...]] = ()
    scaling: ClassVar[type[FeatureScaling]] = FeatureScaling
    budgets: ClassVar[tuple[str, ...]] = ("energy",)  # water and momentum close by construction
    output_layers: ClassVar[tuple[str, ...]] = ("level", "column")
    kernel: str | None
    shape: Any
    scale: Tensor
    spread: Tensor

    def __init__(self, shape: Any = None) -> None:
        super().__init__()
        self.shape = self.shape_class() if shape is None else shape
        scalars = len(self.shape.scalars)
        state = self.make_trunk(len(self.shape.channels) + scalars)
        self.pool = nn.Linear(2 * state + scalars, self.shape.pooled)
        self.column = nn.Linear(self.shape.pooled, len(CLASSES) * len(COLUMN_HEADS) + 4)
        self.mixed = nn.Linear(state, self.shape.width)
        self.shared = nn.Linear(self.shape.pooled, self.shape.width, bias=False)
        self.level = nn.Linear(self.shape.width, len(CLASSES) * len(HEADS))
        self.activation: nn.Module = nn.ReLU()
        if self.shape.norm:
            self.activation = TokenNorm(self.shape.norm, self.shape.width)
            self.kernel = None  # the native library has none with a normalisation
        for head in (self.level, self.column):
            with torch.no_grad():
                head.weight.mul_(0.3)
            nn.init.zeros_(head.bias)
        self.register_buffer("scale", torch.ones(len(CLASSES), 6))  # of the tendencies and the rain
        self.register_buffer("spread", torch.ones(len(CLASSES), len(layer_targets.TRUTH)))

    def make_trunk(self, inputs: int) -> int:
        """Make the modules between the inputs and the states of the layers; return the size of a state."""
        raise NotImplementedError

    def states(self, inputs: Tensor) -> Tensor:
        """Compute the states of the layers, (column, layer, state), of inputs (column, layer, input)."""
        raise NotImplementedError

    @classmethod
    def shape_of(cls, settings: Mapping[str, Any]) -> Any:
        """Make a shape from the settings of a training.

        Raises
        ------
        InputError
            A setting is unknown or out of range.
        """
        return cls.shape_class(**settings)

    @classmethod
    def fitted(cls, shape: Any, columns: xr.Dataset) -> Any:
        """Set the layers to the levels of the columns."""
        return replace(shape, edges=layer_targets.fitted_edges(columns))

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Self:
        """Make an untrained network from the data of `ColumnShape.to_json`."""
        return cls(cls.shape_class.from_json(plain))

    @staticmethod
    def prepare(columns: xr.Dataset, shape: ColumnShape, levels: int) -> dict[str, Tensor] | None:
        """See `sciml.convection.layer_targets.prepare`."""
        return layer_targets.prepare(columns, shape)

    def calibrate(self, source: BatchSource) -> None:
        """Set the scales of the outputs to their root mean squares in the training data."""
        for number, kind in enumerate(CLASSES):
            sums, rain, count = torch.zeros(self.spread.shape[1]), torch.zeros(()), 0
            for batch in source.batches(4096):
                own = batch["kind"] == kind
                sums += batch["truth"][own].double().square().mean(1).sum(0).float()
                rain += batch["rain"][own].double().square().sum().float()
                count += int(own.sum())
            if count:
                spread = (sums / count).sqrt()
                spread[5:7] = (0.5 * (spread[5] ** 2 + spread[6] ** 2)).sqrt()  # no direction differs
                spread[2:5] = spread[2:5].clamp_min(LEAST_CONDENSATE * float(spread[1]))
                self.spread[number] = torch.maximum(spread, torch.tensor(LEAST_SPREAD))
                most = (rain / count).sqrt().clamp_min(LEAST_RAIN)
                self.scale[number] = torch.cat([self.spread[number, :5], most[None]])

    def forward(self, channels: Tensor, scalars: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the heads.

        Parameters
        ----------
        channels
            (column, layer, channel), standardised.
        scalars
            (column, scalar), standardised.

        Returns
        -------
        tuple of Tensor
            (column, layer, class, head) in the order of `HEADS`; (column, class, head) in that of `COLUMN_HEADS`;
            (column, 4): logits of the three classes, and logarithm of the expected error of the heating.
        """
        state = self.states(joined_inputs(channels, scalars))
        pooled = torch.tanh(self.pool(torch.cat([state.mean(1), state.amax(1), scalars], -1)))
        column = self.column(pooled)
        mixed = self.activation(self.mixed(state) + self.shared(pooled).unsqueeze(1))
        level = self.level(mixed).unflatten(-1, (len(CLASSES), len(HEADS)))
        return level, column[:, 4:].unflatten(-1, (len(CLASSES), len(COLUMN_HEADS))), column[:, :4]

    def decode(
        self,
        heads: tuple[Tensor, Tensor],
        deep: Tensor,
        carried: Tensor,
        direction: Tensor,
        mass: Tensor,
    ) -> LayerOutputs:
        """Outputs in the layers, of the class that `deep` (column,) chooses."""
        level, column = heads
        number = deep.to(torch.int64)
        rows = torch.arange(len(number), device=number.device)
        scale = self.scale[number]
        return decoded(level[rows, :, number], column[rows, number], deep, scale, carried, direction, mass)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the named losses of a batch."""
        return self._losses(batch)[0]

    def losses_and_budgets(self, batch: Batch) -> tuple[dict[str, Tensor], Budgets]:
        """Compute the losses, and the imbalances of the predictions in convecting columns."""
        losses, out = self._losses(batch)
        return losses, _budgets(batch, out.tendencies)

    def true_budgets(self, batch: Batch) -> Budgets:
        """Compute the imbalances of the scheme, in the layers."""
        return _budgets(batch, batch["truth"])

    def _losses(self, batch: Batch) -> tuple[dict[str, Tensor], LayerOutputs]:
        level, column, beside = self(batch["x"], batch["y"])
        kind = batch["kind"].to(torch.int64)
        deep, convects = kind == DEEP, (kind != NONE).to(level.dtype)
        out = self.decode((level, column), deep, batch["carried"], batch["direction"], batch["mass"])
        number = deep.to(torch.int64)
        weight = convects * torch.where(deep, 1.0, SHALLOW_WEIGHT)
        spread = self.spread[number].unsqueeze(1)
        predicted = torch.cat(
            [out.tendencies, out.wind, torch.stack([out.cover, out.liquid, out.ice], -1)], -1
        )
        error = smooth_l1_loss(
            predicted / spread, batch["truth"] / spread, reduction="none", beta=LARGE_ERROR
        )
        weights = torch.tensor(list(WEIGHTS.values()), dtype=level.dtype, device=level.device)
        each = PROFILE_WEIGHT * (error.mean(1) * weight.unsqueeze(1)).mean(0)
        rain = smooth_l1_loss(
            out.rain / self.scale[number, 5], batch["rain"] / self.scale[number, 5], reduction="none"
        )
        held = torch.log(
            batch["time"].clamp(LEAST_TIME, MOST_TIME) / batch["passage"].clamp(LEAST_TIME, MOST_TIME)
        )
        time = smooth_l1_loss(out.time, held, reduction="none", beta=0.2)
        triggered = kind != NONE
        extent = sum(
            (cross_entropy(logits, batch[name].to(torch.int64), reduction="none") * convects).mean()
            for name, logits in (("top", out.top), ("base", out.base))
        )
        heating = (predicted[..., 0].detach() - batch["truth"][..., 0]) * triggered.unsqueeze(1)
        size = ((batch["mass"] * heating.square()).sum(1) / batch["mass"].sum(1)).sqrt()
        log_error = torch.log(size / ERROR_SCALE + 1e-2)
        expected = smooth_l1_loss(ERROR_BOUND * torch.tanh(beside[:, 3] / ERROR_BOUND), log_error)
        named = {
            "profiles": (each * weights).sum(),
            "class": cross_entropy(beside[:, :3], kind),
            "extent": torch.as_tensor(extent),
            "rain": (rain * deep).mean(),
            "time": (time * deep).mean(),
            "error": expected,
        }
        total = (
            named["profiles"]
            + CLASS_WEIGHT * named["class"]
            + EXTENT_WEIGHT * named["extent"]
            + RAIN_WEIGHT * named["rain"]
            + TIME_WEIGHT * named["time"]
            + ERROR_WEIGHT * expected
        )
        return {"loss": total, **named}, out

    def measured(self, source: BatchSource) -> dict[str, Any]:
        """Compute the expected error (natural logarithm) that 1 % of the training columns exceed."""
        expected = []
        with torch.no_grad():
            for batch in source.batches(4096):
                expected.append(self(batch["x"], batch["y"])[2][:, 3].cpu().numpy())
        joined = ERROR_BOUND * np.tanh(np.concatenate(expected) / ERROR_BOUND)
        return {"log_error": float(np.quantile(joined, 0.99))}

    def observe(self, s: Sounding) -> Profiles | None:
        """Compute the inputs of the columns that pass the parcel test; None if there are none."""
        return profiles(s, self.shape.edges)

    def answer(
        self, seen: Profiles, scaling: FeatureScaling, about: Mapping[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute class and outputs by name of the columns that were observed; differentiable."""
        dtype = next(self.parameters()).dtype
        x, y = scaling.standardise(seen.channels, seen.scalars)
        level, column, beside = self(x.to(dtype), y.to(dtype))
        logits = beside[:, :3].double()
        kind = logits.argmax(1)
        deep = logits[:, DEEP] > logits[:, SHALLOW]
        heads = level.double(), column.double()
        out = self.decode(heads, deep, seen.carried, seen.direction, seen.mass)
        fields = outputs_of(seen, out, kind)
        expected = ERROR_BOUND * torch.tanh(beside[:, 3].double() / ERROR_BOUND)
        distance = scaling.novelty(seen.channels, seen.scalars)
        far = torch.where(distance > DISTANCE, distance / DISTANCE, torch.zeros_like(distance))
        novelty = torch.maximum(torch.exp(expected - float(about["log_error"])), far)
        chances = torch.softmax(logits, 1)
        return kind, {**fields, "NOVELTY": novelty, "P_TRIGGER": 1.0 - chances[:, NONE]}
