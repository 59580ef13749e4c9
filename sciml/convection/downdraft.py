"""Downdraft of a deep plume, from 150 hPa above the source layer to the ground (Kain 2004, section 3c).

Down to the level above the source layer, the downdraft mixes the air of the layers by mass. Below, it follows a
saturated descent with a decrease of relative humidity by 20 % per kilometre and cooling by melting, until it is
buoyant, and then spreads over the layers of the descent. Its strength relative to the updraft is 2 (1 - mean relative
humidity), limited by the rain that can evaporate.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.constants import E_SHIFT, E_SLOPE, LATENT_HEAT_FUSION_SCHEME, TRIPLE_POINT
from sciml.convection import thermodynamics as td
from sciml.convection.plume import DEEP, Plume
from sciml.convection.sounding import Sounding, at

__all__ = ["Downdraft", "descend"]

REACH, LEAST = 150.0e2, 50.0e2


@dataclass(frozen=True)
class Downdraft:
    """Fluxes relative to the updraft's at the LCL, positive downwards; (level, column) and (column,)."""

    flux: Tensor
    entrained: Tensor
    detrained: Tensor
    t: Tensor  # K, where it detrains
    q: Tensor  # kg/kg, where it detrains
    start: Tensor  # level of free sinking
    evaporated: Tensor  # flux of rain that it evaporates


def descend(s: Sounding, plume: Plume) -> Downdraft:
    """Compute the downdraft of each column's plume; zero where the plume is shallow or not deep enough."""
    levels = s.t.shape[0]
    level = torch.arange(levels, device=s.t.device).unsqueeze(1)
    zeros = torch.zeros_like(s.t)
    handover = (plume.source_top + 1).clamp_max(levels - 1)
    p_handover = at(s.p, handover)
    low_enough = (p_handover - s.p > REACH) & (level > handover)
    highest = low_enough.to(torch.int64).argmax(0)
    start = torch.where(low_enough.any(0), highest, plume.buoyancy_top - 1)
    start = torch.minimum(start, plume.buoyancy_top - 1).clamp_min(0)
    exists = (plume.kind == DEEP) & (p_handover - at(s.p, start) > LEAST)
    mixing = (level >= handover) & (level <= start)
    mass = torch.where(mixing, s.dp, zeros)
    total = mass.sum(0).clamp_min(1e-6)
    theta = (mass * s.theta_e).sum(0) / total
    q = (mass * s.q).sum(0) / total
    humidity = (mass * s.rh).sum(0) / total
    # flux through the bottom of each mixing level, relative to the flux at the handover
    flux = torch.flip(torch.cumsum(torch.flip(mass, [0]), 0), [0]) / total
    flux = torch.where(mixing, flux, zeros)
    entrained = mass / total
    cloud = (level >= plume.cloud_base) & (level <= plume.top)
    warm = (s.t > TRIPLE_POINT) & (level <= plume.top)
    melting_level = torch.where(warm, level, torch.zeros_like(level)).amax(0)
    frozen = torch.where(cloud, plume.snow, zeros).sum(0)
    melting = LATENT_HEAT_FUSION_SCHEME * frozen / (td.CP * at(plume.flux, plume.cloud_base).clamp_min(1e-6))
    melting = torch.where(plume.base < melting_level, melting, torch.zeros_like(melting))
    t_handover = td.wet_adiabat(p_handover, theta)[0] - melting
    saturated = td.saturation(p_handover, t_handover)
    theta = td.equivalent_temperature(p_handover, t_handover, saturated, t_handover)
    z_handover = at(s.z, handover)
    temperatures, vapours = [zeros[0]] * levels, [zeros[0]] * levels
    sinking = exists
    end = torch.zeros_like(handover)
    for k in range(int(handover.max()) - 1, -1, -1):
        here = sinking & (k < handover)
        if not bool(here.any()):
            continue
        t, wet = td.wet_adiabat(s.p[k], theta)
        target = 1.0 - 0.2e-3 * (z_handover - s.z[k])
        slope = (td.E_OFFSET - E_SLOPE * E_SHIFT) / (t - E_SHIFT) ** 2
        heat = td.latent_heat(t)
        t_dry = t + heat * wet * (1.0 - target) / (td.CP + heat * target * wet * slope)
        e = target * td.E_ZERO * torch.exp((E_SLOPE * t_dry - td.E_OFFSET) / (t_dry - E_SHIFT))
        q_dry = td.EPSILON * e / (s.p[k] - e)
        moist = q_dry < q
        t_dry = torch.where(moist, t + (wet - q) * heat / td.CP, t_dry)
        q_dry = torch.where(moist, q, q_dry)
        temperatures[k] = torch.where(here, t_dry, temperatures[k])
        vapours[k] = torch.where(here, q_dry, vapours[k])
        stops = here & (td.virtual(t_dry, q_dry) > s.tv[k])
        if k == 0:
            stops = here
        end = torch.where(stops, k, end)
        sinking = sinking & ~stops
    exists = exists & (at(s.p, end) - at(s.p, start) > LEAST) & (handover > 0)
    spreading = (level >= end) & (level < handover)
    share = torch.where(spreading, s.dp, zeros)
    share = share / share.sum(0).clamp_min(1e-6)
    t_down, q_down = torch.stack(temperatures), torch.stack(vapours)
    evaporated = ((q_down - q) * share).sum(0)
    exists = exists & (evaporated > 1e-9)
    rain = torch.where(level <= plume.top, plume.rain + plume.snow, zeros).sum(0)
    strength = 2.0 * (1.0 - humidity) * at(plume.flux, plume.cloud_base)
    strength = torch.minimum(strength, rain / evaporated.clamp_min(1e-9))
    strength = torch.where(exists, strength, torch.zeros_like(strength))
    below = torch.where(spreading, torch.cumsum(share, 0), zeros)
    return Downdraft(
        flux=strength * (flux + below),
        entrained=strength * entrained,
        detrained=strength * share,
        t=torch.where(exists & spreading, t_down, zeros),
        q=torch.where(exists & spreading, q_down, zeros),
        start=torch.where(plume.kind == DEEP, start, torch.zeros_like(start)),
        evaporated=strength * evaporated,
    )
