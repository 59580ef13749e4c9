"""Pressure gradient on a cloud in sheared surroundings (Wu and Yanai 1994, Zhang and Wu 2003).

Around a cylinder of updraft the perturbation pressure is a series of Bessel modes in the distance from its axis; each
mode is an elliptic problem in height, with a decay length of 50 km over the mode's root. It is forced by the shear
times the speed of the updraft, which is linear in the wind, and by the cloud's own circulation, along the mean wind.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sciml.convection.circulation import CLOUD_RADIUS, FAR, circulation_forcing, drafts, faces, lower
from sciml.convection.downdraft import Downdraft
from sciml.convection.plume import Plume
from sciml.convection.sounding import Sounding

__all__ = ["pressure_push"]

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
# Projections of the circulation on the modes: of J1 across the cloud, and of the product of its gradient and speed.
CIRCULATION = (
    4.33675e-05,
    7.88429e-05,
    1.13065e-04,
    1.45836e-04,
    1.76823e-04,
    2.05660e-04,
    2.32101e-04,
    2.55829e-04,
    2.76672e-04,
    2.94347e-04,
)
STRETCHING = (
    -8.64731e-05,
    -1.56092e-04,
    -2.21315e-04,
    -2.80995e-04,
    -3.33799e-04,
    -3.78455e-04,
    -4.14020e-04,
    -4.39600e-04,
    -4.54652e-04,
    -4.58761e-04,
)


def pressure_push(s: Sounding, plume: Plume, down: Downdraft, base: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the change of the wind of the cloud over each layer (m/s) by the pressure gradient.

    It does not depend on the strength, because area and flux are proportional.

    Parameters
    ----------
    base
        Level of the base of the cloud after adjustment, (column,), as for `sciml.convection.momentum.momentum`.

    Returns
    -------
    tuple of Tensor
        By the shear, for u and v, and by the circulation, along the mean wind; (level, column).
    """
    level = torch.arange(s.levels, device=s.t.device).unsqueeze(1)
    zero = torch.zeros_like(s.t)
    d = drafts(s, plume, down, base)
    mid_area, mid_speed = (0.5 * (x + lower(x)) for x in (d.area, d.speed))
    first, second, third = circulation_forcing(s, plume, down, base, d)
    top = torch.cumsum(s.dz, 0)
    spacing = torch.cat([s.z[1:] - s.z[:-1], top[-1:] - s.z[-1:]])  # from each level to the one above
    below = torch.cat([torch.ones_like(spacing[:1]), spacing[:-1]])
    shear = [
        torch.where(d.rising, d.density * mid_speed * (faces(wind) - lower(faces(wind))) / s.dz, zero)
        for wind in (s.u, s.v)
    ]
    share = 4.0 * CLOUD_RADIUS / FAR**2
    total = torch.zeros_like(torch.stack([*shear, zero]))
    down_link, up_link = 1.0 / (s.dz * below), 1.0 / (s.dz * spacing)
    modes = zip(ROOTS, AT_ROOT, AT_EDGE, CIRCULATION, STRETCHING, strict=True)
    for root, at_root, at_edge, mode, stretched in modes:
        own = 2.0 * d.density * (mode * first + (stretched - mode) * second + at_edge * third)
        right = torch.stack([*shear, own / (share * at_edge)])
        # Thomas algorithm from the top down; no gradient through the lid or the ground
        decay = (root / FAR) ** 2
        ratio, value = [torch.full_like(s.t[0], -1.0)], [torch.zeros_like(right[:, 0])]
        for k in range(s.levels - 2, 0, -1):
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
    gradient = total * share / CLOUD_RADIUS * mid_area / d.density
    lift = 0.5 * (d.net + lower(d.net))
    factor = torch.where(d.rising & (level < plume.top), -(d.density * s.dz) / lift.clamp_min(1e-12), zero)
    return factor * gradient[0], factor * gradient[1], factor * gradient[2]
