"""Steps of the entraining plume at one level: saturation, freezing, vertical velocity, fallout and mixing.

Kain and Fritsch (1990), Kain (2004), with the entrainment of Zheng et al. (2016): mixing with the surroundings is
sorted by buoyancy (a Gaussian of mixed fractions), condensate falls out after Ogura and Cho (1973) and freezes
linearly between 268.16 and 248.16 K.

The order of the operations is that of the scheme's own code, and the results are compared with it bit by bit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sciml.constants import (
    E_SHIFT,
    E_SLOPE,
    LATENT_HEAT_SLOPE_FREEZING,
    LATENT_HEAT_SUBLIMATION,
    LATENT_HEAT_SUBLIMATION_SLOPE,
    LATENT_HEAT_VAPORISATION,
    TRIPLE_POINT,
    VIRTUAL,
)
from sciml.convection import thermodynamics as td
from sciml.convection.sounding import Sounding
from sciml.convection.source_layer import SourceLayer, scale_factor

__all__ = ["FREEZE_START", "Air", "Lifted", "Mixed", "Surroundings", "entrain", "freeze", "lift", "saturate"]

FREEZE_START, FREEZE_END = 268.16, 248.16
ENTRAINMENT, CONVERSION = 0.03, 0.03


@dataclass(frozen=True)
class Air:
    """Air of the plume between two levels; all (column,).

    `flux` and `flux_detrained` are relative to the mass flux at the LCL.
    """

    theta: Tensor  # K, equivalent potential temperature
    q: Tensor  # kg/kg, vapour
    liquid: Tensor  # kg/kg
    ice: Tensor  # kg/kg
    freezing: Tensor  # K, temperature from which the condensate freezes on
    energy: Tensor  # m2/s2, square of the vertical velocity
    inflow: Tensor  # relative inflow of the level below
    flux: Tensor  # upward mass flux after mixing
    flux_detrained: Tensor  # upward mass flux after detrainment, before entrainment
    share_in: Tensor  # share of the inflow that is entrained
    share_out: Tensor  # share of the inflow that is detrained
    tv: Tensor  # K, virtual temperature
    tv_loaded: Tensor  # K, virtual temperature with the weight of the condensate


@dataclass(frozen=True)
class Surroundings:
    """Environment of one level, (column,), and the properties of the source layer for its steps."""

    p: Tensor  # Pa
    dp: Tensor  # Pa
    q: Tensor  # kg/kg
    theta_e: Tensor  # K
    tv: Tensor  # K
    tv_below: Tensor  # K, at the level below or, at the first level, at the LCL
    depth: Tensor  # m, from there to this level
    radius: Tensor  # m, of the cloud
    factor: Tensor  # scale factor of the grid spacing

    @classmethod
    def of(cls, s: Sounding, source: SourceLayer, radius: Tensor, k: int) -> Surroundings:
        """Select the environment of level `k`."""
        first = source.above == k
        return cls(
            p=s.p[k],
            dp=s.dp[k],
            q=s.q[k],
            theta_e=s.theta_e[k],
            tv=s.tv[k],
            tv_below=torch.where(first, td.virtual(source.t_env, source.q_env), s.tv[k - 1]),
            depth=torch.where(first, s.z[k] - source.z_lcl, s.z[k] - s.z[k - 1]),
            radius=radius,
            factor=scale_factor(s.dx),
        )


@dataclass(frozen=True)
class Lifted:
    """The plume's air at a level, before it mixes with the surroundings; all (column,)."""

    t: Tensor  # K
    q: Tensor  # kg/kg, vapour
    liquid: Tensor  # kg/kg
    ice: Tensor  # kg/kg
    fresh: Tensor  # kg/kg, condensed at this level
    fresh_liquid: Tensor  # kg/kg, the part of it that does not freeze


@dataclass(frozen=True)
class Mixed:
    """The exchange with the surroundings at a level; all (column,)."""

    entrained: Tensor  # relative mass flux
    detrained: Tensor
    share_in: Tensor
    share_out: Tensor
    inflow: Tensor
    tv_loaded: Tensor  # K, before mixing
    buoyant: Tensor  # bool
    work: Tensor  # J/kg, by positive buoyancy


def saturate(level: Surroundings, air: Air) -> Lifted:
    """Lift the air to a level along the wet adiabat: vapour condenses, or condensate evaporates to saturation."""
    t, saturated = td.wet_adiabat(level.p, air.theta)
    zeros, ones = torch.zeros_like(t), torch.ones_like(t)
    deficit = saturated - air.q
    fresh = (-deficit).clamp_min(0.0)
    water = air.liquid + air.ice
    enough = (deficit > 0.0) & (water >= deficit)
    dry = (deficit > 0.0) & ~enough
    remaining = torch.where(enough, 1.0 - deficit / (water + 1e-10), ones)
    rate = td.latent_heat(t) / td.heat_capacity(air.q)
    empty = water < 1e-10
    short = torch.where(empty, deficit / (1.0 + deficit), (deficit - water) / (1.0 + deficit - water))
    t = torch.where(dry, t + rate * short, t)
    q = torch.where(dry, torch.where(empty, air.q, air.q + water), saturated)
    remaining = torch.where(dry & ~empty, zeros, remaining)
    return Lifted(t, q, air.liquid * remaining, air.ice * remaining, fresh, fresh)


def freeze(level: Surroundings, air: Air, raised: Lifted) -> tuple[Lifted, Tensor, Tensor, Tensor]:
    """Freeze condensate between `FREEZE_START` and `FREEZE_END`.

    Returns
    -------
    tuple
        The air, whether it is cold enough to freeze, its equivalent potential temperature (K) where it is, and the
        temperature (K) from which freezing goes on.
    """
    t, q, liquid, ice, fresh = raised.t, raised.q, raised.liquid, raised.ice, raised.fresh
    zeros, ones = torch.zeros_like(t), torch.ones_like(t)
    cold = t <= FREEZE_START
    bounded = air.freezing.clamp_max(FREEZE_START)
    span = torch.where(
        (bounded - FREEZE_END).abs() < 1e-6, torch.full_like(zeros, 1e-6), bounded - FREEZE_END
    )
    share = torch.where(t > FREEZE_END, (bounded - t) / span, ones)
    share = torch.where(cold, share, zeros)
    freezing = torch.where(cold, t, air.freezing)
    frozen = (liquid + fresh) * share
    fresh_ice = fresh * share
    fresh_liquid = fresh - fresh_ice
    ice, liquid = ice + liquid * share, liquid - liquid * share
    above = t - TRIPLE_POINT
    sublimation = LATENT_HEAT_SUBLIMATION - LATENT_HEAT_SUBLIMATION_SLOPE * above
    fusion = sublimation - (LATENT_HEAT_VAPORISATION - LATENT_HEAT_SLOPE_FREEZING * above)
    slope = (td.E_OFFSET - E_SLOPE * E_SHIFT) / (t - E_SHIFT) ** 2
    warmer = t + fusion * frozen / (td.heat_capacity(q) + sublimation * q * slope)
    q_frozen = td.saturation(level.p, warmer)
    ice = torch.where(cold, ice - (q_frozen - q), ice)
    theta = td.equivalent_temperature(level.p, warmer, q_frozen, warmer)
    t, q = torch.where(cold, warmer, t), torch.where(cold, q_frozen, q)
    return Lifted(t, q, liquid, ice, fresh, fresh_liquid), cold, theta, freezing


def lift(
    level: Surroundings, air: Air, raised: Lifted, tv: Tensor
) -> tuple[Lifted, Tensor, tuple[Tensor, Tensor]]:
    """Compute vertical velocity by buoyancy, drag and entrainment, and the fallout of condensate up to the level.

    Returns
    -------
    tuple
        The air, the square of its vertical velocity (m2/s2), and the liquid and ice (kg/kg) that fall out.
    """
    liquid, ice, fresh = raised.liquid, raised.ice, raised.fresh
    depth, energy = level.depth, air.energy
    buoyancy = (air.tv + tv) / (level.tv_below + level.tv) - 1.0
    gain = 2.0 * depth * td.GRAVITY * buoyancy / 1.5 - 2.0 * air.inflow * energy / air.flux_detrained
    drag = 2.0 * td.GRAVITY * depth / 1.5
    guess = (energy + gain - drag * 0.5 * (liquid + ice + fresh)).clamp_min(0.0)
    mean = 0.5 * (torch.sqrt(energy.clamp_min(1e-3)) + td.root(guess))
    loss = torch.exp(-CONVERSION / level.factor * depth / mean)
    fresh_share = raised.fresh_liquid / (fresh + 1e-8)
    involved = liquid + ice + 0.6 * fresh
    liquid_share = (0.6 * raised.fresh_liquid + liquid) / (involved + 1e-8)
    staying = involved * loss
    fallen = involved - staying
    energy = energy + gain - drag * 0.5 * (involved + staying - 0.2 * fresh)
    energy = torch.where(energy.abs() < 1e-4, torch.full_like(energy, 1e-4), energy)
    liquid = liquid_share * staying + fresh_share * 0.4 * fresh
    ice = (1.0 - liquid_share) * staying + (1.0 - fresh_share) * 0.4 * fresh
    fallout = liquid_share * fallen, (1.0 - liquid_share) * fallen
    return replace(raised, liquid=liquid, ice=ice), energy, fallout


def entrain(level: Surroundings, air: Air, theta: Tensor, lifted: Lifted) -> Mixed:
    """Compute entrainment and detrainment by the buoyancy of mixtures of plume (`theta`, K) and surroundings."""
    q, liquid, ice = lifted.q, lifted.liquid, lifted.ice
    ones, zeros = torch.ones_like(q), torch.zeros_like(q)
    inflow = level.dp * (ENTRAINMENT * level.factor) / level.radius
    loaded = lifted.t * (1.0 + VIRTUAL * q - liquid - ice)
    work = ((air.tv_loaded + loaded) / (level.tv_below + level.tv) - 1.0) * level.depth
    buoyant = loaded > level.tv
    mostly = _mixture(
        level.p, 0.95 * level.theta_e + 0.05 * theta, 0.95 * level.q + 0.05 * q, 0.05 * liquid, 0.05 * ice
    )
    little = _mixture(
        level.p, 0.1 * level.theta_e + 0.9 * theta, 0.1 * level.q + 0.9 * q, 0.9 * liquid, 0.9 * ice
    )
    change = little - loaded
    flat = change.abs() < 1e-3
    critical = ((level.tv - loaded) * 0.1 / torch.where(flat, ones, change)).clamp(0.0, 1.0)
    share_in, share_out = _mixing(critical)
    share_in = torch.where(critical >= 1.0, ones, torch.where(critical <= 0.0, zeros, share_in))
    share_out = torch.where(critical >= 1.0, zeros, torch.where(critical <= 0.0, ones, share_out))
    all_in = (mostly > level.tv) | flat
    share_in, share_out = torch.where(all_in, ones, share_in), torch.where(all_in, zeros, share_out)
    share_in = torch.where(buoyant, share_in, torch.full_like(zeros, 0.5)).clamp_min(0.5)
    share_out = 1.5 * torch.where(buoyant, share_out, ones)
    return Mixed(
        entrained=0.5 * inflow * (air.share_in + share_in),
        detrained=0.5 * inflow * (air.share_out + share_out),
        share_in=share_in,
        share_out=share_out,
        inflow=inflow,
        tv_loaded=loaded,
        buoyant=buoyant,
        work=(work * td.GRAVITY).clamp_min(0.0),
    )


def _mixing(fraction: Tensor) -> tuple[Tensor, Tensor]:
    """Compute entrained and detrained shares for a critical mixed fraction; Kain and Fritsch (1990), eq. 2.

    The Gaussian integrals by Abramowitz and Stegun 26.2.16, as the scheme computes them.
    """
    sigma, root, norm = 0.166666667, 2.506628, 0.202765151
    a1, a2, a3, p = 0.4361836, -0.1201676, 0.9372980, 0.33267
    y = 6.0 * fraction - 3.0
    ey = torch.exp(-0.5 * y * y)
    e45 = 0.011108996538242306
    t1, t2 = 0.500498, 1.0 / (1.0 + p * y.abs())
    c1 = t1 * (a1 + t1 * (a2 + t1 * a3))
    c2 = t2 * (a1 + t2 * (a2 + t2 * a3))
    wide = sigma * (0.5 * (root - e45 * c1 - ey * c2) + sigma * (e45 - ey))
    slim = sigma * (0.5 * (ey * c2 - e45 * c1) + sigma * (e45 - ey))
    right = y >= 0.0
    entrained = torch.where(right, wide, slim) - e45 * fraction * fraction / 2.0
    detrained = torch.where(right, slim, wide) - e45 * (0.5 + fraction * fraction / 2.0 - fraction)
    return entrained / norm, detrained / norm


def _mixture(p: Tensor, theta: Tensor, q: Tensor, liquid: Tensor, ice: Tensor) -> Tensor:
    """Virtual temperature (K), with the weight of its condensate, of a mixture of updraft and environment."""
    t, saturated = td.wet_adiabat(p, theta)
    deficit = saturated - q
    water = liquid + ice
    rate = td.latent_heat(t) / td.heat_capacity(q)
    dry = deficit > water
    short = torch.where(water < 1e-10, deficit / (1.0 + deficit), (deficit - water) / (1.0 + deficit - water))
    t_mixed = torch.where(dry, t + rate * short, t)
    q_mixed = torch.where(dry, torch.where(water < 1e-10, q, q + water), saturated)
    left = torch.where(deficit <= 0.0, water, (water - deficit).clamp_min(0.0) * water / (water + 1e-10))
    return t_mixed * (1.0 + VIRTUAL * q_mixed - left)
