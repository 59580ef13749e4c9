"""Tendencies from mass fluxes: compensating subsidence in flux form, exact in water and momentum.

For given plume, downdraft, strength of the cloud-base mass flux and adjustment time, air is advected through the faces
between layers (first-order upwind, with as many steps as the Courant number requires), and the air of the plumes is
added where they detrain (Kain and Fritsch 1990).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.constants import DAY
from sciml.convection import thermodynamics as td
from sciml.convection.downdraft import Downdraft
from sciml.convection.plume import SHALLOW, Plume
from sciml.convection.sounding import Sounding, at
from sciml.convection.source_layer import scale_factor

__all__ = ["Timing", "adjust", "greatest_strength", "shallow_strength", "timing"]

# A strength that needs more advection steps than this is far larger than any strength of the scheme.
MOST_STEPS = 200


@dataclass(frozen=True)
class Timing:
    """Duration of convection (column,): `adjustment` (s), in whole steps, and `counter`, the value of NCA."""

    adjustment: Tensor
    counter: Tensor


def timing(s: Sounding, plume: Plume) -> Timing:
    """Compute the dynamic adjustment time of Zheng et al. (2016), as WRF does.

    The sub-cloud velocity scale combines friction and the convective velocity (g/T * HFX/(rho cp) * depth)^(1/3).

    Both times are at most a day, and the counter is in whole steps. The scheme limits only the adjustment time. The
    counters therefore differ if the wind is so light that air needs more than a day to cross the cell: the counter of
    the scheme would hold the column for years (and would not decrease in single precision).
    """
    speed = td.root(s.u * s.u + s.v * s.v)
    level = torch.arange(s.levels, device=s.t.device).unsqueeze(1)
    middle = torch.where(s.p >= 0.5 * s.p[0], level, torch.zeros_like(level)).amax(0)
    wind = 0.5 * (at(speed, plume.cloud_base) + at(speed, middle))
    passing = s.dx / wind.clamp_min(1e-6)
    length = torch.maximum(plume.least_height, plume.height) * scale_factor(s.dx)
    lifted = torch.maximum(plume.z_lcl, at(s.z, plume.source_top))
    warmth = td.GRAVITY / s.t[0] * s.hfx.clamp_min(0.0) / (s.rho[0] * td.CP)
    heating = (warmth * lifted).clamp_min(1e-30) ** 0.333
    friction = 3.8 * s.ust * s.ust
    unstable = (
        friction + 0.22 * heating * heating + 1.9 * s.ust * s.ust * s.zol.neg().clamp_min(0.0) ** (2.0 / 3.0)
    )
    velocity = torch.sqrt(torch.where(s.zol <= 0.0, unstable, friction)).clamp_min(0.1)
    cape = torch.where(plume.cape <= 0.0, torch.ones_like(plume.cape), plume.cape)
    time = torch.maximum(passing, length / (0.03 * velocity * cape) ** 0.3333)
    steps = torch.floor(time / s.dt + 0.5)
    adjustment = (steps * s.dt).clamp_max(DAY)
    counter = torch.where(passing < adjustment, torch.floor(passing / s.dt + 0.5), steps)
    counter = torch.minimum(counter, torch.floor(DAY / s.dt).clamp_min(1.0)) * s.dt
    counter = torch.where(plume.kind == SHALLOW, s.cudt * 60.0, counter)
    return Timing(adjustment, counter)


def shallow_strength(s: Sounding, plume: Plume, times: Timing) -> Tensor:
    """Compute the strength of shallow convection, which moves a quarter of the source layer per adjustment time."""
    return 0.25 * plume.source_depth / (plume.flux_lcl * td.GRAVITY * times.adjustment)


def greatest_strength(s: Sounding, plume: Plume, down: Downdraft, times: Timing) -> Tensor:
    """Compute the strength at which a layer would lose all its mass within the adjustment time."""
    level = torch.arange(s.levels, device=s.t.device).unsqueeze(1)
    inflow = (plume.entrained + down.entrained) * plume.flux_lcl
    within = (level >= plume.base) & (level <= torch.maximum(plume.cloud_base, down.start)) & (inflow > 1e-12)
    mass = s.dp / td.GRAVITY
    limit = torch.where(
        within, mass / (inflow.clamp_min(1e-12) * times.adjustment), torch.full_like(mass, 1e3)
    )
    return limit.amin(0).clamp_max(1e3)


def adjust(s: Sounding, plume: Plume, down: Downdraft, times: Timing, strength: Tensor) -> dict[str, Tensor]:
    """Compute tendencies (level, column) of th, qv, qc, qi, qr, and the adjusted sounding, for a strength (column,)."""
    level = torch.arange(s.levels, device=s.t.device).unsqueeze(1)
    cloud = level <= plume.top
    scale = plume.flux_lcl * strength
    mass = s.dp / td.GRAVITY
    entrained, detrained = plume.entrained * scale, plume.detrained * scale
    d_entrained, d_detrained = down.entrained * scale, down.detrained * scale
    source = detrained + d_detrained - entrained - d_entrained  # kg/m2/s added to each layer
    source = torch.where(cloud, source, torch.zeros_like(source))
    through = torch.cumsum(source, 0)
    through = torch.cat(
        [torch.zeros_like(through[:1]), through[:-1]]
    )  # upward, through the bottom of each layer
    through = torch.where(cloud, through, torch.zeros_like(through))
    below = torch.cat([mass[:1], mass[:-1]])
    time = times.adjustment
    # the scheme's Courant rule compares with the layer below each face
    allowed = 0.75 * below / through.detach().abs().clamp_min(1e-12)
    step = torch.minimum(allowed.amin(0), time)
    steps = torch.floor(time / step + 1.5).clamp_max(MOST_STEPS)
    dt = time / steps
    theta_u = plume.t * td.exner(s.p, plume.q_undiluted)
    theta_d = down.t * td.exner(s.p, down.q)
    theta_0 = s.t * td.exner(s.p, s.q)
    taken = entrained + d_entrained
    sources = torch.stack(
        [
            detrained * theta_u + d_detrained * theta_d - taken * theta_0,
            detrained * plume.q_undiluted + d_detrained * down.q - taken * s.q,
            plume.detrained_liquid * scale,
            plume.detrained_ice * scale,
            torch.where(plume.kind == SHALLOW, plume.rain, torch.zeros_like(plume.rain)) * scale,
        ]
    )
    sources = torch.where(cloud, sources, torch.zeros_like(sources))
    state = torch.stack([theta_0, s.q, *([torch.zeros_like(s.q)] * 3)])
    rate = dt / mass
    up, fall = through.clamp_min(0.0), (-through).clamp_min(0.0)
    for number in range(int(steps.max())):
        lower = torch.cat([state[:, :1], state[:, :-1]], 1)
        face = up * lower - fall * state  # through the bottom of each layer, upwards
        above = torch.cat([face[:, 1:], torch.zeros_like(face[:, :1])], 1)
        change = (face - above + sources) * rate
        state = torch.where(
            number < steps, state + torch.where(cloud, change, torch.zeros_like(change)), state
        )
    theta, q, liquid, ice, rain = state
    t = theta / td.exner(s.p, q)
    zero = torch.zeros_like(t)
    return {
        "RTHCUTEN": torch.where(cloud, (t - s.t) / time / s.pi, zero),
        "RQVCUTEN": torch.where(cloud, (q - s.q) / time, zero),
        "RQCCUTEN": liquid / time,
        "RQICUTEN": ice / time,
        "RQRCUTEN": rain / time,
        "t": t,
        "q": q,
        "through": through,
    }
