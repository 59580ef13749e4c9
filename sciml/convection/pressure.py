"""Pressure gradient on a cloud in sheared surroundings (Wu and Yanai 1994, Zhang and Wu 2003).

Around a cylinder of updraft the perturbation pressure is a series of Bessel modes in the distance from its axis;
each mode is an elliptic problem in height, forced by the shear times the updraft's speed, with a decay length of
50 km over the mode's root. This module computes the part that the shear forces, which is linear in the wind. The
network predicts the part that the cloud's own circulation forces, along the mean wind.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sciml.convection import thermodynamics as td
from sciml.convection.downdraft import Downdraft
from sciml.convection.plume import Plume
from sciml.convection.sounding import Sounding, at

__all__ = ["shear_push"]

CLOUD_RADIUS, FAR = 3000.0, 50000.0
# Roots of J1, values of J0 at these roots, and values of J1 at the edge of the cloud.
ROOTS = (3.83170, 7.01560, 10.1735, 13.3237, 16.4705, 19.6120, 22.7560, 25.8980, 29.0480, 32.1926)
AT_ROOT = (
    -0.402759,
    0.300116,
    -0.249705,
    0.218359,
    -0.196465,
    0.180062,
    -0.167183,
    0.156722,
    -0.148011,
    0.140605,
)
AT_EDGE = (0.114193, 0.205841, 0.291209, 0.368619, 0.436201, 0.492233, 0.535486, 0.564886, 0.579879, 0.580195)


def _faces(x: Tensor) -> Tensor:
    """Interpolate to each layer's top; the value of the highest layer is unchanged."""
    return torch.cat([0.5 * (x[:-1] + x[1:]), x[-1:]])


def _lower(x: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(x[:1]), x[:-1]])


def shear_push(s: Sounding, plume: Plume, down: Downdraft, base: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the change of the wind of the cloud over each layer (m/s), (level, column), for u and v.

    It does not depend on the strength, because area and flux are proportional. `base` as for `momentum`.
    """
    levels = s.levels
    level = torch.arange(levels, device=s.t.device).unsqueeze(1)
    zero = torch.zeros_like(s.t)
    density = s.p / (td.R_DRY * s.t)
    at_face = _faces(density)
    up, net = plume.flux, plume.flux - down.flux
    # ratio of area and updraft flux at each layer's top: constant over the depth of the draft
    start = torch.where((down.start > plume.top) | (down.start < base), base + 1, down.start)
    area_up = torch.where(level <= plume.top, (at(up, base) / at(at_face, base)).expand_as(zero), zero)
    area_down = torch.where(level <= start, (at(down.flux, start) / at(at_face, start)).expand_as(zero), zero)
    area = area_up + area_down
    speed = torch.where(area > 0.0, net / (at_face * area.clamp_min(1e-30)), zero)
    mid_area, mid_speed = 0.5 * (area + _lower(area)), 0.5 * (speed + _lower(speed))
    rising = (level > base) & (level <= plume.top) & (net > 0.0) & (_lower(net) > 0.0)
    top = torch.cumsum(s.dz, 0)
    spacing = torch.cat([s.z[1:] - s.z[:-1], top[-1:] - s.z[-1:]])  # from each level to the one above
    below = torch.cat([torch.ones_like(spacing[:1]), spacing[:-1]])
    forcing = []
    for wind in (s.u, s.v):
        shear = _faces(wind) - _lower(_faces(wind))
        forcing.append(torch.where(rising, density * mid_speed * shear / s.dz, zero))
    right = torch.stack(forcing)
    total = torch.zeros_like(right)
    down_link, up_link = 1.0 / (s.dz * below), 1.0 / (s.dz * spacing)
    for root, at_root, at_edge in zip(ROOTS, AT_ROOT, AT_EDGE, strict=True):
        # Thomas algorithm from the top down; no gradient through the lid or the ground
        decay = (root / FAR) ** 2
        ratio, value = [torch.full_like(s.t[0], -1.0)], [torch.zeros_like(right[:, 0])]
        for k in range(levels - 2, 0, -1):
            pivot = -(up_link[k] + down_link[k] + decay) - up_link[k] * ratio[-1]
            ratio.append(down_link[k] / pivot)
            value.append((right[:, k] - up_link[k] * value[-1]) / pivot)
        x = value[-1] / (1.0 + ratio[-1])  # at the ground: the same value as the level above
        solution = [x]
        for r, v in zip(reversed(ratio[1:]), reversed(value[1:]), strict=True):
            x = v - r * x
            solution.append(x)
        solution.append(solution[-1])
        total = total + torch.stack(solution, 1) * (at_edge * at_edge / (at_root * at_root))
    gradient = total * (4.0 * CLOUD_RADIUS / FAR**2) / CLOUD_RADIUS * mid_area / density
    lift = 0.5 * (net + _lower(net))
    factor = torch.where(rising & (level < plume.top), -(density * s.dz) / lift.clamp_min(1e-12), zero)
    return factor * gradient[0], factor * gradient[1]
