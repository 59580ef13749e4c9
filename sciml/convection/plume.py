"""Plume of each column, and its mass flux at cloud top and below cloud base.

Above the level where buoyancy ends, the mass flux decreases linearly with pressure to the top of the cloud (Kain and
Fritsch 1990). Below cloud base it increases through the source layer. Arrays are (level, column); indices of levels
begin at 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sciml.convection.sounding import Sounding, at
from sciml.convection.source_layer import LAPSE

__all__ = ["DEEP", "NONE", "SHALLOW", "Plume", "completed"]

NONE, SHALLOW, DEEP = 0, 1, 2


@dataclass(frozen=True)
class Plume:
    """Plume of every column. Profiles are (level, column), zero outside the cloud; other values are (column,).

    Mass fluxes are relative to the flux at the LCL (1 % of the area times 1 m/s). The closure determines the factor of
    the absolute fluxes.
    """

    kind: Tensor  # NONE, SHALLOW or DEEP
    base: Tensor  # bottom level of the source layer
    source_top: Tensor
    source_depth: Tensor  # Pa
    t_mix: Tensor
    q_mix: Tensor
    z_mix: Tensor
    p_mix: Tensor
    cloud_base: Tensor  # first level at or above the LCL
    buoyancy_top: Tensor  # last level with buoyancy
    top: Tensor  # last level of the cloud
    t_lcl: Tensor
    z_lcl: Tensor
    height: Tensor  # m, of the cloud
    least_height: Tensor  # m, the least of deep convection
    cape: Tensor  # J/kg, with condensate and entrainment
    flux_lcl: Tensor  # kg/m2/s per unit of area and velocity: density at the LCL times 0.01
    flux: Tensor  # upward mass flux through the top of each level
    entrained: Tensor  # per level
    detrained: Tensor
    t: Tensor  # K, updraft
    q_undiluted: Tensor  # kg/kg, vapour that detrains
    q: Tensor  # kg/kg, vapour after mixing
    liquid: Tensor
    ice: Tensor
    detrained_liquid: Tensor  # flux
    detrained_ice: Tensor
    rain: Tensor  # flux, fallout at each level
    snow: Tensor
    dilution: Tensor  # flux after mixing over flux before, in each level
    liquid_out: Tensor  # kg/kg, fallout of the updraft's air in each level
    ice_out: Tensor

    def take(self, index: Tensor) -> Plume:
        """Select the columns at `index`."""
        return Plume(**{name: value[..., index] for name, value in vars(self).items()})


def completed(s: Sounding, raw: Plume) -> Plume:
    """Add the mass flux at cloud top and in the source layer below cloud base, and compute the detrained air."""
    level = torch.arange(s.levels, device=s.t.device).unsqueeze(1)
    zeros = torch.zeros_like(s.t)
    shallow = raw.kind == SHALLOW
    turn = torch.where(shallow, torch.maximum(raw.source_top, raw.cloud_base), raw.buoyancy_top)
    dilution = raw.dilution
    above = (level > turn) & (level <= raw.top)
    dp_above = torch.where(above, s.dp, zeros)
    at_turn = at(raw.flux, turn)
    below_top = torch.cumsum(dp_above, 0)
    depth = dp_above.sum(0).clamp_min(1e-6)
    flux = torch.where(above, at_turn * (1.0 - below_top / depth), raw.flux)
    lower = torch.cat([flux[:1] * 0.0, flux[:-1]])
    at_top = above & (level == raw.top)
    entrained = torch.where(above, torch.where(at_top, zeros, flux * (1.0 - 1.0 / dilution)), raw.entrained)
    detrained = torch.where(above, torch.where(at_top, lower, lower - flux + entrained), raw.detrained)
    # the scheme does not change the flux of the topmost level; its cloud fraction depends on it
    flux = torch.where(at_top, raw.flux, flux)
    at_once = (turn == raw.top) & (level == raw.top)
    detrained = torch.where(at_once, raw.flux + raw.detrained - raw.entrained, detrained)
    entrained, flux = torch.where(at_once, zeros, entrained), torch.where(at_once, zeros, flux)
    # condensate detrains before the level's mixing, by which raw.liquid and raw.ice are diluted already
    detrained_liquid = detrained * raw.liquid * dilution
    detrained_ice = detrained * raw.ice * dilution
    lower = torch.cat([flux[:1] * 0.0, flux[:-1]])
    higher = (level >= turn + 2) & (level <= raw.top)
    rain = torch.where(higher, lower * raw.liquid_out, raw.rain)
    snow = torch.where(higher, lower * raw.ice_out, raw.snow)
    start = raw.cloud_base - 1
    inside = (level >= raw.base) & (level <= start)
    mixed = inside & (level <= raw.source_top)
    share = torch.where(mixed, s.dp / raw.source_depth, zeros)
    flux = torch.where(inside, torch.cumsum(share, 0), flux)
    flux = torch.where(inside & (level > raw.source_top), torch.ones_like(flux), flux)
    entrained = torch.where(inside, share, entrained)
    t = torch.where(inside, raw.t_mix + (s.z - raw.z_mix) * LAPSE, raw.t)
    q = torch.where(inside, raw.q_mix.expand_as(zeros), raw.q)
    cloud = (level > start) & (level <= raw.top)
    masked = {
        "flux": (flux, cloud | inside),
        "entrained": (entrained, cloud | inside),
        "detrained": (detrained, cloud),
        "t": (t, cloud | inside),
        "q_undiluted": (raw.q_undiluted, cloud),
        "q": (q, cloud | inside),
        "liquid": (raw.liquid, cloud),
        "ice": (raw.ice, cloud),
        "detrained_liquid": (detrained_liquid, cloud),
        "detrained_ice": (detrained_ice, cloud),
        "rain": (rain, cloud),
        "snow": (snow, cloud),
    }
    fields = {name: torch.where(mask, value, zeros) for name, (value, mask) in masked.items()}
    return replace(raw, **fields)
