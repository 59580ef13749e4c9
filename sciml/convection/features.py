"""Inputs of the network: profiles and scalars of the physics of the scheme.

The native library computes the same numbers in the same order. All are computed in float64 from the plume, the
downdraft and the sounding, then standardised and rounded to float32, so that differences are precise. The inputs
contain no previous tendency and no tracer of the scheme. They contain no wind either, except in the adjustment time,
because its effect is linear and computed (see `pressure`); the network cannot depend on the direction of the wind.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sciml.constants import KAPPA_BOLTON, P_ZERO, VIRTUAL
from sciml.convection import thermodynamics as td
from sciml.convection.adjustment import Timing, greatest_strength, shallow_strength
from sciml.convection.downdraft import Downdraft
from sciml.convection.energy_closure import Closed
from sciml.convection.plume import DEEP, Plume
from sciml.convection.plume_coordinate import PlumeCoordinate
from sciml.convection.sounding import Sounding
from sciml.convection.source_layer import scale_factor

__all__ = ["CHANNELS", "SCALARS", "features"]

CHANNELS = (
    "flux",  # updraft mass flux, relative to the LCL's
    "down",  # downdraft mass flux, relative
    "entrained",  # per depth of the cloud, relative
    "detrained",
    "buoyancy",  # K, virtual, of the plume against its surroundings
    "excess",  # g/kg, vapour of the plume less that around it
    "water",  # g/kg, condensate in the plume
    "fallout",  # g/kg of flux, rain and snow leaving it, per depth of the cloud
    "down_buoyancy",  # K, virtual, of the downdraft
    "humidity",  # relative
    "stability",  # K/km, potential temperature
    "gradient",  # g/kg/km, vapour
    "subsidence",  # K, heating by sinking at strength 1, over the adjustment time
    "drying",  # g/kg, likewise
)
SCALARS = (
    "deep",
    "cape",  # log
    "height",  # km
    "z_lcl",  # km
    "t_lcl",  # K
    "time",  # log s
    "flux_lcl",
    "most",  # log of the greatest strength
    "shallow",  # log of the shallow strength
    "turnover",  # share of the cloud layer's mass that strength 1 moves
    "evaporated",  # share of the rain that the downdraft takes
    "strength",  # log of the strength that the energy closure computes
    "removed",  # share of the available energy that the plume's own mass flux removes
    "scale",  # scale factor of the grid spacing
)


def _upper(profile: Tensor) -> Tensor:
    return torch.cat([profile[1:], profile[-1:]])


def features(
    s: Sounding, plume: Plume, down: Downdraft, times: Timing, closed: Closed, coordinate: PlumeCoordinate
) -> tuple[Tensor, Tensor]:
    """Channels (layer, channel, column) on the coordinate of the plume, and scalars (scalar, column); float64."""
    level = torch.arange(s.levels, device=s.t.device).unsqueeze(1)
    zero = torch.zeros_like(s.t)
    cloud = (level >= plume.cloud_base) & (level <= plume.top)
    theta = s.t * torch.exp(KAPPA_BOLTON * torch.log(P_ZERO / s.p))
    rise = (_upper(s.z) - s.z).clamp_min(1.0) / 1000.0
    net = plume.flux - down.flux
    mass = s.dp / td.GRAVITY
    share = plume.flux_lcl * times.adjustment / mass
    loaded = plume.t * (1.0 + VIRTUAL * plume.q - plume.liquid - plume.ice)
    sinking = down.detrained > 0.0
    depth = torch.where(cloud, s.dp, zero).sum(0).clamp_min(1.0) / s.dp  # amounts of a level to densities
    channels = torch.stack(
        [
            plume.flux,
            down.flux,
            plume.entrained * depth,
            plume.detrained * depth,
            torch.where(cloud, loaded - s.tv, zero),
            torch.where(cloud, 1e3 * (plume.q - s.q), zero),
            1e3 * (plume.liquid + plume.ice),
            1e3 * (plume.rain + plume.snow) * depth,
            torch.where(sinking, td.virtual(down.t, down.q) - s.tv, zero),
            s.rh,
            (_upper(theta) - theta) / rise,
            1e3 * (_upper(s.q) - s.q) / rise,
            net * share * (_upper(theta) - theta),
            1e3 * net * share * (_upper(s.q) - s.q),
        ]
    )
    rain = (plume.rain + plume.snow).sum(0)
    scalars = torch.stack(
        [
            (plume.kind == DEEP).to(s.t.dtype),
            torch.log(plume.cape.clamp_min(1.0)),
            plume.height / 1000.0,
            plume.z_lcl / 1000.0,
            plume.t_lcl,
            torch.log(times.adjustment.clamp_min(1.0)),
            plume.flux_lcl * 100.0,
            torch.log(greatest_strength(s, plume, down, times).clamp_min(1e-3)),
            torch.log(shallow_strength(s, plume, times).clamp_min(1e-6)),
            plume.flux_lcl * times.adjustment / torch.where(cloud, mass, zero).sum(0).clamp_min(1.0),
            down.evaporated / rain.clamp_min(1e-12),
            torch.log(closed.strength),
            closed.removed,
            scale_factor(s.dx),
        ]
    )
    return coordinate.means(channels).permute(1, 2, 0), scalars
