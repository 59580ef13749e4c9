"""Outputs of the pure network on the levels of a host, with the constraints that hold for any prediction.

Tendencies are mapped back so that their column integrals stay the same; then water is closed by the rain, momentum to
zero, and no level loses more vapour in a step than it has.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sciml.constants import DAY, GRAVITY
from sciml.convection.layer_outputs import CONDENSATE, LayerOutputs, closed
from sciml.convection.layer_targets import level_of
from sciml.convection.plume import DEEP, NONE, SHALLOW
from sciml.convection.plume_coordinate import spread
from sciml.convection.prepared_profiles import Profiles
from sciml.convection.response import NCA_NONE

__all__ = ["on_levels", "outputs_of"]

LEAST_COVER = 5e-3  # cloud fractions below are no cloud
LEAST_CONDENSATE = 1e-7  # kg/kg
MOST_TIME = DAY  # s
MOST_VAPOUR = 0.95  # share of a level's vapour that a step may take
SAFE = 1.0 - 1e-6  # so that rounding to float32 leaves no negative vapour


def outputs_of(seen: Profiles, out: LayerOutputs, kind: Tensor) -> dict[str, Tensor]:
    """Profiles (level, column) and scalars (column,) by WRF name; zero where the class is none."""
    s = seen.sounding
    active, deep = kind != NONE, kind == DEEP
    cloud = torch.stack([out.cover, out.liquid, out.ice], -1)
    values = on_levels(torch.cat([out.tendencies, out.wind, cloud], -1), seen)
    heating, vapour = values[..., 0], values[..., 1]
    condensate = values[..., 2:5]
    mass = s.dp.T / GRAVITY
    # less than all of it, so that the closure that follows does not exceed it and weaken the column
    vapour = torch.maximum(vapour, -MOST_VAPOUR * s.qv.T.clamp_min(0.0) / s.dt.unsqueeze(1))
    vapour = closed(vapour, condensate.sum(-1), mass, out.rain)
    nothing = torch.zeros_like(heating)
    wind = [closed(values[..., number], nothing, mass, torch.zeros_like(out.rain)) for number in (5, 6)]
    # no level may lose more vapour in a step than it has: all of the column's convection is weakened equally
    have = s.qv.T.clamp_min(0.0) / s.dt.unsqueeze(1)
    share = torch.where(vapour < 0.0, have / (-vapour).clamp_min(1e-300), torch.ones_like(vapour))
    limit = torch.where(active, (SAFE * share.amin(1)).clamp_max(1.0), torch.zeros_like(out.rain))
    tendencies = {"RTHCUTEN": heating, "RQVCUTEN": vapour, "RQSCUTEN": nothing}
    tendencies |= {name: condensate[..., number] for number, name in enumerate(CONDENSATE)}
    tendencies |= {"RUCUTEN": wind[0], "RVCUTEN": wind[1]}
    fields = {name: (value * limit.unsqueeze(1)).T for name, value in tendencies.items()}
    top, base = _extent(seen, out)
    level = torch.arange(s.levels, device=kind.device)
    below_top = (level <= top.unsqueeze(1)) & active.unsqueeze(1)
    cover = torch.where((values[..., 7] >= LEAST_COVER) & below_top, values[..., 7], nothing)
    fields["CLDFRA_DP"] = torch.where(deep.unsqueeze(1), cover, nothing).T
    fields["CLDFRA_SH"] = torch.where((kind == SHALLOW).unsqueeze(1), cover, nothing).T
    for name, number in (("QC_CU", 8), ("QI_CU", 9)):
        amount = values[..., number]
        fields[name] = torch.where((amount >= LEAST_CONDENSATE) & below_top, amount, nothing).T
    ones = torch.ones_like(out.rain)
    fields["PRATEC"] = torch.where(deep, out.rain * limit, torch.zeros_like(out.rain))
    fields["NCA"] = torch.where(active, _hold_time(seen, out, deep), NCA_NONE * ones)
    fields["CUTOP"] = torch.where(active, top + 1.0, ones)
    fields["CUBOT"] = torch.where(active, base + 1.0, (s.levels + 1.0) * ones)
    return fields


def on_levels(values: Tensor, seen: Profiles) -> Tensor:
    """Map means of layers (column, layer, output) to means of levels (column, level, output)."""
    coordinate, count = seen.coordinate, values.shape[-1]
    width = coordinate.edges[:, 1:] - coordinate.edges[:, :-1]
    amounts = (values * width.unsqueeze(-1)).permute(2, 0, 1).flatten(0, 1)
    levels = spread(amounts, coordinate.positions.repeat(count, 1)).reshape(count, len(values), -1)
    return levels.permute(1, 2, 0) / seen.sounding.dp.T.unsqueeze(-1)


def _extent(seen: Profiles, out: LayerOutputs) -> tuple[Tensor, Tensor]:
    """Levels (from 0) of the cloud's top and base, the base no higher than the top."""
    edges, faces = seen.coordinate.edges, seen.coordinate.faces
    top = level_of(out.top.argmax(1), edges, faces)
    return top, torch.minimum(level_of(out.base.argmax(1), edges, faces), top)


def _hold_time(seen: Profiles, out: LayerOutputs, deep: Tensor) -> Tensor:
    """NCA (s): whole steps for deep convection, CUDT for shallow."""
    s = seen.sounding
    time = (seen.passage.clamp(60.0, MOST_TIME) * torch.exp(out.time)).clamp_max(MOST_TIME)
    steps = torch.floor(time / s.dt + 0.5).clamp_min(1.0)
    return torch.where(deep, steps * s.dt, s.cudt * 60.0)
