"""Forcing of the pressure by the cloud's own circulation: updraft and downdraft side by side (Zhang and Wu 2003).

Within the cylinder of the cloud, vertical velocity and buoyancy vary with the first Bessel mode across the cloud,
upward on one side and downward on the other, along the mean wind. Divergence, stretching and buoyancy of this
circulation force the perturbation pressure of `sciml.convection.pressure`. The order of operations is that of WRF:
its dry static energy is in J/kg where the formula takes a temperature, and vapour of the downdraft is zero outside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.constants import GRAVITY_CMT, VIRTUAL
from sciml.convection import thermodynamics as td
from sciml.convection.downdraft import Downdraft
from sciml.convection.plume import Plume
from sciml.convection.sounding import Sounding, at

__all__ = ["CLOUD_RADIUS", "FAR", "Drafts", "circulation_forcing", "drafts", "faces", "lower"]

CLOUD_RADIUS, FAR = 3000.0, 50000.0
MODE = 3.8317 / CLOUD_RADIUS  # 1/m, wavenumber of the first mode across the cloud
AT_FIRST_ROOT = -0.402759  # J0 at the first root of J1
AMPLITUDE = 0.8 / 0.179503  # of the first mode, for top-hat profiles of the drafts


@dataclass(frozen=True)
class Drafts:
    """Areas and velocities of the drafts, (level, column); at the top of each layer unless stated."""

    density: Tensor  # kg/m3, mid-level, dry
    at_face: Tensor  # kg/m3
    up: Tensor  # relative mass flux of the updraft
    down: Tensor  # of the downdraft, negative
    net: Tensor
    area_up: Tensor
    area_down: Tensor
    area: Tensor
    speed: Tensor  # net flux over density and area
    rising: Tensor  # bool: layers in which the net flux is upward at both faces
    start: Tensor  # (column,), level at which the downdraft starts


def faces(x: Tensor) -> Tensor:
    """Interpolate to the top of each layer; the value of the highest layer is unchanged."""
    return torch.cat([0.5 * (x[:-1] + x[1:]), x[-1:]])


def lower(x: Tensor) -> Tensor:
    """Return the values one level below; zero below the lowest."""
    return torch.cat([torch.zeros_like(x[:1]), x[:-1]])


def _mid(x: Tensor) -> Tensor:
    return 0.5 * (x + lower(x))


def _over(a: Tensor, b: Tensor) -> Tensor:
    """Divide where `b` is positive; zero elsewhere."""
    return torch.where(b > 0.0, a / torch.where(b > 0.0, b, torch.ones_like(b)), torch.zeros_like(b))


def drafts(s: Sounding, plume: Plume, down: Downdraft, base: Tensor) -> Drafts:
    """Compute areas and velocities; the area of each draft is constant over its depth."""
    level = torch.arange(s.levels, device=s.t.device).unsqueeze(1)
    zero = torch.zeros_like(s.t)
    density = s.p / (td.R_DRY * s.t)
    at_face = faces(density)
    up, net = plume.flux, plume.flux - down.flux
    start = torch.where((down.start > plume.top) | (down.start < base), base + 1, down.start)
    area_up = torch.where(level <= plume.top, (at(up, base) / at(at_face, base)).expand_as(zero), zero)
    area_down = torch.where(level <= start, (at(down.flux, start) / at(at_face, start)).expand_as(zero), zero)
    area = area_up + area_down
    speed = torch.where(area > 0.0, net / (at_face * area.clamp_min(1e-30)), zero)
    rising = (level > base) & (level <= plume.top) & (net > 0.0) & (lower(net) > 0.0)
    return Drafts(density, at_face, up, -down.flux, net, area_up, area_down, area, speed, rising, start)


def _buoyancy(s: Sounding, plume: Plume, down: Downdraft, base: Tensor, top: Tensor) -> Tensor:
    """Buoyancy of the updraft less that of the downdraft (m/s2), at the top of each layer."""
    level = torch.arange(s.levels, device=s.t.device).unsqueeze(1)
    cloud = (level >= base) & (level <= plume.top)
    specific = s.q / (1.0 + s.q)
    first = (level == down.start) & (
        down.flux.amax(0) > 0.0
    )  # where the downdraft starts, with saturated air
    sinking = torch.where(first, td.wet_adiabat(s.p, s.theta_e)[0], down.t)
    q_down = torch.where(first, s.q, down.q)

    def energy(t: Tensor, q: Tensor) -> Tensor:
        return td.CP * (t * (1.0 + td.EPSILON * q)) + td.GRAVITY * top

    around = energy(s.t, s.q)
    energy_face = faces(around)
    vapour_face = torch.cat([0.5 * (specific[:-1] + specific[1:]), s.q[-1:]])
    height = GRAVITY_CMT / td.CP * top
    scale = (energy_face - height) * (1.0 + VIRTUAL * vapour_face)

    def lift(t: Tensor, vapour: Tensor, inside: Tensor) -> Tensor:
        value = torch.where(inside, energy(t, vapour), around)
        vapour = torch.where(inside, vapour, specific)
        moist = vapour * (value - height) - vapour_face * (energy_face - height)
        return (value - energy_face + VIRTUAL * moist) / scale * GRAVITY_CMT

    t_up = torch.where(plume.t > 0.0, plume.t, s.t)
    t_down = torch.where(sinking > 0.0, sinking, s.t)
    return lift(t_up, plume.q / (1.0 + plume.q), cloud) - lift(t_down, q_down / (1.0 + q_down), cloud)


def circulation_forcing(
    s: Sounding, plume: Plume, down: Downdraft, base: Tensor, d: Drafts
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the forcing of each layer by divergence and buoyancy, by stretching, and by the displaced shear.

    Returns
    -------
    tuple of Tensor
        Terms (level, column) that the pressure multiplies by the coefficients of each mode.
    """
    level = torch.arange(s.levels, device=s.t.device).unsqueeze(1)
    zero = torch.zeros_like(s.t)
    dz, top = s.dz, torch.cumsum(s.dz, 0)
    inside = (level > base) & (level <= plume.top)
    mid_area, mid_up, mid_down = _mid(d.area), _mid(d.area_up), _mid(d.area_down)
    divergence = torch.where(inside, _over(lower(d.net) - d.net, d.density * dz * mid_area), zero)
    divergence = torch.where(level == base, _over(-d.net, d.density * dz * mid_area), divergence)
    both = inside & (mid_area > 0.0) & (mid_up > 0.0) & (mid_down > 0.0)
    exchange = _over(d.up - lower(d.up), mid_up * dz) - _over(d.down - lower(d.down), mid_down * dz)
    exchange = _over(mid_down, mid_area * d.density) * exchange * AMPLITUDE / MODE**2
    exchange = torch.where(both, exchange, zero)
    at_top = [0.5 * (torch.cat([x[1:], zero[:1]]) + x) for x in (divergence, exchange)]
    side = (level >= base) & (level <= d.start) & (d.area_up > 0.0) & (d.area_down > 0.0)
    apart = _over(d.up, d.area_up) - torch.where(
        d.area_down > 0.0, d.down / d.area_down.clamp_min(1e-30), zero
    )
    swing = torch.where(side, AMPLITUDE * apart * _over(d.area_down, d.area * d.at_face), zero)
    buoyancy = AMPLITUDE * _buoyancy(s, plume, down, base, top) * _over(d.area_down, d.area)
    buoyancy = torch.where(side, buoyancy, zero)
    speed, swinging = _mid(d.speed), _mid(swing)
    above = torch.cat([s.z[1:] - s.z[:-1], top[-1:] - s.z[-1:]])
    below = torch.cat([torch.ones_like(above[:1]), above[:-1]])
    log = torch.log(d.density)
    upper_log, lower_log = torch.cat([log[1:], log[-1:]]), torch.cat([log[:1], log[:-1]])
    curvature = upper_log / (dz * above) - (1.0 / above + 1.0 / below) / dz * log + lower_log / (dz * below)
    shearing = (d.speed - lower(d.speed)) * (swing - lower(swing)) / dz**2
    lifting = (d.at_face * buoyancy - lower(d.at_face) * lower(buoyancy)) / (dz * d.density)
    first = divergence * exchange * MODE**2 - 2.0 * (shearing - speed * swinging * curvature) + lifting
    second = -(at_top[0] - lower(at_top[0])) / dz * swinging
    third = 2.0 * speed * CLOUD_RADIUS / FAR**2 * (at_top[1] - lower(at_top[1])) / dz * MODE * AT_FIRST_ROOT
    return tuple(torch.where(d.rising, x, zero) for x in (first, second, third))  # type: ignore[return-value]
