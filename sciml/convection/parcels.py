"""Parcels of the source layers that pass the parcel test, and their excess over the air around them.

The pure network looks at a column as a forecaster does: where the air of which layer would be warmer than its
surroundings. It computes no plume: a parcel has an equivalent potential temperature, that of the source layer, or one
that mixes with the air around it at a constant rate. Whether it rises, and how far, is left to the network.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.constants import KAPPA_BOLTON
from sciml.convection import thermodynamics as td
from sciml.convection.sounding import Sounding
from sciml.convection.source_layer import SourceLayer, candidates, scale_factor, source_layer

__all__ = ["MIXED", "Parcel", "SourceLayers", "excess", "source_layers"]

MIXED = (0.0, 0.5, 1.0)  # rates of mixing, in units of `MIXING` over the height of the cloud's base
MIXING = 0.03  # m/Pa; Kain and Fritsch (1990), eq. 1
MARGIN = (-20.0, 10.0)  # K
DEEPEST = 3.0e4  # Pa; a source layer higher than this above the ground is not considered


@dataclass(frozen=True)
class Parcel:
    """The mixed air of one source layer of each column, all (column,)."""

    base: Tensor  # Pa above the ground, negative: pressure at the source layer's base less that of the lowest level
    theta_e: Tensor  # K
    t_lcl: Tensor  # K
    z_lcl: Tensor  # m
    p_lcl: Tensor  # Pa
    q: Tensor  # kg/kg
    warming: Tensor  # K, by vertical velocity
    margin: Tensor  # K, by which it passes the test
    radius: Tensor  # m, on which the rate of mixing depends

    @classmethod
    def of(cls, s: Sounding, source: SourceLayer) -> Parcel:
        """Take the properties of a source layer."""
        top = s.z.gather(0, source.top.unsqueeze(0)).squeeze(0)
        return cls(
            base=s.p[source.base] - s.p[0],
            theta_e=td.equivalent_temperature(source.p, source.t, source.q, source.t_lcl),
            t_lcl=source.t_lcl,
            z_lcl=source.z_lcl,
            p_lcl=source.p * (source.t_lcl / source.t) ** (1.0 / KAPPA_BOLTON),
            q=source.q,
            warming=source.warming,
            margin=(source.t_lcl + source.warming - source.t_env).clamp(*MARGIN),
            radius=torch.maximum(source.z_lcl, top).clamp(500.0, 4000.0),
        )

    def replaced(self, where: Tensor, other: Parcel) -> Parcel:
        """Return the other parcel in the columns `where`."""
        return Parcel(
            **{name: torch.where(where, getattr(other, name), value) for name, value in vars(self).items()}
        )


@dataclass(frozen=True)
class SourceLayers:
    """All source layers of each column.

    Parameters
    ----------
    passes
        Whether any passes the parcel test, bool (column,).
    theta_e, margin
        Equivalent potential temperature (K), and margin of the test (K), of the source layer at or below each level,
        (level, column).
    first, warmest
        The lowest source layer that passes, and that with the greatest equivalent potential temperature.
    count
        Number of source layers that pass, (column,).
    """

    passes: Tensor
    theta_e: Tensor
    margin: Tensor
    first: Parcel
    warmest: Parcel
    count: Tensor


def source_layers(s: Sounding) -> SourceLayers:
    """Evaluate the parcel test for all source layers; where none passes, the parcels are those of the lowest."""
    flags = candidates(s)
    lowest = Parcel.of(s, source_layer(s, 0, flags[0]))
    first, warmest = lowest, lowest
    count = torch.zeros_like(s.p[0])
    theta_e, margin = [lowest.theta_e], [lowest.margin]
    for base in range(s.levels):
        if not bool(flags[base].any()):
            if base:
                theta_e.append(theta_e[-1])
                margin.append(margin[-1])
            continue
        source = source_layer(s, base, flags[base])
        parcel = Parcel.of(s, source)
        if base:
            theta_e.append(torch.where(flags[base], parcel.theta_e, theta_e[-1]))
            margin.append(torch.where(flags[base], parcel.margin, margin[-1]))
        new = source.passes & (count == 0.0)
        first = first.replaced(new, parcel)
        warmest = warmest.replaced(new | (source.passes & (parcel.theta_e > warmest.theta_e)), parcel)
        count = count + source.passes.to(count.dtype)
    return SourceLayers(count > 0.0, torch.stack(theta_e), torch.stack(margin), first, warmest, count)


def excess(s: Sounding, parcel: Parcel, saturated: Tensor, rate: float) -> Tensor:
    """Equivalent potential temperature of a rising parcel less that of saturated air around it (K), (level, column).

    Parameters
    ----------
    saturated
        Equivalent potential temperature of saturated air at each level's temperature, (level, column).
    rate
        Rate of mixing in units of `MIXING`; 0 for a parcel that does not mix.
    """
    if rate == 0.0:
        return parcel.theta_e - saturated
    share = s.dp * (rate * MIXING) * scale_factor(s.dx) / parcel.radius
    above = s.z >= parcel.z_lcl
    theta, out = parcel.theta_e, []
    for k in range(s.levels):
        mixed = (theta + share[k] * s.theta_e[k]) / (1.0 + share[k])
        theta = torch.where(above[k], mixed, theta)
        out.append(theta)
    return torch.stack(out) - saturated
