"""Source layers and the parcel test of the scheme: the levels of a column where convection may start.

Kain (2004), section 2: layers at least 50 hPa deep, one every 15 hPa up to 300 hPa above the surface, are mixed and
lifted to their condensation level; a layer passes if it is warmer there than the air around it, with an excess of
temperature that grows with the mean vertical velocity.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.convection import thermodynamics as td
from sciml.convection.sounding import Sounding, at

__all__ = ["LAPSE", "SourceLayer", "candidates", "parcel_test", "scale_factor", "source_layer"]

SOURCE_DEPTH, SOURCE_STEP, SOURCE_REACH = 5.0e3, 15.0e2, 300.0e2
LAPSE = -td.GRAVITY / td.CP


def scale_factor(dx: Tensor) -> Tensor:
    """Scale factor of the grid spacing `dx` (m); Zheng et al. (2016): 1 + ln(25 km / dx) below 25 km, 1 above."""
    return torch.where(dx >= 24999.0, torch.ones_like(dx), 1.0 + torch.log(25.0e3 / dx))


@dataclass(frozen=True)
class SourceLayer:
    """One source layer of each column, mixed, and lifted to its condensation level; all (column,)."""

    base: int
    top: Tensor  # index of the highest level mixed
    depth: Tensor  # Pa
    t: Tensor
    q: Tensor
    z: Tensor
    p: Tensor
    t_lcl: Tensor
    z_lcl: Tensor
    above: Tensor  # first level at or above the LCL
    weight: Tensor  # of that level, relative to the level below, at the LCL
    t_env: Tensor
    q_env: Tensor
    warming: Tensor  # K, by vertical velocity
    candidate: Tensor  # bool: this level is a source layer's base
    passes: Tensor  # bool: candidate and buoyant

    def take(self, index: Tensor) -> SourceLayer:
        """Select the columns at `index`."""
        rest = (value[index] for name, value in vars(self).items() if name != "base")
        return SourceLayer(self.base, *rest)


def candidates(s: Sounding) -> Tensor:
    """Return whether each level is the base of a source layer, bool (level, column)."""
    flags = torch.zeros_like(s.p, dtype=torch.bool)
    flags[0] = True
    threshold = s.p[0] - SOURCE_STEP
    limit = s.p[0] - SOURCE_REACH
    for k in range(1, s.levels):
        hit = (s.p[k] < threshold) & (s.p[k] >= limit)
        flags[k] = hit
        threshold = torch.where(hit, threshold - SOURCE_STEP, threshold)
    return flags


def source_layer(s: Sounding, base: int, candidate: Tensor) -> SourceLayer:
    """Mix the source layer that starts at level `base`, lift it, and evaluate the scheme's trigger."""
    total = torch.zeros_like(s.p[0])
    t, q, z, p = (torch.zeros_like(total) for _ in range(4))
    top = torch.zeros_like(total, dtype=torch.int64)
    for k in range(base, s.levels):
        mixing = total <= SOURCE_DEPTH
        if not bool(mixing.any()):
            break
        dp = torch.where(mixing, s.dp[k], torch.zeros_like(total))
        total, t, q = total + dp, t + dp * s.t[k], q + dp * s.q[k]
        z, p = z + dp * s.z[k], p + dp * s.p[k]
        top = torch.where(mixing, k, top)
    t, q, z, p = t / total, q / total, z / total, p / total
    t_lcl = torch.minimum(td.lifted(p, t, q), t)
    z_lcl = z + (t_lcl - t) / LAPSE
    reached = (s.z[base:] >= z_lcl).to(torch.int64)
    above = (base + reached.argmax(0)).clamp_min(1)
    below = above - 1
    weight = (z_lcl - at(s.z, below)) / (at(s.z, above) - at(s.z, below))

    def at_lcl(profile: Tensor) -> Tensor:
        low = at(profile, below)
        return low + (at(profile, above) - low) * weight

    t_env, q_env = at_lcl(s.t), at_lcl(s.q)
    w = at_lcl(s.w)
    w = torch.where(s.dx >= 25.0e3, w * s.dx / 25.0e3, w)
    excess = w - 0.02 * z_lcl.clamp_max(2000.0) / 2000.0
    lifting = excess >= 1e-4
    warming = torch.where(lifting, 4.64 * excess.clamp_min(1e-4) ** 0.33, torch.zeros_like(excess))
    passes = candidate & (t_lcl + warming - t_env >= -1e-4) & (reached.amax(0) > 0) & (total > SOURCE_DEPTH)
    return SourceLayer(
        base, top, total, t, q, z, p, t_lcl, z_lcl, above, weight, t_env, q_env, warming, candidate, passes
    )


def parcel_test(s: Sounding) -> Tensor:
    """Return whether any source layer is buoyant at its LCL, bool (column,), with recall 1 for the scheme's trigger."""
    flags = candidates(s)
    passing = torch.zeros(len(s), dtype=torch.bool, device=s.t.device)
    for base in range(s.levels):
        if not bool(flags[base].any()):
            continue
        passing = passing | source_layer(s, base, flags[base]).passes
    return passing
