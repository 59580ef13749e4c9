"""The strength of deep convection: nine tenths of the plume's available energy is removed in the adjustment time.

Kain (2004), section 2c; Zheng et al. (2016). The scheme starts from the plume's own mass flux, computes the sounding
that it would leave behind (`sciml.convection.adjustment`) and the energy of a new plume in that sounding, and scales
the mass flux by 0.95 over the share removed, until no more than a tenth is left. The strength is not the root of an
equation (any share between 0 and 0.1 ends the iteration), so this module repeats the iteration of the scheme.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeVar

import torch
from torch import Tensor

from sciml.constants import E_SHIFT, E_SLOPE, GRAVITY, VIRTUAL, ZERO_CELSIUS
from sciml.convection import thermodynamics as td
from sciml.convection.adjustment import Timing, adjust, greatest_strength
from sciml.convection.downdraft import Downdraft
from sciml.convection.plume import DEEP, Plume
from sciml.convection.sounding import Sounding, at
from sciml.convection.source_layer import LAPSE, scale_factor

__all__ = ["LEAST_STRENGTH", "Closed", "close", "remaining_energy"]

LEAST_STRENGTH = 0.05  # the scheme gives up below a twentieth of the plume's own mass flux
ROUNDS = 10
WANTED, ENOUGH = 0.95, 0.1  # share of the energy to remove, share that may remain
MOIST = 0.887  # increase of the heat capacity with vapour, as the scheme has it here
SAME = 1e-4  # strengths that differ by less end the iteration
_Fields = TypeVar("_Fields", Plume, Downdraft, Timing)


@dataclass(frozen=True)
class Closed:
    """Strength of the convection of each column, (column,), and the path to it; shallow columns have strength 1."""

    strength: Tensor  # cloud-base mass flux over the plume's own
    convects: Tensor  # bool: False where the scheme gives up
    removed: Tensor  # share of the available energy that the plume's own mass flux removes
    rounds: Tensor  # number of soundings computed


def remaining_energy(s: Sounding, plume: Plume, t: Tensor, q: Tensor) -> Tensor:
    """Available energy (J/kg) of the source layer's plume in an adjusted sounding, (column,).

    Parameters
    ----------
    s, plume
        Columns before the adjustment, and their plumes, whose condensate and dilution the new plume has.
    t, q
        Temperature (K) and vapour (kg/kg) after it, (level, column).
    """
    level = torch.arange(s.levels, device=s.t.device).unsqueeze(1)
    layer = (level >= plume.base) & (level <= plume.source_top)
    weight = torch.where(layer, s.dp, torch.zeros_like(s.dp)) / plume.source_depth
    t_mix, q_mix, t_lcl = _saturated_at_most(plume.p_mix, (weight * t).sum(0), (weight * q).sum(0))
    z_lcl = plume.z_mix + (t_lcl - t_mix) / LAPSE
    above = ((s.z >= z_lcl) & (level >= plume.base)).to(torch.int64).argmax(0).clamp_min(1)
    share = (z_lcl - at(s.z, above - 1)) / (at(s.z, above) - at(s.z, above - 1))
    t_env = at(t, above - 1) + (at(t, above) - at(t, above - 1)) * share
    q_env = at(q, above - 1) + (at(q, above) - at(q, above - 1)) * share
    tv_env, theta_env = td.virtual(t, q), td.equivalent_temperature(s.p, t, q)
    theta = td.equivalent_temperature(plume.p_mix, t_mix, q_mix, t_lcl)
    undiluted = 1.0 / plume.dilution
    tv_last, energy = td.virtual(t_lcl, q_mix), torch.zeros_like(t_mix)
    tv_env_last = td.virtual(t_env, q_env)
    for k in range(int(above.min()), int(plume.top.max()) + 1):
        here = (k >= above) & (k <= plume.top)
        t_up, q_up = td.wet_adiabat(s.p[k], theta)
        tv_up = t_up * (1.0 + VIRTUAL * q_up - plume.liquid[k] - plume.ice[k])
        depth = torch.where(above == k, s.z[k] - z_lcl, s.z[k] - s.z[k - 1])
        work = ((tv_last + tv_up) / (tv_env_last + tv_env[k]) - 1.0) * depth * GRAVITY
        energy = energy + torch.where(here, work.clamp_min(0.0), torch.zeros_like(work))
        mixed = theta * undiluted[k] + theta_env[k] * (1.0 - undiluted[k])
        theta = torch.where(here, mixed, theta)
        tv_last, tv_env_last = torch.where(here, tv_up, tv_last), torch.where(here, tv_env[k], tv_env_last)
    return energy


def _saturated_at_most(p: Tensor, t: Tensor, q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Condense what is above saturation; return temperature, vapour and the temperature of the LCL."""
    saturated = td.saturation(p, t)
    heat = td.latent_heat(t)
    slope = saturated * E_SLOPE * (ZERO_CELSIUS - E_SHIFT) / (t - E_SHIFT) ** 2
    excess = (q - saturated) / (1.0 + heat * slope / (td.CP * (1.0 + MOIST * q)))
    wet = q > saturated
    lcl = torch.minimum(td.lifted(p, t, q.clamp_min(1e-8)), t)
    warmer = t + heat / td.CP * excess
    return (
        torch.where(wet, warmer, t),
        torch.where(wet, q - excess, q).clamp_min(0.0),
        torch.where(wet, warmer, lcl),
    )


def close(s: Sounding, plume: Plume, down: Downdraft, times: Timing) -> Closed:
    """Iterate the mass flux of each deep plume as the scheme does."""
    most = greatest_strength(s, plume, down, times)
    strength = torch.minimum(torch.ones_like(most), most)
    convects = plume.kind == plume.kind
    removed, rounds = torch.ones_like(most), torch.zeros_like(plume.kind)
    before, left_before = strength, torch.zeros_like(strength)
    last_round = torch.zeros_like(convects)  # the mass flux is final, the scheme only evaluates it again
    active = torch.nonzero((plume.kind == DEEP) & (plume.cape > 0.0)).squeeze(1)
    for number in range(1, ROUNDS + 1):
        if not len(active):
            break
        some, cloud = s.take(active), _take(plume, active)
        after = adjust(some, cloud, _take(down, active), _take(times, active), strength[active])
        left = remaining_energy(some, cloud, after["t"], after["q"]) / cloud.cape
        now, limit = strength[active], most[active]
        rounds = rounds.index_fill(0, active, number)
        if number == 1:
            removed = removed.index_copy(0, active, 1.0 - left)
        final = last_round[active]
        gives_up = ~final & (left > 1.0)
        step = now - before[active]
        worse = (left - left_before[active]) / torch.where(step == 0.0, torch.ones_like(step), step) > 0.0
        repeats = (number > 1) & ~final & ~gives_up & ((step.abs() < SAME) | worse)
        goes_on = ~final & ~gives_up & ~repeats
        before = before.index_copy(0, active, torch.where(goes_on, now, before[active]))
        left_before = left_before.index_copy(0, active, torch.where(goes_on, left, left_before[active]))
        last_round = last_round.index_copy(0, active, final | repeats)
        done = (left <= ENOUGH) | ((now / limit > 0.999) & (left > ENOUGH)) | (number == ROUNDS)
        goes_on = goes_on & ~done
        least = ENOUGH * torch.sqrt(scale_factor(some.dx))
        scaled = torch.where(left == 0.0, 0.5 * now, now * WANTED / torch.maximum(1.0 - left, least))
        scaled = torch.minimum(scaled, limit)
        gives_up = gives_up | (goes_on & (scaled < LEAST_STRENGTH))
        strength = strength.index_copy(0, active, torch.where(goes_on, scaled, now))
        convects = convects.index_copy(0, active, ~gives_up)
        active = active[(goes_on & ~gives_up) | repeats]
    return Closed(strength, convects, removed, rounds)


def _take(x: _Fields, index: Tensor) -> _Fields:
    chosen = {field.name: getattr(x, field.name)[..., index] for field in fields(x)}
    return type(x)(**chosen)
