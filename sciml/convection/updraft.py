"""The ascent of the entraining plume: how far each source layer's cloud reaches, and which source is chosen.

Kain and Fritsch (1990), Kain (2004), with the entrainment of Zheng et al. (2016): mixing with the surroundings is
sorted by buoyancy (a Gaussian of mixed fractions), condensate falls out after Ogura and Cho (1973) and freezes
linearly between 268.16 and 248.16 K. The first source whose cloud is deep enough makes deep convection; else the
source with the tallest cloud makes a shallow one.

Everything is level-first, in float64: decisions hang on the sixth digit of the temperature (relative noise of 1e-4
in the inputs costs the scheme itself 1 % of its variance).
"""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor

from sciml.convection import thermodynamics as td
from sciml.convection.plume import DEEP, NONE, SHALLOW, Plume, completed
from sciml.convection.sounding import Sounding, at
from sciml.convection.source_layer import Source, candidates, scale_factor, source_layer

__all__ = ["ascend", "ice_supersaturated"]

FREEZE_START, FREEZE_END = 268.16, 248.16
ENTRAINMENT, CONVERSION = 0.03, 0.03


def _mixing(fraction: Tensor) -> tuple[Tensor, Tensor]:
    """Entrained and detrained shares for a critical mixed fraction; Kain and Fritsch (1990), eq. 2.

    The Gaussian integrals by Abramowitz and Stegun 26.2.16, as the scheme does.
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
    """Virtual temperature, loaded with condensate, of a mixture of updraft and environment."""
    t, saturated = td.wet_adiabat(p, theta)
    deficit = saturated - q
    water = liquid + ice
    rate = td.latent_heat(t) / (1004.5 * (1.0 + 0.89 * q))
    dry = deficit > water
    short = torch.where(water < 1e-10, deficit / (1.0 + deficit), (deficit - water) / (1.0 + deficit - water))
    t_mixed = torch.where(dry, t + rate * short, t)
    q_mixed = torch.where(dry, torch.where(water < 1e-10, q, q + water), saturated)
    left = torch.where(deficit <= 0.0, water, (water - deficit).clamp_min(0.0) * water / (water + 1e-10))
    return t_mixed * (1.0 + 0.608 * q_mixed - left)


def ice_supersaturated(s: Sounding) -> Tensor:
    """Relative humidity over ice below 273.16 K and over water above, (level, column)."""
    cold = 6.112 * torch.exp(21.87 * (s.t - 273.16) / (s.t - 7.66))
    warm = 6.112 * torch.exp(17.67 * (s.t - 273.16) / (243.5 + s.t - 273.16))
    e = 100.0 * torch.where(s.t <= 273.16, cold, warm)
    return s.q / (td.EPSILON * e / (s.p - e))


def _ascend_from(s: Sounding, source: Source, humidity: Tensor) -> Plume:
    """Lift the plume of one source layer through the columns of `s` (all of which pass the parcel test)."""
    n = len(s)
    shape, new = s.t.shape, s.t.new_zeros
    zero, one = new(n), torch.ones_like(s.t[0])
    factor = scale_factor(s.dx)
    start = source.above - 1
    p_start, p_above = at(s.p, start), at(s.p, source.above)
    p_lcl = p_start + (p_above - p_start) * source.weight
    tv_lcl, tv_env = td.virtual(source.t_lcl, source.q), td.virtual(source.t_env, source.q_env)
    flux_lcl = 0.01 * p_lcl / (td.R_DRY * tv_lcl)
    speed = torch.where(
        source.warming > 1e-4,
        (1.0 + 0.5 * td.root(2.0 * td.GRAVITY * source.warming * 500.0 / tv_env)).clamp_max(3.0),
        one,
    )
    radius = torch.maximum(source.z_lcl, at(s.z, source.top)).clamp(500.0, 4000.0)
    theta = td.equivalent_temperature(source.p, source.t, source.q)
    q, liquid, ice, flux = source.q, zero, zero, one
    energy, inflow, before = speed * speed, zero, one
    e1, d1, freezing = one, zero, torch.full_like(zero, FREEZE_START)
    tv_last, tv_loaded_last, cape = tv_lcl, tv_lcl, zero
    alive = torch.ones(n, dtype=torch.bool, device=s.t.device)
    top, buoyancy_top = start.clone(), source.above.clone()
    out = {
        name: [zero] * shape[0]
        for name in (
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
    }
    out["dilution"] = [one] * shape[0]
    for k in range(int(start.min()) + 1, shape[0]):
        here = alive & (k > start)
        if not bool(alive.any()):
            break
        if not bool(here.any()):
            continue
        first = source.above == k
        p, tv_env_k, tv_env_below = s.p[k], s.tv[k], torch.where(first, tv_env, s.tv[k - 1])
        # saturated ascent to this level
        t, saturated = td.wet_adiabat(p, theta)
        deficit = saturated - q
        fresh = (-deficit).clamp_min(0.0)
        water = liquid + ice
        enough = (deficit > 0.0) & (water >= deficit)
        dry = (deficit > 0.0) & ~enough
        kept = torch.where(enough, 1.0 - deficit / (water + 1e-10), one)
        rate = td.latent_heat(t) / (1004.5 * (1.0 + 0.89 * q))
        empty = water < 1e-10
        short = torch.where(empty, deficit / (1.0 + deficit), (deficit - water) / (1.0 + deficit - water))
        t = torch.where(dry, t + rate * short, t)
        q = torch.where(dry, torch.where(empty, q, q + water), saturated)
        kept = torch.where(dry & ~empty, zero, kept)
        liquid, ice = liquid * kept, ice * kept
        # freezing
        cold = t <= FREEZE_START
        bounded = freezing.clamp_max(FREEZE_START)
        span = torch.where(
            (bounded - FREEZE_END).abs() < 1e-6, torch.full_like(zero, 1e-6), bounded - FREEZE_END
        )
        share = torch.where(t > FREEZE_END, (bounded - t) / span, one)
        share = torch.where(cold, share, zero)
        freezing = torch.where(cold, t, freezing)
        frozen = (liquid + fresh) * share
        fresh_ice = fresh * share
        fresh_liquid = fresh - fresh_ice
        ice, liquid = ice + liquid * share, liquid - liquid * share
        fusion = (2833922.0 - 259.532 * (t - 273.16)) - (2.5e6 - 2369.276 * (t - 273.16))
        sublimation = 2833922.0 - 259.532 * (t - 273.16)
        slope = (td.E_OFFSET - td.E_SLOPE * td.E_SHIFT) / (t - td.E_SHIFT) ** 2
        warmer = t + fusion * frozen / (1004.5 * (1.0 + 0.89 * q) + sublimation * q * slope)
        q_frozen = td.saturation(p, warmer)
        ice = torch.where(cold, ice - (q_frozen - q), ice)
        theta_frozen = td.equivalent_temperature(p, warmer, q_frozen, warmer)
        t, q = torch.where(cold, warmer, t), torch.where(cold, q_frozen, q)
        theta = torch.where(cold & here, theta_frozen, theta)
        tv = td.virtual(t, q)
        # vertical velocity and fallout
        depth = torch.where(first, s.z[k] - source.z_lcl, s.z[k] - s.z[k - 1])
        buoyancy = (tv_last + tv) / (tv_env_below + tv_env_k) - 1.0
        gain = 2.0 * depth * td.GRAVITY * buoyancy / 1.5 - 2.0 * inflow * energy / before
        drag = 2.0 * td.GRAVITY * depth / 1.5
        guess = (energy + gain - drag * 0.5 * (liquid + ice + fresh)).clamp_min(0.0)
        mean = 0.5 * (torch.sqrt(energy.clamp_min(1e-3)) + td.root(guess))
        loss = torch.exp(-CONVERSION / factor * depth / mean)
        fresh_share = fresh_liquid / (fresh + 1e-8)
        involved = liquid + ice + 0.6 * fresh
        liquid_share = (0.6 * fresh_liquid + liquid) / (involved + 1e-8)
        staying = involved * loss
        fallen = involved - staying
        energy = energy + gain - drag * 0.5 * (involved + staying - 0.2 * fresh)
        energy = torch.where(energy.abs() < 1e-4, torch.full_like(zero, 1e-4), energy)
        liquid = liquid_share * staying + fresh_share * 0.4 * fresh
        ice = (1.0 - liquid_share) * staying + (1.0 - fresh_share) * 0.4 * fresh
        out_liquid, out_ice = liquid_share * fallen, (1.0 - liquid_share) * fallen
        rising = here & (energy >= 1e-3)
        # mixing with the surroundings
        theta_env = s.theta_e[k]
        inflow_k = s.dp[k] * (ENTRAINMENT * factor) / radius
        loaded = t * (1.0 + 0.608 * q - liquid - ice)
        work = ((tv_loaded_last + loaded) / (tv_env_below + tv_env_k) - 1.0) * depth
        gained = (work * td.GRAVITY).clamp_min(0.0)
        buoyant = loaded > tv_env_k
        mostly = _mixture(
            p, 0.95 * theta_env + 0.05 * theta, 0.95 * s.q[k] + 0.05 * q, 0.05 * liquid, 0.05 * ice
        )
        little = _mixture(p, 0.1 * theta_env + 0.9 * theta, 0.1 * s.q[k] + 0.9 * q, 0.9 * liquid, 0.9 * ice)
        change = little - loaded
        flat = change.abs() < 1e-3
        critical = ((tv_env_k - loaded) * 0.1 / torch.where(flat, one, change)).clamp(0.0, 1.0)
        e2, d2 = _mixing(critical)
        e2 = torch.where(critical >= 1.0, one, torch.where(critical <= 0.0, zero, e2))
        d2 = torch.where(critical >= 1.0, zero, torch.where(critical <= 0.0, one, d2))
        all_in = (mostly > tv_env_k) | flat
        e2, d2 = torch.where(all_in, one, e2), torch.where(all_in, zero, d2)
        e2 = torch.where(buoyant, e2, torch.full_like(zero, 0.5)).clamp_min(0.5)
        d2 = 1.5 * torch.where(buoyant, d2, one)
        entrained, detrained = 0.5 * inflow_k * (e1 + e2), 0.5 * inflow_k * (d1 + d2)
        goes_on = rising & ((flux - detrained) * flux_lcl * s.dx * s.dx >= 10.0)
        # a plume that detrains altogether ends a level lower, and takes its last energy back
        buoyancy_top = torch.where(goes_on & buoyant, k, torch.where(rising & ~goes_on, k - 1, buoyancy_top))
        cape = torch.where(goes_on, cape + gained, cape)
        left = torch.where(goes_on, flux - detrained, one)
        diluted = left + entrained
        record = {
            "flux": diluted,
            "detrained": detrained,
            "t": t,
            "q_undiluted": q,
            "q": (left * q + entrained * s.q[k]) / diluted,
            "liquid": liquid * left / diluted,
            "ice": ice * left / diluted,
            "rain": out_liquid * flux,
            "snow": out_ice * flux,
            "liquid_out": out_liquid,
            "ice_out": out_ice,
            "dilution": diluted / left,
            "entrained": entrained + torch.where(k <= source.top, s.dp[k] / source.depth, zero),
        }
        for name, value in record.items():
            out[name][k] = torch.where(goes_on, value, out[name][k])
        theta = torch.where(goes_on, (theta * left + theta_env * entrained) / diluted, theta)
        q, liquid, ice = record["q"], record["liquid"], record["ice"]
        flux, before, inflow = torch.where(goes_on, diluted, flux), left, inflow_k
        e1, d1 = e2, d2
        tv_last, tv_loaded_last = tv, loaded
        waiting = ~(k > start)  # the ascent of these columns begins higher: put their beginning back
        if bool(waiting.any()):
            theta = torch.where(waiting, td.equivalent_temperature(source.p, source.t, source.q), theta)
            q, liquid, ice = (
                torch.where(waiting, source.q, q),
                torch.where(waiting, zero, liquid),
                torch.where(waiting, zero, ice),
            )
            energy, inflow = torch.where(waiting, speed * speed, energy), torch.where(waiting, zero, inflow)
            before, freezing = (
                torch.where(waiting, one, before),
                torch.where(waiting, torch.full_like(zero, FREEZE_START), freezing),
            )
            e1, d1 = torch.where(waiting, one, e1), torch.where(waiting, zero, d1)
            tv_last, tv_loaded_last = (
                torch.where(waiting, tv_lcl, tv_last),
                torch.where(waiting, tv_lcl, tv_loaded_last),
            )
        top = torch.where(goes_on, k, top)
        alive = alive & (goes_on | waiting)
    field = {name: torch.stack(values) for name, values in out.items()}
    height = at(s.z, top) - source.z_lcl
    least = (2.0e3 + 100.0 * (source.t_lcl - 273.0)).clamp(2.0e3, 4.0e3)
    level = torch.arange(shape[0], device=s.t.device).unsqueeze(1)
    around = (level >= (start - 1).clamp_min(0)) & (level <= top + 1)
    saturated_all = (humidity >= 0.99) | ~around | (level <= start)
    mean_humidity = torch.where(around, humidity, torch.zeros_like(humidity)).sum(0) / (top - start + 3)
    cloudless = (
        (top <= source.above)
        | (top <= source.top)
        | (buoyancy_top + 1 <= source.top)
        | (saturated_all.all(0) & (mean_humidity >= 1.01))
    )
    deep = ~cloudless & (height > least) & (cape > 1.0)
    kind = torch.where(cloudless, NONE, torch.where(deep, DEEP, SHALLOW))
    return Plume(
        kind=kind,
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
        flux=field["flux"],
        entrained=field["entrained"],
        detrained=field["detrained"],
        t=field["t"],
        q_undiluted=field["q_undiluted"],
        q=field["q"],
        liquid=field["liquid"],
        ice=field["ice"],
        detrained_liquid=torch.zeros_like(s.t),
        detrained_ice=torch.zeros_like(s.t),
        rain=field["rain"],
        snow=field["snow"],
        dilution=field["dilution"],
        liquid_out=field["liquid_out"],
        ice_out=field["ice_out"],
    )


def ascend(s: Sounding) -> Plume:
    """The plume that the scheme would choose in each column.

    Parameters
    ----------
    s
        Columns, all of which pass the parcel test. Where no cloud comes of it, the kind is NONE.
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
