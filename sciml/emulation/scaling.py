"""Scaling of the inputs of a declared scheme: standardised inputs and logarithms, whitened.

The inputs of a physics scheme are correlated: temperature, pressure and vapour all fall with height, and what a scheme
acts on, such as supersaturation, is a small difference of them. Whitening gives each combination the same variance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.schemes.scheme import ColumnScheme

__all__ = ["InputScaling", "channels_of"]

LEAST = 1e-3
"""Offset of the logarithm, in units of the root mean square."""
CLIP = 8.0
LEAST_VARIANCE = 1e-4
"""Least variance of a combination of standardised channels, so that rounding is not amplified."""


def channels_of(scheme: ColumnScheme) -> tuple[tuple[str, bool], ...]:
    """Return the input of each channel, and whether it is the logarithm."""
    plain = [(f.name, False) for f in scheme.inputs]
    return (*plain, *((f.name, True) for f in scheme.inputs if f.bounds[0] >= 0))


@dataclass(frozen=True)
class InputScaling:
    """Scaling of the channels of a scheme.

    Attributes
    ----------
    scheme
        Its declaration.
    size
        Root mean square of each input in the training (input,), float64.
    mean, inverse
        Mean of each channel, and one over its standard deviation, (channel,), float64.
    mix
        Matrix (channel, channel) that turns the standardised channels into uncorrelated ones, float64.
    """

    scheme: ColumnScheme
    size: Tensor
    mean: Tensor
    inverse: Tensor
    mix: Tensor

    @classmethod
    def of(cls, scheme: ColumnScheme, *groups: Mapping[str, Tensor]) -> InputScaling:
        """Compute the scaling of training columns, of one number of levels in each group."""
        whole = [
            torch.cat([inputs[name].double().flatten() for inputs in groups]) for name in scheme.input_names
        ]
        size = torch.stack([values.square().mean().sqrt() for values in whole])
        size = torch.where(size > 0, size, 1.0)
        zero, ones = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
        unit = cls(scheme, size, zero, ones, ones)
        raw = torch.cat([unit._raw(inputs).flatten(0, 1) for inputs in groups])
        mean, spread = raw.mean(0), raw.std(0)
        # an input that does not vary in the training has no effect
        inverse = torch.where(spread > 1e-9 * (1 + mean.abs()), 1.0 / spread, 0.0)
        scaled = ((raw - mean) * inverse).clamp(-CLIP, CLIP)
        variance, axes = torch.linalg.eigh(scaled.T @ scaled / len(scaled))
        return cls(scheme, size, mean, inverse, axes * variance.clamp_min(LEAST_VARIANCE).rsqrt())

    def _raw(self, inputs: Mapping[str, Tensor]) -> Tensor:
        like = inputs[self.scheme.input_profiles[0]]
        place = {name: n for n, name in enumerate(self.scheme.input_names)}
        parts = []
        for name, is_log in channels_of(self.scheme):
            value = inputs[name].double()
            value = value if value.dim() == 2 else value[:, None].expand(like.shape)
            value = value / self.size[place[name]]
            parts.append(torch.log(value.clamp_min(0.0) + LEAST) if is_log else value)
        return torch.stack(parts, -1)

    def standardise(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Compute the channels (column, level, channel), float64, within `CLIP` standard deviations."""
        scaled = ((self._raw(inputs) - self.mean) * self.inverse).clamp(-CLIP, CLIP)
        return (scaled @ self.mix).clamp(-CLIP, CLIP)
