"""The published emulator as a column network: it maps raw profiles to profiles without the physics of the scheme.

Zhong, Yu and Li, GMD 17, 3667 (2024): 27 channels scaled by the largest absolute value of each variable, three layers
of 32, and as loss the binary cross-entropy of the trigger plus absolute errors of triggered columns. Its inputs here
are those of its authors for a column that the scheme evaluates at this call: no held precipitation, counter or
tendencies. Its outputs are NCA, PRATEC and six tendencies; all other outputs of the scheme are zero. The published
weight of 1e4 on RQSCUTEN is not used, because that output is zero in these data and the weight would dominate the loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from sciml.checks import check_int
from sciml.convection import thermodynamics as td
from sciml.convection.budgets import Budgets, budget_coefficients, energy_imbalance, water_imbalance
from sciml.convection.network import BiLSTM
from sciml.convection.physics import sounding_of
from sciml.convection.response import NCA_NONE, PROFILES, SCALARS
from sciml.convection.sounding import Sounding
from sciml.errors import InputError, SchemaError
from sciml.train import Batch, BatchSource

__all__ = ["AbsoluteScaling", "PublishedBiLSTM", "PublishedShape", "RawProfiles"]

OUTPUTS = ("NCA", "PRATEC", "RTHCUTEN", "RQVCUTEN", "RQCCUTEN", "RQRCUTEN", "RQICUTEN", "RQSCUTEN")
CHANNELS = 27
WEIGHT = 10.0  # of every output's absolute error


@dataclass(frozen=True)
class PublishedShape:
    """Number of levels of the columns; 0 before it is known. Everything else is published."""

    levels: int = 0

    def __post_init__(self) -> None:
        check_int("levels", self.levels, 0, owner="PublishedShape")

    def to_json(self) -> dict[str, Any]:
        """Return the field as data."""
        return {"levels": self.levels}


@dataclass(frozen=True)
class AbsoluteScaling:
    """Largest absolute value of each channel in the training data, (channel,)."""

    size: Tensor

    @classmethod
    def of(cls, channels: Tensor, scalars: Tensor) -> AbsoluteScaling:
        """Compute from raw inputs (level, channel, column); there are no scalars."""
        return cls(channels.abs().amax((0, 2)).clamp_min(1e-30).float())

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], file: str | Path = "the checkpoint") -> AbsoluteScaling:
        """Make from the tensors of a checkpoint."""
        if "normalisation.size" not in tensors:
            raise SchemaError(f"{file} has no normalisation.size: train it again")
        return cls(tensors["normalisation.size"])

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensor by name, for a checkpoint."""
        return {"normalisation.size": self.size}

    def to(self, device: str | torch.device) -> AbsoluteScaling:
        """Copy to another device."""
        return AbsoluteScaling(self.size.to(device))

    def standardise(self, channels: Tensor, scalars: Tensor) -> tuple[Tensor, Tensor]:
        """Scale raw inputs to (column, level, channel); there are no scalars."""
        return (channels.permute(2, 0, 1) / self.size.double()).contiguous(), scalars.T.contiguous()


@dataclass(frozen=True)
class RawProfiles:
    """Inputs of all columns, (level, channel, column) and (0, column)."""

    index: Tensor
    sounding: Sounding
    channels: Tensor
    scalars: Tensor


def raw_channels(s: Sounding) -> Tensor:
    """Return the 27 channels of the published emulator, unscaled: (level, channel, column), float64."""
    nothing = torch.zeros_like(s.t)
    saturated = td.saturation(s.p, s.t)
    over = [nothing + value for value in (NCA_NONE / s.dt, s.hfx, s.ust, s.pblh)]
    difference = torch.cat([s.p[1:] - s.p[:-1], torch.zeros_like(s.p[:1])])
    stacked = [
        *(nothing, *over, s.u, s.v, s.w, s.t, s.qv, s.p, s.t / s.pi, s.dz, s.rho, s.pi, s.w),
        *[nothing] * 6,
        *(nothing, s.w, difference, saturated, s.qv / saturated),
    ]
    return torch.stack(stacked, 1)


def _budgets(batch: Batch, outputs: Tensor) -> Budgets:
    """Compute the imbalances of outputs (column, level, output), in the order of `OUTPUTS`."""
    mass, enthalpy, latent = batch["budget"].unbind(-1)
    rain, heating, vapour = outputs[..., 1].mean(1).clamp_min(0.0), outputs[..., 2], outputs[..., 3]
    water = water_imbalance(mass, outputs[..., 3:].sum(-1), rain)
    energy = energy_imbalance(mass, enthalpy, latent, heating, vapour)
    exchange = {"water": (mass * vapour.abs()).sum(1), "energy": (mass * enthalpy * heating.abs()).sum(1)}
    return Budgets({"water": water, "energy": energy}, exchange, batch["triggered"])


class PublishedBiLSTM(BiLSTM):
    """The published network, with 66,422 parameters at 44 levels, and the sizes of its outputs."""

    command: ClassVar[str] = "published"
    settings: ClassVar[tuple[str, ...]] = ()
    targets: ClassVar[tuple[str, ...]] = tuple(name for name in OUTPUTS if name != "RQSCUTEN")
    fit: ClassVar[Mapping[str, Any]] = {
        "epochs": 20,
        "learning_rate": 3e-3,
        "schedule": "cosine",
        "warmup": 0.1,
        "weight_decay": 0.0,
        "ema_decay": None,
    }
    facts: ClassVar[Mapping[str, int]] = {}
    selects: ClassVar[str] = "values"
    least_levels: ClassVar[int] = 1
    absent: ClassVar[tuple[str, ...]] = tuple(name for name in (*PROFILES, *SCALARS) if name not in OUTPUTS)
    kernel: ClassVar[str | None] = "published"
    budgets: ClassVar[tuple[str, ...]] = ("water", "energy")
    scaling: ClassVar[type[AbsoluteScaling]] = AbsoluteScaling
    size: Tensor

    def __init__(self, shape: PublishedShape | None = None) -> None:
        self_shape = shape or PublishedShape(44)
        super().__init__(CHANNELS, 32, 3, len(OUTPUTS), levels=self_shape.levels)
        self.shape = self_shape
        self.register_buffer("size", torch.ones(len(OUTPUTS)))

    @classmethod
    def shape_of(cls, settings: Mapping[str, Any]) -> PublishedShape:
        """Make the shape, which has no settings."""
        return PublishedShape(**settings)

    @classmethod
    def fitted(cls, shape: PublishedShape, columns: xr.Dataset) -> PublishedShape:
        """Set the number of levels.

        Raises
        ------
        InputError
            The columns have different numbers of levels.
        """
        given = columns["LEVELS"] if "LEVELS" in columns.variables else np.array(columns.sizes["level"])
        least, levels = int(given.min()), int(given.max())
        if least != levels:
            raise InputError(
                f"the columns have {least} to {levels} levels, the published network takes one number: "
                "give runs with equal levels, or train --network bilstm"
            )
        return replace(shape, levels=levels)

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> PublishedBiLSTM:
        """Make an untrained network from the data of its shape."""
        if set(plain) != {"levels"}:
            raise InputError(f"[network] {plain}: it has levels")
        check_int("levels", plain["levels"], 1, owner="PublishedShape")
        return cls(PublishedShape(plain["levels"]))

    @staticmethod
    def prepare(columns: xr.Dataset, shape: PublishedShape, levels: int) -> dict[str, Tensor] | None:
        """Compute the channels and targets of all columns; NCA and PRATEC are spread over the levels."""
        s = sounding_of(columns)
        channels = raw_channels(s).permute(2, 0, 1)
        count, size = columns.sizes["column"], columns.sizes["level"]

        def profile(name: str) -> np.ndarray[Any, Any]:
            if name not in columns:
                return np.zeros((count, size), np.float32)
            values = np.asarray(columns[name].transpose("column", ...).values, np.float32)
            return values if values.ndim == 2 else np.repeat(values[:, None], size, 1)

        return {
            "channels": channels.float().contiguous(),
            "scalars": torch.zeros(count, 0),
            "truth": torch.from_numpy(np.stack([profile(name) for name in OUTPUTS], -1)),
            "triggered": torch.from_numpy((columns["KIND"].values > 0).astype(np.float32)),
            "budget": budget_coefficients(s).permute(2, 0, 1).float().contiguous(),
            "row": torch.arange(count),
        }

    def calibrate(self, source: BatchSource) -> None:
        """Set the sizes of the outputs: the largest absolute values in triggered columns."""
        largest = torch.full_like(self.size, 1e-30)
        for batch in source.batches(4096):
            own = batch["truth"][batch["triggered"] > 0]
            if len(own):
                largest = torch.maximum(largest, own.abs().amax((0, 1)).to(largest))
        self.size.copy_(largest)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the cross-entropy of the trigger, and the absolute errors of the profiles of triggered columns."""
        return self._losses(batch, *self(batch["x"]))

    def _losses(self, batch: Batch, profiles: Tensor, logit: Tensor) -> dict[str, Tensor]:
        trigger = nn.functional.binary_cross_entropy_with_logits(logit, batch["triggered"])
        error = (profiles - batch["truth"] / self.size).abs() * batch["triggered"][:, None, None]
        profile = WEIGHT * error.mean((0, 1)).sum()
        return {"loss": trigger + profile, "trigger": trigger, "profiles": profile}

    def losses_and_budgets(self, batch: Batch) -> tuple[dict[str, Tensor], Budgets]:
        """Compute the losses, and the imbalances of the predictions in triggered columns."""
        profiles, logit = self(batch["x"])
        return self._losses(batch, profiles, logit), _budgets(batch, profiles * self.size)

    def true_budgets(self, batch: Batch) -> Budgets:
        """Compute the imbalances of the scheme."""
        return _budgets(batch, batch["truth"])

    def measured(self, source: BatchSource) -> dict[str, Any]:
        """Return nothing: the published emulator does not estimate its error."""
        return {}

    def observe(self, s: Sounding) -> RawProfiles:
        """Compute the channels of all columns.

        Raises
        ------
        InputError
            The columns have another number of levels.
        """
        if s.levels != self.shape.levels:
            raise InputError(
                f"the emulator was trained on {self.shape.levels} levels, these columns have {s.levels}"
            )
        index = torch.arange(len(s), device=s.t.device)
        return RawProfiles(index, s, raw_channels(s), torch.zeros(0, len(s), device=s.t.device))

    def answer(
        self, seen: RawProfiles, scaling: AbsoluteScaling, about: Mapping[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute class and outputs of all columns. Convection with a counter of 1.5 CUDT or more is deep."""
        s = seen.sounding
        x, _ = scaling.standardise(seen.channels, seen.scalars)
        profiles, logit = self(x.to(self.size.dtype))
        values = (profiles * self.size).double()
        on = logit > 0
        nca = values[..., 0].mean(1)
        deep = on & (nca > 1.5 * 60.0 * s.cudt)
        nothing = torch.zeros_like(nca)
        fields = {
            name: torch.where(on.unsqueeze(1), values[..., number], 0.0).T
            for number, name in enumerate(OUTPUTS)
            if number > 1
        }
        fields["PRATEC"] = torch.where(deep, values[..., 1].mean(1).clamp_min(0.0), nothing)
        fields["NCA"] = torch.where(on, nca, nothing + NCA_NONE)
        fields["P_TRIGGER"] = torch.sigmoid(logit.double())
        fields["NOVELTY"] = nothing
        return on.to(torch.int64) + deep.to(torch.int64), fields

    def describe(self) -> str:
        """Describe the network in a few words."""
        count = sum(p.numel() for p in self.parameters())
        return f"published Bi-LSTM 3 x 32, {self.shape.levels} levels, {count} parameters"
