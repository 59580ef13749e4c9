"""Momentum transport by the plumes: a flux of velocity through the top of each layer, zero at cloud base and top.

The method is that of Zhang and Wu (2003) as implemented in MSKF: air with the wind at cloud base rises, mixes with its
surroundings and is accelerated by the pressure gradient (see `pressure`). The tendency of a layer is the convergence of
the flux, so that the sum of mass times tendency is zero to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.constants import GRAVITY_CMT
from sciml.convection import thermodynamics as td
from sciml.convection.downdraft import Downdraft
from sciml.convection.plume import Plume
from sciml.convection.sounding import Sounding

__all__ = ["Carriage", "carriage", "momentum", "turned"]


def turned(s: Sounding, plume: Plume) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of the direction of the mean wind in the cloud layer, (column,); both 0 without wind."""
    level = torch.arange(s.levels, device=s.t.device).unsqueeze(1)
    cloud = (level > plume.cloud_base) & (level <= plume.top)
    weight = torch.where(cloud, s.p / s.t * s.dz, torch.zeros_like(s.t))
    u, v = (weight * s.u).sum(0), (weight * s.v).sum(0)
    size = td.root(u * u + v * v)
    per_size = torch.where(size > 0.0, 1.0 / torch.where(size > 0.0, size, torch.ones_like(size)), size)
    return u * per_size, v * per_size


@dataclass(frozen=True)
class Carriage:
    """Coefficients of the transport of wind by the net flux, all (level, column)."""

    net: Tensor  # kg/m2/s, upward through each layer's top
    mixing: Tensor  # share of the layer's wind that the cloud takes up over it
    rising: Tensor  # where the cloud has its own wind; elsewhere it has that of the surroundings
    inside: Tensor  # where the flux may differ from zero


def carriage(s: Sounding, plume: Plume, down: Downdraft, strength: Tensor, base: Tensor) -> Carriage:
    """Compute fluxes and mixing for a given strength and cloud base after adjustment (column,)."""
    scale = plume.flux_lcl * strength
    net = (plume.flux - down.flux) * scale
    entrained = (plume.entrained - down.entrained) * scale  # the scheme's sign of the downdraft's share
    level = torch.arange(s.levels, device=s.t.device).unsqueeze(1)
    lower = torch.cat([net[:1], net[:-1]])
    inside = (level > base) & (level < plume.top)
    rising = (net > 0.0) & (lower > 0.0) & inside
    mean = torch.where(rising, 0.5 * (net + lower), torch.ones_like(net))
    # the scheme uses entrainment in hPa/s per metre instead of 1/s, and 9.8 for gravity here
    rate = entrained * td.GRAVITY / 100.0 / s.dz
    passage = s.p / (td.R_DRY * s.t) * s.dz / mean * (GRAVITY_CMT / td.GRAVITY)
    return Carriage(net, passage * rate, rising, inside)


def momentum(
    s: Sounding, plume: Plume, down: Downdraft, strength: Tensor, base: Tensor, push: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Compute tendencies of u and v (m/s2), (level, column).

    Parameters
    ----------
    base
        Level of the cloud's base after adjustment (column,).
    push
        Change of the cloud's wind (m/s) over each layer by the pressure gradient, for u and v.
    """
    moved = carriage(s, plume, down, strength, base)
    result = []
    for wind, pushed in zip((s.u, s.v), push, strict=True):
        face = torch.cat([0.5 * (wind[:-1] + wind[1:]), wind[-1:]])  # at each layer's top
        cloud = [face[0]]
        for k in range(1, s.levels):
            own = cloud[-1] + moved.mixing[k] * (wind[k] - cloud[-1]) + pushed[k]
            cloud.append(torch.where(moved.rising[k], own, face[k]))
        flux = torch.where(moved.inside, moved.net * (torch.stack(cloud) - face), torch.zeros_like(face))
        inflow = torch.cat([torch.zeros_like(flux[:1]), flux[:-1]])
        result.append((inflow - flux) * td.GRAVITY / s.dp)
    return result[0], result[1]
