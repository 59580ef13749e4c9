"""Ascent of the entraining plume: the top of the cloud of each source layer, and the choice of the source layer.

Kain and Fritsch (1990), Kain (2004), with the entrainment of Zheng et al. (2016); the steps at a level are in
`sciml.convection.updraft_level`. The first source layer with a sufficiently deep cloud gives deep convection;
otherwise the source layer with the tallest cloud gives shallow convection.

Arrays are level-first in float64, because decisions depend on the sixth digit of the temperature (relative noise of
1e-4 in the inputs changes the tendencies of the scheme by 1 % of their variance).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from sciml.constants import E_SLOPE, TRIPLE_POINT
from sciml.convection import thermodynamics as td
from sciml.convection.plume import DEEP, NONE, SHALLOW, Plume, completed
from sciml.convection.sounding import Sounding, at
from sciml.convection.source_layer import SourceLayer, candidates, source_layer
from sciml.convection.updraft_level import (
    FREEZE_START,
    Air,
    Surroundings,
    entrain,
    freeze,
    lift,
    saturate,
)

__all__ = ["ascend", "ice_supersaturated"]

LEAST_ENERGY = 1e-3  # m2/s2, below which the plume ends
LEAST_FLUX = 10.0  # kg/s, of a cell: the plume ends where less is left of it
PROFILES = (
    "flux",
    "entrained",
    "detrained",
    "t",
    "q_undiluted",
    "q",
    "liquid",
    "ice",
    "rain",
    "snow",
    "liquid_out",
    "ice_out",
    "dilution",
)


@dataclass(frozen=True)
class _Extent:
    """Extent of the clouds up to the current level; all (column,)."""

    alive: Tensor  # bool: the plume still rises, or starts higher
    top: Tensor  # last level of the cloud
    buoyancy_top: Tensor  # last level with buoyancy
    cape: Tensor  # J/kg


def ice_supersaturated(s: Sounding) -> Tensor:
    """Relative humidity over ice below 273.16 K and over water above, (level, column)."""
    cold = 6.112 * torch.exp(21.87 * (s.t - TRIPLE_POINT) / (s.t - 7.66))
    warm = 6.112 * torch.exp(E_SLOPE * (s.t - TRIPLE_POINT) / (243.5 + s.t - TRIPLE_POINT))
    e = 100.0 * torch.where(s.t <= TRIPLE_POINT, cold, warm)
    return s.q / (td.EPSILON * e / (s.p - e))


def ascend(s: Sounding) -> Plume:
    """Choose the plume of each column as the scheme does.

    Parameters
    ----------
    s
        Columns, all of which pass the parcel test. Where no cloud forms, the kind is NONE.
    """
    flags, humidity = candidates(s), ice_supersaturated(s)
    best: dict[str, Tensor] = {}
    decided = torch.zeros(len(s), dtype=torch.bool, device=s.t.device)
    for base in range(s.levels):
        if not bool(flags[base].any()):
            continue
        source = source_layer(s, base, flags[base])
        chosen = torch.nonzero(source.passes & ~decided).squeeze(1)
        if not len(chosen):
            continue
        new = _ascend_from(s.take(chosen), source.take(chosen), humidity[:, chosen])
        if not best:
            best = {
                field.name: getattr(new, field.name).new_zeros((*getattr(new, field.name).shape[:-1], len(s)))
                for field in fields(new)
            }
        tallest = torch.where(best["kind"][chosen] == SHALLOW, best["height"][chosen], 0.0)
        better = (new.kind == DEEP) | ((new.kind == SHALLOW) & (new.height > tallest))
        where = chosen[better]
        for name in best:
            best[name][..., where] = getattr(new, name)[..., better]
        decided[where] = decided[where] | (new.kind[better] == DEEP)
    return completed(s, Plume(**best))


def _ascend_from(s: Sounding, source: SourceLayer, humidity: Tensor) -> Plume:
    """Lift the plume of one source layer through the columns of `s` (all of which pass the parcel test)."""
    start = source.above - 1
    flux_lcl = _flux_at_lcl(s, source)
    radius = torch.maximum(source.z_lcl, at(s.z, source.top)).clamp(500.0, 4000.0)
    air_at_lcl = _air_at_lcl(source)
    air, extent = air_at_lcl, _extent_at_lcl(source)
    zeros, ones = torch.zeros_like(air.q), torch.ones_like(air.q)
    profiles = {name: [ones if name == "dilution" else zeros] * s.levels for name in PROFILES}
    for k in range(int(start.min()) + 1, s.levels):
        if not bool(extent.alive.any()):
            break
        here = extent.alive & (k > start)
        if not bool(here.any()):
            continue
        level = Surroundings.of(s, source, radius, k)
        air, extent, goes_on, values = _rise(level, air, extent, here, flux_lcl, s.dx, k)
        values["entrained"] = values["entrained"] + torch.where(
            k <= source.top, s.dp[k] / source.depth, zeros
        )
        for name, value in values.items():
            profiles[name][k] = torch.where(goes_on, value, profiles[name][k])
        waiting = ~(k > start)  # The ascent of these columns starts higher, so their first state is restored.
        if bool(waiting.any()):
            air = _replace_where(waiting, air, air_at_lcl)
        extent = _Extent(
            alive=extent.alive & (goes_on | waiting),
            top=torch.where(goes_on, k, extent.top),
            buoyancy_top=extent.buoyancy_top,
            cape=extent.cape,
        )
    return _classified(s, source, humidity, flux_lcl, extent, profiles)


def _flux_at_lcl(s: Sounding, source: SourceLayer) -> Tensor:
    """Mass flux (kg/m2/s) at the LCL of 1 m/s over 1 % of the area."""
    p_start, p_above = at(s.p, source.above - 1), at(s.p, source.above)
    p_lcl = p_start + (p_above - p_start) * source.weight
    return 0.01 * p_lcl / (td.R_DRY * td.virtual(source.t_lcl, source.q))


def _air_at_lcl(source: SourceLayer) -> Air:
    """The air of a source layer at its LCL, with the velocity that the trigger's warming gives it."""
    tv = td.virtual(source.t_lcl, source.q)
    tv_env = td.virtual(source.t_env, source.q_env)
    zeros, ones = torch.zeros_like(tv), torch.ones_like(tv)
    speed = torch.where(
        source.warming > 1e-4,
        (1.0 + 0.5 * td.root(2.0 * td.GRAVITY * source.warming * 500.0 / tv_env)).clamp_max(3.0),
        ones,
    )
    return Air(
        theta=td.equivalent_temperature(source.p, source.t, source.q),
        q=source.q,
        liquid=zeros,
        ice=zeros,
        freezing=torch.full_like(zeros, FREEZE_START),
        energy=speed * speed,
        inflow=zeros,
        flux=ones,
        flux_detrained=ones,
        share_in=ones,
        share_out=zeros,
        tv=tv,
        tv_loaded=tv,
    )


def _extent_at_lcl(source: SourceLayer) -> _Extent:
    return _Extent(
        alive=torch.ones_like(source.above, dtype=torch.bool),
        top=source.above - 1,
        buoyancy_top=source.above.clone(),
        cape=torch.zeros_like(source.q),
    )


def _rise(
    level: Surroundings, air: Air, extent: _Extent, here: Tensor, flux_lcl: Tensor, dx: Tensor, k: int
) -> tuple[Air, _Extent, Tensor, dict[str, Tensor]]:
    """Lift the air to level `k` in the columns `here` and mix it there.

    Returns
    -------
    tuple
        The air after mixing, the extent of the cloud (`alive` and `top` as given), whether the plume goes on (column,),
        and the values of the level's profiles.
    """
    raised, cold, theta_frozen, freezing = freeze(level, air, saturate(level, air))
    theta = torch.where(cold & here, theta_frozen, air.theta)
    tv = td.virtual(raised.t, raised.q)
    lifted, energy, (rain, snow) = lift(level, air, raised, tv)
    rising = here & (energy >= LEAST_ENERGY)
    mixed = entrain(level, air, theta, lifted)
    goes_on = rising & ((air.flux - mixed.detrained) * flux_lcl * dx * dx >= LEAST_FLUX)
    # A plume that detrains completely ends a level lower, without the energy of this level.
    buoyancy_top = torch.where(
        goes_on & mixed.buoyant, k, torch.where(rising & ~goes_on, k - 1, extent.buoyancy_top)
    )
    cape = torch.where(goes_on, extent.cape + mixed.work, extent.cape)
    left = torch.where(goes_on, air.flux - mixed.detrained, torch.ones_like(air.flux))
    diluted = left + mixed.entrained
    values = {
        "flux": diluted,
        "entrained": mixed.entrained,
        "detrained": mixed.detrained,
        "t": lifted.t,
        "q_undiluted": lifted.q,
        "q": (left * lifted.q + mixed.entrained * level.q) / diluted,
        "liquid": lifted.liquid * left / diluted,
        "ice": lifted.ice * left / diluted,
        "rain": rain * air.flux,
        "snow": snow * air.flux,
        "liquid_out": rain,
        "ice_out": snow,
        "dilution": diluted / left,
    }
    after = Air(
        theta=torch.where(goes_on, (theta * left + level.theta_e * mixed.entrained) / diluted, theta),
        q=values["q"],
        liquid=values["liquid"],
        ice=values["ice"],
        freezing=freezing,
        energy=energy,
        inflow=mixed.inflow,
        flux=torch.where(goes_on, diluted, air.flux),
        flux_detrained=left,
        share_in=mixed.share_in,
        share_out=mixed.share_out,
        tv=tv,
        tv_loaded=mixed.tv_loaded,
    )
    return after, _Extent(extent.alive, extent.top, buoyancy_top, cape), goes_on, values


def _replace_where(mask: Tensor, air: Air, other: Air) -> Air:
    """Return the air, replaced by another in the columns of a mask."""
    return Air(**{name: torch.where(mask, value, getattr(air, name)) for name, value in vars(other).items()})


def _classified(
    s: Sounding,
    source: SourceLayer,
    humidity: Tensor,
    flux_lcl: Tensor,
    extent: _Extent,
    profiles: dict[str, list[Tensor]],
) -> Plume:
    """The plume of one source layer: deep, shallow, or none where no cloud forms."""
    top, buoyancy_top, cape = extent.top, extent.buoyancy_top, extent.cape
    start = source.above - 1
    height = at(s.z, top) - source.z_lcl
    least = (2.0e3 + 100.0 * (source.t_lcl - 273.0)).clamp(2.0e3, 4.0e3)
    level = torch.arange(s.levels, device=s.t.device).unsqueeze(1)
    around = (level >= (start - 1).clamp_min(0)) & (level <= top + 1)
    saturated = (humidity >= 0.99) | ~around | (level <= start)
    mean_humidity = torch.where(around, humidity, torch.zeros_like(humidity)).sum(0) / (top - start + 3)
    cloudless = (
        (top <= source.above)
        | (top <= source.top)
        | (buoyancy_top + 1 <= source.top)
        | (saturated.all(0) & (mean_humidity >= 1.01))
    )
    deep = ~cloudless & (height > least) & (cape > 1.0)
    return Plume(
        kind=torch.where(cloudless, NONE, torch.where(deep, DEEP, SHALLOW)),
        base=torch.full_like(top, source.base),
        source_top=source.top,
        source_depth=source.depth,
        t_mix=source.t,
        q_mix=source.q,
        z_mix=source.z,
        p_mix=source.p,
        cloud_base=source.above,
        buoyancy_top=buoyancy_top,
        top=top,
        t_lcl=source.t_lcl,
        z_lcl=source.z_lcl,
        height=height,
        least_height=least,
        cape=cape,
        flux_lcl=flux_lcl,
        detrained_liquid=torch.zeros_like(s.t),
        detrained_ice=torch.zeros_like(s.t),
        **{name: torch.stack(values) for name, values in profiles.items()},
    )
