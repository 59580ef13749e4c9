"""Standardisation of the features by layer, and the distance of a column from the training range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from sciml.errors import InputError, SchemaError

__all__ = ["FeatureScaling", "joined_inputs"]

CLIP = 10.0
DISTANCE = 3.0  # a feature so many half-ranges from the middle of the training range makes a column novel
# The limits are wider than the training range by this factor, so that rounding puts no training column outside.
MARGIN = 1.01
# A scalar that does not vary in the training has a scale of so many times its value, and so no effect.
UNUSED = 1e6


@dataclass(frozen=True)
class FeatureScaling:
    """Means and scales of the features, and their training range in standardised units; float32.

    Channels (layer, channel), scalars (scalar,).

    Attributes
    ----------
    formats
        Format by the name of the tensor in the files of a quantized network (`sciml.compress`), with relative errors of
        at most 3e-5; the middles have such errors of the largest.
    """

    formats: ClassVar[Mapping[str, str]] = {
        f"normalisation.{part}{name}": "int16" if name == "middle" else "int16-1"
        for part in ("", "scalar_")
        for name in ("mean", "scale", "middle", "reach")
    }
    mean: Tensor
    scale: Tensor
    middle: Tensor
    reach: Tensor
    scalar_mean: Tensor
    scalar_scale: Tensor
    scalar_middle: Tensor
    scalar_reach: Tensor

    @classmethod
    def of(cls, channels: Tensor, scalars: Tensor) -> FeatureScaling:
        """Compute the scaling of training features, (level, channel, column) and (scalar, column), float64.

        The scale at a level is at least a twentieth of the channel's spread over all levels, so that rounding is not
        amplified at a level where the channel hardly varies. A scalar that does not vary, such as the scale factor of
        one grid spacing, has neither an effect on the network nor on the novelty.

        Raises
        ------
        InputError
            There is a single column, which has no spread.
        """
        count = channels.shape[-1]
        if count < 2:
            raise InputError(f"{count} column rises: too few to train on; give more columns")
        mean, centre = channels.mean(-1), channels.mean((0, 2))[:, None]
        # By level, because the channels of all levels may fill the memory.
        spread = torch.stack([level.contiguous().std(-1) for level in channels])
        overall = torch.stack([(level - centre).pow_(2).mean(-1) for level in channels]).mean(0).sqrt()
        scale = torch.maximum(spread, 0.05 * overall).clamp_min(1e-12)
        scalar_mean, scalar_scale = scalars.mean(-1), scalars.std(-1)
        size = scalars.abs().amax(-1)
        # the features of a training are rounded to float32, those of an inference are not
        scalar_scale = torch.where(scalar_scale > 1e-6 * size, scalar_scale, UNUSED * size.clamp_min(1.0))
        # Rounded first, because the rounded values are saved.
        mean, scale = mean.float(), scale.float()
        scalar_mean, scalar_scale = scalar_mean.float(), scalar_scale.float()
        low, high = (
            (limit - mean.double()) / scale.double() for limit in (channels.amin(-1), channels.amax(-1))
        )
        y = (scalars - scalar_mean.double()[..., None]) / scalar_scale.double()[..., None]
        scalar_reach = 0.5 * MARGIN * (y.amax(-1) - y.amin(-1))
        # a scalar with two values has both at its limits, which does not indicate novelty
        two = ((y == y.amin(-1, keepdim=True)) | (y == y.amax(-1, keepdim=True))).all(-1)
        scalar_reach = torch.where(two, 4.0 * scalar_reach, scalar_reach)
        return cls(
            mean,
            scale,
            (0.5 * (low + high)).float(),
            (0.5 * MARGIN * (high - low)).clamp_min(1.0).float(),
            scalar_mean,
            scalar_scale,
            (0.5 * (y.amin(-1) + y.amax(-1))).float(),
            scalar_reach.clamp_min(1.0).float(),
        )

    def standardise(self, channels: Tensor, scalars: Tensor) -> tuple[Tensor, Tensor]:
        """Standardise level-first float64 features to (column, level, channel) and (column, scalar).

        They are clipped to the range of the training and to 10 scales. A column outside gets the result at the limit,
        and counts as novel.
        """
        z, y = self.rescale(channels, scalars)
        z, y = _within(z, self.middle, self.reach), _within(y, self.scalar_middle, self.scalar_reach)
        return (
            z.clamp(-CLIP, CLIP).permute(2, 0, 1).contiguous(),
            y.clamp(-CLIP, CLIP).T.contiguous(),
        )

    def novelty(self, channels: Tensor, scalars: Tensor) -> Tensor:
        """Return the largest distance of a feature from the middle of the training range, (column,); 1 is its edge."""
        far, wide = self.distances(channels, scalars)
        return torch.maximum(far.amax((0, 1)), wide.amax(0))

    def distances(self, channels: Tensor, scalars: Tensor) -> tuple[Tensor, Tensor]:
        """Return the distance of each feature from the middle of its training range; 1 is the edge."""
        z, y = self.rescale(channels, scalars)
        far = (z - self.middle.double()[..., None]).abs() / self.reach.double()[..., None]
        wide = (y - self.scalar_middle.double()[..., None]).abs() / self.scalar_reach.double()[..., None]
        return far, wide

    def rescale(self, channels: Tensor, scalars: Tensor) -> tuple[Tensor, Tensor]:
        """Subtract the means and divide by the scales, without limits; the shapes stay."""
        z = (channels - self.mean.double()[..., None]) / self.scale.double()[..., None]
        y = (scalars - self.scalar_mean.double()[..., None]) / self.scalar_scale.double()[..., None]
        return z, y

    def to(self, device: str | torch.device) -> FeatureScaling:
        """Copy to another device."""
        return FeatureScaling(**{name: value.to(device) for name, value in vars(self).items()})

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors by name, for a checkpoint or a weights file."""
        return {f"normalisation.{name}": value for name, value in vars(self).items()}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], file: str | Path = "the checkpoint") -> FeatureScaling:
        """Make from `tensors`, those of a file.

        Raises
        ------
        SchemaError
            A tensor is missing.
        """
        names = [own.name for own in fields(cls)]
        absent = [name for name in names if f"normalisation.{name}" not in tensors]
        if absent:
            raise SchemaError(f"{file} has no normalisation.{absent[0]}: train it again")
        return cls(**{name: tensors[f"normalisation.{name}"] for name in names})


def _within(x: Tensor, middle: Tensor, reach: Tensor) -> Tensor:
    """Clip standardised features (..., column) to the training range."""
    low, high = (middle.double() - reach.double())[..., None], (middle.double() + reach.double())[..., None]
    return torch.minimum(torch.maximum(x, low), high)


def joined_inputs(channels: Tensor, scalars: Tensor) -> Tensor:
    """Append the scalars to the channels of each layer, (column, layer, input)."""
    return torch.cat([channels, scalars.unsqueeze(1).expand(-1, channels.shape[1], -1)], -1)
